/* SPDX-License-Identifier: MIT
 *
 * `taltun top` on a terminal: until q, a signal, or the end of the daemon.
 */
#ifndef TT_TALTUN_TOP_LIVE_H
#define TT_TALTUN_TOP_LIVE_H

#include "taltun/top_view.h"

struct top_options {
	const char *interface;
	unsigned interval_ms;
	enum top_sort sort;
};

/* The exit status. The terminal is as it was before, whatever ended it. */
int top_live_run(const struct top_options *options);

#endif

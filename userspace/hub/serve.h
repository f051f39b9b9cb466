/* SPDX-License-Identifier: MIT
 *
 * `taltun-hub serve`: everything a hub is, from its files to its end. SIGTERM and SIGINT tell the
 * nodes and end it within 2 s; SIGHUP reads certificate and limits again.
 */
#ifndef TT_HUB_SERVE_H
#define TT_HUB_SERVE_H

#include "hub/config.h"

struct hub_serve_options {
	const struct hub_paths *paths;
	bool no_udp_relay; /* whatever the file says */
	/* The CA's key comes by standard input: whoever started us could open the file, we cannot.
	 */
	bool ca_key_stdin;
};

enum hub_serve_outcome {
	HUB_SERVE_ENDED, /* in order */
	HUB_SERVE_FAILED,
	HUB_SERVE_BAD_CONFIG,
};
/* Returns when the hub has ended; what went wrong is on standard error. */
enum hub_serve_outcome hub_serve(const struct hub_serve_options *opt);

#endif

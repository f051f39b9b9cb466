/* SPDX-License-Identifier: MIT
 *
 * What the system says of another thread of this process: for the watchdog, which must not take a
 * thread that waits for a CPU for one that hangs.
 */
#ifndef TT_PLAT_THREAD_STATE_H
#define TT_PLAT_THREAD_STATE_H

#include "base/types.h"

struct plat_thread_state {
	int fd;		/* private; -1: nobody tells */
	uint64_t spent; /* CPU time at the last look, in ticks of the system */
};

/* Finds the thread of that name, which plat_thread_start() gave it. 0 or -errno (-ENOENT: none,
 * -ENOTSUP); then the functions below may be called all the same. */
int plat_thread_state_open(struct plat_thread_state *s, const char *name);
void plat_thread_state_close(struct plat_thread_state *s);
/* It is ready to run, and has had no CPU since the last look. False where nobody tells. */
bool plat_thread_state_starved(struct plat_thread_state *s);

#endif

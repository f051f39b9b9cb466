/* SPDX-License-Identifier: MIT
 *
 * A private network namespace for one test, so that addresses and devices touch nothing else.
 */
#ifndef TT_NETNS_H
#define TT_NETNS_H

#include <stdbool.h>

/* Moves this thread to a new namespace with loopback up. False, and a skip counted: not allowed. */
bool tt_netns_enter(unsigned tests);
/* Back to the first one; the private one goes with everything in it. */
void tt_netns_leave(void);
/* Runs a shell command in the current namespace, silently; its exit status. */
__attribute__((format(printf, 1, 2))) int tt_sh(const char *format, ...);

#endif

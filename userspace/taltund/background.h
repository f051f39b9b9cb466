/* SPDX-License-Identifier: MIT
 *
 * Into the background, but not before the node serves: whoever started taltund gets the exit
 * status and the reason of a start that fails.
 */
#ifndef TT_TALTUND_BACKGROUND_H
#define TT_TALTUND_BACKGROUND_H

#include <stdbool.h>

/*
 * Returns in the background process: in a session of its own, in "/", with 0 and 1 on /dev/null and
 * *ready_fd to send one struct node_monitor_report on. 2 is what the waiting process reads and
 * shows where the start fails, and nothing later; own_log: 2 is left alone. The caller's process
 * waits for the report and never returns. -errno: no process.
 */
int taltund_background(int *ready_fd, bool own_log);

#endif

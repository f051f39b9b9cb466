/* SPDX-License-Identifier: MIT
 *
 * Into the background, but not before the node serves: whoever started taltund gets the exit
 * status and the reason of a start that fails.
 */
#ifndef TT_TALTUND_BACKGROUND_H
#define TT_TALTUND_BACKGROUND_H

/*
 * Returns in the background process: in a session of its own, in "/", with 0 and 1 on /dev/null and
 * *ready_fd to send one struct node_monitor_report on. start_log (1 or 2) is what the waiting
 * process reads and shows where the start fails, and nothing later; -1: there is no such thing. The
 * caller's process waits for the report and never returns. -errno: no process.
 */
int taltund_background(int *ready_fd, int start_log);

#endif

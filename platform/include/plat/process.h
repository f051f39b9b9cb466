/* SPDX-License-Identifier: MIT
 *
 * What a forked child does to itself before anything else.
 */
#ifndef TT_PLAT_PROCESS_H
#define TT_PLAT_PROCESS_H

#include <sys/types.h>

/*
 * The caller is killed when `parent` ends; it exits at once where that has happened already. A
 * change of uid forgets this: call it (again) after plat_sandbox_drop(). Where the system has no
 * such order, only the check is done and the end of a socket pair has to tell.
 */
void plat_process_die_with_parent(pid_t parent);
/* Shown by ps; at most 15 characters. */
void plat_process_name(const char *name);
/* Closes every descriptor from 3 on that is not among the n in `keep` (-1 entries are skipped). */
void plat_process_keep_fds(const int *keep, unsigned n);

/*
 * Writing to fd no longer waits for its reader: a pipe, a terminal or a socket is made
 * non-blocking, without a change for other processes that hold it where the system can. Best
 * effort.
 */
void plat_process_never_wait_for(int fd);

#endif

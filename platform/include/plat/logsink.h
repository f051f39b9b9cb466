/* SPDX-License-Identifier: MIT
 *
 * Where the log of a daemon in the background goes. The writers are for tt_log_set_sink(): they
 * take a whole line with its newline and return its length, or less where it was lost.
 */
#ifndef TT_PLAT_LOGSINK_H
#define TT_PLAT_LOGSINK_H

#include <stdbool.h>
#include <stddef.h>

/* A socket to the system's log: non-blocking, close-on-exec. -errno: there is none. */
int plat_logsink_syslog_open(void);
/* One message. level: enum tt_log_level. Connects anew where the logger was restarted. */
size_t plat_logsink_syslog_write(int fd, int level, const char *line, size_t len);

/* Whether the descriptor is the journal's, as systemd says by JOURNAL_STREAM: then lines may begin
 * with their severity. */
bool plat_logsink_is_journal(int fd);

/* To a file that starts anew when it has grown past PLAT_LOGSINK_SMALL bytes. */
#define PLAT_LOGSINK_SMALL (1u << 20)
size_t plat_logsink_small_write(int fd, int level, const char *line, size_t len);

#endif

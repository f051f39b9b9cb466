/* SPDX-License-Identifier: MIT
 *
 * The way to the system's log.
 */
#ifndef TT_PLAT_SYSLOG_H
#define TT_PLAT_SYSLOG_H

/* Non-blocking, close-on-exec; a write is one message. -errno: there is none. */
int plat_syslog_open(void);
/* After an error: whoever listens now. 0 or -errno. */
int plat_syslog_reconnect(int fd);

#endif

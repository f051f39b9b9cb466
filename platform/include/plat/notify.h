/* SPDX-License-Identifier: MIT
 *
 * Telling the service manager that started us how we are: sd_notify(3) without its library. Where
 * nobody asked to be told, everything here does nothing.
 */
#ifndef TT_PLAT_NOTIFY_H
#define TT_PLAT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child
 * speaks for us. Before threads and forks; listen: false only forgets them.
 */
void plat_notify_begin(bool listen);
/*
 * Lines such as "READY=1\nSTATUS=serving". Never blocks and keeps no descriptor. False: nobody
 * wants to know, or it could not be told now.
 */
bool plat_notify(const char *lines);
/* RELOADING=1 with the time of it; READY=1 must follow. */
bool plat_notify_reloading(void);
/* ns within which WATCHDOG=1 has to come again and again; 0: nobody waits for it. */
uint64_t plat_notify_watchdog_ns(void);

#endif

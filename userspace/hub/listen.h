/* SPDX-License-Identifier: MIT
 *
 * Sockets that a hub listens on.
 */
#ifndef TT_HUB_LISTEN_H
#define TT_HUB_LISTEN_H

#include <sys/types.h>

#include "base/addr.h"

/* TCP, bound and not listening yet, non-blocking; IPv6 for IPv6 alone. The descriptor or -errno. */
int hub_listen_tcp(const struct tt_endpoint *at);
/* A Unix socket that listens, non-blocking, with this mode. One that nobody serves any more is
 * replaced; -EADDRINUSE where somebody answers there, -EEXIST where it is no socket. */
int hub_listen_unix(const char *path, mode_t mode);

#endif

/* SPDX-License-Identifier: MIT
 *
 * TCP sockets for connections of our own, past the tunnel.
 */
#ifndef TT_PLAT_TCP_H
#define TT_PLAT_TCP_H

#include "base/addr.h"

/* Largest segments, both ways. Where ICMP is dropped TCP would never learn that a path takes less
 * than its link, and this connection is what remains when nothing else passes: packets of 1,120
 * bytes by IPv4, of the least that IPv6 promises. */
#define PLAT_TCP_SEGMENT_V4 1080
#define PLAT_TCP_SEGMENT_V6 1220

/*
 * A non-blocking, close-on-exec TCP socket, not connected yet. fwmark (0: none) marks its packets,
 * as those of the tunnel's UDP sockets. IPv6 ones speak IPv6 alone. Descriptor or -errno;
 * -ENOTSUP: marks are not to be had here. Any thread.
 */
int plat_tcp_socket(enum tt_family family, uint32_t fwmark);

#endif

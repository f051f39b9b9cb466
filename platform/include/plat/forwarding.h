/* SPDX-License-Identifier: MIT
 *
 * Whether the host's kernel forwards packets between its interfaces, per family. Monitor; the
 * command line reads.
 */
#ifndef TT_PLAT_FORWARDING_H
#define TT_PLAT_FORWARDING_H

#include "base/addr.h"
#include "base/types.h"
#include "plat/tun.h"

/* 1, 0, -ENOTSUP, or -errno. */
int plat_forwarding_get(enum tt_family family);
/* 0 or -errno; -EROFS, -EACCES or -EPERM where it is somebody else's to set. */
int plat_forwarding_set(enum tt_family family, bool on);
/*
 * Whether the host would lose its own default route with forwarding on: one that the kernel has
 * learnt from router advertisements, which a router does not listen to. name gets its interface.
 */
bool plat_forwarding_costs_route(enum tt_family family, char name[PLAT_IFNAME_MAX]);
/* What an operator sets, as "net.ipv4.ip_forward". */
const char *plat_forwarding_name(enum tt_family family);

#endif

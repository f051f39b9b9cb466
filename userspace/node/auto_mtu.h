/* SPDX-License-Identifier: MIT
 *
 * The MTU of an interface whose configuration names none: what the way to the peers carries, less
 * what encryption adds at most (IPv6, UDP and WireGuard headers: 80 bytes).
 */
#ifndef TT_NODE_AUTO_MTU_H
#define TT_NODE_AUTO_MTU_H

#include "node/config.h"

/* Where nothing is known: Ethernet with IPv6 outside. */
#define NODE_DEFAULT_MTU 1420

/* As plat_netcfg_route_get(). */
typedef int (*node_route_get)(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex,
			      unsigned *mtu);

/*
 * The smallest over the configured endpoints (names are not known yet, and many are looked at in
 * part), else over the default routes; routes through `own`, the interface itself, do not count.
 * At least 1280 where the tunnel carries IPv6, at least 576, at most 65455.
 */
unsigned node_auto_mtu(const struct node_config *cfg, unsigned own, uint32_t fwmark,
		       node_route_get route_get);

#endif

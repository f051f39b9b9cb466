/* SPDX-License-Identifier: MIT
 *
 * Where a packet to an endpoint leaves, down to the Ethernet header, as the kernel would send it:
 * rules, routes, source address, neighbour, VLAN, path MTU. Needed by whoever sends past the
 * kernel. Where there is any doubt the answer is "let the kernel send it".
 *
 * Answers stay right until the generation changes, but for path MTUs that the kernel learns from
 * ICMP: no event tells of them, so that an answer is worth asking for again now and then. An object
 * is used by one thread (control); nothing here needs rights. Sending past the kernel never
 * refreshes a neighbour entry, so the caller lets one packet per peer go by the kernel socket from
 * time to time.
 */
#ifndef TT_PLAT_NEXTHOP_H
#define TT_PLAT_NEXTHOP_H

#include "base/addr.h"
#include "base/types.h"

enum plat_nexthop_verdict {
	PLAT_NEXTHOP_UNREACHABLE = 0, /* no route, or a prohibiting one */
	PLAT_NEXTHOP_AMBIGUOUS,	      /* only the kernel knows: see why */
	PLAT_NEXTHOP_UNRESOLVED, /* no usable neighbour entry yet: a packet by the kernel socket
				    makes it look for one; the generation then changes */
	PLAT_NEXTHOP_RESOLVED,
};

/* Why the kernel has to send. */
enum plat_nexthop_why {
	PLAT_NEXTHOP_WHY_NONE = 0,
	PLAT_NEXTHOP_WHY_MULTIPATH,
	PLAT_NEXTHOP_WHY_TUNNEL,   /* no Ethernet, or encapsulation in the route */
	PLAT_NEXTHOP_WHY_LOCAL,	   /* loopback, our own address */
	PLAT_NEXTHOP_WHY_MASTER,   /* bond, team, bridge, VRF: the port is chosen per packet */
	PLAT_NEXTHOP_WHY_STACKED,  /* VLAN in VLAN, VLAN over a bond, macvlan, ... */
	PLAT_NEXTHOP_WHY_MULTICAST /* or broadcast */
};

const char *plat_nexthop_verdict_name(enum plat_nexthop_verdict v); /* "resolved", ... */
const char *plat_nexthop_why_name(enum plat_nexthop_why w);	    /* "multipath", ... */

struct plat_nexthop_query {
	struct tt_endpoint to;
	struct tt_ip from;	/* our address to send from, or family NONE: the kernel chooses */
	uint16_t from_udp_port; /* for rules that look at it; 0: none */
	uint32_t fwmark;
	uint32_t ifindex; /* it must leave by this interface, or 0 */
};

struct plat_nexthop {
	enum plat_nexthop_verdict verdict;
	enum plat_nexthop_why why; /* AMBIGUOUS */
	/* RESOLVED and, but for dst_mac, UNRESOLVED: */
	uint32_t ifindex;	/* the interface whose queue sends it: of a VLAN, the one below */
	uint32_t route_ifindex; /* the interface that the route names */
	struct tt_ip from;	/* source address */
	struct tt_ip via;	/* the neighbour: gateway, or the destination itself */
	uint32_t path_mtu;	/* of the IP packet */
	uint16_t vlan_proto;	/* 0: untagged; 0x8100 or 0x88a8 */
	uint16_t vlan_id;
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
};

struct plat_nexthops;

int plat_nexthops_open(struct plat_nexthops **out); /* -ENOTSUP; -errno */
void plat_nexthops_close(struct plat_nexthops *n);  /* NULL is allowed */

/*
 * Asks the kernel: a few netlink exchanges (tens of microseconds), no waiting for the network.
 * Remembers the neighbour, so that its changes count. 0: out->verdict is the answer; -errno: no
 * answer (out is UNREACHABLE then).
 */
int plat_nexthops_lookup(struct plat_nexthops *n, const struct plat_nexthop_query *q,
			 struct plat_nexthop *out);

int plat_nexthops_fd(const struct plat_nexthops *n); /* readable: call plat_nexthops_read() */
/*
 * Reads a bounded amount of events. Links, addresses, routes, rules, and those neighbours that were
 * handed out (or found missing) since the last change, raise the generation; lost events do too.
 * 0 or -errno where the descriptor is of no use any more.
 */
int plat_nexthops_read(struct plat_nexthops *n);
/*
 * Starts at 1. When it has changed, every answer got before is to be asked for again; a caller
 * with many peers does so at a bounded rate, and keeps using the old answer of a peer meanwhile
 * unless its interface is gone.
 */
uint64_t plat_nexthops_generation(const struct plat_nexthops *n);

#endif

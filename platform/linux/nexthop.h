/* SPDX-License-Identifier: MIT
 *
 * Shared by the two halves of the next-hop service: asking the kernel, and listening to it.
 */
#ifndef TT_PLATFORM_NEXTHOP_H
#define TT_PLATFORM_NEXTHOP_H

#include "plat/nexthop.h"

#define NEXTHOP_NEIGHBOURS 1024 /* a power of two; at most three quarters are used */

/* A neighbour that an answer depends on, as it was then. */
struct nexthop_neighbour {
	struct tt_ip ip; /* family NONE: a free place */
	uint32_t ifindex;
	bool usable;
	uint8_t mac[6];
};

struct nl_sock;

struct plat_nexthops {
	struct nl_sock *ask;
	int watch;
	uint64_t generation;
	struct nexthop_neighbour seen[NEXTHOP_NEIGHBOURS];
	unsigned n_seen;
	bool seen_overflow; /* more than fit: every neighbour counts */
};

int nexthop_watch_open(void); /* descriptor or -errno */
void nexthop_remember(struct plat_nexthops *n, const struct nexthop_neighbour *nb);

struct nlmsghdr;
/* Reads a neighbour message. False: of no interest (bridges, multicast routes). */
bool nexthop_parse_neighbour(struct nlmsghdr *h, struct nexthop_neighbour *out);

#endif

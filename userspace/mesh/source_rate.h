/* SPDX-License-Identifier: MIT
 *
 * How much of what one source sends is looked at: a token bucket for each. The table has a fixed
 * size and a place is found by a hash with a secret: sources that share a place share its bucket,
 * and nobody can choose whose. Pure; one thread.
 */
#ifndef TT_MESH_SOURCE_RATE_H
#define TT_MESH_SOURCE_RATE_H

#include "base/addr.h"
#include "base/rng.h"

#define MESH_SOURCE_PER_S 512 /* and as many at once */
#define MESH_SOURCE_SLOTS 1024

struct mesh_source_rate {
	uint64_t seed[2];
	struct tt_mono paid[MESH_SOURCE_SLOTS]; /* what was taken is paid back by then */
};

void mesh_source_rate_init(struct mesh_source_rate *r, const struct tt_rng *rng);

/* One source: an IPv4 address, the /64 of an IPv6 one, or a node that is heard by a relay. */
uint64_t mesh_source_of_ip(const struct tt_ip *ip);
uint64_t mesh_source_of_node(uint32_t node_id);

/* Takes one of the source's allowance; false: there is none now. */
bool mesh_source_rate_allow(struct mesh_source_rate *r, uint64_t source, struct tt_mono now);

#endif

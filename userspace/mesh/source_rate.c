/* SPDX-License-Identifier: MIT */
#include "mesh/source_rate.h"

#include "mesh/address.h"

#define GAP_NS	 (TT_NS_PER_SEC / MESH_SOURCE_PER_S)
#define BURST_NS (MESH_SOURCE_PER_S * GAP_NS)

_Static_assert((MESH_SOURCE_SLOTS & (MESH_SOURCE_SLOTS - 1)) == 0, "a power of two");

void mesh_source_rate_init(struct mesh_source_rate *r, const struct tt_rng *rng)
{
	memset(r, 0, sizeof(*r));
	tt_rng_fill(rng, r->seed, sizeof(r->seed));
}

uint64_t mesh_source_of_ip(const struct tt_ip *ip)
{
	struct tt_ip n = mesh_address_normalise(ip);

	/* no /64 begins with zeroes: see MESH_ADDRESS_RESERVED */
	return n.family == TT_FAMILY_V4 ? tt_load_be32(n.b) : tt_load_be64(n.b);
}

uint64_t mesh_source_of_node(uint32_t node_id)
{
	return UINT64_C(1) << 32 | node_id;
}

static struct tt_mono *place(struct mesh_source_rate *r, uint64_t source)
{
	uint64_t h = (source ^ r->seed[0]) * (r->seed[1] | 1);

	h ^= h >> 32;
	h *= r->seed[0] | 1;
	return &r->paid[(h >> 40) & (MESH_SOURCE_SLOTS - 1)];
}

bool mesh_source_rate_allow(struct mesh_source_rate *r, uint64_t source, struct tt_mono now)
{
	struct tt_mono *paid = place(r, source);

	if (tt_mono_before(*paid, now))
		*paid = now;
	if (paid->ns + GAP_NS > now.ns + BURST_NS)
		return false;
	*paid = tt_mono_add_ns(*paid, GAP_NS);
	return true;
}

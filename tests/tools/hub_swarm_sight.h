/* SPDX-License-Identifier: MIT
 *
 * hub_swarm: who knows whom, by what the maps say.
 */
#ifndef TT_TESTS_HUB_SWARM_SIGHT_H
#define TT_TESTS_HUB_SWARM_SIGHT_H

#include "hub_swarm.h"

static inline void swarm_sight_joined(struct swarm_node *n)
{
	if (n->has == swarm_all_gateways() && n->seen_by == swarm_all_gateways())
		n->joined_ns = uv_hrtime();
}

/* What the map of a gateway says of a node. */
static inline void swarm_sight_gateway_sees(const struct swarm_node *g, struct swarm_node *n,
					    bool online)
{
	uint64_t bit = UINT64_C(1) << g->number;

	if (online == ((n->seen_by & bit) != 0))
		return;
	n->seen_by ^= bit;
	swarm_sight_joined(n);
}

/* What the map of a client says of a gateway. */
static inline void swarm_sight_client_sees(struct swarm_node *n, uint32_t g, bool online)
{
	uint64_t bit = UINT64_C(1) << g;

	if (online == ((n->has & bit) != 0))
		return;
	n->has ^= bit;
	swarm.have[g] += online ? 1 : -1u;
	swarm_sight_joined(n);
}

/* What the map of a node says of another. */
static inline void swarm_sight_sees(struct swarm_node *n, uint32_t other, bool online)
{
	if (other >= swarm.nodes)
		swarm.bad_messages++;
	else if (swarm_is_gateway(n))
		swarm_sight_gateway_sees(n, &swarm.node[other], online);
	else if (other < swarm.gateways)
		swarm_sight_client_sees(n, other, online);
	else
		swarm.leaks++;
}

/* Its map is gone. */
static inline void swarm_sight_forget(struct swarm_node *n)
{
	uint32_t others = swarm_is_gateway(n) ? swarm.nodes : swarm.gateways;

	for (uint32_t i = 0; i < others; i++)
		swarm_sight_sees(n, i, false);
}

#endif

/* SPDX-License-Identifier: MIT */
#include "node/xdp_workers.h"

/* Endpoints that are asked for; a gateway with thousands of peers leaves by few interfaces. */
#define ENDPOINTS_MAX 64

/* Interface numbers are looked at up to this one where nothing says which matter. */
#define IFINDEX_MAX 256

struct interfaces {
	unsigned count;
	unsigned ifindex[NODE_XDP_INTERFACES];
};

static void add(struct interfaces *all, unsigned ifindex)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->ifindex[i] == ifindex)
			return;
	if (ifindex && all->count < NODE_XDP_INTERFACES)
		all->ifindex[all->count++] = ifindex;
}

static void add_route(struct interfaces *all, const struct tt_ip *to, uint32_t fwmark)
{
	unsigned ifindex, mtu;

	if (plat_netcfg_route_get(to, fwmark, &ifindex, &mtu) == 0)
		add(all, ifindex);
}

static void collect(struct interfaces *all, const struct node_xdp_settings *s,
		    const struct node_config *cfg)
{
	/* any address far away: documentation prefixes are routed like the rest of the world */
	static const uint8_t far_v4[4] = {192, 0, 2, 1};
	static const uint8_t far_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct plat_netcfg_link link;
	struct tt_ip v4 = tt_ip_v4(far_v4), v6 = tt_ip_v6(far_v6);

	for (unsigned i = 0; i < s->interfaces; i++)
		if (plat_netcfg_link_get(0, s->interface[i], &link) == 0)
			add(all, link.ifindex);
	if (s->interfaces)
		return;
	uint32_t fwmark = cfg ? cfg->fwmark : 0;
	add_route(all, &v4, fwmark);
	add_route(all, &v6, fwmark);
	for (uint32_t i = 0; cfg && i < TT_MIN(cfg->peers.count, (uint32_t)ENDPOINTS_MAX); i++) {
		const struct node_config_peer *p = node_config_peer(cfg, i);
		if (tt_endpoint_is_set(&p->endpoint))
			add_route(all, &p->endpoint.ip, fwmark);
	}
}

static void add_ethernet(struct interfaces *all)
{
	struct plat_xdp_facts facts;

	for (unsigned i = 1; i <= IFINDEX_MAX; i++)
		if (plat_xdp_facts_get(i, &facts) == 0 && facts.ethernet && facts.up)
			add(all, i);
}

unsigned node_xdp_queues_expected(const struct node_xdp_settings *settings,
				  const struct node_config *cfg)
{
	struct interfaces all = {0};
	struct plat_xdp_facts facts;
	unsigned queues = 0;

	collect(&all, settings, cfg);
	if (!all.count)
		add_ethernet(&all);
	for (unsigned i = 0; i < all.count; i++) {
		if (plat_xdp_facts_get(all.ifindex[i], &facts) != 0)
			return 0;
		unsigned n = TT_MAX(facts.queues, 1u);
		queues += settings->queues ? TT_MIN(n, settings->queues) : n;
	}
	return queues;
}

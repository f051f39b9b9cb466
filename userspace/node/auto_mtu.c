/* SPDX-License-Identifier: MIT */
#include "node/auto_mtu.h"

#define AUTO_OVERHEAD  80
#define AUTO_MIN       576
#define AUTO_MIN_V6    1280
#define AUTO_MAX       65455
#define AUTO_ENDPOINTS 256 /* routes asked for: they are few, and peers may be many */

static bool any_v6(const struct node_config *cfg, struct node_config_range r)
{
	for (uint32_t i = 0; i < r.count; i++)
		if (node_config_cidr(cfg, r, i)->ip.family == TT_FAMILY_V6)
			return true;
	return false;
}

static bool carries_v6(const struct node_config *cfg)
{
	bool v6 = any_v6(cfg, cfg->addresses);

	for (uint32_t i = 0; !v6 && i < cfg->peers.count; i++)
		v6 = any_v6(cfg, node_config_peer(cfg, i)->allowed_ips);
	return v6;
}

struct auto_route {
	unsigned own;
	uint32_t fwmark;
	node_route_get get;
	unsigned smallest; /* 0: none yet */
};

static void auto_look(struct auto_route *r, const struct tt_ip *to)
{
	unsigned ifindex = 0, mtu = 0;

	if (r->get(to, r->fwmark, &ifindex, &mtu) == 0 && ifindex != r->own && mtu &&
	    (!r->smallest || mtu < r->smallest))
		r->smallest = mtu;
}

static void auto_look_at_endpoints(struct auto_route *r, const struct node_config *cfg)
{
	unsigned looked = 0;

	for (uint32_t i = 0; i < cfg->peers.count && looked < AUTO_ENDPOINTS; i++) {
		const struct node_config_peer *p = node_config_peer(cfg, i);

		if (!tt_endpoint_is_set(&p->endpoint))
			continue;
		auto_look(r, &p->endpoint.ip);
		looked++;
	}
}

/* Addresses for documentation: no route knows them but a default one. */
static void auto_look_at_default(struct auto_route *r)
{
	static const uint8_t v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	const struct tt_ip to[] = {tt_ip_v4(v4), tt_ip_v6(v6)};

	for (unsigned i = 0; i < TT_ARRAY_LEN(to); i++)
		auto_look(r, &to[i]);
}

unsigned node_auto_mtu(const struct node_config *cfg, unsigned own, uint32_t fwmark,
		       node_route_get route_get)
{
	struct auto_route r = {.own = own, .fwmark = fwmark, .get = route_get};
	unsigned least = carries_v6(cfg) ? AUTO_MIN_V6 : AUTO_MIN;

	auto_look_at_endpoints(&r, cfg);
	if (!r.smallest)
		auto_look_at_default(&r);
	if (!r.smallest)
		return NODE_DEFAULT_MTU;
	if (r.smallest < least + AUTO_OVERHEAD)
		return least;
	return TT_MIN(r.smallest - AUTO_OVERHEAD, (unsigned)AUTO_MAX);
}

/* SPDX-License-Identifier: MIT */
#include "node/net_set.h"

#include <errno.h>
#include <stdlib.h>

int node_net_entry_compare(const void *a, const void *b)
{
	const struct node_net_entry *x = a, *y = b;

	if (x->is_route != y->is_route)
		return x->is_route ? 1 : -1;
	int c = memcmp(&x->prefix.ip, &y->prefix.ip, sizeof(x->prefix.ip));
	return c ? c : (int)x->prefix.bits - (int)y->prefix.bits;
}

static void set_add(struct node_net_set *s, const struct tt_cidr *c, bool is_route)
{
	s->e[s->count++] = (struct node_net_entry){.prefix = *c, .is_route = is_route};
}

/* A prefix that an address of the interface already brings needs no route of its own. */
static bool is_connected(const struct node_config *cfg, const struct tt_cidr *c)
{
	for (uint32_t i = 0; i < cfg->addresses.count; i++) {
		const struct tt_cidr *a = node_config_cidr(cfg, cfg->addresses, i);
		if (tt_cidr_contains(a, &c->ip) && a->bits == c->bits)
			return true;
	}
	return false;
}

static void add_routes(struct node_net_set *s, const struct node_config *cfg,
		       struct node_config_range r)
{
	for (uint32_t i = 0; i < r.count; i++) {
		const struct tt_cidr *c = node_config_cidr(cfg, r, i);
		if (!is_connected(cfg, c))
			set_add(s, c, true);
	}
}

/* What peers are for: those of the file, and those that the hub will tell of. */
static void add_all_routes(struct node_net_set *s, const struct node_config *cfg)
{
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		add_routes(s, cfg, node_config_peer(cfg, i)->allowed_ips);
	add_routes(s, cfg, cfg->hub.networks);
	add_routes(s, cfg, cfg->hub.accept);
}

/* Room for all that a configuration can ask for. */
static size_t set_capacity(const struct node_config *cfg)
{
	size_t n = (size_t)cfg->addresses.count + cfg->routes.count + 1 + cfg->hub.networks.count +
		   cfg->hub.accept.count;

	for (uint32_t i = 0; i < cfg->peers.count; i++)
		n += node_config_peer(cfg, i)->allowed_ips.count;
	return n;
}

static void sort_unique(struct node_net_set *s)
{
	uint32_t kept = 0;

	if (s->count)
		qsort(s->e, s->count, sizeof(*s->e), node_net_entry_compare);
	for (uint32_t i = 0; i < s->count; i++)
		if (!kept || node_net_entry_compare(&s->e[kept - 1], &s->e[i]) != 0)
			s->e[kept++] = s->e[i];
	s->count = kept;
}

int node_net_set_make(const struct node_config *cfg, struct node_net_set *out)
{
	*out = (struct node_net_set){.e = calloc(set_capacity(cfg), sizeof(*out->e))};
	if (!out->e)
		return -ENOMEM;
	for (uint32_t i = 0; i < cfg->addresses.count; i++)
		set_add(out, node_config_cidr(cfg, cfg->addresses, i), false);
	if (cfg->routes_mode == NODE_ROUTES_LIST)
		for (uint32_t i = 0; i < cfg->routes.count; i++)
			set_add(out, node_config_cidr(cfg, cfg->routes, i), true);
	if (cfg->routes_mode == NODE_ROUTES_ALLOWED_IPS)
		add_all_routes(out, cfg);
	sort_unique(out);
	return 0;
}

void node_net_set_free(struct node_net_set *s)
{
	free(s->e);
	*s = (struct node_net_set){0};
}

bool node_net_set_has(const struct node_net_set *s, const struct node_net_entry *e)
{
	return s->count && bsearch(e, s->e, s->count, sizeof(*e), node_net_entry_compare);
}

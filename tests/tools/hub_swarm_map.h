/* SPDX-License-Identifier: MIT
 *
 * hub_swarm: the first gateways apply their maps with mesh/netmap, in a thread of its own: real
 * gateways would not wait for each other.
 */
#ifndef TT_TESTS_HUB_SWARM_MAP_H
#define TT_TESTS_HUB_SWARM_MAP_H

#include <string.h>

#include "hub_swarm.h"

struct map_update {
	struct map_update *next;
	uint32_t gateway, len; /* len 0: the connection was lost */
	uint8_t body[];
};

static struct {
	uv_thread_t thread;
	uv_mutex_t lock;
	uv_cond_t changed;
	struct map_update *first, **last;
	bool busy;
	struct mesh_netmap *map;
	uint32_t *online; /* peers */
	uint64_t bad, applied, ns;
	uint8_t arena[MESH_HUB_ARENA_MAP];
} maps;

static void map_changed(void *ctx, const struct mesh_netmap_change *c)
{
	uint32_t *online = ctx;

	*online += (c->is && c->is->online) - (c->was && c->was->online);
}

static void map_welcome(uint32_t g, const Taltun__Hub__V1__Welcome *w)
{
	struct mesh_netmap_self self = {.node_id = w->node_id};
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX];
	int n = mesh_hub_prefixes_read(&w->addresses, list, MESH_HUB_ADDRESSES_MAX);

	mesh_hub_text_copy(self.name, sizeof(self.name), &w->name);
	for (int i = 0; i < n; i++)
		self.addresses[self.address_count++] = list[i].ip;
	mesh_netmap_set_self(&maps.map[g], &self);
}

static void map_apply(const struct map_update *u)
{
	struct mesh_netmap *map = &maps.map[u->gateway];
	struct mesh_netmap_rules rules = {0};
	struct mesh_netmap_listener l = {map_changed, &maps.online[u->gateway]};
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena arena;
	uint64_t began = uv_hrtime();

	if (!u->len) {
		mesh_netmap_abandon_chain(map);
		return;
	}
	mesh_hub_arena_init(&arena, maps.arena, sizeof(maps.arena));
	memcpy(rules.own_public_key, swarm.node[u->gateway].wg_public_key, 32);
	if (mesh_hub_to_node_unpack(&arena, u->body, u->len, &m) != MESH_HUB_OK) {
		maps.bad++;
	} else if (m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME) {
		map_welcome(u->gateway, m->welcome);
	} else {
		enum mesh_netmap_outcome o = mesh_netmap_apply(map, m->map_update, &rules, &l);
		if (o != MESH_NETMAP_APPLIED && o != MESH_NETMAP_STAGED) {
			fprintf(stderr, "hub_swarm: gateway %u refuses its map: %s\n", u->gateway,
				mesh_netmap_outcome_name(o));
			maps.bad++;
		}
		maps.applied++;
		maps.ns += uv_hrtime() - began;
	}
}

static void maps_run(void *arg)
{
	(void)arg;
	uv_mutex_lock(&maps.lock);
	for (;;) {
		while (!maps.first)
			uv_cond_wait(&maps.changed, &maps.lock);
		struct map_update *u = maps.first;
		maps.first = u->next;
		if (!maps.first)
			maps.last = &maps.first;
		maps.busy = true;
		uv_mutex_unlock(&maps.lock);
		map_apply(u);
		free(u);
		uv_mutex_lock(&maps.lock);
		maps.busy = false;
		uv_cond_broadcast(&maps.changed);
	}
}

static void swarm_maps_start(void)
{
	size_t size = mesh_netmap_memory_size(swarm.nodes, 0);

	maps.last = &maps.first;
	maps.map = calloc(swarm.netmaps, sizeof(*maps.map));
	maps.online = calloc(swarm.netmaps, sizeof(*maps.online));
	for (uint32_t g = 0; g < swarm.netmaps; g++) {
		void *memory = calloc(1, size);
		if (!memory)
			swarm_die("no memory for maps");
		mesh_netmap_init(&maps.map[g], memory, swarm.nodes, 0, uv_hrtime());
	}
	uv_mutex_init(&maps.lock);
	uv_cond_init(&maps.changed);
	uv_thread_create(&maps.thread, maps_run, NULL);
}

static void maps_give(const struct swarm_node *n, const uint8_t *body, uint32_t len)
{
	if (n->number >= swarm.netmaps)
		return;
	struct map_update *u = malloc(sizeof(*u) + len);

	if (!u)
		swarm_die("no memory for an update");
	u->next = NULL;
	u->gateway = n->number;
	u->len = len;
	if (len)
		memcpy(u->body, body, len);
	uv_mutex_lock(&maps.lock);
	*maps.last = u;
	maps.last = &u->next;
	uv_cond_broadcast(&maps.changed);
	uv_mutex_unlock(&maps.lock);
}

/* Welcome and MapUpdate. */
static void swarm_maps_take(const struct swarm_node *n, const struct mesh_frame *f)
{
	maps_give(n, f->body, f->len);
}

static void swarm_maps_lost(const struct swarm_node *n)
{
	maps_give(n, NULL, 0);
}

/* Waits until everything is applied. How many maps are not all nodes but one, all of them online:
 * to be called while everybody is connected. */
static uint32_t swarm_maps_check(void)
{
	uint32_t wrong = 0;

	uv_mutex_lock(&maps.lock);
	while (maps.first || maps.busy)
		uv_cond_wait(&maps.changed, &maps.lock);
	for (uint32_t g = 0; g < swarm.netmaps; g++) {
		uint32_t n = mesh_netmap_count(&maps.map[g]);
		if (n == swarm.nodes - 1 && maps.online[g] == n)
			continue;
		fprintf(stderr, "hub_swarm: gateway %u has %u peers, %u of them online\n", g, n,
			maps.online[g]);
		wrong++;
	}
	swarm.bad_maps = maps.bad;
	uv_mutex_unlock(&maps.lock);
	return wrong;
}

#endif

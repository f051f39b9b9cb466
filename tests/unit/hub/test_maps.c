/* SPDX-License-Identifier: MIT
 *
 * Registry and maps against a naive model, under random events: what a node has after it applied
 * the updates that it was sent is always what the model says it should see.
 */
#include "hub/maps.h"

#include "base/rng.h"
#include "hub/source.h"
#include "mesh/netmap.h"
#include "tt_test.h"

#define NODES  48
#define GROUPS 5
#define EVENTS 100000
#define NOW_S  1000

/* --- model ------------------------------------------------------------------------------------ */

struct model_node {
	bool exists, revoked, gateway, online;
	unsigned key, name;
	uint64_t groups;
};

static struct model_node model[NODES];
static bool allowed[GROUPS][GROUPS];

static bool model_sees(unsigned a, unsigned b)
{
	const struct model_node *x = &model[a], *y = &model[b];

	if (a == b || !x->exists || !y->exists || x->revoked || y->revoked)
		return false;
	if (x->gateway || y->gateway)
		return true;
	for (unsigned i = 0; i < GROUPS; i++)
		for (unsigned j = 0; j < GROUPS; j++)
			if ((x->groups >> i & 1) && (y->groups >> j & 1) && allowed[i][j])
				return true;
	return false;
}

/* --- the real thing ----------------------------------------------------------------------------
 */

/* A node as it is at its end: connected, and with a map. */
struct viewer {
	struct mesh_netmap map;
	void *memory;
	struct mesh_netmap_rules rules;
	uint64_t epoch, version, seen; /* what the hub thinks it has */
};

static struct viewer viewers[NODES];
static struct hub_registry *registry;
static struct mesh_hub_arena arena;
static uint8_t arena_memory[MESH_HUB_ARENA_MAP];
static uint8_t space[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];
static uint64_t updates, fulls;

static struct hub_node_facts facts_of(unsigned i)
{
	struct hub_node_facts f = {.id = i + 1, .role = HUB_ROLE_CLIENT, .address_count = 2};

	if (model[i].gateway)
		f.role = HUB_ROLE_GATEWAY;
	f.revoked = model[i].revoked;
	f.groups = model[i].groups;
	snprintf(f.name, sizeof(f.name), "n%u", model[i].name);
	memcpy(f.wg_public_key, &model[i].key, sizeof(unsigned));
	f.wg_public_key[31] = 1;
	f.addresses[0] = tt_ip_v4_host(0x0a5a0001 + i);
	uint8_t v6[16] = {0xfd, 0x90, [15] = (uint8_t)(i + 1)};
	f.addresses[1] = tt_ip_v6(v6);
	return f;
}

static void put(unsigned i)
{
	struct hub_node_facts f = facts_of(i);

	CU_ASSERT_EQUAL_FATAL(hub_registry_put(registry, &f), 0);
}

static void set_policy(void)
{
	struct hub_policy p = {0};
	char name[HUB_GROUP_NAME_MAX];

	for (unsigned i = 0; i < GROUPS; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		hub_policy_group(&p, name, true);
	}
	for (unsigned i = 0; i < GROUPS; i++)
		for (unsigned j = i; j < GROUPS; j++)
			if (allowed[i][j])
				hub_policy_allow(&p, i, j);
	if (hub_registry_policy_differs(registry, &p))
		hub_registry_set_policy(registry, &p, hub_registry_epoch(registry) + 1);
}

static void on_change(void *ctx, const struct mesh_netmap_change *change)
{
	(void)ctx;
	CU_ASSERT(change->is || change->was);
}

static enum mesh_netmap_outcome apply(struct viewer *v, size_t len)
{
	const struct mesh_netmap_listener listener = {.changed = on_change};
	const Taltun__Hub__V1__ToNode *m;

	CU_ASSERT_EQUAL_FATAL(mesh_hub_to_node_unpack(&arena, space + MESH_FRAME_HEADER,
						      len - MESH_FRAME_HEADER, &m),
			      MESH_HUB_OK);
	updates++;
	fulls += m->map_update->from_version == 0;
	CU_ASSERT_EQUAL(m->map_update->valid_until, NOW_S + 7 * 86400);
	return mesh_netmap_apply(&v->map, m->map_update, &v->rules, &listener);
}

static void push(unsigned i)
{
	struct viewer *v = &viewers[i];
	struct hub_node *n = hub_registry_find(registry, i + 1);
	struct hub_map_cursor c;
	enum mesh_netmap_outcome o = MESH_NETMAP_APPLIED;

	if (!hub_map_begin(registry, n, v->epoch, v->version, &v->seen, &c))
		return;
	while (c.under_way) {
		size_t len = hub_map_next(registry, n, &c, NOW_S, space, sizeof(space));
		CU_ASSERT_FATAL(len > 0);
		o = apply(v, len);
	}
	if (o != MESH_NETMAP_APPLIED)
		printf("viewer %u: %s\n", i, mesh_netmap_outcome_name(o));
	CU_ASSERT_EQUAL_FATAL(o, MESH_NETMAP_APPLIED);
	v->epoch = c.epoch;
	v->version = c.version;
}

static void push_all(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (model[i].online)
			push(i);
}

static void check(unsigned i)
{
	const struct viewer *v = &viewers[i];
	unsigned expected = 0;

	for (unsigned j = 0; j < NODES; j++) {
		const struct mesh_netmap_peer *p = mesh_netmap_find(&v->map, j + 1);
		struct hub_node_facts f = facts_of(j);
		bool sees = model_sees(i, j);

		CU_ASSERT_EQUAL_FATAL(p != NULL, sees);
		expected += sees;
		if (!p)
			continue;
		CU_ASSERT_EQUAL_FATAL(p->online, model[j].online);
		CU_ASSERT_FATAL(memcmp(p->wg_public_key, f.wg_public_key, 32) == 0);
		CU_ASSERT_FATAL(strcmp(p->name, f.name) == 0);
		CU_ASSERT_FATAL(tt_ip_equal(&p->addresses[0], &f.addresses[0]));
		CU_ASSERT_EQUAL_FATAL(p->role == MESH_NETMAP_GATEWAY, model[j].gateway);
	}
	CU_ASSERT_EQUAL_FATAL(mesh_netmap_count(&v->map), expected);
}

/* --- events ----------------------------------------------------------------------------------- */

static void connect_node(unsigned i, struct tt_rng *rng)
{
	struct viewer *v = &viewers[i];

	model[i].online = true;
	hub_registry_set_session(registry, hub_registry_find(registry, i + 1), v);
	/* with the map that it had, or without */
	if (tt_rng_below(rng, 3) == 0)
		mesh_netmap_forget_version(&v->map);
	v->epoch = v->map.epoch;
	v->version = v->seen = v->map.version;
}

static void disconnect_node(unsigned i)
{
	model[i].online = false;
	hub_registry_set_session(registry, hub_registry_find(registry, i + 1), NULL);
}

static unsigned next_key = 1;

static void new_node(unsigned i, struct tt_rng *rng)
{
	model[i] = (struct model_node){.exists = true,
				       .gateway = tt_rng_below(rng, 8) == 0,
				       .key = next_key,
				       .name = next_key,
				       .groups = tt_rng_below(rng, 1 << GROUPS)};
	next_key++;
	put(i);
}

static void happen(struct tt_rng *rng)
{
	unsigned i = tt_rng_below(rng, NODES), what = tt_rng_below(rng, 1000);
	struct model_node *n = &model[i];

	if (!n->exists) {
		new_node(i, rng);
	} else if (what < 900) {
		if (n->online)
			disconnect_node(i);
		else if (!n->revoked)
			connect_node(i, rng);
	} else if (what < 930) {
		if (n->online)
			disconnect_node(i);
		n->revoked = true;
		put(i);
	} else if (what < 960 && n->revoked) {
		/* in the model a place is used again; in a hub an id is not, so a new key and name
		 */
		n->revoked = false;
		n->key = n->name = next_key++;
		put(i);
	} else if (what < 970) {
		n->groups = tt_rng_below(rng, 1 << GROUPS);
		put(i);
	} else if (what < 980) {
		unsigned a = tt_rng_below(rng, GROUPS), b = tt_rng_below(rng, GROUPS);
		allowed[a][b] = allowed[b][a] = !allowed[a][b];
		set_policy();
	} else if (what < 985) {
		hub_registry_advance(registry);
	} else if (n->exists && !n->revoked) {
		n->key = next_key++;
		put(i);
	}
}

static void model_test(void)
{
	struct tt_rng_seeded seeded;
	struct tt_rng rng = tt_rng_seeded_init(&seeded, 4242);

	registry = hub_registry_create(77, 99);
	CU_ASSERT_PTR_NOT_NULL_FATAL(registry);
	mesh_hub_arena_init(&arena, arena_memory, sizeof(arena_memory));
	for (unsigned i = 0; i < NODES; i++) {
		struct viewer *v = &viewers[i];
		v->memory = calloc(1, mesh_netmap_memory_size(NODES, 64));
		mesh_netmap_init(&v->map, v->memory, NODES, 64, 5);
		v->rules.own_public_key[30] = 1;
	}
	set_policy();
	unsigned events = tt_test_rounds(EVENTS);

	for (unsigned e = 0; e < events; e++) {
		happen(&rng);
		/* several changes make one update, too */
		if (tt_rng_below(&rng, 3) == 0)
			continue;
		push_all();
		if (e % 16 == 0 || e + 1 == events)
			for (unsigned i = 0; i < NODES; i++)
				if (model[i].online)
					check(i);
	}
	printf("  %llu updates, %llu of them full\n", (unsigned long long)updates,
	       (unsigned long long)fulls);
	for (unsigned i = 0; i < NODES; i++)
		free(viewers[i].memory);
	hub_registry_destroy(registry);
}

/* --- single facts ----------------------------------------------------------------------------- */

static void one_owner(void)
{
	struct hub_node_facts f = {.id = 1, .role = HUB_ROLE_CLIENT, .name = "a"};

	registry = hub_registry_create(1, 1);
	f.address_count = 1;
	f.addresses[0] = tt_ip_v4_host(0x0a5a0001);
	f.wg_public_key[0] = 1;
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), 0);
	f.id = 2;
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), -17); /* EEXIST: all three */
	f.name[0] = 'b';
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), -17);
	f.wg_public_key[0] = 2;
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), -17);
	f.addresses[0] = tt_ip_v4_host(0x0a5a0002);
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), 0);
	f.id = 0;
	CU_ASSERT_NOT_EQUAL(hub_registry_put(registry, &f), 0);
	CU_ASSERT_PTR_NOT_NULL(hub_registry_find_name(registry, "b"));
	CU_ASSERT_PTR_NULL(hub_registry_find_name(registry, "c"));
	CU_ASSERT_PTR_NULL(hub_registry_find(registry, 4000000000u));
	hub_registry_destroy(registry);
}

/* Changes that nobody remembers any more are made good by a full map. */
static void forgotten(void)
{
	struct hub_node_facts f = {.id = 1, .role = HUB_ROLE_GATEWAY, .name = "a"};
	struct hub_map_cursor c;

	registry = hub_registry_create(9, 1);
	CU_ASSERT_EQUAL(hub_registry_put(registry, &f), 0);
	struct hub_node *n = hub_registry_find(registry, 1);
	uint64_t version = hub_registry_version(registry), seen = version;
	CU_ASSERT_FALSE(hub_map_begin(registry, n, 9, version, &seen, &c));
	for (unsigned i = 0; i < HUB_CHANGES_MAX + 10; i++)
		hub_registry_advance(registry);
	seen = version;
	CU_ASSERT_TRUE(hub_map_begin(registry, n, 9, version, &seen, &c));
	CU_ASSERT_EQUAL(c.from, 0);
	/* a version of the future, and another epoch */
	seen = version + 1000000;
	CU_ASSERT_TRUE(hub_map_begin(registry, n, 9, version + 1000000, &seen, &c));
	CU_ASSERT_EQUAL(c.from, 0);
	hub_registry_destroy(registry);
}

static void sources(void)
{
	struct hub_sources *s = hub_sources_create(64, 3);
	struct tt_mono now = {TT_NS_PER_SEC};
	struct tt_ip ip = tt_ip_v4_host(0x01020304);
	struct hub_source_entry *e = hub_source_get(s, &ip, now);
	unsigned taken = 0, got = 0;

	for (unsigned i = 0; i < 100; i++)
		taken += hub_source_take(e, 10, now);
	CU_ASSERT_EQUAL(taken, 10);
	now = tt_mono_add_ns(now, 500 * TT_NS_PER_MS);
	for (unsigned i = 0; i < 100; i++)
		taken += hub_source_take(e, 10, now);
	CU_ASSERT_EQUAL(taken, 15);
	/* all of the rate, also where it asks between two whole milliseconds */
	taken = 0;
	for (unsigned i = 0; i < 50000; i++) {
		now = tt_mono_add_ns(now, 1900 * TT_NS_PER_US);
		taken += hub_source_take(e, 100, now);
	}
	CU_ASSERT(taken >= 9500 && taken <= 9600);
	/* one /64 is one source */
	uint8_t a[16] = {0x20, 1, [15] = 1}, b[16] = {0x20, 1, [15] = 2};
	struct tt_ip x = tt_ip_v6(a), y = tt_ip_v6(b);
	CU_ASSERT_PTR_EQUAL(hub_source_get(s, &x, now), hub_source_get(s, &y, now));
	/* a full table refuses, and stays bounded; held entries stay */
	hub_source_hold(e);
	for (unsigned i = 0; i < 10000; i++) {
		struct tt_ip z = tt_ip_v4_host(0x05000000 + i);
		struct hub_source_entry *k = hub_source_get(s, &z, now);
		got += k != NULL;
		if (k)
			hub_source_take(k, 10, now);
	}
	CU_ASSERT(got <= 64);
	now = tt_mono_add_ns(now, 60 * TT_NS_PER_SEC);
	CU_ASSERT_PTR_EQUAL(hub_source_get(s, &ip, now), e);
	CU_ASSERT_EQUAL(hub_source_count(e), 1);
	hub_sources_destroy(s);
}

TT_TESTS("hub_maps", {"maps against a model, 100,000 events", model_test},
	 {"a name, a key, an address: one owner", one_owner}, {"forgotten changes", forgotten},
	 {"sources", sources})

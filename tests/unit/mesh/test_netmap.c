/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "netmap_update.h"

#define PEERS	20
#define SUBNETS 70

static struct mesh_netmap map;
static uint64_t memory[8192];
static struct netmap_update m;
static struct tt_cidr accept[4];
static struct mesh_netmap_rules rules;
static unsigned added, changed, removed;
static uint32_t fields;
static char order[64];
static uint8_t cache[65536], cache_key[MESH_NETMAP_CACHE_KEY_LEN];

static void on_change(void *ctx, const struct mesh_netmap_change *c)
{
	size_t at = strlen(order);

	CU_ASSERT_PTR_EQUAL(ctx, &map);
	CU_ASSERT_EQUAL(c->was == NULL, c->kind == MESH_NETMAP_ADDED);
	CU_ASSERT_EQUAL(c->is == NULL, c->kind == MESH_NETMAP_REMOVED);
	CU_ASSERT_EQUAL(c->fields != 0, c->kind == MESH_NETMAP_CHANGED);
	fields |= c->fields;
	added += c->kind == MESH_NETMAP_ADDED;
	changed += c->kind == MESH_NETMAP_CHANGED;
	removed += c->kind == MESH_NETMAP_REMOVED;
	if (at + 1 < sizeof(order))
		order[at] = "rca"[c->kind];
}

static const struct mesh_netmap_listener listener = {on_change, &map};

static void set_up(void)
{
	struct mesh_netmap_self self = {.node_id = 1, .address_count = 2, .name = "n1"};

	CU_ASSERT_FATAL(mesh_netmap_memory_size(PEERS, SUBNETS) <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	mesh_netmap_init(&map, memory, PEERS, SUBNETS, 42);
	tt_ip_parse("10.0.0.1", &self.addresses[0]);
	tt_ip_parse("fd00::1", &self.addresses[1]);
	mesh_netmap_set_self(&map, &self);
	memset(rules.own_public_key, 0x55, 32);
	tt_cidr_parse("192.168.0.0/16", &accept[0]);
	tt_cidr_parse("203.0.113.0/24", &accept[1]);
	tt_cidr_parse("fd00::/8", &accept[2]);
	rules.accept = accept;
	rules.accept_count = 3;
	mesh_netmap_cache_key(cache_key, rules.own_public_key);
}

static enum mesh_netmap_outcome apply(void)
{
	added = changed = removed = fields = 0;
	memset(order, 0, sizeof(order));
	return mesh_netmap_apply(&map, &m.u, &rules, &listener);
}

/* Two peers, 2 and 3, as version 1. */
static void two_peers(void)
{
	set_up();
	netmap_update_begin(&m, 0, 1);
	netmap_update_add(&m, 2);
	netmap_update_add(&m, 3);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(added == 2 && changed == 0 && removed == 0);
}

/* Nothing of a refused update stays, and the map can be written just as it was. */
static void refused(enum mesh_netmap_outcome why, uint32_t node_id)
{
	static uint8_t before[sizeof(cache)];
	size_t n = mesh_netmap_cache_write(&map, &rules, cache_key, before, sizeof(before));

	CU_ASSERT_EQUAL(apply(), why);
	CU_ASSERT_EQUAL(map.refused_node_id, node_id);
	CU_ASSERT(added + changed + removed == 0);
	CU_ASSERT_EQUAL(mesh_netmap_cache_write(&map, &rules, cache_key, cache, sizeof(cache)), n);
	CU_ASSERT(memcmp(before, cache, n) == 0);
	CU_ASSERT_FALSE(map.staging);
}

static void full_map(void)
{
	two_peers();
	CU_ASSERT(map.epoch == 1 && map.version == 1 && map.valid_until == 1000);
	CU_ASSERT_EQUAL(mesh_netmap_count(&map), 2);
	const struct mesh_netmap_peer *p = mesh_netmap_find(&map, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_STRING_EQUAL(p->name, "n3");
	CU_ASSERT(p->address_count == 1 && p->subnet_count == 0 && !p->online);
	CU_ASSERT_PTR_EQUAL(mesh_netmap_find_key(&map, p->wg_public_key), p);
	CU_ASSERT_PTR_EQUAL(mesh_netmap_at(&map, 1), p);
	CU_ASSERT_PTR_NULL(mesh_netmap_find(&map, 4));
	CU_ASSERT_PTR_NULL(mesh_netmap_find(&map, 0));
	CU_ASSERT_PTR_NULL(mesh_netmap_find_key(&map, rules.own_public_key));
	CU_ASSERT(mesh_netmap_is_valid(&map, (struct tt_wall){999, 0}));
	CU_ASSERT_FALSE(mesh_netmap_is_valid(&map, (struct tt_wall){1000, 0}));
	/* the same again, as a full map: nothing has changed */
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(added + changed + removed == 0);
	/* another one: who is not in it is gone */
	netmap_update_begin(&m, 0, 5);
	m.u.epoch = 9;
	netmap_update_add(&m, 3);
	netmap_update_add(&m, 4);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "ra");
	CU_ASSERT(map.epoch == 9 && map.version == 5);
}

static void deltas(void)
{
	two_peers();
	netmap_update_begin(&m, 1, 2);
	netmap_update_remove(&m, 2);
	netmap_update_remove(&m, 77); /* not there: no error */
	netmap_update_add(&m, 3)->online = 1;
	netmap_update_add(&m, 4);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "rca");
	CU_ASSERT_EQUAL(fields, MESH_NETMAP_FIELD_ONLINE);
	CU_ASSERT_EQUAL(mesh_netmap_count(&map), 2);
	CU_ASSERT(mesh_netmap_find(&map, 3)->online);
	/* removed and added again in one update: a change, or none */
	netmap_update_begin(&m, 2, 3);
	netmap_update_remove(&m, 4);
	netmap_update_add(&m, 4);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "");
	/* an empty one moves the version and the time */
	netmap_update_begin(&m, 3, 9);
	m.u.valid_until = 2000;
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(map.version == 9 && map.valid_until == 2000);
}

/* Who connects and leaves is noted in place, by the same rules as everything else. */
static void comings_and_goings(void)
{
	two_peers();
	const struct mesh_netmap_peer *p = mesh_netmap_find(&map, 3);
	bool was = p->online;

	netmap_update_begin(&m, 1, 2);
	netmap_update_add(&m, 2);
	netmap_update_add(&m, 3)->online = !was;
	m.u.valid_until = 3000;
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "c");
	CU_ASSERT_EQUAL(fields, MESH_NETMAP_FIELD_ONLINE);
	CU_ASSERT(mesh_netmap_find(&map, 3) == p && p->online != was);
	CU_ASSERT(map.version == 2 && map.valid_until == 3000);
	netmap_update_begin(&m, 2, 3);
	netmap_update_add(&m, 3)->online = was;
	netmap_update_add(&m, 3)->online = was;
	refused(MESH_NETMAP_DUPLICATE_ID, 3);
	netmap_update_begin(&m, 2, 2);
	netmap_update_add(&m, 3)->online = was;
	refused(MESH_NETMAP_BAD_VERSION, 0);
	netmap_update_begin(&m, 2, 3);
	netmap_update_add(&m, 3)->online = was;
	m.u.more = true;
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	CU_ASSERT_EQUAL(p->online, !was);
}

static uint32_t fields_of(void (*change)(Taltun__Hub__V1__Peer *))
{
	two_peers();
	netmap_update_begin(&m, 1, 2);
	change(netmap_update_add(&m, 3));
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	return fields;
}

static void change_name(Taltun__Hub__V1__Peer *p)
{
	p->name = mesh_hub_text("other");
}
static void change_key(Taltun__Hub__V1__Peer *p)
{
	p->wg_public_key.data[31]++;
}
static void change_addresses(Taltun__Hub__V1__Peer *p)
{
	(void)p;
	netmap_update_addresses(&m, "10.0.0.3/32", "fd00::3/128");
}
static void change_address(Taltun__Hub__V1__Peer *p)
{
	(void)p;
	netmap_update_addresses(&m, "10.0.0.4/32", NULL);
}
static void change_subnets(Taltun__Hub__V1__Peer *p)
{
	(void)p;
	netmap_update_subnets(&m, "192.168.1.0/24", NULL);
}
static void change_role(Taltun__Hub__V1__Peer *p)
{
	p->role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
}
static void change_keepalive(Taltun__Hub__V1__Peer *p)
{
	p->keepalive_s = 7;
}

static void each_field(void)
{
	CU_ASSERT_EQUAL(fields_of(change_name), MESH_NETMAP_FIELD_NAME);
	/* that is another peer */
	CU_ASSERT_EQUAL(fields_of(change_key), 0);
	CU_ASSERT_STRING_EQUAL(order, "ra");
	CU_ASSERT_EQUAL(fields_of(change_addresses), MESH_NETMAP_FIELD_ADDRESSES);
	CU_ASSERT_EQUAL(fields_of(change_address), MESH_NETMAP_FIELD_ADDRESSES);
	CU_ASSERT_EQUAL(fields_of(change_role), MESH_NETMAP_FIELD_ROLE);
	CU_ASSERT_EQUAL(fields_of(change_keepalive), MESH_NETMAP_FIELD_KEEPALIVE);
	CU_ASSERT_EQUAL(fields_of(change_subnets),
			MESH_NETMAP_FIELD_SUBNETS | MESH_NETMAP_FIELD_ROLE);
	CU_ASSERT_EQUAL(mesh_netmap_find(&map, 3)->subnet_count, 1);
	CU_ASSERT_EQUAL(mesh_netmap_find(&map, 3)->subnets[0].bits, 24);
	/* another subnet in its place */
	netmap_update_begin(&m, 2, 3);
	netmap_update_add(&m, 3);
	netmap_update_subnets(&m, "192.168.2.0/24", NULL);
	CU_ASSERT(apply() == MESH_NETMAP_APPLIED && fields == MESH_NETMAP_FIELD_SUBNETS);
}

/* Names, keys and addresses may go from one peer to another within one update. With other keys they
 * are others, and no key is there twice at any moment. */
static void exchange(void)
{
	for (unsigned keys = 0; keys < 2; keys++) {
		two_peers();
		netmap_update_begin(&m, 1, 2);
		Taltun__Hub__V1__Peer *a = netmap_update_add(&m, 2), *b = netmap_update_add(&m, 3),
				      was = *a;
		a->name = b->name;
		a->addresses = b->addresses;
		b->name = was.name;
		b->addresses = was.addresses;
		if (keys) {
			a->wg_public_key = b->wg_public_key;
			b->wg_public_key = was.wg_public_key;
		}
		CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
		CU_ASSERT_STRING_EQUAL(order, keys ? "rraa" : "cc");
		CU_ASSERT_STRING_EQUAL(mesh_netmap_find(&map, 2)->name, "n3");
		CU_ASSERT_EQUAL(mesh_netmap_find_key(&map, was.wg_public_key.data)->node_id,
				keys ? 3 : 2);
	}
}

static void versions(void)
{
	set_up();
	netmap_update_begin(&m, 3, 4);
	refused(MESH_NETMAP_OTHER_VERSION, 0);
	two_peers();
	netmap_update_begin(&m, 2, 3);
	refused(MESH_NETMAP_OTHER_VERSION, 0);
	netmap_update_begin(&m, 1, 2);
	m.u.epoch = 2;
	refused(MESH_NETMAP_OTHER_VERSION, 0);
	netmap_update_begin(&m, 1, 1);
	refused(MESH_NETMAP_BAD_VERSION, 0);
	mesh_netmap_forget_version(&map);
	CU_ASSERT(map.version == 0 && mesh_netmap_count(&map) == 2);
	CU_ASSERT(mesh_netmap_is_valid(&map, (struct tt_wall){999, 0}));
	netmap_update_begin(&m, 1, 2);
	refused(MESH_NETMAP_OTHER_VERSION, 0);
	added = changed = removed = 0;
	mesh_netmap_clear(&map, &listener);
	CU_ASSERT(removed == 2 && added + changed == 0 && mesh_netmap_count(&map) == 0);
	CU_ASSERT_FALSE(mesh_netmap_is_valid(&map, (struct tt_wall){1, 0}));
}

static void chains(void)
{
	two_peers();
	netmap_update_begin(&m, 1, 2);
	m.u.more = 1;
	netmap_update_add(&m, 4);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	CU_ASSERT(mesh_netmap_count(&map) == 2 && map.version == 1 && added == 0);
	netmap_update_begin(&m, 1, 2);
	m.u.more = 1;
	netmap_update_remove(&m, 2);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	netmap_update_begin(&m, 1, 2);
	netmap_update_add(&m, 5);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "raa");
	CU_ASSERT(mesh_netmap_count(&map) == 3 && map.version == 2);

	/* one that does not go on as it began, in each of the four numbers */
	for (int i = 0; i < 4; i++) {
		netmap_update_begin(&m, 0, 7);
		m.u.more = 1;
		netmap_update_add(&m, 9);
		CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
		netmap_update_begin(&m, i == 0 ? 2 : 0, i == 1 ? 8 : 7);
		m.u.epoch += i == 2;
		m.u.valid_until += i == 3;
		refused(MESH_NETMAP_BAD_CHAIN, 0);
	}
	/* an abandoned one leaves nothing behind */
	netmap_update_begin(&m, 0, 7);
	m.u.more = 1;
	netmap_update_add(&m, 9);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	mesh_netmap_abandon_chain(&map);
	netmap_update_begin(&m, 2, 3);
	netmap_update_add(&m, 8);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_PTR_NULL(mesh_netmap_find(&map, 9));
	/* bad at its end: all of it is refused */
	netmap_update_begin(&m, 0, 7);
	m.u.more = 1;
	netmap_update_add(&m, 9);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	netmap_update_begin(&m, 0, 7);
	netmap_update_add(&m, 9);
	refused(MESH_NETMAP_DUPLICATE_ID, 9);
}

/* One bad peer behind a good one. */
static void case_27_hostile_peers(void)
{
	Taltun__Hub__V1__Peer *p;

	two_peers();
#define HOSTILE(why, change)                   \
	do {                                   \
		netmap_update_begin(&m, 1, 2); \
		netmap_update_add(&m, 8);      \
		p = netmap_update_add(&m, 9);  \
		change;                        \
		refused(why, p->node_id);      \
	} while (0)
	HOSTILE(MESH_NETMAP_BAD_ID, p->node_id = 0);
	HOSTILE(MESH_NETMAP_OWN_ID, p->node_id = 1);
	HOSTILE(MESH_NETMAP_DUPLICATE_ID, p->node_id = 8);
	HOSTILE(MESH_NETMAP_BAD_NAME, p->name = mesh_hub_text(""));
	HOSTILE(MESH_NETMAP_BAD_NAME, p->name = mesh_hub_bytes("a\0b", 3));
	HOSTILE(MESH_NETMAP_BAD_NAME, p->name = mesh_hub_text("UPPER"));
	HOSTILE(MESH_NETMAP_BAD_NAME, p->name = mesh_hub_text("../../etc"));
	HOSTILE(MESH_NETMAP_BAD_NAME, p->name = mesh_hub_bytes(cache, 64));
	HOSTILE(MESH_NETMAP_OWN_NAME, p->name = mesh_hub_text("n1"));
	HOSTILE(MESH_NETMAP_DUPLICATE_NAME, p->name = mesh_hub_text("n8"));
	HOSTILE(MESH_NETMAP_DUPLICATE_NAME, p->name = mesh_hub_text("n2"));
	HOSTILE(MESH_NETMAP_BAD_KEY, p->wg_public_key.len = 31);
	HOSTILE(MESH_NETMAP_BAD_KEY, memset(p->wg_public_key.data, 0, 32));
	HOSTILE(MESH_NETMAP_OWN_KEY, memset(p->wg_public_key.data, 0x55, 32));
	HOSTILE(MESH_NETMAP_DUPLICATE_KEY, p->wg_public_key = m.peers[0].wg_public_key);
	HOSTILE(MESH_NETMAP_DUPLICATE_KEY, p->wg_public_key.data[0] = 3);
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, p->addresses.len = 0);
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, p->addresses.len = 5);
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, p->addresses.data[1] = 31);
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "10.0.0.0/8", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "0.0.0.0/0", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "8.8.8.8/32", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "127.0.0.1/32", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "224.0.0.1/32", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "169.254.0.1/32", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "fe80::1/128", NULL));
	HOSTILE(MESH_NETMAP_BAD_ADDRESS, netmap_update_addresses(&m, "2001:db8::1/128", NULL));
	HOSTILE(MESH_NETMAP_OWN_ADDRESS, netmap_update_addresses(&m, "10.0.0.1/32", NULL));
	HOSTILE(MESH_NETMAP_OWN_ADDRESS, netmap_update_addresses(&m, "10.1.0.1/32", "fd00::1/128"));
	HOSTILE(MESH_NETMAP_DUPLICATE_PREFIX, netmap_update_addresses(&m, "10.0.0.8/32", NULL));
	HOSTILE(MESH_NETMAP_DUPLICATE_PREFIX, netmap_update_addresses(&m, "10.0.0.2/32", NULL));
	HOSTILE(MESH_NETMAP_DUPLICATE_PREFIX,
		netmap_update_addresses(&m, "10.0.0.9/32", "10.0.0.9/32"));
	HOSTILE(MESH_NETMAP_DEFAULT_ROUTE, netmap_update_subnets(&m, "0.0.0.0/0", NULL));
	HOSTILE(MESH_NETMAP_DEFAULT_ROUTE, netmap_update_subnets(&m, "192.168.0.0/24", "::/0"));
	HOSTILE(MESH_NETMAP_BAD_SUBNET, (netmap_update_subnets(&m, "192.168.0.0/24", NULL),
					 p->role = TALTUN__HUB__V1__ROLE__ROLE_CLIENT));
	HOSTILE(MESH_NETMAP_BAD_SUBNET,
		(netmap_update_subnets(&m, "192.168.0.0/24", NULL), p->subnets.len = 5));
	HOSTILE(MESH_NETMAP_DUPLICATE_PREFIX,
		netmap_update_subnets(&m, "192.168.0.0/24", "192.168.0.0/24"));
	HOSTILE(MESH_NETMAP_OWN_ADDRESS, netmap_update_subnets(&m, "fd00::1/128", NULL));
	HOSTILE(MESH_NETMAP_BAD_ROLE, p->role = 3);
#undef HOSTILE
}

static void subnets(void)
{
	set_up();
	netmap_update_begin(&m, 0, 1);
	netmap_update_add(&m, 2);
	netmap_update_subnets(&m, "192.168.7.0/24", "172.16.0.0/12");
	netmap_update_add(&m, 3);
	netmap_update_subnets(&m, "128.0.0.0/1", "192.168.0.0/15");
	netmap_update_add(&m, 4);
	netmap_update_addresses(&m, "203.0.113.4/32", NULL);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT_EQUAL(mesh_netmap_find(&map, 2)->subnet_count, 1);
	CU_ASSERT_EQUAL(mesh_netmap_find(&map, 3)->subnet_count, 0);
	CU_ASSERT_EQUAL(map.subnets_ignored, 3);
	/* the same gateway's subnet as another's: two owners */
	netmap_update_begin(&m, 1, 2);
	netmap_update_add(&m, 5);
	netmap_update_subnets(&m, "192.168.7.0/24", NULL);
	refused(MESH_NETMAP_DUPLICATE_PREFIX, 5);
	/* within another one is fine: the longest match counts */
	netmap_update_begin(&m, 1, 2);
	netmap_update_add(&m, 5);
	netmap_update_subnets(&m, "192.168.7.128/25", NULL);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	/* somebody wants an exit */
	tt_cidr_parse("0.0.0.0/0", &accept[3]);
	rules.accept_count = 4;
	netmap_update_begin(&m, 2, 3);
	netmap_update_add(&m, 6);
	netmap_update_subnets(&m, "0.0.0.0/0", NULL);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(mesh_netmap_find(&map, 6)->subnet_count == 1);
	netmap_update_begin(&m, 3, 4);
	netmap_update_add(&m, 7);
	netmap_update_subnets(&m, "::/0", NULL);
	refused(MESH_NETMAP_DEFAULT_ROUTE, 7);
	netmap_update_begin(&m, 3, 4);
	netmap_update_add(&m, 7);
	netmap_update_subnets(&m, "127.0.0.0/8", NULL);
	refused(MESH_NETMAP_BAD_SUBNET, 7);
}

static void capacity(void)
{
	set_up();
	netmap_update_begin(&m, 0, 1);
	for (uint32_t i = 0; i < PEERS; i++)
		netmap_update_add(&m, 2 + i);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	netmap_update_begin(&m, 1, 2);
	netmap_update_add(&m, 200);
	refused(MESH_NETMAP_TOO_MANY_PEERS, 200);
	/* in place of another one there is room, again and again, and for all of them anew */
	for (uint32_t i = 0; i < 100; i++) {
		netmap_update_begin(&m, 1 + i, 2 + i);
		netmap_update_remove(&m, i == 0 ? 2 : 199 + i);
		netmap_update_add(&m, 200 + i);
		netmap_update_add(&m, 3)->online = i & 1;
		CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
		CU_ASSERT_EQUAL(mesh_netmap_count(&map), PEERS);
	}
	netmap_update_begin(&m, 101, 102);
	m.u.more = 1;
	for (uint32_t i = 0; i < PEERS; i++)
		netmap_update_remove(&m, mesh_netmap_at(&map, i)->node_id);
	for (uint32_t i = 0; i < PEERS; i++)
		netmap_update_add(&m, 2 + i);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_STAGED);
	netmap_update_begin(&m, 101, 102);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(mesh_netmap_count(&map) == PEERS && mesh_netmap_find(&map, 21) != NULL);
}

static void subnet_capacity(void)
{
	char text[2][TT_CIDR_TEXT_MAX];
	uint32_t id;

	set_up();
	netmap_update_begin(&m, 0, 1);
	for (id = 2; id < 2 + PEERS; id++) {
		netmap_update_add(&m, id);
		for (uint32_t k = 0; k < 2; k++)
			snprintf(text[k], sizeof(text[k]), "192.168.%u.0/25", 2 * id + k);
		netmap_update_subnets(&m, text[0], text[1]);
	}
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	/* 40 of 70 are used: 64 more are too many for one, but fit in place of the others */
	netmap_update_begin(&m, 1, 2);
	Taltun__Hub__V1__Peer *p = netmap_update_add(&m, 2);
	p->role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
	for (uint32_t k = 0; k < 64; k++) {
		struct tt_cidr c;

		snprintf(text[0], sizeof(text[0]), "192.168.%u.128/25", k);
		tt_cidr_parse(text[0], &c);
		mesh_hub_prefixes_write(m.bytes[0].subnets + 6 * k, 6, &c, 1);
	}
	p->subnets = mesh_hub_bytes(m.bytes[0].subnets, 64 * 6);
	refused(MESH_NETMAP_TOO_MANY_SUBNETS, 2);
	for (id = 3; id < 2 + PEERS; id++)
		netmap_update_remove(&m, id);
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	CU_ASSERT(mesh_netmap_count(&map) == 1 && mesh_netmap_at(&map, 0)->subnet_count == 64);
	CU_ASSERT_EQUAL(mesh_netmap_at(&map, 0)->subnets[63].ip.b[2], 63);
}

/* --- the cached form ---------------------------------------------------------------------------
 */

static size_t write_cache(void)
{
	size_t len = mesh_netmap_cache_write(&map, &rules, cache_key, cache, sizeof(cache));

	CU_ASSERT_EQUAL(len, mesh_netmap_cache_size(&map));
	CU_ASSERT(len <= mesh_netmap_cache_size_max(PEERS, SUBNETS));
	CU_ASSERT_EQUAL(mesh_netmap_cache_write(&map, &rules, cache_key, cache, len - 1), 0);
	return len;
}

static enum mesh_netmap_outcome read_cache(size_t len)
{
	added = changed = removed = fields = 0;
	memset(order, 0, sizeof(order));
	return mesh_netmap_cache_read(&map, &rules, &listener, cache_key, cache, len);
}

static size_t make_cache(void)
{
	set_up();
	netmap_update_begin(&m, 0, 6);
	netmap_update_add(&m, 2)->keepalive_s = 15;
	netmap_update_subnets(&m, "192.168.7.0/24", "172.16.0.0/12");
	netmap_update_add(&m, 3)->online = 1;
	netmap_update_addresses(&m, "10.0.0.3/32", "fd00::3/128");
	CU_ASSERT_EQUAL(apply(), MESH_NETMAP_APPLIED);
	return write_cache();
}

static void cache_there_and_back(void)
{
	size_t len = make_cache();

	set_up();
	memset(&map.self, 0, sizeof(map.self));
	CU_ASSERT_EQUAL(read_cache(len), MESH_NETMAP_APPLIED);
	CU_ASSERT_STRING_EQUAL(order, "aa");
	CU_ASSERT(map.epoch == 1 && map.version == 6 && map.valid_until == 1000);
	CU_ASSERT(map.self.node_id == 1 && strcmp(map.self.name, "n1") == 0);
	CU_ASSERT(map.self.address_count == 2 && map.self.addresses[1].b[15] == 1);
	const struct mesh_netmap_peer *p = mesh_netmap_find(&map, 2);
	CU_ASSERT(p->keepalive_s == 15 && p->subnet_count == 1 && p->subnets[0].bits == 24);
	CU_ASSERT(p->role == MESH_NETMAP_GATEWAY && map.subnets_ignored == 1);
	p = mesh_netmap_find(&map, 3);
	CU_ASSERT(p->address_count == 2 && p->addresses[1].family == TT_FAMILY_V6);
	CU_ASSERT(p->online); /* as of that version */
	CU_ASSERT_EQUAL(write_cache(), len);
	/* the hub goes on from here */
	netmap_update_begin(&m, 6, 7);
	netmap_update_add(&m, 3)->online = 0;
	netmap_update_addresses(&m, "10.0.0.3/32", "fd00::3/128");
	CU_ASSERT(apply() == MESH_NETMAP_APPLIED && fields == MESH_NETMAP_FIELD_ONLINE);
}

/* With other rules the peers are good for now, but a full map is asked for. */
static void cache_other_rules(void)
{
	size_t len = make_cache();

	set_up();
	rules.accept_count = 2;
	CU_ASSERT_EQUAL(read_cache(len), MESH_NETMAP_APPLIED);
	CU_ASSERT(map.version == 0 && mesh_netmap_count(&map) == 2);
	set_up();
	rules.accept_count = 0;
	CU_ASSERT_EQUAL(read_cache(len), MESH_NETMAP_APPLIED);
	CU_ASSERT_EQUAL(mesh_netmap_find(&map, 2)->subnet_count, 0);
	/* our key is a peer's by now: refused, and nothing has changed */
	set_up();
	memset(rules.own_public_key, 7, 32);
	tt_store_le32(rules.own_public_key, 2);
	CU_ASSERT_EQUAL(read_cache(len), MESH_NETMAP_OWN_KEY);
	CU_ASSERT(mesh_netmap_count(&map) == 0 && added == 0);
}

static void cache_damaged(void)
{
	size_t len = make_cache();
	uint8_t other[MESH_NETMAP_CACHE_KEY_LEN] = {1};

	two_peers();
	struct mesh_netmap_self self = map.self;
	len = make_cache();
	for (size_t n = 0; n < len; n++)
		CU_ASSERT_EQUAL(read_cache(n), MESH_NETMAP_CACHE_TRUNCATED);
	CU_ASSERT_EQUAL(read_cache(len + 1), MESH_NETMAP_CACHE_TRUNCATED);
	for (size_t n = 0; n < len; n++) {
		cache[n] ^= 0x80;
		CU_ASSERT_EQUAL(read_cache(len), n < 12	  ? MESH_NETMAP_CACHE_VERSION
						 : n < 16 ? MESH_NETMAP_CACHE_TRUNCATED
							  : MESH_NETMAP_CACHE_FORGED);
		cache[n] ^= 0x80;
	}
	memcpy(cache_key, other, sizeof(other));
	CU_ASSERT_EQUAL(read_cache(len), MESH_NETMAP_CACHE_FORGED);
	CU_ASSERT(mesh_netmap_count(&map) == 2 && map.version == 6);
	CU_ASSERT(memcmp(&self, &map.self, sizeof(self)) == 0);
	CU_ASSERT_EQUAL(added + changed + removed, 0);
	/* two nodes do not share a key */
	mesh_netmap_cache_key(cache_key, other);
	CU_ASSERT(memcmp(cache_key, other, sizeof(other)) != 0);
}

static void case_27_largest(void)
{
	size_t size = mesh_netmap_memory_size(MESH_HUB_PEERS_MAX, 5000);
	void *big = calloc(1, size);
	static uint8_t space[2 * 1024 * 1024];
	uint32_t id = 2;

	CU_ASSERT_FATAL(big != NULL && size < 16 * 1024 * 1024);
	set_up();
	mesh_netmap_init(&map, big, MESH_HUB_PEERS_MAX, 5000, 1);
	while (id < 2 + MESH_HUB_PEERS_MAX) {
		netmap_update_begin(&m, 0, 1);
		for (size_t i = 0; i < 500; i++)
			netmap_update_add(&m, id++);
		m.u.more = id < 2 + MESH_HUB_PEERS_MAX;
		CU_ASSERT_EQUAL(apply(), m.u.more ? MESH_NETMAP_STAGED : MESH_NETMAP_APPLIED);
	}
	CU_ASSERT(added == MESH_HUB_PEERS_MAX && mesh_netmap_count(&map) == MESH_HUB_PEERS_MAX);
	for (id = 2; id < 2 + MESH_HUB_PEERS_MAX; id++)
		CU_ASSERT(mesh_netmap_find(&map, id)->node_id == id);
	size_t len = mesh_netmap_cache_write(&map, &rules, cache_key, space, sizeof(space));
	CU_ASSERT(len > 0);
	mesh_netmap_clear(&map, &listener);
	CU_ASSERT_EQUAL(mesh_netmap_cache_read(&map, &rules, &listener, cache_key, space, len),
			MESH_NETMAP_APPLIED);
	CU_ASSERT_EQUAL(mesh_netmap_count(&map), MESH_HUB_PEERS_MAX);
	/* a chain without an end is a map that is too large */
	enum mesh_netmap_outcome o = MESH_NETMAP_STAGED;
	for (id = 20000; o == MESH_NETMAP_STAGED;) {
		netmap_update_begin(&m, 0, 2);
		m.u.more = 1;
		for (size_t i = 0; i < 500; i++)
			netmap_update_add(&m, id++);
		o = apply();
	}
	CU_ASSERT(o == MESH_NETMAP_TOO_MANY_PEERS && id <= 20000 + MESH_HUB_PEERS_MAX + 500);
	CU_ASSERT_EQUAL(mesh_netmap_count(&map), MESH_HUB_PEERS_MAX);
	free(big);
}

static void names(void)
{
	for (int i = MESH_NETMAP_APPLIED; i <= MESH_NETMAP_CACHE_FORGED; i++)
		CU_ASSERT(strcmp(mesh_netmap_outcome_name((enum mesh_netmap_outcome)i), "unknown"));
	CU_ASSERT_STRING_EQUAL(mesh_netmap_outcome_name(MESH_NETMAP_OWN_KEY), "own_key");
}

TT_TESTS("netmap", {"full map", full_map}, {"comings and goings", comings_and_goings},
	 {"deltas", deltas}, {"each field", each_field}, {"exchange", exchange},
	 {"versions", versions}, {"chains", chains},
	 {"case_27 hostile peers", case_27_hostile_peers}, {"subnets", subnets},
	 {"capacity", capacity}, {"subnet capacity", subnet_capacity},
	 {"cache", cache_there_and_back}, {"cache, other rules", cache_other_rules},
	 {"cache, damaged", cache_damaged}, {"case_27 largest", case_27_largest}, {"names", names})

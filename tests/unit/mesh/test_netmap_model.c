/* SPDX-License-Identifier: MIT
 *
 * The map against a model that knows nothing of tables: 100,000 random updates, whole, in chains,
 * broken off, wrong. What the map reports must lead from one state to the next.
 */
#include "tt_test.h"

#include "base/rng.h"
#include "netmap_update.h"

#define IDS	 32
#define CAPACITY 24
#define SUBNETS	 16
#define VALUES	 40
#define ROUNDS	 100000

/* By id: every value is a small number, so that two often want the same. */
struct entry {
	bool there, online;
	uint8_t name, key, address, subnet; /* subnet 0: none */
};

static struct entry model[IDS], next[IDS], mirror[IDS];
static struct mesh_netmap map;
static uint64_t memory[8192];
static struct netmap_update m;
static struct mesh_netmap_rules rules;
static struct tt_cidr accept;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static unsigned applied, refused, reports;
static int last_kind;

static uint32_t below(uint32_t n)
{
	return tt_rng_below(&rng, n);
}

static struct entry entry_of(const struct mesh_netmap_peer *p)
{
	struct entry e = {.there = true, .online = p->online};

	e.name = (uint8_t)atoi(p->name + 1);
	e.key = p->wg_public_key[1];
	e.address = p->addresses[0].b[3];
	e.subnet = p->subnet_count ? p->subnets[0].ip.b[2] : 0;
	return e;
}

static bool same(const struct entry *a, const struct entry *b)
{
	return a->there == b->there &&
	       (!a->there || (a->online == b->online && a->name == b->name && a->key == b->key &&
			      a->address == b->address && a->subnet == b->subnet));
}

static void on_change(void *ctx, const struct mesh_netmap_change *c)
{
	struct entry *e = &mirror[(c->was ? c->was : c->is)->node_id - 2];
	struct entry was = c->was ? entry_of(c->was) : (struct entry){0};

	(void)ctx;
	CU_ASSERT(same(e, &was));
	CU_ASSERT((int)c->kind >= last_kind);
	last_kind = (int)c->kind;
	reports++;
	*e = c->is ? entry_of(c->is) : (struct entry){0};
	CU_ASSERT_FALSE(same(e, &was));
}

static const struct mesh_netmap_listener listener = {on_change, NULL};

/* --- the model ---------------------------------------------------------------------------------
 */

/* No more than there is room for, and no value with two owners. */
static bool is_legal(const struct entry *list)
{
	bool names[VALUES] = {0}, keys[VALUES] = {0}, addresses[VALUES] = {0},
	     subnets[VALUES] = {0};
	unsigned count = 0;

	for (unsigned i = 0; i < IDS; i++) {
		const struct entry *e = &list[i];

		if (!e->there)
			continue;
		if (names[e->name] || keys[e->key] || addresses[e->address] ||
		    (e->subnet && subnets[e->subnet]))
			return false;
		names[e->name] = keys[e->key] = addresses[e->address] = subnets[e->subnet] = true;
		count++;
	}
	return count <= CAPACITY;
}

static unsigned count_of(const struct entry *list)
{
	unsigned n = 0;

	for (unsigned i = 0; i < IDS; i++)
		n += list[i].there;
	return n;
}

static void check_map(void)
{
	CU_ASSERT_EQUAL(mesh_netmap_count(&map), count_of(model));
	for (unsigned i = 0; i < IDS; i++) {
		const struct mesh_netmap_peer *p = mesh_netmap_find(&map, i + 2);
		struct entry e = p ? entry_of(p) : (struct entry){0};

		CU_ASSERT(same(&e, &model[i]));
		CU_ASSERT(same(&mirror[i], &model[i]));
		if (p)
			CU_ASSERT_PTR_EQUAL(mesh_netmap_find_key(&map, p->wg_public_key), p);
	}
}

/* --- random updates ----------------------------------------------------------------------------
 */

/* Mostly the values that belong to the id, so that most updates are legal. */
static uint8_t draw(unsigned i)
{
	return (uint8_t)(below(12) ? i + 1 : 1 + below(VALUES - 1));
}

static void add(unsigned i)
{
	struct entry e = {.there = true, .online = below(2)};
	Taltun__Hub__V1__Peer *p = netmap_update_add(&m, i + 2);
	size_t at = m.u.n_peers - 1;
	char text[TT_CIDR_TEXT_MAX];

	e.name = draw(i);
	e.key = draw(i);
	e.address = draw(i);
	e.subnet = below(4) ? 0 : draw(i);
	snprintf(m.bytes[at].name, sizeof(m.bytes[at].name), "n%u", e.name);
	p->name = mesh_hub_text(m.bytes[at].name);
	memset(m.bytes[at].key, e.key, 32);
	snprintf(text, sizeof(text), "10.0.0.%u/32", e.address);
	netmap_update_addresses(&m, text, NULL);
	snprintf(text, sizeof(text), "192.168.%u.0/24", e.subnet);
	if (e.subnet)
		netmap_update_subnets(&m, text, NULL);
	p->online = e.online;
	next[i] = e;
}

/* Some ids go, some come; false where the update says one twice. */
static bool some_changes(bool *used)
{
	bool right = true;

	for (unsigned n = below(4); n > 0; n--) {
		unsigned i = below(IDS);

		/* what a chain has brought it does not take away again */
		if (used[i])
			continue;
		netmap_update_remove(&m, i + 2);
		next[i].there = false;
	}
	for (unsigned n = below(5); n > 0; n--) {
		unsigned i = below(IDS);

		if (used[i] && below(50))
			continue;
		right = right && !used[i];
		used[i] = true;
		add(i);
	}
	return right;
}

static void settle(enum mesh_netmap_outcome o, bool right)
{
	/* The map is full before the model's copy is, where removals come in a later update. */
	bool fits = o != MESH_NETMAP_TOO_MANY_PEERS && o != MESH_NETMAP_TOO_MANY_SUBNETS;

	right = right && is_legal(next) && fits;
	CU_ASSERT_EQUAL(o == MESH_NETMAP_APPLIED, right);
	if (o == MESH_NETMAP_APPLIED) {
		memcpy(model, next, sizeof(model));
		applied++;
	} else {
		refused++;
	}
}

static void one_update(void)
{
	bool used[IDS] = {0}, right = true, full = below(20) == 0, more = true;
	uint64_t from = full ? 0 : map.version, version = map.version + 1 + below(3);
	enum mesh_netmap_outcome o = MESH_NETMAP_STAGED;

	last_kind = MESH_NETMAP_REMOVED;
	memcpy(next, model, sizeof(next));
	if (full)
		memset(next, 0, sizeof(next));
	while (o == MESH_NETMAP_STAGED && more) {
		netmap_update_begin(&m, from, version);
		right = some_changes(used) && right;
		more = below(5) == 0;
		m.u.more = more;
		o = mesh_netmap_apply(&map, &m.u, &rules, &listener);
		if (o == MESH_NETMAP_STAGED && below(10) == 0) {
			mesh_netmap_abandon_chain(&map);
			return;
		}
	}
	settle(o, right);
}

static void through_cache(void)
{
	static uint8_t space[65536];
	uint8_t key[MESH_NETMAP_CACHE_KEY_LEN] = {3};
	size_t len = mesh_netmap_cache_write(&map, &rules, key, space, sizeof(space));

	last_kind = MESH_NETMAP_REMOVED;
	CU_ASSERT_EQUAL(mesh_netmap_cache_read(&map, &rules, &listener, key, space, len),
			MESH_NETMAP_APPLIED);
}

static void random_events(void)
{
	rng = tt_rng_seeded_init(&seed, 2026);
	CU_ASSERT_FATAL(mesh_netmap_memory_size(CAPACITY, SUBNETS) <= sizeof(memory));
	mesh_netmap_init(&map, memory, CAPACITY, SUBNETS, 7);
	tt_cidr_parse("192.168.0.0/16", &accept);
	rules.accept = &accept;
	rules.accept_count = 1;
	memset(rules.own_public_key, 0xee, 32);
	unsigned rounds = tt_test_rounds(ROUNDS);

	for (unsigned i = 0; i < rounds; i++) {
		one_update();
		if (below(100) == 0)
			through_cache();
		check_map();
	}
	/* the test has met what it is about */
	CU_ASSERT(applied > rounds / 4 && refused > rounds / 20 && reports > rounds);
}

TT_TESTS("netmap_model", {"random events", random_events})

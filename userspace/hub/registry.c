/* SPDX-License-Identifier: MIT */
#include "hub/registry.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_BITS 18 /* of names, keys and addresses: > 2 * HUB_NODES_MAX */
#define TABLE_SIZE (1u << TABLE_BITS)
/* Addresses are up to four times as many. */
#define ADDRESS_TABLE_SIZE (TABLE_SIZE * 4)

/*
 * Open addressing; an entry is removed by moving others up. Entries: the node's position + 1; of
 * addresses, position * MESH_HUB_ADDRESSES_MAX + which of them + 1.
 */
struct table {
	uint32_t *slot;
	uint32_t size;
};

struct hub_registry {
	struct hub_node **node; /* by position */
	uint32_t count, capacity;
	uint32_t online;
	uint32_t *by_id; /* id -> position + 1 */
	uint32_t id_capacity;
	struct table table[3]; /* enum by */
	uint64_t seed;
	struct hub_policy policy;
	uint64_t epoch, version;
	uint64_t first_version;		   /* before it nothing is remembered */
	uint32_t changes[HUB_CHANGES_MAX]; /* position + 1, by version; 0: none */
	/* those of gateways, by number: what plain clients look through */
	struct {
		uint64_t version;
		uint32_t position;
	} of_gateways[HUB_GATEWAY_CHANGES_MAX];
	uint64_t gateway_changes;    /* how many there were */
	uint64_t gateways_forgotten; /* version of the last that is remembered no more */
};

/* --- tables ----------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *b = data;
	uint64_t h = seed ^ len * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < len; i++) {
		h ^= b[i];
		h *= UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return h;
}

enum by { BY_NAME, BY_KEY, BY_ADDRESS };

static struct hub_node *node_of(const struct hub_registry *r, enum by by, uint32_t entry)
{
	return r->node[by == BY_ADDRESS ? (entry - 1) / MESH_HUB_ADDRESSES_MAX : entry - 1];
}

static const void *key_of(const struct hub_registry *r, enum by by, uint32_t entry, size_t *len)
{
	const struct hub_node *n = node_of(r, by, entry);

	switch (by) {
	case BY_NAME:
		*len = strlen(n->is.name);
		return n->is.name;
	case BY_KEY:
		*len = sizeof(n->is.wg_public_key);
		return n->is.wg_public_key;
	case BY_ADDRESS:
		break;
	}
	*len = sizeof(struct tt_ip);
	return &n->is.addresses[(entry - 1) % MESH_HUB_ADDRESSES_MAX];
}

/* The slot where it is, or the free one where it would be. */
static uint32_t *locate(struct hub_registry *r, enum by by, const void *key, size_t len)
{
	struct table *t = &r->table[by];
	uint32_t at = (uint32_t)hash(r->seed, key, len) & (t->size - 1);

	for (;; at = (at + 1) & (t->size - 1)) {
		if (!t->slot[at])
			return &t->slot[at];
		size_t n;
		const void *other = key_of(r, by, t->slot[at], &n);
		if (n == len && memcmp(other, key, len) == 0)
			return &t->slot[at];
	}
}

static struct hub_node *find(struct hub_registry *r, enum by by, const void *key, size_t len)
{
	uint32_t entry = *locate(r, by, key, len);

	return entry ? node_of(r, by, entry) : NULL;
}

/* Whoever stands behind it in the row and may stand in its place moves there. */
static void take_out(struct hub_registry *r, enum by by, uint32_t *slot)
{
	struct table *t = &r->table[by];
	uint32_t mask = t->size - 1, hole = (uint32_t)(slot - t->slot);

	for (uint32_t at = (hole + 1) & mask; t->slot[at]; at = (at + 1) & mask) {
		size_t len;
		const void *key = key_of(r, by, t->slot[at], &len);
		uint32_t home = (uint32_t)hash(r->seed, key, len) & mask;

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		t->slot[hole] = t->slot[at];
		hole = at;
	}
	t->slot[hole] = 0;
}

/* The slot is its own, or free: what it has belongs to nobody else. */
static void set(struct hub_registry *r, enum by by, uint32_t entry, bool in)
{
	size_t len;
	const void *key = key_of(r, by, entry, &len);
	uint32_t *slot = locate(r, by, key, len);

	if (in)
		*slot = entry;
	else if (*slot == entry)
		take_out(r, by, slot);
}

/* Puts what a node is known by into the tables, or takes it out; a revoked node is in none. */
static void tables_set(struct hub_registry *r, uint32_t position, bool in)
{
	const struct hub_node *n = r->node[position];

	if (n->is.revoked)
		return;
	set(r, BY_NAME, position + 1, in);
	set(r, BY_KEY, position + 1, in);
	for (unsigned a = 0; a < n->is.address_count; a++)
		set(r, BY_ADDRESS, position * MESH_HUB_ADDRESSES_MAX + a + 1, in);
}

/* --- life ------------------------------------------------------------------------------------- */

struct hub_registry *hub_registry_create(uint64_t epoch, uint64_t hash_seed)
{
	struct hub_registry *r = calloc(1, sizeof(*r));
	bool failed = false;

	if (!r)
		return NULL;
	for (unsigned by = BY_NAME; by <= BY_ADDRESS; by++) {
		uint32_t size = by == BY_ADDRESS ? ADDRESS_TABLE_SIZE : TABLE_SIZE;
		r->table[by] = (struct table){calloc(size, sizeof(uint32_t)), size};
		failed = failed || !r->table[by].slot;
	}
	r->epoch = epoch;
	r->seed = hash_seed;
	r->version = r->first_version = 1;
	if (failed) {
		hub_registry_destroy(r);
		return NULL;
	}
	return r;
}

void hub_registry_destroy(struct hub_registry *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->count; i++) {
		free(r->node[i]->is.subnets);
		free(r->node[i]);
	}
	free(r->node);
	free(r->by_id);
	for (unsigned by = BY_NAME; by <= BY_ADDRESS; by++)
		free(r->table[by].slot);
	free(r);
}

/* --- versions --------------------------------------------------------------------------------- */

static void next_version(struct hub_registry *r, uint32_t position_1)
{
	r->version++;
	r->changes[r->version & (HUB_CHANGES_MAX - 1)] = position_1;
	if (r->version - r->first_version >= HUB_CHANGES_MAX)
		r->first_version = r->version - HUB_CHANGES_MAX + 1;
}

static void changed(struct hub_registry *r, uint32_t position)
{
	next_version(r, position + 1);
	r->node[position]->changed = r->version;
	if (r->node[position]->is.role != HUB_ROLE_GATEWAY)
		return;
	uint32_t at = r->gateway_changes++ & (HUB_GATEWAY_CHANGES_MAX - 1);

	r->gateways_forgotten = r->of_gateways[at].version;
	r->of_gateways[at].version = r->version;
	r->of_gateways[at].position = position;
}

void hub_registry_advance(struct hub_registry *r)
{
	next_version(r, 0);
}

uint64_t hub_registry_epoch(const struct hub_registry *r)
{
	return r->epoch;
}

uint64_t hub_registry_version(const struct hub_registry *r)
{
	return r->version;
}

bool hub_registry_remembers(const struct hub_registry *r, const struct hub_node *viewer,
			    uint64_t version)
{
	uint64_t first = hub_registry_is_plain(viewer) ? r->gateways_forgotten : r->first_version;

	return version >= first && version <= r->version;
}

uint64_t hub_registry_gateway_version(const struct hub_registry *r)
{
	uint64_t last = r->gateway_changes - 1;

	return r->gateway_changes ? r->of_gateways[last & (HUB_GATEWAY_CHANGES_MAX - 1)].version
				  : 0;
}

/* Those are in order: halving. */
static struct hub_node *next_of_gateways(struct hub_registry *r, const struct hub_node *viewer,
					 uint64_t *version)
{
	uint64_t high = r->gateway_changes;
	uint64_t low = high > HUB_GATEWAY_CHANGES_MAX ? high - HUB_GATEWAY_CHANGES_MAX : 0;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (r->of_gateways[middle & (HUB_GATEWAY_CHANGES_MAX - 1)].version <= *version)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < r->gateway_changes; low++) {
		uint32_t at = low & (HUB_GATEWAY_CHANGES_MAX - 1);
		struct hub_node *n = r->node[r->of_gateways[at].position];

		if (n == viewer)
			continue;
		*version = r->of_gateways[at].version;
		return n;
	}
	return NULL;
}

struct hub_node *hub_registry_next_change(struct hub_registry *r, const struct hub_node *viewer,
					  uint64_t *version)
{
	if (viewer->is.revoked)
		return NULL;
	if (hub_registry_is_plain(viewer))
		return next_of_gateways(r, viewer, version);
	for (uint64_t v = *version + 1; v <= r->version; v++) {
		uint32_t at = r->changes[v & (HUB_CHANGES_MAX - 1)];
		struct hub_node *n = at ? r->node[at - 1] : NULL;

		if (!n || n == viewer ||
		    (viewer->is.role != HUB_ROLE_GATEWAY && n->is.role != HUB_ROLE_GATEWAY &&
		     !(viewer->reach & n->is.groups)))
			continue;
		*version = v;
		return n;
	}
	return NULL;
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct hub_node *hub_registry_find(struct hub_registry *r, uint32_t id)
{
	return id < r->id_capacity && r->by_id[id] ? r->node[r->by_id[id] - 1] : NULL;
}

struct hub_node *hub_registry_find_name(struct hub_registry *r, const char *name)
{
	return find(r, BY_NAME, name, strlen(name));
}

struct hub_node *hub_registry_find_key(struct hub_registry *r, const uint8_t key[32])
{
	return find(r, BY_KEY, key, 32);
}

struct hub_node *hub_registry_at(struct hub_registry *r, uint32_t i)
{
	return r->node[i];
}

uint32_t hub_registry_count(const struct hub_registry *r)
{
	return r->count;
}

uint32_t hub_registry_online(const struct hub_registry *r)
{
	return r->online;
}

static bool belongs_to_another(struct hub_registry *r, const struct hub_node_facts *f)
{
	const struct hub_node *n = hub_registry_find_name(r, f->name);

	if (n && n->is.id != f->id)
		return true;
	n = hub_registry_find_key(r, f->wg_public_key);
	if (n && n->is.id != f->id)
		return true;
	for (unsigned i = 0; i < f->address_count; i++) {
		n = find(r, BY_ADDRESS, &f->addresses[i], sizeof(f->addresses[i]));
		if (n && n->is.id != f->id)
			return true;
	}
	return false;
}

static bool same(const struct hub_node_facts *a, const struct hub_node_facts *b)
{
	return a->role == b->role && a->revoked == b->revoked && a->groups == b->groups &&
	       strcmp(a->name, b->name) == 0 &&
	       memcmp(a->wg_public_key, b->wg_public_key, 32) == 0 &&
	       a->address_count == b->address_count && a->subnet_count == b->subnet_count &&
	       memcmp(a->addresses, b->addresses, a->address_count * sizeof(a->addresses[0])) ==
		       0 &&
	       (!a->subnet_count ||
		memcmp(a->subnets, b->subnets, a->subnet_count * sizeof(a->subnets[0])) == 0);
}

static bool grow(void **array, uint32_t *capacity, uint32_t wanted, size_t size)
{
	uint32_t n = TT_MAX(*capacity, 64u);

	while (n < wanted)
		n *= 2;
	if (n == *capacity)
		return true;
	uint8_t *bigger = realloc(*array, n * size);

	if (!bigger)
		return false;
	memset(bigger + *capacity * size, 0, (n - *capacity) * size);
	*array = bigger;
	*capacity = n;
	return true;
}

static int add(struct hub_registry *r, const struct hub_node_facts *facts)
{
	if (r->count >= HUB_NODES_MAX || facts->id >= 16 * HUB_NODES_MAX)
		return -ENOSPC;
	struct hub_node *n = calloc(1, sizeof(*n));

	if (!n || !grow((void **)&r->node, &r->capacity, r->count + 1, sizeof(*r->node)) ||
	    !grow((void **)&r->by_id, &r->id_capacity, facts->id + 1, sizeof(*r->by_id))) {
		free(n);
		return -ENOMEM;
	}
	n->is = *facts;
	n->reach = hub_policy_reach(&r->policy, facts->groups);
	r->node[r->count] = n;
	r->by_id[facts->id] = ++r->count;
	tables_set(r, r->count - 1, true);
	changed(r, r->count - 1);
	return 0;
}

int hub_registry_put(struct hub_registry *r, struct hub_node_facts *facts)
{
	struct hub_node *n = hub_registry_find(r, facts->id);
	int err = facts->id == 0				    ? -EINVAL
		  : !facts->revoked && belongs_to_another(r, facts) ? -EEXIST
								    : 0;

	if (!err && !n)
		err = add(r, facts);
	if (err || !n || same(&n->is, facts)) {
		if (err || n)
			free(facts->subnets);
		facts->subnets = NULL;
		return err;
	}
	bool regrouped = n->is.groups != facts->groups || n->is.role != facts->role;
	uint32_t position = r->by_id[n->is.id] - 1;

	tables_set(r, position, false);
	free(n->is.subnets);
	n->is = *facts;
	facts->subnets = NULL;
	tables_set(r, position, true);
	changed(r, position);
	/* who sees whom has changed: a delta cannot say so */
	if (regrouped)
		hub_registry_set_policy(r, &r->policy, r->epoch + 1);
	return 0;
}

void hub_registry_set_policy(struct hub_registry *r, const struct hub_policy *p, uint64_t epoch)
{
	if (p != &r->policy)
		r->policy = *p;
	for (uint32_t i = 0; i < r->count; i++)
		r->node[i]->reach = hub_policy_reach(&r->policy, r->node[i]->is.groups);
	r->epoch = epoch ? epoch : 1;
}

bool hub_registry_policy_differs(const struct hub_registry *r, const struct hub_policy *p)
{
	return memcmp(&r->policy, p, sizeof(*p)) != 0;
}

void hub_registry_set_session(struct hub_registry *r, struct hub_node *n, void *session)
{
	bool was = n->session != NULL, is = session != NULL;

	n->session = session;
	if (was == is)
		return;
	r->online += is ? 1u : (uint32_t)-1;
	if (!n->is.revoked)
		changed(r, r->by_id[n->is.id] - 1);
}

bool hub_registry_sees(const struct hub_node *a, const struct hub_node *b)
{
	if (a == b || a->is.revoked || b->is.revoked)
		return false;
	return a->is.role == HUB_ROLE_GATEWAY || b->is.role == HUB_ROLE_GATEWAY ||
	       (a->reach & b->is.groups) != 0;
}

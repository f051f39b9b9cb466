/* SPDX-License-Identifier: MIT */
#include "hub/registry.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_BITS 18 /* of names, keys and addresses: > 2 * HUB_NODES_MAX */
#define TABLE_SIZE (1u << TABLE_BITS)
/* Addresses are up to four times as many. */
#define ADDRESS_TABLE_SIZE (TABLE_SIZE * 4)

/* Open addressing over positions + 1; entries of changed nodes are removed by moving others up. */
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
	struct table names, keys, addresses;
	uint64_t seed;
	struct hub_policy policy;
	uint64_t epoch, version;
	uint64_t first_version;		   /* before it nothing is remembered */
	uint32_t changes[HUB_CHANGES_MAX]; /* position + 1, by version; 0: none */
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

enum by { BY_NAME, BY_KEY };

static const void *key_of(const struct hub_node *n, enum by by, size_t *len)
{
	*len = by == BY_NAME ? strlen(n->is.name) : 32;
	return by == BY_NAME ? (const void *)n->is.name : (const void *)n->is.wg_public_key;
}

/* The slot where it is, or the free one where it would be. */
static uint32_t *locate(struct hub_registry *r, enum by by, const void *key, size_t len)
{
	struct table *t = by == BY_NAME ? &r->names : &r->keys;
	uint32_t at = (uint32_t)hash(r->seed, key, len) & (t->size - 1);

	for (;; at = (at + 1) & (t->size - 1)) {
		if (!t->slot[at])
			return &t->slot[at];
		size_t n;
		const void *other = key_of(r->node[t->slot[at] - 1], by, &n);
		if (n == len && memcmp(other, key, len) == 0)
			return &t->slot[at];
	}
}

static bool has_address(const struct hub_node *n, const struct tt_ip *ip)
{
	for (unsigned i = 0; i < n->is.address_count; i++)
		if (tt_ip_equal(&n->is.addresses[i], ip))
			return true;
	return false;
}

static uint32_t *locate_address(struct hub_registry *r, const struct tt_ip *ip)
{
	struct table *t = &r->addresses;
	uint32_t at = (uint32_t)hash(r->seed, ip, sizeof(*ip)) & (t->size - 1);

	while (t->slot[at] && !has_address(r->node[t->slot[at] - 1], ip))
		at = (at + 1) & (t->size - 1);
	return &t->slot[at];
}

/* Tables are rebuilt where a node's names change, which is rare: no tombstones. */
static void tables_rebuild(struct hub_registry *r)
{
	memset(r->names.slot, 0, r->names.size * sizeof(uint32_t));
	memset(r->keys.slot, 0, r->keys.size * sizeof(uint32_t));
	memset(r->addresses.slot, 0, r->addresses.size * sizeof(uint32_t));
	for (uint32_t i = 0; i < r->count; i++) {
		const struct hub_node *n = r->node[i];
		size_t len;

		if (n->is.revoked)
			continue;
		const void *key = key_of(n, BY_NAME, &len);
		*locate(r, BY_NAME, key, len) = i + 1;
		*locate(r, BY_KEY, n->is.wg_public_key, 32) = i + 1;
		for (unsigned a = 0; a < n->is.address_count; a++)
			*locate_address(r, &n->is.addresses[a]) = i + 1;
	}
}

static void tables_add(struct hub_registry *r, uint32_t position)
{
	const struct hub_node *n = r->node[position];

	if (n->is.revoked)
		return;
	*locate(r, BY_NAME, n->is.name, strlen(n->is.name)) = position + 1;
	*locate(r, BY_KEY, n->is.wg_public_key, 32) = position + 1;
	for (unsigned a = 0; a < n->is.address_count; a++)
		*locate_address(r, &n->is.addresses[a]) = position + 1;
}

/* --- life ------------------------------------------------------------------------------------- */

struct hub_registry *hub_registry_create(uint64_t epoch, uint64_t hash_seed)
{
	struct hub_registry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->names = (struct table){calloc(TABLE_SIZE, sizeof(uint32_t)), TABLE_SIZE};
	r->keys = (struct table){calloc(TABLE_SIZE, sizeof(uint32_t)), TABLE_SIZE};
	r->addresses =
		(struct table){calloc(ADDRESS_TABLE_SIZE, sizeof(uint32_t)), ADDRESS_TABLE_SIZE};
	r->epoch = epoch;
	r->seed = hash_seed;
	r->version = r->first_version = 1;
	if (!r->names.slot || !r->keys.slot || !r->addresses.slot) {
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
	free(r->names.slot);
	free(r->keys.slot);
	free(r->addresses.slot);
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

bool hub_registry_remembers(const struct hub_registry *r, uint64_t version)
{
	return version >= r->first_version && version <= r->version;
}

struct hub_node *hub_registry_change(struct hub_registry *r, uint64_t version)
{
	uint32_t at = r->changes[version & (HUB_CHANGES_MAX - 1)];

	return at ? r->node[at - 1] : NULL;
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct hub_node *hub_registry_find(struct hub_registry *r, uint32_t id)
{
	return id < r->id_capacity && r->by_id[id] ? r->node[r->by_id[id] - 1] : NULL;
}

struct hub_node *hub_registry_find_name(struct hub_registry *r, const char *name)
{
	uint32_t at = *locate(r, BY_NAME, name, strlen(name));

	return at ? r->node[at - 1] : NULL;
}

struct hub_node *hub_registry_find_key(struct hub_registry *r, const uint8_t key[32])
{
	uint32_t at = *locate(r, BY_KEY, key, 32);

	return at ? r->node[at - 1] : NULL;
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
		uint32_t at = *locate_address(r, &f->addresses[i]);
		if (at && r->node[at - 1]->is.id != f->id)
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
	tables_add(r, r->count - 1);
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

	free(n->is.subnets);
	n->is = *facts;
	facts->subnets = NULL;
	tables_rebuild(r);
	changed(r, r->by_id[n->is.id] - 1);
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

/* SPDX-License-Identifier: MIT */
#include "mesh/netmap.h"

#include "mesh/netmap_table.h"

const char *mesh_netmap_outcome_name(enum mesh_netmap_outcome o)
{
	static const char *const names[] = {
		[MESH_NETMAP_APPLIED] = "applied",
		[MESH_NETMAP_STAGED] = "staged",
		[MESH_NETMAP_OTHER_VERSION] = "other_version",
		[MESH_NETMAP_BAD_VERSION] = "bad_version",
		[MESH_NETMAP_BAD_CHAIN] = "bad_chain",
		[MESH_NETMAP_TOO_MANY_PEERS] = "too_many_peers",
		[MESH_NETMAP_TOO_MANY_SUBNETS] = "too_many_subnets",
		[MESH_NETMAP_BAD_ID] = "bad_id",
		[MESH_NETMAP_OWN_ID] = "own_id",
		[MESH_NETMAP_DUPLICATE_ID] = "duplicate_id",
		[MESH_NETMAP_BAD_NAME] = "bad_name",
		[MESH_NETMAP_OWN_NAME] = "own_name",
		[MESH_NETMAP_DUPLICATE_NAME] = "duplicate_name",
		[MESH_NETMAP_BAD_KEY] = "bad_key",
		[MESH_NETMAP_OWN_KEY] = "own_key",
		[MESH_NETMAP_DUPLICATE_KEY] = "duplicate_key",
		[MESH_NETMAP_BAD_ADDRESS] = "bad_address",
		[MESH_NETMAP_OWN_ADDRESS] = "own_address",
		[MESH_NETMAP_BAD_SUBNET] = "bad_subnet",
		[MESH_NETMAP_DEFAULT_ROUTE] = "default_route",
		[MESH_NETMAP_DUPLICATE_PREFIX] = "duplicate_prefix",
		[MESH_NETMAP_BAD_ROLE] = "bad_role",
		[MESH_NETMAP_CACHE_TRUNCATED] = "cache_truncated",
		[MESH_NETMAP_CACHE_VERSION] = "cache_version",
		[MESH_NETMAP_CACHE_FORGED] = "cache_forged",
	};

	return (unsigned)o < TT_ARRAY_LEN(names) ? names[o] : "unknown";
}

void mesh_netmap_set_self(struct mesh_netmap *map, const struct mesh_netmap_self *self)
{
	map->self = *self;
}

/* --- what has changed --------------------------------------------------------------------------
 */

static bool same_addresses(const struct mesh_netmap_peer *a, const struct mesh_netmap_peer *b)
{
	if (a->address_count != b->address_count)
		return false;
	for (uint8_t i = 0; i < a->address_count; i++) {
		if (!tt_ip_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	}
	return true;
}

static bool same_subnets(const struct mesh_netmap_peer *a, const struct mesh_netmap_peer *b)
{
	if (a->subnet_count != b->subnet_count)
		return false;
	for (uint8_t i = 0; i < a->subnet_count; i++) {
		if (a->subnets[i].bits != b->subnets[i].bits ||
		    !tt_ip_equal(&a->subnets[i].ip, &b->subnets[i].ip))
			return false;
	}
	return true;
}

static uint32_t differing(const struct mesh_netmap_peer *a, const struct mesh_netmap_peer *b)
{
	uint32_t fields = 0;

	if (strcmp(a->name, b->name) != 0)
		fields |= MESH_NETMAP_FIELD_NAME;
	if (!same_addresses(a, b))
		fields |= MESH_NETMAP_FIELD_ADDRESSES;
	if (!same_subnets(a, b))
		fields |= MESH_NETMAP_FIELD_SUBNETS;
	if (a->role != b->role)
		fields |= MESH_NETMAP_FIELD_ROLE;
	if (a->online != b->online)
		fields |= MESH_NETMAP_FIELD_ONLINE;
	if (a->keepalive_s != b->keepalive_s)
		fields |= MESH_NETMAP_FIELD_KEEPALIVE;
	return fields;
}

/* --- applying ----------------------------------------------------------------------------------
 */

/* The chain goes on, or a new one (of one or more) begins on what we have. */
static enum mesh_netmap_outcome begin(struct mesh_netmap *map, const Taltun__Hub__V1__MapUpdate *u)
{
	bool full = u->from_version == 0;

	if (map->staging) {
		bool same = u->epoch == map->stage_epoch && u->from_version == map->stage_from &&
			    u->version == map->stage_version &&
			    u->valid_until == map->stage_valid_until;

		return same ? MESH_NETMAP_APPLIED : MESH_NETMAP_BAD_CHAIN;
	}
	if (!full && (u->epoch != map->epoch || u->from_version != map->version))
		return MESH_NETMAP_OTHER_VERSION;
	if (u->version <= u->from_version)
		return MESH_NETMAP_BAD_VERSION;
	map->staging = true;
	map->stage_epoch = u->epoch;
	map->stage_from = u->from_version;
	map->stage_version = u->version;
	map->stage_valid_until = u->valid_until;
	mesh_netmap_stage_begin(map, full);
	return MESH_NETMAP_APPLIED;
}

/*
 * A peer as hub_codec has checked it. The bounds are looked at again, because what is copied here
 * lies in arrays of that size.
 */
static enum mesh_netmap_outcome convert(struct mesh_netmap_peer *p, struct tt_cidr *subnets,
					const Taltun__Hub__V1__Peer *from)
{
	struct tt_cidr addresses[MESH_HUB_ADDRESSES_MAX];
	int n = mesh_hub_prefixes_read(&from->addresses, addresses, MESH_HUB_ADDRESSES_MAX);
	int s = mesh_hub_prefixes_read(&from->subnets, subnets, MESH_HUB_SUBNETS_MAX);

	*p = (struct mesh_netmap_peer){.node_id = from->node_id,
				       .role = (uint8_t)from->role,
				       .online = from->online != 0,
				       .keepalive_s = (uint16_t)from->keepalive_s,
				       .subnets = subnets};
	if (!mesh_hub_text_copy(p->name, sizeof(p->name), &from->name) ||
	    strlen(p->name) != from->name.len)
		return MESH_NETMAP_BAD_NAME;
	if (from->wg_public_key.len != MESH_HUB_KEY_LEN)
		return MESH_NETMAP_BAD_KEY;
	memcpy(p->wg_public_key, from->wg_public_key.data, MESH_HUB_KEY_LEN);
	if (n < 0)
		return MESH_NETMAP_BAD_ADDRESS;
	if (s < 0)
		return MESH_NETMAP_BAD_SUBNET;
	p->address_count = (uint8_t)n;
	p->subnet_count = (uint8_t)s;
	for (int i = 0; i < n; i++) {
		if (addresses[i].bits != (addresses[i].ip.family == TT_FAMILY_V4 ? 32 : 128))
			return MESH_NETMAP_BAD_ADDRESS;
		p->addresses[i] = addresses[i].ip;
	}
	return MESH_NETMAP_APPLIED;
}

static enum mesh_netmap_outcome stage(struct mesh_netmap *map, const Taltun__Hub__V1__MapUpdate *u,
				      const struct mesh_netmap_rules *rules)
{
	struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX];
	enum mesh_netmap_outcome o = begin(map, u);
	struct mesh_netmap_peer p;

	if (o != MESH_NETMAP_APPLIED)
		return o;
	for (size_t i = 0; i < u->n_removed_ids; i++)
		mesh_netmap_stage_remove(map, u->removed_ids[i]);
	for (size_t i = 0; i < u->n_peers && o == MESH_NETMAP_APPLIED; i++) {
		map->refused_node_id = u->peers[i]->node_id;
		o = convert(&p, subnets, u->peers[i]);
		if (o == MESH_NETMAP_APPLIED)
			o = mesh_netmap_stage_peer(map, rules, &p);
	}
	if (o != MESH_NETMAP_APPLIED)
		return o;
	return u->more ? MESH_NETMAP_STAGED : mesh_netmap_stage_check(map);
}

/* --- the short way -----------------------------------------------------------------------------
 */

/* What nodes do all day: they connect and leave. Everything else goes by a new table. */
#define SHORT_PEERS  16
#define SHORT_FIELDS (MESH_NETMAP_FIELD_ONLINE | MESH_NETMAP_FIELD_KEEPALIVE)

/* The peer of ours that differs from it in such a field at most; NULL: there is none. */
static struct mesh_netmap_peer *short_match(struct mesh_netmap *map,
					    const Taltun__Hub__V1__MapUpdate *u, size_t i,
					    struct mesh_netmap_peer *p)
{
	struct mesh_netmap_table *t = &map->table[map->current];
	struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX];
	const struct mesh_netmap_peer *ours;

	for (size_t k = 0; k < i; k++)
		if (u->peers[k]->node_id == u->peers[i]->node_id)
			return NULL;
	/* subnets are for the rules to look at */
	if (u->peers[i]->subnets.len || convert(p, subnets, u->peers[i]) != MESH_NETMAP_APPLIED)
		return NULL;
	ours = mesh_netmap_table_find(map, t, p->node_id);
	if (!ours || memcmp(ours->wg_public_key, p->wg_public_key, MESH_HUB_KEY_LEN) != 0 ||
	    (differing(ours, p) & ~(uint32_t)SHORT_FIELDS))
		return NULL;
	p->subnets = ours->subnets;
	return &t->peers[ours - t->peers];
}

/* True: applied, in place. False: nothing was done. */
static bool apply_short(struct mesh_netmap *map, const Taltun__Hub__V1__MapUpdate *u,
			const struct mesh_netmap_listener *listener)
{
	struct mesh_netmap_peer *ours[SHORT_PEERS], is[SHORT_PEERS], was;

	if (map->staging || u->more || u->from_version == 0 || u->epoch != map->epoch ||
	    u->from_version != map->version || u->version <= u->from_version || u->n_removed_ids ||
	    u->n_peers > SHORT_PEERS)
		return false;
	for (size_t i = 0; i < u->n_peers; i++) {
		ours[i] = short_match(map, u, i, &is[i]);
		if (!ours[i])
			return false;
	}
	map->version = u->version;
	map->valid_until = u->valid_until;
	for (size_t i = 0; i < u->n_peers; i++) {
		struct mesh_netmap_change change = {MESH_NETMAP_CHANGED, 0, &was, ours[i]};

		was = *ours[i];
		change.fields = differing(&was, &is[i]);
		*ours[i] = is[i];
		if (change.fields)
			listener->changed(listener->ctx, &change);
	}
	return true;
}

enum mesh_netmap_outcome mesh_netmap_apply(struct mesh_netmap *map,
					   const Taltun__Hub__V1__MapUpdate *update,
					   const struct mesh_netmap_rules *rules,
					   const struct mesh_netmap_listener *listener)
{
	map->refused_node_id = 0;
	if (apply_short(map, update, listener))
		return MESH_NETMAP_APPLIED;
	enum mesh_netmap_outcome o = stage(map, update, rules);
	if (o != MESH_NETMAP_STAGED)
		map->staging = false;
	if (o != MESH_NETMAP_APPLIED)
		return o;
	map->epoch = update->epoch;
	map->version = update->version;
	map->valid_until = update->valid_until;
	mesh_netmap_stage_commit(map, listener);
	return MESH_NETMAP_APPLIED;
}

void mesh_netmap_abandon_chain(struct mesh_netmap *map)
{
	map->staging = false;
}

void mesh_netmap_forget_version(struct mesh_netmap *map)
{
	map->version = 0;
	map->epoch = 0;
	map->staging = false;
}

void mesh_netmap_clear(struct mesh_netmap *map, const struct mesh_netmap_listener *listener)
{
	mesh_netmap_forget_version(map);
	map->valid_until = 0;
	mesh_netmap_stage_begin(map, true);
	/* An empty table has nothing to refuse; the check makes its index of keys. */
	enum mesh_netmap_outcome o = mesh_netmap_stage_check(map);
	tt_assert(o == MESH_NETMAP_APPLIED);
	mesh_netmap_stage_commit(map, listener);
}

/* --- telling of it ------------------------------------------------------------------------------
 */

/* With that id and that key; NULL: none. */
static const struct mesh_netmap_peer *find_same(const struct mesh_netmap *map,
						const struct mesh_netmap_table *t,
						const struct mesh_netmap_peer *p)
{
	const struct mesh_netmap_peer *found = mesh_netmap_table_find(map, t, p->node_id);

	return found && memcmp(found->wg_public_key, p->wg_public_key, MESH_HUB_KEY_LEN) == 0
		       ? found
		       : NULL;
}

/* Peers of `was` that are not in `is`, or that are and differ. */
static void report_old(const struct mesh_netmap *map, const struct mesh_netmap_table *was,
		       const struct mesh_netmap_table *is, enum mesh_netmap_change_kind kind,
		       const struct mesh_netmap_listener *l)
{
	for (uint32_t i = 0; i < was->peer_used; i++) {
		const struct mesh_netmap_peer *old = &was->peers[i];
		const struct mesh_netmap_peer *new = find_same(map, is, old);
		struct mesh_netmap_change change = {kind, 0, old, new};

		if ((kind == MESH_NETMAP_REMOVED) != (new == NULL))
			continue;
		if (new)
			change.fields = differing(old, new);
		if (!new || change.fields)
			l->changed(l->ctx, &change);
	}
}

void mesh_netmap_stage_commit(struct mesh_netmap *map, const struct mesh_netmap_listener *listener)
{
	const struct mesh_netmap_table *was = &map->table[map->current];
	const struct mesh_netmap_table *is = mesh_netmap_stage(map);

	map->current = !map->current;
	map->subnets_ignored = map->stage_ignored;
	report_old(map, was, is, MESH_NETMAP_REMOVED, listener);
	report_old(map, was, is, MESH_NETMAP_CHANGED, listener);
	for (uint32_t i = 0; i < is->peer_used; i++) {
		struct mesh_netmap_change change = {MESH_NETMAP_ADDED, 0, NULL, &is->peers[i]};

		if (!find_same(map, was, &is->peers[i]))
			listener->changed(listener->ctx, &change);
	}
}

const struct mesh_netmap_peer *mesh_netmap_find(const struct mesh_netmap *map, uint32_t node_id)
{
	return mesh_netmap_table_find(map, &map->table[map->current], node_id);
}

const struct mesh_netmap_peer *mesh_netmap_find_key(const struct mesh_netmap *map,
						    const uint8_t wg_public_key[MESH_HUB_KEY_LEN])
{
	return mesh_netmap_table_find_key(map, &map->table[map->current], wg_public_key);
}

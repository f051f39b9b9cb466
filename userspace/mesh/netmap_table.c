/* SPDX-License-Identifier: MIT */
#include "mesh/netmap_table.h"

#include "crypto/mem.h"
#include "mesh/address.h"

/* --- memory ------------------------------------------------------------------------------------
 */

/* Room for dead entries, so that a small change does not compact the whole table. */
static uint32_t with_slack(uint32_t n)
{
	return n + TT_MAX(16u, n / 8);
}

static uint32_t slots_for(uint32_t entries)
{
	uint32_t slots = 16;

	while (slots < 2 * entries)
		slots *= 2;
	return slots;
}

static uint32_t scratch_entries(uint32_t peers, uint32_t subnets)
{
	return MESH_HUB_ADDRESSES_MAX * peers + subnets;
}

size_t mesh_netmap_memory_size(uint32_t peers, uint32_t subnets)
{
	size_t table = with_slack(peers) * sizeof(struct mesh_netmap_peer) +
		       with_slack(subnets) * sizeof(struct tt_cidr) +
		       2 * slots_for(with_slack(peers)) * sizeof(uint32_t);

	return 2 * TT_ALIGN_UP(table, (size_t)8) +
	       slots_for(scratch_entries(peers, subnets)) * sizeof(uint32_t);
}

static uint8_t *carve_table(const struct mesh_netmap *map, struct mesh_netmap_table *t, uint8_t *at)
{
	size_t index = (map->index_mask + 1) * sizeof(uint32_t);
	uint8_t *start = at;

	t->peers = (struct mesh_netmap_peer *)(void *)at;
	at += map->peer_room * sizeof(struct mesh_netmap_peer);
	t->subnets = (struct tt_cidr *)(void *)at;
	at += map->subnet_room * sizeof(struct tt_cidr);
	t->by_id = (uint32_t *)(void *)at;
	t->by_key = (uint32_t *)(void *)(at + index);
	at += 2 * index;
	return start + TT_ALIGN_UP((size_t)(at - start), (size_t)8);
}

void mesh_netmap_init(struct mesh_netmap *map, void *memory, uint32_t peers, uint32_t subnets,
		      uint64_t hash_seed)
{
	tt_assert(peers >= 1 && peers <= MESH_HUB_PEERS_MAX);
	tt_assert(subnets <= MESH_HUB_PEERS_MAX * MESH_HUB_SUBNETS_MAX);
	tt_assert(((uintptr_t)memory & (sizeof(void *) - 1)) == 0);
	memset(map, 0, sizeof(*map));
	map->hash_seed = hash_seed;
	map->peer_max = peers;
	map->subnet_max = subnets;
	map->peer_room = with_slack(peers);
	map->subnet_room = with_slack(subnets);
	map->index_mask = slots_for(map->peer_room) - 1;
	map->scratch_mask = slots_for(scratch_entries(peers, subnets)) - 1;
	uint8_t *at = carve_table(map, &map->table[0], memory);
	at = carve_table(map, &map->table[1], at);
	map->scratch = (uint32_t *)(void *)at;
}

/* --- looking up --------------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash(const struct mesh_netmap *map, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = map->hash_seed ^ len;

	for (; len >= 8; p += 8, len -= 8)
		h = mix(h ^ tt_load_le64(p), UINT64_C(0xd6e8feb86659fd93));
	for (; len; p++, len--)
		h = mix(h ^ *p, UINT64_C(0xa0761d6478bd642f));
	return (uint32_t)mix(h, map->hash_seed | 1);
}

static uint32_t hash_id(const struct mesh_netmap *map, uint32_t node_id)
{
	return hash(map, &node_id, sizeof(node_id));
}

const struct mesh_netmap_peer *mesh_netmap_table_find(const struct mesh_netmap *map,
						      const struct mesh_netmap_table *t,
						      uint32_t node_id)
{
	uint32_t slot = hash_id(map, node_id) & map->index_mask;

	for (; t->by_id[slot]; slot = (slot + 1) & map->index_mask) {
		const struct mesh_netmap_peer *p = &t->peers[t->by_id[slot] - 1];

		if (p->node_id == node_id && node_id != 0)
			return p;
	}
	return NULL;
}

/* The slot with this key, or the free one where it belongs. */
static uint32_t *key_slot(const struct mesh_netmap *map, const struct mesh_netmap_table *t,
			  const uint8_t key[MESH_HUB_KEY_LEN])
{
	uint32_t slot = hash(map, key, MESH_HUB_KEY_LEN) & map->index_mask;

	while (t->by_key[slot] &&
	       memcmp(t->peers[t->by_key[slot] - 1].wg_public_key, key, MESH_HUB_KEY_LEN) != 0)
		slot = (slot + 1) & map->index_mask;
	return &t->by_key[slot];
}

const struct mesh_netmap_peer *mesh_netmap_table_find_key(const struct mesh_netmap *map,
							  const struct mesh_netmap_table *t,
							  const uint8_t key[MESH_HUB_KEY_LEN])
{
	uint32_t at = *key_slot(map, t, key);

	return at ? &t->peers[at - 1] : NULL;
}

static void index_id(const struct mesh_netmap *map, struct mesh_netmap_table *t, uint32_t at)
{
	uint32_t slot = hash_id(map, t->peers[at].node_id) & map->index_mask;

	while (t->by_id[slot])
		slot = (slot + 1) & map->index_mask;
	t->by_id[slot] = at + 1;
}

/* --- staging -----------------------------------------------------------------------------------
 */

void mesh_netmap_stage_begin(struct mesh_netmap *map, bool empty)
{
	const struct mesh_netmap_table *from = &map->table[map->current];
	struct mesh_netmap_table *t = mesh_netmap_stage(map);
	size_t index = (map->index_mask + 1) * sizeof(uint32_t);

	map->stage_ignored = empty ? 0 : map->subnets_ignored;
	t->peer_used = t->peer_live = empty ? 0 : from->peer_used;
	t->subnet_used = t->subnet_live = empty ? 0 : from->subnet_used;
	map->stage_begin = t->peer_used;
	if (empty) {
		memset(t->by_id, 0, index);
		return;
	}
	memcpy(t->by_id, from->by_id, index);
	memcpy(t->peers, from->peers, from->peer_used * sizeof(*t->peers));
	memcpy(t->subnets, from->subnets, from->subnet_used * sizeof(*t->subnets));
	for (uint32_t i = 0; i < t->peer_used; i++)
		t->peers[i].subnets = t->subnets + (from->peers[i].subnets - from->subnets);
}

/* Dead entries go; the order stays, so that every peer moves towards the front. */
static void compact(struct mesh_netmap *map, struct mesh_netmap_table *t)
{
	uint32_t to = 0, subnet_to = 0, begin = 0;

	memset(t->by_id, 0, (map->index_mask + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < t->peer_used; i++) {
		struct mesh_netmap_peer *p = &t->peers[i];

		if (p->node_id == 0)
			continue;
		memmove(t->subnets + subnet_to, p->subnets, p->subnet_count * sizeof(*t->subnets));
		if (to != i)
			t->peers[to] = *p;
		t->peers[to].subnets = t->subnets + subnet_to;
		subnet_to += p->subnet_count;
		index_id(map, t, to++);
		begin += i < map->stage_begin;
	}
	t->peer_used = to;
	t->subnet_used = subnet_to;
	map->stage_begin = begin;
}

void mesh_netmap_stage_remove(struct mesh_netmap *map, uint32_t node_id)
{
	struct mesh_netmap_table *t = mesh_netmap_stage(map);
	const struct mesh_netmap_peer *found = mesh_netmap_table_find(map, t, node_id);

	if (!found)
		return;
	t->peers[found - t->peers].node_id = 0;
	t->peer_live--;
	t->subnet_live -= found->subnet_count;
}

/* Within something that the node's own configuration names. */
static bool is_accepted(const struct mesh_netmap_rules *rules, const struct tt_ip *ip, uint8_t bits)
{
	for (size_t i = 0; i < rules->accept_count; i++) {
		const struct tt_cidr *a = &rules->accept[i];

		if (a->bits <= bits && tt_cidr_contains(a, ip))
			return true;
	}
	return false;
}

static bool is_own(const struct mesh_netmap *map, const struct tt_ip *ip)
{
	for (uint8_t i = 0; i < map->self.address_count; i++) {
		if (tt_ip_equal(&map->self.addresses[i], ip))
			return true;
	}
	return false;
}

static enum mesh_netmap_outcome check_address(const struct mesh_netmap *map,
					      const struct mesh_netmap_rules *rules,
					      const struct tt_ip *ip)
{
	enum mesh_address_kind kind = mesh_address_classify(ip);

	if (is_own(map, ip))
		return MESH_NETMAP_OWN_ADDRESS;
	if (kind == MESH_ADDRESS_PRIVATE)
		return MESH_NETMAP_APPLIED;
	if (kind == MESH_ADDRESS_PUBLIC &&
	    is_accepted(rules, ip, ip->family == TT_FAMILY_V4 ? 32 : 128))
		return MESH_NETMAP_APPLIED;
	return MESH_NETMAP_BAD_ADDRESS;
}

/* An accepted subnet that no peer may have all the same. */
static enum mesh_netmap_outcome check_subnet(const struct mesh_netmap *map, const struct tt_cidr *s)
{
	enum mesh_address_kind kind = mesh_address_classify(&s->ip);
	uint8_t full = s->ip.family == TT_FAMILY_V4 ? 32 : 128;

	if (s->bits == full && is_own(map, &s->ip))
		return MESH_NETMAP_OWN_ADDRESS;
	if (kind == MESH_ADDRESS_LOOPBACK || kind == MESH_ADDRESS_LINK_LOCAL ||
	    kind == MESH_ADDRESS_MULTICAST)
		return MESH_NETMAP_BAD_SUBNET;
	return MESH_NETMAP_APPLIED;
}

/* Appends the accepted subnets; *count of them. */
static enum mesh_netmap_outcome stage_subnets(struct mesh_netmap *map,
					      const struct mesh_netmap_rules *rules,
					      const struct mesh_netmap_peer *p, uint8_t *count)
{
	struct mesh_netmap_table *t = mesh_netmap_stage(map);
	struct tt_cidr *to = t->subnets + t->subnet_used;
	enum mesh_netmap_outcome o;

	*count = 0;
	for (uint8_t i = 0; i < p->subnet_count; i++) {
		const struct tt_cidr *s = &p->subnets[i];

		if (!is_accepted(rules, &s->ip, s->bits)) {
			if (s->bits == 0)
				return MESH_NETMAP_DEFAULT_ROUTE;
			map->stage_ignored++;
			continue;
		}
		o = check_subnet(map, s);
		if (o != MESH_NETMAP_APPLIED)
			return o;
		if (t->subnet_live + *count == map->subnet_max)
			return MESH_NETMAP_TOO_MANY_SUBNETS;
		to[(*count)++] = *s;
	}
	return MESH_NETMAP_APPLIED;
}

static enum mesh_netmap_outcome check_peer(const struct mesh_netmap *map,
					   const struct mesh_netmap_rules *rules,
					   const struct mesh_netmap_peer *p)
{
	enum mesh_netmap_outcome o = MESH_NETMAP_APPLIED;

	if (p->node_id == 0)
		return MESH_NETMAP_BAD_ID;
	if (p->node_id == map->self.node_id)
		return MESH_NETMAP_OWN_ID;
	if (p->role != MESH_NETMAP_CLIENT && p->role != MESH_NETMAP_GATEWAY)
		return MESH_NETMAP_BAD_ROLE;
	if (!mesh_hub_name_is_valid(p->name, strlen(p->name)))
		return MESH_NETMAP_BAD_NAME;
	if (strcmp(p->name, map->self.name) == 0)
		return MESH_NETMAP_OWN_NAME;
	if (crypto_is_zero(p->wg_public_key, MESH_HUB_KEY_LEN))
		return MESH_NETMAP_BAD_KEY;
	if (crypto_equal(p->wg_public_key, rules->own_public_key, MESH_HUB_KEY_LEN))
		return MESH_NETMAP_OWN_KEY;
	if (p->subnet_count && p->role != MESH_NETMAP_GATEWAY)
		return MESH_NETMAP_BAD_SUBNET;
	if (p->address_count == 0)
		return MESH_NETMAP_BAD_ADDRESS;
	for (uint8_t i = 0; i < p->address_count && o == MESH_NETMAP_APPLIED; i++)
		o = check_address(map, rules, &p->addresses[i]);
	return o;
}

/* Makes place for one more peer with that many subnets; false where the live ones leave none. */
static bool make_room(struct mesh_netmap *map, struct mesh_netmap_table *t, uint8_t subnets)
{
	if (t->peer_live == map->peer_max)
		return false;
	if (t->peer_used == map->peer_room || map->subnet_room - t->subnet_used < subnets)
		compact(map, t);
	return true;
}

enum mesh_netmap_outcome mesh_netmap_stage_peer(struct mesh_netmap *map,
						const struct mesh_netmap_rules *rules,
						const struct mesh_netmap_peer *p)
{
	struct mesh_netmap_table *t = mesh_netmap_stage(map);
	const struct mesh_netmap_peer *old = mesh_netmap_table_find(map, t, p->node_id);
	enum mesh_netmap_outcome o;
	uint8_t count;

	map->refused_node_id = p->node_id;
	if (old && old - t->peers >= map->stage_begin)
		return MESH_NETMAP_DUPLICATE_ID;
	o = check_peer(map, rules, p);
	if (o != MESH_NETMAP_APPLIED)
		return o;
	mesh_netmap_stage_remove(map, p->node_id);
	if (!make_room(map, t, p->subnet_count))
		return MESH_NETMAP_TOO_MANY_PEERS;
	o = stage_subnets(map, rules, p, &count);
	if (o != MESH_NETMAP_APPLIED)
		return o;
	t->peers[t->peer_used] = *p;
	t->peers[t->peer_used].subnets = t->subnets + t->subnet_used;
	t->peers[t->peer_used].subnet_count = count;
	index_id(map, t, t->peer_used++);
	t->peer_live++;
	t->subnet_used += count;
	t->subnet_live += count;
	map->refused_node_id = 0;
	return MESH_NETMAP_APPLIED;
}

/* --- checking the whole ------------------------------------------------------------------------
 */

/* The scratch table, as large as so many entries need. Returns its mask. */
static uint32_t scratch_begin(struct mesh_netmap *map, uint32_t entries)
{
	uint32_t slots = slots_for(entries);

	tt_assert(slots <= map->scratch_mask + 1);
	memset(map->scratch, 0, slots * sizeof(uint32_t));
	return slots - 1;
}

static enum mesh_netmap_outcome check_keys(struct mesh_netmap *map, struct mesh_netmap_table *t)
{
	memset(t->by_key, 0, (map->index_mask + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < t->peer_used; i++) {
		uint32_t *slot = key_slot(map, t, t->peers[i].wg_public_key);

		map->refused_node_id = t->peers[i].node_id;
		if (*slot)
			return MESH_NETMAP_DUPLICATE_KEY;
		*slot = i + 1;
	}
	return MESH_NETMAP_APPLIED;
}

static enum mesh_netmap_outcome check_names(struct mesh_netmap *map, struct mesh_netmap_table *t)
{
	uint32_t mask = scratch_begin(map, t->peer_used);

	for (uint32_t i = 0; i < t->peer_used; i++) {
		const char *name = t->peers[i].name;
		uint32_t slot = hash(map, name, strlen(name)) & mask;

		map->refused_node_id = t->peers[i].node_id;
		for (; map->scratch[slot]; slot = (slot + 1) & mask) {
			if (strcmp(t->peers[map->scratch[slot] - 1].name, name) == 0)
				return MESH_NETMAP_DUPLICATE_NAME;
		}
		map->scratch[slot] = i + 1;
	}
	return MESH_NETMAP_APPLIED;
}

#define PREFIXES_OF_PEER (MESH_HUB_ADDRESSES_MAX + MESH_HUB_SUBNETS_MAX)

/* A prefix by its number: peer * PREFIXES_OF_PEER + which of its addresses, then subnets. */
static struct tt_cidr prefix_at(const struct mesh_netmap_table *t, uint32_t number)
{
	const struct mesh_netmap_peer *p = &t->peers[number / PREFIXES_OF_PEER];
	uint32_t i = number % PREFIXES_OF_PEER;

	if (i >= p->address_count)
		return p->subnets[i - p->address_count];
	return (struct tt_cidr){.ip = p->addresses[i],
				.bits = p->addresses[i].family == TT_FAMILY_V4 ? 32 : 128};
}

/* False where another peer, or the same one, has this prefix already. */
static bool claim_prefix(struct mesh_netmap *map, const struct mesh_netmap_table *t, uint32_t mask,
			 uint32_t number)
{
	struct tt_cidr prefix = prefix_at(t, number);
	uint8_t text[18] = {prefix.ip.family, prefix.bits};

	memcpy(text + 2, prefix.ip.b, 16);
	uint32_t slot = hash(map, text, sizeof(text)) & mask;
	for (; map->scratch[slot]; slot = (slot + 1) & mask) {
		struct tt_cidr other = prefix_at(t, map->scratch[slot] - 1);

		if (other.bits == prefix.bits && tt_ip_equal(&other.ip, &prefix.ip))
			return false;
	}
	map->scratch[slot] = number + 1;
	return true;
}

static enum mesh_netmap_outcome check_prefixes(struct mesh_netmap *map, struct mesh_netmap_table *t)
{
	uint32_t mask = scratch_begin(map, scratch_entries(t->peer_used, t->subnet_used));

	for (uint32_t i = 0; i < t->peer_used; i++) {
		const struct mesh_netmap_peer *p = &t->peers[i];
		uint32_t count = (uint32_t)p->address_count + p->subnet_count;

		map->refused_node_id = p->node_id;
		for (uint32_t k = 0; k < count; k++) {
			if (!claim_prefix(map, t, mask, i * PREFIXES_OF_PEER + k))
				return MESH_NETMAP_DUPLICATE_PREFIX;
		}
	}
	return MESH_NETMAP_APPLIED;
}

enum mesh_netmap_outcome mesh_netmap_stage_check(struct mesh_netmap *map)
{
	struct mesh_netmap_table *t = mesh_netmap_stage(map);
	enum mesh_netmap_outcome o;

	compact(map, t);
	o = check_keys(map, t);
	if (o == MESH_NETMAP_APPLIED)
		o = check_names(map, t);
	if (o == MESH_NETMAP_APPLIED)
		o = check_prefixes(map, t);
	if (o == MESH_NETMAP_APPLIED)
		map->refused_node_id = 0;
	return o;
}

/* SPDX-License-Identifier: MIT */
#include "mesh/netmap.h"

#include "base/cursor.h"
#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "mesh/netmap_table.h"

/*
 *	magic "TALTMAP" and a zero | version u16 | zero u16 | length u32 of all
 *	epoch u64 | version u64 | valid_until u64 | digest of `accept` 16 | subnets ignored u32
 *	self: node_id u32 | name | addresses
 *	count u32, and so many peers:
 *		node_id u32 | role u8 | online u8 | keepalive_s u16 | key 32 | name | addresses |
 *subnets MAC 32 name: length u8, characters. addresses: count u8, then family u8, address. subnets:
 *count u8, then family u8, bits u8, address. Integers are big-endian.
 */
#define MAGIC	       "TALTMAP"
#define MAGIC_LEN      8
#define FORMAT	       1
#define DIGEST_LEN     16
#define MAC_LEN	       32
#define HEADER_LEN     (MAGIC_LEN + 8)
#define FIXED_LEN      (HEADER_LEN + 3 * 8 + DIGEST_LEN + 4)
#define PEER_FIXED_LEN (4 + 4 + MESH_HUB_KEY_LEN)
#define NAME_LEN_MAX   (1 + MESH_HUB_NAME_MAX)
#define ADDRESSES_MAX  (1 + MESH_HUB_ADDRESSES_MAX * 17)

void mesh_netmap_cache_key(uint8_t key[MESH_NETMAP_CACHE_KEY_LEN],
			   const uint8_t wg_private_key[MESH_HUB_KEY_LEN])
{
	static const char label[] = "taltun map cache v1";

	crypto_blake2s(key, MESH_NETMAP_CACHE_KEY_LEN, wg_private_key, MESH_HUB_KEY_LEN, label,
		       sizeof(label) - 1);
}

/* What was accepted when the peers' subnets were chosen. */
static void accept_digest(uint8_t digest[DIGEST_LEN], const struct mesh_netmap_rules *rules)
{
	struct crypto_blake2s s;

	crypto_blake2s_init(&s, DIGEST_LEN, NULL, 0);
	for (size_t i = 0; i < rules->accept_count; i++) {
		const struct tt_cidr *a = &rules->accept[i];
		uint8_t head[2] = {a->ip.family, a->bits};

		crypto_blake2s_update(&s, head, sizeof(head));
		crypto_blake2s_update(&s, a->ip.b, sizeof(a->ip.b));
	}
	crypto_blake2s_final(&s, digest);
}

size_t mesh_netmap_cache_size_max(uint32_t peers, uint32_t subnets)
{
	return FIXED_LEN + 4 + NAME_LEN_MAX + ADDRESSES_MAX + 4 +
	       (size_t)peers * (PEER_FIXED_LEN + NAME_LEN_MAX + ADDRESSES_MAX + 1) +
	       (size_t)subnets * 18 + MAC_LEN;
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* With p NULL only counts, so that size and content cannot differ. */
struct writer {
	uint8_t *p;
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->p)
		memcpy(w->p + w->len, data, len);
	w->len += len;
}

static void put_number(struct writer *w, uint64_t v, size_t len)
{
	uint8_t b[8];

	tt_store_be64(b, v);
	put(w, b + 8 - len, len);
}

static void put_name(struct writer *w, const char *name)
{
	size_t len = strlen(name);

	put_number(w, len, 1);
	put(w, name, len);
}

static void put_ip(struct writer *w, const struct tt_ip *ip)
{
	put(w, ip->b, ip->family == TT_FAMILY_V4 ? 4 : 16);
}

static void put_addresses(struct writer *w, const struct tt_ip *list, uint8_t count)
{
	put_number(w, count, 1);
	for (uint8_t i = 0; i < count; i++) {
		put_number(w, list[i].family, 1);
		put_ip(w, &list[i]);
	}
}

static void put_subnets(struct writer *w, const struct tt_cidr *list, uint8_t count)
{
	put_number(w, count, 1);
	for (uint8_t i = 0; i < count; i++) {
		put_number(w, list[i].ip.family, 1);
		put_number(w, list[i].bits, 1);
		put_ip(w, &list[i].ip);
	}
}

static void put_peer(struct writer *w, const struct mesh_netmap_peer *p)
{
	put_number(w, p->node_id, 4);
	put_number(w, p->role, 1);
	/* belongs to the version: the hub tells only what has changed since */
	put_number(w, p->online, 1);
	put_number(w, p->keepalive_s, 2);
	put(w, p->wg_public_key, MESH_HUB_KEY_LEN);
	put_name(w, p->name);
	put_addresses(w, p->addresses, p->address_count);
	put_subnets(w, p->subnets, p->subnet_count);
}

/* Everything but the MAC. */
static void put_map(struct writer *w, const struct mesh_netmap *map,
		    const uint8_t digest[DIGEST_LEN], uint32_t length)
{
	put(w, MAGIC, MAGIC_LEN);
	put_number(w, FORMAT, 2);
	put_number(w, 0, 2);
	put_number(w, length, 4);
	put_number(w, map->epoch, 8);
	put_number(w, map->version, 8);
	put_number(w, map->valid_until, 8);
	put(w, digest, DIGEST_LEN);
	put_number(w, map->subnets_ignored, 4);
	put_number(w, map->self.node_id, 4);
	put_name(w, map->self.name);
	put_addresses(w, map->self.addresses, map->self.address_count);
	put_number(w, mesh_netmap_count(map), 4);
	for (uint32_t i = 0; i < mesh_netmap_count(map); i++)
		put_peer(w, mesh_netmap_at(map, i));
}

size_t mesh_netmap_cache_size(const struct mesh_netmap *map)
{
	static const uint8_t digest[DIGEST_LEN];
	struct writer count = {NULL, 0};

	put_map(&count, map, digest, 0);
	return count.len + MAC_LEN;
}

size_t mesh_netmap_cache_write(const struct mesh_netmap *map, const struct mesh_netmap_rules *rules,
			       const uint8_t key[MESH_NETMAP_CACHE_KEY_LEN], uint8_t *space,
			       size_t room)
{
	size_t len = mesh_netmap_cache_size(map);
	struct writer w = {space, 0};
	uint8_t digest[DIGEST_LEN];

	if (room < len)
		return 0;
	accept_digest(digest, rules);
	put_map(&w, map, digest, (uint32_t)len);
	crypto_blake2s(space + w.len, MAC_LEN, key, MESH_NETMAP_CACHE_KEY_LEN, space, w.len);
	return len;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static uint64_t get_u64(struct tt_cursor *c)
{
	uint64_t high = tt_cursor_be32(c);

	return high << 32 | tt_cursor_be32(c);
}

static void get_name(struct tt_cursor *c, char name[MESH_HUB_NAME_MAX + 1])
{
	size_t len = tt_cursor_u8(c);
	const uint8_t *text = tt_cursor_take(c, len);

	memset(name, 0, MESH_HUB_NAME_MAX + 1);
	if (!text || len > MESH_HUB_NAME_MAX)
		c->bad = true;
	else
		memcpy(name, text, len);
	/* A zero inside is no end. */
	if (tt_cursor_ok(c) && strlen(name) != len)
		c->bad = true;
}

static struct tt_ip get_ip(struct tt_cursor *c, uint8_t family)
{
	const uint8_t *b = tt_cursor_take(c, family == TT_FAMILY_V4 ? 4 : 16);
	struct tt_ip ip = {0};

	if (b && family == TT_FAMILY_V4)
		ip = tt_ip_v4(b);
	else if (b && family == TT_FAMILY_V6)
		ip = tt_ip_v6(b);
	if (ip.family != family || family == TT_FAMILY_NONE)
		c->bad = true;
	return ip;
}

static uint8_t get_addresses(struct tt_cursor *c, struct tt_ip list[MESH_HUB_ADDRESSES_MAX])
{
	uint8_t count = tt_cursor_u8(c);

	if (count > MESH_HUB_ADDRESSES_MAX)
		c->bad = true;
	for (uint8_t i = 0; i < count && tt_cursor_ok(c); i++)
		list[i] = get_ip(c, tt_cursor_u8(c));
	return tt_cursor_ok(c) ? count : 0;
}

static uint8_t get_subnets(struct tt_cursor *c, struct tt_cidr list[MESH_HUB_SUBNETS_MAX])
{
	uint8_t count = tt_cursor_u8(c);

	if (count > MESH_HUB_SUBNETS_MAX)
		c->bad = true;
	for (uint8_t i = 0; i < count && tt_cursor_ok(c); i++) {
		uint8_t family = tt_cursor_u8(c), bits = tt_cursor_u8(c);

		list[i] = (struct tt_cidr){.ip = get_ip(c, family), .bits = bits};
		if (bits > (family == TT_FAMILY_V4 ? 32 : 128) || tt_cidr_mask(&list[i]))
			c->bad = true;
	}
	return tt_cursor_ok(c) ? count : 0;
}

static void get_peer(struct tt_cursor *c, struct mesh_netmap_peer *p,
		     struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX])
{
	const uint8_t *key;

	*p = (struct mesh_netmap_peer){.subnets = subnets};
	p->node_id = tt_cursor_be32(c);
	p->role = tt_cursor_u8(c);
	uint8_t online = tt_cursor_u8(c);
	if (online > 1)
		c->bad = true;
	p->online = online == 1;
	p->keepalive_s = tt_cursor_be16(c);
	key = tt_cursor_take(c, MESH_HUB_KEY_LEN);
	if (key)
		memcpy(p->wg_public_key, key, MESH_HUB_KEY_LEN);
	get_name(c, p->name);
	p->address_count = get_addresses(c, p->addresses);
	p->subnet_count = get_subnets(c, subnets);
}

/* Header and MAC; afterwards c is over what lies between them. */
static enum mesh_netmap_outcome open_cache(struct tt_cursor *c, const uint8_t *bytes, size_t len,
					   const uint8_t key[MESH_NETMAP_CACHE_KEY_LEN])
{
	uint8_t mac[MAC_LEN];

	if (len < FIXED_LEN + MAC_LEN)
		return MESH_NETMAP_CACHE_TRUNCATED;
	if (memcmp(bytes, MAGIC, MAGIC_LEN) != 0 ||
	    tt_load_be32(bytes + MAGIC_LEN) != (uint32_t)FORMAT << 16)
		return MESH_NETMAP_CACHE_VERSION;
	if (tt_load_be32(bytes + MAGIC_LEN + 4) != len)
		return MESH_NETMAP_CACHE_TRUNCATED;
	crypto_blake2s(mac, MAC_LEN, key, MESH_NETMAP_CACHE_KEY_LEN, bytes, len - MAC_LEN);
	if (!crypto_equal(mac, bytes + len - MAC_LEN, MAC_LEN))
		return MESH_NETMAP_CACHE_FORGED;
	*c = tt_cursor_over(bytes + HEADER_LEN, len - HEADER_LEN - MAC_LEN);
	return MESH_NETMAP_APPLIED;
}

static enum mesh_netmap_outcome get_self(struct tt_cursor *c, struct mesh_netmap_self *self)
{
	memset(self, 0, sizeof(*self));
	self->node_id = tt_cursor_be32(c);
	get_name(c, self->name);
	self->address_count = get_addresses(c, self->addresses);
	if (!tt_cursor_ok(c))
		return MESH_NETMAP_CACHE_TRUNCATED;
	return self->name[0] == 0 || mesh_hub_name_is_valid(self->name, strlen(self->name))
		       ? MESH_NETMAP_APPLIED
		       : MESH_NETMAP_BAD_NAME;
}

static enum mesh_netmap_outcome get_peers(struct tt_cursor *c, struct mesh_netmap *map,
					  const struct mesh_netmap_rules *rules)
{
	struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX];
	enum mesh_netmap_outcome o = MESH_NETMAP_APPLIED;
	uint32_t count = tt_cursor_be32(c);
	struct mesh_netmap_peer p;

	mesh_netmap_stage_begin(map, true);
	for (; count && o == MESH_NETMAP_APPLIED; count--) {
		get_peer(c, &p, subnets);
		if (!tt_cursor_ok(c))
			return MESH_NETMAP_CACHE_TRUNCATED;
		o = mesh_netmap_stage_peer(map, rules, &p);
	}
	if (o == MESH_NETMAP_APPLIED && tt_cursor_left(c) > 0)
		return MESH_NETMAP_CACHE_TRUNCATED;
	return o == MESH_NETMAP_APPLIED ? mesh_netmap_stage_check(map) : o;
}

enum mesh_netmap_outcome mesh_netmap_cache_read(struct mesh_netmap *map,
						const struct mesh_netmap_rules *rules,
						const struct mesh_netmap_listener *listener,
						const uint8_t key[MESH_NETMAP_CACHE_KEY_LEN],
						const uint8_t *bytes, size_t len)
{
	struct mesh_netmap_self before = map->self;
	uint8_t digest[DIGEST_LEN];
	struct tt_cursor c;

	map->refused_node_id = 0;
	map->staging = false;
	enum mesh_netmap_outcome o = open_cache(&c, bytes, len, key);
	if (o != MESH_NETMAP_APPLIED)
		return o;
	uint64_t epoch = get_u64(&c), version = get_u64(&c), valid_until = get_u64(&c);
	const uint8_t *then = tt_cursor_take(&c, DIGEST_LEN);
	uint32_t ignored = tt_cursor_be32(&c);
	o = get_self(&c, &map->self);
	if (o == MESH_NETMAP_APPLIED)
		o = get_peers(&c, map, rules);
	if (o != MESH_NETMAP_APPLIED) {
		map->self = before;
		return o;
	}
	map->stage_ignored += ignored;
	accept_digest(digest, rules);
	bool same = memcmp(digest, then, DIGEST_LEN) == 0;
	map->epoch = same ? epoch : 0;
	map->version = same ? version : 0;
	map->valid_until = valid_until;
	mesh_netmap_stage_commit(map, listener);
	return MESH_NETMAP_APPLIED;
}

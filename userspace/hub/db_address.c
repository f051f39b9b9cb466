/* SPDX-License-Identifier: MIT
 *
 * Addresses of the pools. The lowest free one goes first; the first host address of a pool is for a
 * gateway. An address of a revoked node rests for a week, so that nobody is taken for somebody else
 * by who has not heard yet; a node of the same name and role gets it back at once.
 */
#include "hub/db_impl.h"

static size_t length(const struct tt_cidr *pool)
{
	return pool->ip.family == TT_FAMILY_V4 ? 4 : 16;
}

/* False where it was the last there is. */
static bool next_address(uint8_t *b, size_t len)
{
	for (size_t i = len; i-- > 0;)
		if (++b[i] != 0)
			return true;
	return false;
}

/* The last address of the pool; the IPv4 broadcast address is none. */
static void last_address(const struct tt_cidr *pool, uint8_t *b)
{
	size_t len = length(pool);

	memcpy(b, pool->ip.b, len);
	for (size_t bit = pool->bits; bit < len * 8; bit++)
		b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	if (pool->ip.family == TT_FAMILY_V4)
		b[3] &= 0xfe;
}

/* What a node of that name had, and nobody has now. */
static enum hub_db_outcome find_own(struct hub_db *db, const struct tt_cidr *pool, const char *name,
				    enum hub_role role, uint8_t *b, bool *found)
{
	struct hub_query q =
		hub_query_begin(db,
				"SELECT address FROM addresses JOIN nodes ON nodes.id = node_id"
				" WHERE family = ? AND released_s <> 0 AND name = ? AND role = ?"
				" ORDER BY released_s DESC LIMIT 1");

	hub_query_int(&q, 1, pool->ip.family);
	hub_query_text(&q, 2, name);
	hub_query_int(&q, 3, role);
	*found = hub_query_row(&q) && hub_query_get_blob(&q, 0, b, length(pool));
	if (*found) {
		struct tt_ip ip = pool->ip.family == TT_FAMILY_V4 ? tt_ip_v4(b) : tt_ip_v6(b);
		*found = tt_cidr_contains(pool, &ip);
	}
	return hub_query_end(&q);
}

static enum hub_db_outcome find_free(struct hub_db *db, const struct tt_cidr *pool,
				     enum hub_role role, uint64_t now_s, uint8_t *b)
{
	struct hub_query q =
		hub_query_begin(db,
				"SELECT address FROM addresses WHERE family = ? AND address >= ?"
				" AND (released_s = 0 OR released_s > ?) ORDER BY address");
	size_t len = length(pool);
	uint8_t last[16], taken[16];

	last_address(pool, last);
	memcpy(b, pool->ip.b, len);
	next_address(b, len);
	if (role != HUB_ROLE_GATEWAY)
		next_address(b, len);
	hub_query_int(&q, 1, pool->ip.family);
	hub_query_blob(&q, 2, b, len);
	hub_query_int(&q, 3, now_s > HUB_DB_ADDRESS_KEEP ? now_s - HUB_DB_ADDRESS_KEEP : 0);
	while (memcmp(b, last, len) <= 0 && hub_query_row(&q)) {
		if (!hub_query_get_blob(&q, 0, taken, len) || memcmp(taken, b, len) != 0)
			break;
		if (!next_address(b, len))
			break;
	}
	enum hub_db_outcome o = hub_query_end(&q);

	return o == HUB_DB_OK && memcmp(b, last, len) > 0 ? HUB_DB_NO_ADDRESS : o;
}

static enum hub_db_outcome take_one(struct hub_db *db, const struct tt_cidr *pool, uint32_t node_id,
				    const char *name, enum hub_role role, uint64_t now_s,
				    struct tt_ip *out)
{
	uint8_t b[16] = {0};
	bool found;
	enum hub_db_outcome o = find_own(db, pool, name, role, b, &found);

	if (o == HUB_DB_OK && !found)
		o = find_free(db, pool, role, now_s, b);
	if (o != HUB_DB_OK)
		return o;
	*out = pool->ip.family == TT_FAMILY_V4 ? tt_ip_v4(b) : tt_ip_v6(b);
	struct hub_query q = hub_query_begin(
		db, "INSERT OR REPLACE INTO addresses (family, address, node_id) VALUES (?, ?, ?)");
	hub_query_int(&q, 1, pool->ip.family);
	hub_query_blob(&q, 2, b, length(pool));
	hub_query_int(&q, 3, node_id);
	return hub_query_do(&q);
}

enum hub_db_outcome hub_db_addresses_take(struct hub_db *db, uint32_t node_id, const char *name,
					  enum hub_role role, uint64_t now_s,
					  struct hub_node_facts *out)
{
	struct hub_settings s;
	enum hub_db_outcome o = hub_db_settings_load(db, &s);
	const struct tt_cidr *pools[] = {&s.pool4, &s.pool6};

	out->address_count = 0;
	for (unsigned i = 0; o == HUB_DB_OK && i < TT_ARRAY_LEN(pools); i++)
		if (pools[i]->bits)
			o = take_one(db, pools[i], node_id, name, role, now_s,
				     &out->addresses[out->address_count++]);
	return o == HUB_DB_OK && !out->address_count ? HUB_DB_NO_ADDRESS : o;
}

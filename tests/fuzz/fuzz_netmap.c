/* SPDX-License-Identifier: MIT
 *
 * What a hostile hub or file may do to the map. The first byte chooses:
 *	even  the rest is a cached map without its MAC; length and MAC are made right
 *	odd   the rest is a list of ToNode messages, each behind its length (2), applied one by one
 * Afterwards: nobody has our key or address, no key or prefix has two owners, and what was written
 * is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "crypto/blake2s.h"
#include "mesh/netmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS	  12
#define SUBNETS	  80
#define CACHE_MAX 8192

static struct mesh_netmap map;
static struct mesh_netmap_rules rules;
static uint64_t memory[8192];
static uint8_t arena_memory[MESH_HUB_ARENA_MAP], cache[CACHE_MAX + 32];
static uint8_t key[MESH_NETMAP_CACHE_KEY_LEN];
static long peers;

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void on_change(void *ctx, const struct mesh_netmap_change *c)
{
	(void)ctx;
	require(c->was || c->is);
	peers += (c->is != NULL) - (c->was != NULL);
}

static const struct mesh_netmap_listener listener = {on_change, NULL};

static void begin(void)
{
	static struct tt_cidr accept[2];
	struct mesh_netmap_self self = {.node_id = 1, .address_count = 1, .name = "me"};

	require(mesh_netmap_memory_size(PEERS, SUBNETS) <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	mesh_netmap_init(&map, memory, PEERS, SUBNETS, 1);
	tt_ip_parse("10.0.0.1", &self.addresses[0]);
	mesh_netmap_set_self(&map, &self);
	tt_cidr_parse("192.168.0.0/16", &accept[0]);
	tt_cidr_parse("fd00::/8", &accept[1]);
	rules.accept = accept;
	rules.accept_count = 2;
	memset(rules.own_public_key, 0x55, sizeof(rules.own_public_key));
	peers = 0;
}

static void check_peer(const struct mesh_netmap_peer *p)
{
	require(p->node_id && p->node_id != map.self.node_id);
	require(memcmp(p->wg_public_key, rules.own_public_key, 32) != 0);
	require(mesh_hub_name_is_valid(p->name, strlen(p->name)));
	require(mesh_netmap_find(&map, p->node_id) == p);
	require(mesh_netmap_find_key(&map, p->wg_public_key) == p);
	require(p->address_count >= 1 && p->address_count <= MESH_HUB_ADDRESSES_MAX);
	for (uint8_t i = 0; i < p->address_count; i++) {
		for (uint8_t k = 0; k < map.self.address_count; k++)
			require(!tt_ip_equal(&p->addresses[i], &map.self.addresses[k]));
	}
	for (uint8_t i = 0; i < p->subnet_count; i++)
		require(p->subnets[i].bits >= 8);
}

static void check_map(void)
{
	require(peers == (long)mesh_netmap_count(&map) && peers <= PEERS);
	for (uint32_t i = 0; i < mesh_netmap_count(&map); i++) {
		const struct mesh_netmap_peer *a = mesh_netmap_at(&map, i);

		check_peer(a);
		for (uint32_t k = 0; k < i; k++) {
			const struct mesh_netmap_peer *b = mesh_netmap_at(&map, k);

			require(strcmp(a->name, b->name) != 0);
			require(!tt_ip_equal(&a->addresses[0], &b->addresses[0]));
		}
	}
}

static void try_cache(const uint8_t *data, size_t size)
{
	size = TT_MIN(size, (size_t)CACHE_MAX);
	memcpy(cache, data, size);
	if (size >= 16)
		tt_store_be32(cache + 12, (uint32_t)size + 32);
	crypto_blake2s(cache + size, 32, key, sizeof(key), cache, size);
	mesh_netmap_cache_read(&map, &rules, &listener, key, cache, size + 32);
}

static void try_updates(const uint8_t *data, size_t size)
{
	struct tt_cursor in = tt_cursor_over(data, size);
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena arena;

	while (tt_cursor_left(&in) >= 2) {
		size_t len = tt_cursor_be16(&in);
		const uint8_t *p = tt_cursor_take(&in, TT_MIN(len, tt_cursor_left(&in)));

		mesh_hub_arena_init(&arena, arena_memory, sizeof(arena_memory));
		mesh_hub_to_node_unpack(&arena, p, (size_t)(in.p - p), &m);
		if (!m || m->message_case != TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE)
			continue;
		uint64_t version = map.version;
		enum mesh_netmap_outcome o =
			mesh_netmap_apply(&map, m->map_update, &rules, &listener);
		require(o == MESH_NETMAP_APPLIED || map.version == version);
		check_map();
	}
}

static void write_and_read(void)
{
	static uint8_t space[65536];
	struct mesh_netmap_self self = map.self;
	size_t n = mesh_netmap_cache_write(&map, &rules, key, space, sizeof(space));
	uint32_t count = mesh_netmap_count(&map);

	require(n > 0 && n <= mesh_netmap_cache_size_max(PEERS, SUBNETS));
	begin();
	mesh_netmap_set_self(&map, &self);
	require(mesh_netmap_cache_read(&map, &rules, &listener, key, space, n) ==
		MESH_NETMAP_APPLIED);
	require(mesh_netmap_count(&map) == count);
	check_map();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	begin();
	if (data[0] & 1)
		try_updates(data + 1, size - 1);
	else
		try_cache(data + 1, size - 1);
	check_map();
	write_and_read();
	return 0;
}

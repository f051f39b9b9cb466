/* SPDX-License-Identifier: MIT
 *
 * The node's map: which peers the hub lets it see. Updates come from a hub that may be hostile; an
 * update (or a chain of them) applies whole or not at all, and what it changes is reported peer by
 * peer. The map outlives the hub: it can be written to a file, with a MAC under the node's key.
 *
 * Pure: fixed tables in memory of the caller, no clock, no randomness. One thread.
 */
#ifndef TT_MESH_NETMAP_H
#define TT_MESH_NETMAP_H

#include "base/addr.h"
#include "mesh/hub_codec.h"

enum mesh_netmap_role {
	MESH_NETMAP_CLIENT = TALTUN__HUB__V1__ROLE__ROLE_CLIENT,
	MESH_NETMAP_GATEWAY = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY,
};

struct mesh_netmap_peer {
	uint32_t node_id;
	uint8_t role; /* enum mesh_netmap_role */
	bool online;  /* connected to the hub, as far as the hub said */
	uint8_t address_count;
	uint8_t subnet_count;
	uint16_t keepalive_s; /* 0: nothing said */
	uint8_t wg_public_key[MESH_HUB_KEY_LEN];
	char name[MESH_HUB_NAME_MAX + 1];
	struct tt_ip addresses[MESH_HUB_ADDRESSES_MAX];
	const struct tt_cidr *subnets; /* the accepted ones; in the map's memory */
};

/* Who we are to the hub, from Enrolled or Welcome. */
struct mesh_netmap_self {
	uint32_t node_id;
	uint8_t address_count;
	char name[MESH_HUB_NAME_MAX + 1];
	struct tt_ip addresses[MESH_HUB_ADDRESSES_MAX];
};

/*
 * What the node's own configuration says. A peer's address must be private (RFC 1918, 100.64/10,
 * fc00::/7) or within `accept`; a subnet that is not within `accept` is left out (and counted); a
 * default route is refused unless `accept` has that very route.
 */
struct mesh_netmap_rules {
	uint8_t own_public_key[MESH_HUB_KEY_LEN];
	const struct tt_cidr *accept; /* host bits zero; must stay in place during a call only */
	size_t accept_count;
};

enum mesh_netmap_outcome {
	MESH_NETMAP_APPLIED, /* the map is what the update says */
	MESH_NETMAP_STAGED,  /* one of a chain; the map has not changed yet */
	/* Refused: the map has not changed, a chain is forgotten. Ask for a full map. */
	MESH_NETMAP_OTHER_VERSION, /* builds on an epoch or version that is not ours */
	MESH_NETMAP_BAD_VERSION,   /* not newer than what it builds on */
	MESH_NETMAP_BAD_CHAIN,	   /* does not go on as the chain began */
	MESH_NETMAP_TOO_MANY_PEERS,
	MESH_NETMAP_TOO_MANY_SUBNETS,
	MESH_NETMAP_BAD_ID,
	MESH_NETMAP_OWN_ID,
	MESH_NETMAP_DUPLICATE_ID, /* twice in one update or chain */
	MESH_NETMAP_BAD_NAME,
	MESH_NETMAP_OWN_NAME,
	MESH_NETMAP_DUPLICATE_NAME,
	MESH_NETMAP_BAD_KEY,
	MESH_NETMAP_OWN_KEY,
	MESH_NETMAP_DUPLICATE_KEY,
	MESH_NETMAP_BAD_ADDRESS, /* none at all, not a host's, public and not accepted */
	MESH_NETMAP_OWN_ADDRESS,
	MESH_NETMAP_BAD_SUBNET, /* no prefix, or not a gateway's */
	MESH_NETMAP_DEFAULT_ROUTE,
	MESH_NETMAP_DUPLICATE_PREFIX, /* an address or accepted subnet with two owners */
	MESH_NETMAP_BAD_ROLE,
	/* of the cached form only */
	MESH_NETMAP_CACHE_TRUNCATED,
	MESH_NETMAP_CACHE_VERSION, /* written by another version, or no cached map at all */
	MESH_NETMAP_CACHE_FORGED,  /* the MAC is wrong */
};

/* "duplicate_key"; never NULL. */
const char *mesh_netmap_outcome_name(enum mesh_netmap_outcome o);

enum mesh_netmap_change_kind {
	MESH_NETMAP_REMOVED,
	MESH_NETMAP_CHANGED,
	MESH_NETMAP_ADDED,
};

/* What differs in a CHANGED peer. */
enum mesh_netmap_field {
	MESH_NETMAP_FIELD_NAME = 1 << 0,
	MESH_NETMAP_FIELD_ADDRESSES = 1 << 1,
	MESH_NETMAP_FIELD_SUBNETS = 1 << 2,
	MESH_NETMAP_FIELD_ROLE = 1 << 3,
	MESH_NETMAP_FIELD_ONLINE = 1 << 4,
	MESH_NETMAP_FIELD_KEEPALIVE = 1 << 5,
};

/* Valid during the call. A changed key is another WireGuard peer under the same node id: REMOVED,
 * and then ADDED. */
struct mesh_netmap_change {
	enum mesh_netmap_change_kind kind;
	uint32_t fields;		    /* CHANGED: enum mesh_netmap_field, or'ed */
	const struct mesh_netmap_peer *was; /* NULL: ADDED */
	const struct mesh_netmap_peer *is;  /* NULL: REMOVED */
};

/*
 * Called for each change after the map has changed: first all REMOVED, then all CHANGED, then all
 * ADDED, so that an address is free before its next owner comes (but two CHANGED peers may have
 * exchanged theirs). Must not call into the map, but for reading.
 */
struct mesh_netmap_listener {
	void (*changed)(void *ctx, const struct mesh_netmap_change *change);
	void *ctx;
};

/*
 * One state of the map. A changed peer is appended and its old entry dead (node_id 0), until room
 * is needed; the map itself has no dead ones, the stage may.
 */
struct mesh_netmap_table {
	struct mesh_netmap_peer *peers;
	struct tt_cidr *subnets;
	uint32_t *by_id, *by_key; /* position + 1; 0: free */
	uint32_t peer_used, peer_live, subnet_used, subnet_live;
};

/* The fields are the map's own; those of the first group may be read. */
struct mesh_netmap {
	struct mesh_netmap_self self;
	uint64_t epoch, version;  /* 0: none */
	uint64_t valid_until;	  /* wall time, seconds */
	uint32_t refused_node_id; /* of the last refusal; 0: it was about no single peer */
	uint32_t subnets_ignored; /* not accepted, since the last full map */

	struct mesh_netmap_table table[2];
	uint8_t current; /* which of them is the map; the other is the stage */
	uint32_t *scratch;
	uint64_t hash_seed;
	uint32_t peer_max, subnet_max;	 /* live ones */
	uint32_t peer_room, subnet_room; /* entries */
	uint32_t index_mask, scratch_mask;

	bool staging; /* a chain has begun: */
	uint64_t stage_epoch, stage_from, stage_version, stage_valid_until;
	uint32_t stage_begin; /* position of its first peer */
	uint32_t stage_ignored;
};

/* Memory for so many peers (1..MESH_HUB_PEERS_MAX) and accepted subnets of all of them together. */
size_t mesh_netmap_memory_size(uint32_t peers, uint32_t subnets);

/*
 * An empty map. memory: of that size, aligned for pointers, all zero; it stays the caller's and in
 * place. hash_seed: random, so that a hub cannot choose what collides.
 */
void mesh_netmap_init(struct mesh_netmap *map, void *memory, uint32_t peers, uint32_t subnets,
		      uint64_t hash_seed);

/* From then on an update must not have our id, name or addresses. */
void mesh_netmap_set_self(struct mesh_netmap *map, const struct mesh_netmap_self *self);

/*
 * One MapUpdate that mesh_hub_to_node_unpack() returned; nothing of it is kept by pointer. Removals
 * of an update come before its peers; a removed id that is not in the map is no error.
 */
enum mesh_netmap_outcome mesh_netmap_apply(struct mesh_netmap *map,
					   const Taltun__Hub__V1__MapUpdate *update,
					   const struct mesh_netmap_rules *rules,
					   const struct mesh_netmap_listener *listener);

/* The connection is gone: a chain that had begun is forgotten. */
void mesh_netmap_abandon_chain(struct mesh_netmap *map);

/* Makes the next Hello ask for a full map (version 0), as after `accept` changed; keeps the peers.
 */
void mesh_netmap_forget_version(struct mesh_netmap *map);

/* All peers gone (reported), as after the node left the hub or valid_until passed. */
void mesh_netmap_clear(struct mesh_netmap *map, const struct mesh_netmap_listener *listener);

/* --- reading -----------------------------------------------------------------------------------
 */

static inline uint32_t mesh_netmap_count(const struct mesh_netmap *map)
{
	return map->table[map->current].peer_live;
}

/* i: 0..mesh_netmap_count() - 1. Pointers are good until the next call that changes the map. */
static inline const struct mesh_netmap_peer *mesh_netmap_at(const struct mesh_netmap *map,
							    uint32_t i)
{
	return &map->table[map->current].peers[i];
}

const struct mesh_netmap_peer *mesh_netmap_find(const struct mesh_netmap *map, uint32_t node_id);
const struct mesh_netmap_peer *mesh_netmap_find_key(const struct mesh_netmap *map,
						    const uint8_t wg_public_key[MESH_HUB_KEY_LEN]);

static inline bool mesh_netmap_is_valid(const struct mesh_netmap *map, struct tt_wall now)
{
	return now.sec < map->valid_until;
}

/* --- the cached form ---------------------------------------------------------------------------
 */

#define MESH_NETMAP_CACHE_KEY_LEN 32

/* The key of the MAC, from the node's WireGuard private key. Wipe it after use. */
void mesh_netmap_cache_key(uint8_t key[MESH_NETMAP_CACHE_KEY_LEN],
			   const uint8_t wg_private_key[MESH_HUB_KEY_LEN]);

/* Bytes that mesh_netmap_cache_write() needs for the map as it is. */
size_t mesh_netmap_cache_size(const struct mesh_netmap *map);

/* Largest size for these capacities: more than that is not a cached map of ours. */
size_t mesh_netmap_cache_size_max(uint32_t peers, uint32_t subnets);

/* Self, version and peers. rules: what they were accepted by. Bytes written, or 0: no room. */
size_t mesh_netmap_cache_write(const struct mesh_netmap *map, const struct mesh_netmap_rules *rules,
			       const uint8_t key[MESH_NETMAP_CACHE_KEY_LEN], uint8_t *space,
			       size_t room);

/*
 * Reads it into the map, self included, with the same checks as an update, and reports the peers.
 * Where `accept` is not what it was, the version is forgotten (mesh_netmap_forget_version).
 */
enum mesh_netmap_outcome mesh_netmap_cache_read(struct mesh_netmap *map,
						const struct mesh_netmap_rules *rules,
						const struct mesh_netmap_listener *listener,
						const uint8_t key[MESH_NETMAP_CACHE_KEY_LEN],
						const uint8_t *bytes, size_t len);

#endif

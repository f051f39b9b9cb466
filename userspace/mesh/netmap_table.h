/* SPDX-License-Identifier: MIT
 *
 * The tables behind mesh/netmap.h: staging, checking and committing. Part of netmap; users call
 * that.
 */
#ifndef TT_MESH_NETMAP_TABLE_H
#define TT_MESH_NETMAP_TABLE_H

#include "mesh/netmap.h"

static inline struct mesh_netmap_table *mesh_netmap_stage(struct mesh_netmap *map)
{
	return &map->table[!map->current];
}

/* The stage begins empty, or as a copy of the map. */
void mesh_netmap_stage_begin(struct mesh_netmap *map, bool empty);

void mesh_netmap_stage_remove(struct mesh_netmap *map, uint32_t node_id);

/*
 * Appends p with its subnets (p->subnets, all of them: what is not accepted is left out here), in
 * place of an older one of that id. APPLIED, or why not; then the stage is of no use any more.
 */
enum mesh_netmap_outcome mesh_netmap_stage_peer(struct mesh_netmap *map,
						const struct mesh_netmap_rules *rules,
						const struct mesh_netmap_peer *p);

/* What can be seen only when all peers are there: no key, name or prefix has two owners. */
enum mesh_netmap_outcome mesh_netmap_stage_check(struct mesh_netmap *map);

/* The stage is the map from now on; what differs is reported. */
void mesh_netmap_stage_commit(struct mesh_netmap *map, const struct mesh_netmap_listener *listener);

const struct mesh_netmap_peer *mesh_netmap_table_find(const struct mesh_netmap *map,
						      const struct mesh_netmap_table *t,
						      uint32_t node_id);
const struct mesh_netmap_peer *mesh_netmap_table_find_key(const struct mesh_netmap *map,
							  const struct mesh_netmap_table *t,
							  const uint8_t key[MESH_HUB_KEY_LEN]);

#endif

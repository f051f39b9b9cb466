/* SPDX-License-Identifier: MIT
 *
 * What of the registry a node sees, as MapUpdate messages: all of it, or what has changed since the
 * version it has. Made piece by piece, so that a large map never lies in a queue as a whole. Pure.
 */
#ifndef TT_HUB_MAPS_H
#define TT_HUB_MAPS_H

#include "hub/registry.h"

#define HUB_MAP_VALID_S (7 * 86400)

/* One update (chain) for one node, on its way. */
struct hub_map_cursor {
	uint64_t epoch, from, version; /* from 0: a full map */
	uint64_t at;		       /* position, or version of a change */
	uint64_t valid_until_s;
	bool under_way;
};

/*
 * Begins an update for who has (epoch, version); false: there is nothing to say. *seen is moved up
 * to the registry's version in either case where what changed is not visible to the node: the next
 * look begins there.
 */
bool hub_map_begin(struct hub_registry *r, const struct hub_node *viewer, uint64_t epoch,
		   uint64_t version, uint64_t *seen, struct hub_map_cursor *c);

/* Begins a message that extends valid_until though nothing has changed, for who has this version of
 * this epoch; only where nothing is under way. */
void hub_map_begin_empty(struct hub_registry *r, uint64_t version, uint64_t *seen,
			 struct hub_map_cursor *c);

/* The next whole frame into space (MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX is room enough);
 * 0: something does not fit, which cannot be. c->under_way says whether there is more. */
size_t hub_map_next(struct hub_registry *r, const struct hub_node *viewer, struct hub_map_cursor *c,
		    uint64_t now_s, uint8_t *space, size_t room);

#endif

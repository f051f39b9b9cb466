/* SPDX-License-Identifier: MIT
 *
 * What the control socket says of the hub and of the paths to its peers.
 */
#ifndef TT_NODE_CONTROL_MESH_H
#define TT_NODE_CONTROL_MESH_H

#include <jansson.h>

#include "node/mesh.h"

/* The connection and the map; null where there is no hub (mesh NULL). New reference. */
json_t *node_control_hub(const struct node_mesh *mesh);
/* Adds path, RTT, MTU and why it is no better one to the object of a peer of the map; of others
 * nothing. */
void node_control_mesh_peer(const struct node_mesh *mesh, const struct node_peer *p, json_t *peer);

#endif

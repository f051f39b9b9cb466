/* SPDX-License-Identifier: MIT
 *
 * The bounds of hub_codec.h on a message that protobuf-c has taken apart. Part of hub_codec; users
 * call that.
 */
#ifndef TT_MESH_HUB_CHECK_H
#define TT_MESH_HUB_CHECK_H

#include "mesh/hub_codec.h"

enum mesh_hub_outcome mesh_hub_to_hub_check(const Taltun__Hub__V1__ToHub *m);
enum mesh_hub_outcome mesh_hub_to_node_check(const Taltun__Hub__V1__ToNode *m);

#endif

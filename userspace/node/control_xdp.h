/* SPDX-License-Identifier: MIT
 *
 * The way past the kernel in the reply to "status".
 */
#ifndef TT_NODE_CONTROL_XDP_H
#define TT_NODE_CONTROL_XDP_H

#include <jansson.h>

#include "node/xdp.h"

/* What the interfaces run in: "socket", "native copy", ..., or "mixed". */
const char *node_control_xdp_mode(struct node_xdp *x);
/* An array, one object per interface (new reference). */
json_t *node_control_xdp(struct node_xdp *x);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The "status" object of the control socket: everything `taltun status --json` shows. Never a
 * secret: a preshared key is only said to be there.
 */
#ifndef TT_NODE_CONTROL_STATUS_H
#define TT_NODE_CONTROL_STATUS_H

#include <jansson.h>

#include "node/control.h"

/*
 * New reference, or NULL where memory ran out. There may be 100,000 allowed IPs, which take longer
 * than all the rest: peers have them only where they are asked for.
 */
json_t *node_control_status(const struct node_control_ops *ops, bool allowed_ips);
/* Only reasons that occurred: the full list is in the documentation. New reference. */
json_t *node_control_drops(const uint64_t drop[TT_DROP_COUNT]);

#endif

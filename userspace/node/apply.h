/* SPDX-License-Identifier: MIT
 *
 * Brings a device to what a configuration says, changing only what differs: peers that stay keep
 * their sessions, endpoints they roamed to, and staged packets. Control thread.
 */
#ifndef TT_NODE_APPLY_H
#define TT_NODE_APPLY_H

#include "node/config.h"
#include "node/device.h"

/*
 * old: what was applied before, or NULL at the first time. The udp_port and the mark are the
 * engine's to change before this. 0, or the first -errno (the rest is applied all the same).
 */
int node_apply_device(struct node_device *d, const struct node_config *cfg,
		      const struct node_config *old);

#endif

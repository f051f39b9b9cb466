/* SPDX-License-Identifier: MIT
 *
 * What the interface looks like from the host: addresses, MTU, link state, routes. Holds what was
 * applied and asks the monitor for the difference. Control thread.
 */
#ifndef TT_NODE_NET_H
#define TT_NODE_NET_H

#include "node/config.h"
#include "node/priv.h"

struct node_net;

int node_net_create(struct node_priv_client *priv, struct node_net **out);
void node_net_destroy(struct node_net *n);
/*
 * Brings addresses, MTU, link and routes to what cfg says, sending only the difference to what
 * was applied before. wait: returns when the monitor has answered everything (start-up), with the
 * first error and its text; otherwise failures are logged. mtu is the resolved one.
 */
int node_net_apply(struct node_net *n, const struct node_config *cfg, unsigned mtu, uint32_t fwmark,
		   bool wait, char *error, size_t cap);
/* True where cfg wants a default route through the tunnel, which needs a mark on our own packets.
 */
bool node_net_needs_fwmark(const struct node_config *cfg);

/* Mark and table of a default route where the configuration names none (as wg-quick: 51820). */
#define NODE_NET_DEFAULT_MARK 51820u

#endif

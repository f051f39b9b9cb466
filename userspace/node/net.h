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

/*
 * Our own packets carry fwmark, which keeps them out of a default route through the tunnel in
 * `table`. Where the configuration names none: the first number from NODE_NET_MARK_FIRST on (as
 * wg-quick does) whose table is nobody else's. 0: none is needed.
 */
struct node_net_mark {
	uint32_t fwmark, table;
};

#define NODE_NET_MARK_FIRST 51820u
#define NODE_NET_MARK_COUNT 64u

/* What cfg needs on the interface ifindex. */
void node_net_choose_mark(const struct node_config *cfg, unsigned ifindex,
			  struct node_net_mark *out);
int node_net_create(struct node_priv_client *priv, struct node_net **out);
void node_net_destroy(struct node_net *n);
/*
 * Brings addresses, MTU, link and routes to what cfg says, sending only the difference to what
 * was applied before. wait: returns when the monitor has answered everything (start-up), with the
 * first error and its text; otherwise failures are logged. mtu is the resolved one.
 */
int node_net_apply(struct node_net *n, const struct node_config *cfg, unsigned mtu,
		   const struct node_net_mark *mark, bool wait, char *error, size_t cap);
/* The link was down, and the kernel took routes and addresses: the next apply asks for all of them
 * again, whatever it knows. */
void node_net_forget(struct node_net *n);

#endif

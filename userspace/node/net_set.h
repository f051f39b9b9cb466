/* SPDX-License-Identifier: MIT
 *
 * The addresses and routes that a configuration asks for. The engine makes the set to ask for them,
 * the monitor makes it again from the same blob to judge what it is asked for. Pure.
 */
#ifndef TT_NODE_NET_SET_H
#define TT_NODE_NET_SET_H

#include "node/config.h"

struct node_net_entry {
	struct tt_cidr prefix;
	bool is_route;
};

/* Sorted, addresses first, each once. */
struct node_net_set {
	struct node_net_entry *e;
	uint32_t count;
};

/* 0 or -ENOMEM (then *out is empty). */
int node_net_set_make(const struct node_config *cfg, struct node_net_set *out);
void node_net_set_free(struct node_net_set *s);
/* The order of the set, as of qsort. */
int node_net_entry_compare(const void *a, const void *b);
bool node_net_set_has(const struct node_net_set *s, const struct node_net_entry *e);

/* A route that takes mark, table and rules. */
static inline bool node_net_is_default(const struct node_net_entry *e)
{
	return e->is_route && e->prefix.bits == 0;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * What an engine may ask of the host's addresses and routes: what the configuration says, and
 * nothing else. One that was taken over must not draw the host's traffic to itself.
 */
#include "node/monitor_impl.h"

#include <errno.h>

#include "node/net.h"

int node_monitor_allow(const void *blob, size_t size, struct node_monitor_allowed *out)
{
	const struct node_config *cfg = blob;

	*out = (struct node_monitor_allowed){0};
	if (!node_config_valid(blob, size))
		return -EBADMSG;
	out->table = cfg->table;
	out->fwmark = cfg->fwmark;
	return node_net_set_make(cfg, &out->set);
}

void node_monitor_disallow(struct node_monitor_allowed *a)
{
	node_net_set_free(&a->set);
	*a = (struct node_monitor_allowed){0};
}

static bool number_allowed(uint32_t asked, uint32_t configured)
{
	return configured ? asked == configured
			  : asked >= NODE_NET_MARK_FIRST &&
				    asked < NODE_NET_MARK_FIRST + NODE_NET_MARK_COUNT;
}

static bool addition_allowed(const struct node_monitor_allowed *a,
			     const struct node_priv_request *req)
{
	const struct node_net_entry e = {.prefix = req->u.net.prefix,
					 .is_route = req->op != NODE_PRIV_ADDR};

	if (!node_net_set_has(&a->set, &e))
		return false;
	if (req->op == NODE_PRIV_DEFAULT_ROUTE)
		return node_net_is_default(&e) && number_allowed(req->u.net.table, a->table) &&
		       number_allowed(req->u.net.fwmark, a->fwmark);
	if (req->op == NODE_PRIV_ROUTE)
		return !node_net_is_default(&e) && req->u.net.table == a->table &&
		       req->u.net.metric == 0;
	return true;
}

bool node_monitor_is_allowed(const struct node_monitor *m, const struct node_priv_request *req)
{
	if (m->opt->mode != NODE_MODE_CONFIG)
		return false;
	/* the platform removes what it added, and nothing else */
	return !req->u.net.on || addition_allowed(&m->allowed_loaded, req) ||
	       addition_allowed(&m->allowed_committed, req);
}

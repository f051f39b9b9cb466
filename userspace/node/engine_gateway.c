/* SPDX-License-Identifier: MIT
 *
 * [gateway]: the monitor does it, the engine says when, and tells who listens.
 */
#include <stdio.h>

#include "base/log.h"
#include "node/engine_impl.h"
#include "node/events.h"

static void remember(struct node_engine *e, const struct node_priv_reply *reply)
{
	e->gateway.firewall = (enum node_gateway_firewall)reply->u.gateway.firewall;
	e->gateway.restored = reply->u.gateway.restored;
}

static int ask(struct node_engine *e, struct node_priv_reply *reply)
{
	struct node_priv_request req = {.op = NODE_PRIV_GATEWAY};
	int err;

	*reply = (struct node_priv_reply){0};
	e->gateway.asked = true;
	err = node_priv_call(e->priv, &req, -1, reply, NULL);
	/* no answer: it goes on at the monitor, and its log says how it ended */
	if (reply->op == NODE_PRIV_GATEWAY)
		remember(e, reply);
	else
		e->gateway.firewall = NODE_GATEWAY_MISSING;
	return err;
}

int node_engine_gateway_start(struct node_engine *e, char *error, size_t cap)
{
	struct node_priv_reply reply;
	int err;

	/* one that crashed in the middle of a reload may have had another file */
	if (!e->config->gateway.given && !e->start->restarts)
		return 0;
	err = ask(e, &reply);
	/* anything else is in the monitor's log; after a crash the tunnel goes on */
	if (!err || e->config->gateway.firewall != NODE_FIREWALL_ON ||
	    reply.u.gateway.firewall == NODE_GATEWAY_ON || e->start->restarts)
		return 0;
	snprintf(error, cap, "%s", reply.error);
	return err;
}

int node_engine_gateway_reload(struct node_engine *e, const struct node_config *cfg, char *error,
			       size_t cap)
{
	struct node_priv_reply reply;
	int err;

	if (!cfg->gateway.given && !e->gateway.asked)
		return 0;
	err = ask(e, &reply);
	if (err)
		snprintf(error, cap, "%s", reply.error);
	e->gateway.asked = cfg->gateway.given || err;
	return err;
}

void node_engine_gateway_changed(struct node_engine *e, bool restored)
{
	struct node_event ev = {
		.kind = NODE_EVENT_FIREWALL,
		.why = restored ? "its table was changed by another program, and is put back"
				: "its table was changed by another program, and cannot be put "
				  "back; the log says why",
	};

	e->gateway.restored += restored;
	e->gateway.firewall = restored ? NODE_GATEWAY_ON : NODE_GATEWAY_MISSING;
	node_events_emit(e->control, &ev);
}

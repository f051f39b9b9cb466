/* SPDX-License-Identifier: MIT
 *
 * What the interface looks like from the host: the engine asks, the platform does it and remembers.
 */
#include "node/monitor_impl.h"

#include <errno.h>

#define NET_ADDS_MAX	 2000000 /* of one engine; bounds what a taken-over one can pile up */
#define NET_MTU_STANDARD 1500

int node_monitor_net_begin(struct node_monitor *m)
{
	char journal[MONITOR_PATH_MAX];
	int err = node_monitor_path(journal, m->run_dir, m->name, ".net");

	node_monitor_threaded_recover(m);
	node_monitor_gateway_recover(m);
	return err ? err : plat_netcfg_open(m->tun.ifindex, journal, &m->net);
}

uint32_t node_monitor_net_mtu(const struct node_monitor *m)
{
	struct plat_netcfg_link link;

	if (plat_netcfg_link_get(m->tun.ifindex, NULL, &link) < 0)
		return NET_MTU_STANDARD;
	return link.mtu;
}

void node_monitor_net_undo(struct node_monitor *m)
{
	int err;

	if (!m->net)
		return;
	err = plat_netcfg_undo(m->net);
	/* an interface that is gone took its addresses and routes along */
	if (err && err != -ENODEV)
		tt_log(TT_LOG_WARN, "net.undo", TT_F_ERRNO("error", err));
	plat_netcfg_close(m->net);
	m->net = NULL;
}

static int net_act(struct node_monitor *m, const struct node_priv_request *req)
{
	const struct tt_cidr *prefix = &req->u.net.prefix;
	uint32_t table = req->u.net.table, metric = req->u.net.metric;
	bool on = req->u.net.on;

	switch (req->op) {
	case NODE_PRIV_NET_MTU:
		return plat_netcfg_set_mtu(m->net, req->u.net.mtu);
	case NODE_PRIV_NET_UP:
		return plat_netcfg_set_up(m->net, on);
	case NODE_PRIV_ADDR:
		return on ? plat_netcfg_addr_add(m->net, prefix)
			  : plat_netcfg_addr_del(m->net, prefix);
	case NODE_PRIV_ROUTE:
		return on ? plat_netcfg_route_add(m->net, prefix, table, metric)
			  : plat_netcfg_route_del(m->net, prefix, table, metric);
	case NODE_PRIV_DEFAULT_ROUTE:
		if (!on)
			return plat_netcfg_default_del(m->net, prefix->ip.family);
		if (!req->u.net.fwmark || !table)
			return -EINVAL;
		return plat_netcfg_default_add(m->net, prefix->ip.family, req->u.net.fwmark, table);
	default:
		return -EINVAL;
	}
}

/* Once for each default route, not for each address. */
static void net_check_guard(struct node_monitor *m)
{
	char reason[NODE_PRIV_ERROR_MAX];
	int err = plat_netcfg_guard_state(m->net, reason, sizeof(reason));

	if (err && !m->net_unguarded)
		tt_log(TT_LOG_WARN, "net.unguarded", TT_F_STR("reason", reason),
		       TT_F_STR("hint", "strict reverse-path filtering (rp_filter=1) drops what "
					"peers answer while the default route is in the tunnel: "
					"install nftables and restart, or set "
					"net.ipv4.conf.all.rp_filter=2"));
	m->net_unguarded = err != 0;
}

static int net_explain_link(const struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int err)
{
	if (req->op == NODE_PRIV_NET_MTU)
		return node_monitor_fail(reply, err, "cannot set the MTU of %s to %u: %s", m->name,
					 req->u.net.mtu, strerror(-err));
	return node_monitor_fail(reply, err, "cannot set %s %s: %s", m->name,
				 req->u.net.on ? "up" : "down", strerror(-err));
}

static int net_explain(const struct node_monitor *m, const struct node_priv_request *req,
		       struct node_priv_reply *reply, int err)
{
	char text[TT_CIDR_TEXT_MAX];
	const char *what = req->op == NODE_PRIV_ADDR	? "address"
			   : req->op == NODE_PRIV_ROUTE ? "route"
							: "default route";

	if (err == -ENODEV)
		return node_monitor_fail(reply, err, "%s is no longer in this network namespace",
					 m->name);
	if (req->op == NODE_PRIV_NET_MTU || req->op == NODE_PRIV_NET_UP)
		return net_explain_link(m, req, reply, err);
	tt_cidr_format(&req->u.net.prefix, text);
	if (err == -EEXIST && req->op == NODE_PRIV_ROUTE)
		return node_monitor_fail(reply, err, "another interface has a route to %s already",
					 text);
	return node_monitor_fail(reply, err, "cannot %s %s %s: %s",
				 req->u.net.on ? "add" : "remove", what, text, strerror(-err));
}

int node_monitor_net(struct node_monitor *m, const struct node_priv_request *req,
		     struct node_priv_reply *reply)
{
	int err;

	if (!m->net)
		return node_monitor_fail(reply, -ENODEV, "the interface is not open");
	if (req->u.net.on && ++m->net_adds > NET_ADDS_MAX)
		return node_monitor_fail(reply, -ENOSPC, "too many addresses and routes");
	err = net_act(m, req);
	if (!err && req->op == NODE_PRIV_DEFAULT_ROUTE)
		net_check_guard(m);
	return err ? net_explain(m, req, reply, err) : 0;
}

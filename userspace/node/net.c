/* SPDX-License-Identifier: MIT */
#include "node/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/net_set.h"
#include "plat/clock.h"
#include "plat/netcfg.h"

struct node_net {
	struct node_priv_client *priv;
	struct node_net_set has; /* what the host has because of us */
	unsigned mtu;
	uint32_t table;		   /* that the routes were asked for with */
	struct node_net_mark mark; /* and the default routes */
	bool up;
	bool unsure; /* the last time failed, or the link was down: all is asked for again */

	uint32_t waiting; /* replies that have not arrived */
	int first_error;
	char error[NODE_PRIV_ERROR_MAX];
};

int node_net_create(struct node_priv_client *priv, struct node_net **out)
{
	struct node_net *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->priv = priv;
	*out = n;
	return 0;
}

void node_net_destroy(struct node_net *n)
{
	if (!n)
		return;
	node_net_set_free(&n->has);
	free(n);
}

/* --- requests --------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct node_net *n = arg;

	(void)fds;
	n->waiting--;
	if (!reply->result)
		return;
	tt_log_limited(TT_LOG_WARN, "net.failed", NULL, plat_clock_mono(), 20,
		       TT_F_STR("error", reply->error), TT_F_ERRNO("errno", reply->result));
	if (!n->first_error) {
		n->first_error = reply->result;
		memcpy(n->error, reply->error, sizeof(n->error));
	}
}

/*
 * Waits until everything sent so far is answered: the monitor answers in order, so that one more
 * request (harmless, already in force) says that all before it are done.
 */
static int barrier(struct node_net *n)
{
	struct node_priv_request req = {.op = NODE_PRIV_NET_MTU};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	req.u.net.mtu = n->mtu;
	int err = node_priv_call(n->priv, &req, -1, &reply, fds);
	node_priv_deliver(n->priv, n);
	return err;
}

static int ask(struct node_net *n, struct node_priv_request *req)
{
	int err = node_priv_send(n->priv, req, -1, on_reply, n);

	if (err == -ENOBUFS) {
		err = barrier(n);
		if (!err)
			err = node_priv_send(n->priv, req, -1, on_reply, n);
	}
	if (!err)
		n->waiting++;
	return err;
}

static int ask_entry(struct node_net *n, const struct node_net_entry *e, bool on)
{
	struct node_priv_request req = {.op = NODE_PRIV_ADDR};

	if (e->is_route)
		req.op = node_net_is_default(e) ? NODE_PRIV_DEFAULT_ROUTE : NODE_PRIV_ROUTE;
	req.u.net.prefix = e->prefix;
	req.u.net.on = on;
	req.u.net.table = n->table;
	if (req.op == NODE_PRIV_DEFAULT_ROUTE) {
		req.u.net.fwmark = n->mark.fwmark;
		req.u.net.table = n->mark.table;
	}
	return ask(n, &req);
}

/* --- the difference --------------------------------------------------------------------------- */

static bool wants_default_route(const struct node_config *cfg)
{
	struct node_net_set want;
	bool wants = false;

	if (node_net_set_make(cfg, &want) != 0)
		return false;
	for (uint32_t i = 0; i < want.count; i++)
		wants |= node_net_is_default(&want.e[i]);
	node_net_set_free(&want);
	return wants;
}

void node_net_choose_mark(const struct node_config *cfg, unsigned ifindex,
			  struct node_net_mark *out)
{
	uint32_t number = NODE_NET_MARK_FIRST;

	*out = (struct node_net_mark){.fwmark = cfg->fwmark, .table = cfg->table};
	if (!wants_default_route(cfg))
		return;
	/* where none can be found, the monitor tells when it is asked */
	if (!cfg->fwmark || !cfg->table)
		(void)plat_netcfg_table_find(ifindex, NODE_NET_MARK_FIRST, NODE_NET_MARK_COUNT,
					     &number);
	if (!number)
		number = NODE_NET_MARK_FIRST;
	if (!out->fwmark)
		out->fwmark = number;
	if (!out->table)
		out->table = number;
}

/* Both lists are sorted: what is only in `a` is asked for with `on`. */
static int ask_only_in(struct node_net *n, const struct node_net_entry *a, uint32_t na,
		       const struct node_net_entry *b, uint32_t nb, bool on)
{
	uint32_t j = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < na; i++) {
		while (j < nb && node_net_entry_compare(&b[j], &a[i]) < 0)
			j++;
		if (j == nb || node_net_entry_compare(&b[j], &a[i]) != 0)
			err = ask_entry(n, &a[i], on);
	}
	return err;
}

/* Routes of another table, and default routes of another mark, go; they then count as new. */
static int remove_moved(struct node_net *n, uint32_t table, const struct node_net_mark *mark)
{
	bool remarked = memcmp(mark, &n->mark, sizeof(*mark)) != 0;
	uint32_t kept = 0;
	int err = 0;

	for (uint32_t i = 0; i < n->has.count; i++) {
		struct node_net_entry e = n->has.e[i];
		bool moved = e.is_route && (node_net_is_default(&e) ? remarked : table != n->table);
		if (moved && !err)
			err = ask_entry(n, &e, false);
		if (!moved || err)
			n->has.e[kept++] = e;
	}
	n->has.count = kept;
	if (!err) {
		n->table = table;
		n->mark = *mark;
	}
	return err;
}

static int ask_link(struct node_net *n, unsigned mtu)
{
	struct node_priv_request req = {.op = NODE_PRIV_NET_MTU};
	int err = 0;

	if (mtu != n->mtu) {
		req.u.net.mtu = mtu;
		err = ask(n, &req);
		n->mtu = mtu;
	}
	if (!err && !n->up) {
		req.op = NODE_PRIV_NET_UP;
		req.u.net.on = 1;
		err = ask(n, &req);
		n->up = true;
	}
	return err;
}

static int wait_for_replies(struct node_net *n, char *error, size_t cap)
{
	int err = barrier(n);

	if (err) {
		snprintf(error, cap, "the monitor did not answer");
	} else if (n->first_error) {
		err = n->first_error;
		snprintf(error, cap, "%s", n->error);
	}
	return err;
}

int node_net_apply(struct node_net *n, const struct node_config *cfg, unsigned mtu,
		   const struct node_net_mark *mark, bool wait, char *error, size_t cap)
{
	struct node_net_set w;
	uint32_t addresses = 0;
	int err = node_net_set_make(cfg, &w);

	n->first_error = 0;
	if (!err)
		err = remove_moved(n, cfg->table, mark);
	/* routes go before the addresses they lean on, and come after them and the link */
	if (!err)
		err = ask_only_in(n, n->has.e, n->has.count, w.e, w.count, false);
	uint32_t known = n->unsure ? 0 : n->has.count;
	while (addresses < w.count && !w.e[addresses].is_route)
		addresses++;
	if (!err)
		err = ask_only_in(n, w.e, addresses, n->has.e, known, true);
	if (!err)
		err = ask_link(n, mtu);
	if (!err)
		err = ask_only_in(n, w.e + addresses, w.count - addresses, n->has.e, known, true);
	if (err) {
		snprintf(error, cap, "cannot ask the monitor: %s", strerror(-err));
		node_net_set_free(&w);
		return err;
	}
	node_net_set_free(&n->has);
	n->has = w;
	if (wait)
		err = wait_for_replies(n, error, cap);
	n->unsure = err != 0;
	return err;
}

void node_net_forget(struct node_net *n)
{
	n->unsure = true;
}

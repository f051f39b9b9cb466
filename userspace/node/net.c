/* SPDX-License-Identifier: MIT */
#include "node/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

struct entry {
	struct tt_cidr prefix;
	bool is_route;
	bool keep; /* while a difference is made */
};

struct node_net {
	struct node_priv_client *priv;
	struct entry *entries; /* what the host has because of us */
	uint32_t count, capacity;
	unsigned mtu;
	uint32_t table, fwmark; /* that the routes were asked for with */
	bool up;
	bool failed; /* the last time; what is there already may be asked for again */

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
	free(n->entries);
	free(n);
}

static bool is_default(const struct tt_cidr *c)
{
	return c->bits == 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct node_net *n = arg;

	(void)fds;
	n->waiting--;
	if (!reply->result)
		return;
	tt_log(TT_LOG_WARN, "net.failed", TT_F_STR("error", reply->error),
	       TT_F_ERRNO("errno", reply->result));
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

static int ask_entry(struct node_net *n, const struct entry *e, bool on, uint32_t fwmark)
{
	struct node_priv_request req = {.op = NODE_PRIV_ADDR};

	if (e->is_route)
		req.op = is_default(&e->prefix) ? NODE_PRIV_DEFAULT_ROUTE : NODE_PRIV_ROUTE;
	req.u.net.prefix = e->prefix;
	req.u.net.on = on;
	req.u.net.table = n->table;
	if (req.op == NODE_PRIV_DEFAULT_ROUTE) {
		req.u.net.fwmark = fwmark;
		req.u.net.table = n->table ? n->table : NODE_NET_DEFAULT_MARK;
	}
	return ask(n, &req);
}

/* --- the difference --------------------------------------------------------------------------- */

static bool same_prefix(const struct tt_cidr *a, const struct tt_cidr *b)
{
	return a->bits == b->bits && tt_ip_equal(&a->ip, &b->ip);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->is_route != y->is_route)
		return x->is_route ? 1 : -1;
	int c = memcmp(&x->prefix.ip, &y->prefix.ip, sizeof(x->prefix.ip));
	return c ? c : (int)x->prefix.bits - (int)y->prefix.bits;
}

struct wanted {
	struct entry *e;
	uint32_t count, capacity;
};

static int want(struct wanted *w, const struct tt_cidr *c, bool is_route)
{
	if (w->count == w->capacity) {
		uint32_t capacity = w->capacity ? w->capacity * 2 : 64;
		struct entry *grown = realloc(w->e, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		w->e = grown;
		w->capacity = capacity;
	}
	w->e[w->count++] = (struct entry){.prefix = *c, .is_route = is_route};
	return 0;
}

/* A prefix that an address of the interface already brings needs no route of its own. */
static bool is_connected(const struct node_config *cfg, const struct tt_cidr *c)
{
	for (uint32_t i = 0; i < cfg->addresses.count; i++) {
		const struct tt_cidr *a = node_config_cidr(cfg, cfg->addresses, i);
		if (a->bits <= c->bits && tt_cidr_contains(a, &c->ip) && a->bits == c->bits)
			return true;
	}
	return false;
}

static int want_routes(struct wanted *w, const struct node_config *cfg)
{
	int err = 0;

	if (cfg->routes_mode == NODE_ROUTES_LIST)
		for (uint32_t i = 0; !err && i < cfg->routes.count; i++)
			err = want(w, node_config_cidr(cfg, cfg->routes, i), true);
	if (cfg->routes_mode != NODE_ROUTES_ALLOWED_IPS)
		return err;
	for (uint32_t i = 0; i < cfg->peers.count; i++) {
		const struct node_config_peer *p = node_config_peer(cfg, i);
		for (uint32_t j = 0; !err && j < p->allowed_ips.count; j++) {
			const struct tt_cidr *c = node_config_cidr(cfg, p->allowed_ips, j);
			if (!is_connected(cfg, c))
				err = want(w, c, true);
		}
	}
	return err;
}

bool node_net_needs_fwmark(const struct node_config *cfg)
{
	struct wanted w = {0};
	bool needs = false;

	if (want_routes(&w, cfg) == 0)
		for (uint32_t i = 0; i < w.count; i++)
			needs |= is_default(&w.e[i].prefix);
	free(w.e);
	return needs;
}

static uint32_t sort_unique(struct entry *e, uint32_t count)
{
	uint32_t kept = 0;

	if (count)
		qsort(e, count, sizeof(*e), compare_entries);
	for (uint32_t i = 0; i < count; i++)
		if (!kept || e[kept - 1].is_route != e[i].is_route ||
		    !same_prefix(&e[kept - 1].prefix, &e[i].prefix))
			e[kept++] = e[i];
	return kept;
}

/* Both lists are sorted: what is only in `a` is asked for with `on`. */
static int ask_only_in(struct node_net *n, const struct entry *a, uint32_t na,
		       const struct entry *b, uint32_t nb, bool on, uint32_t fwmark)
{
	uint32_t j = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < na; i++) {
		while (j < nb && compare_entries(&b[j], &a[i]) < 0)
			j++;
		if (j == nb || compare_entries(&b[j], &a[i]) != 0)
			err = ask_entry(n, &a[i], on, fwmark);
	}
	return err;
}

/* Routes of another table, and default routes of another mark, go; they then count as new. */
static int remove_moved(struct node_net *n, uint32_t table, uint32_t fwmark)
{
	uint32_t kept = 0;
	int err = 0;

	for (uint32_t i = 0; i < n->count; i++) {
		struct entry e = n->entries[i];
		bool moved = e.is_route &&
			     (table != n->table || (is_default(&e.prefix) && fwmark != n->fwmark));
		if (moved && !err)
			err = ask_entry(n, &e, false, n->fwmark);
		if (!moved || err)
			n->entries[kept++] = e;
	}
	n->count = kept;
	if (!err) {
		n->table = table;
		n->fwmark = fwmark;
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

int node_net_apply(struct node_net *n, const struct node_config *cfg, unsigned mtu, uint32_t fwmark,
		   bool wait, char *error, size_t cap)
{
	struct wanted w = {0};
	n->first_error = 0;
	int err = remove_moved(n, cfg->table, fwmark);
	for (uint32_t i = 0; !err && i < cfg->addresses.count; i++)
		err = want(&w, node_config_cidr(cfg, cfg->addresses, i), false);
	if (!err)
		err = want_routes(&w, cfg);
	w.count = sort_unique(w.e, w.count);
	/* routes go before the addresses they lean on, and come after them and the link */
	if (!err)
		err = ask_only_in(n, n->entries, n->count, w.e, w.count, false, fwmark);
	uint32_t addresses = 0, known = n->failed ? 0 : n->count;
	while (addresses < w.count && !w.e[addresses].is_route)
		addresses++;
	if (!err)
		err = ask_only_in(n, w.e, addresses, n->entries, known, true, fwmark);
	if (!err)
		err = ask_link(n, mtu);
	if (!err)
		err = ask_only_in(n, w.e + addresses, w.count - addresses, n->entries, known, true,
				  fwmark);
	if (err) {
		snprintf(error, cap, "cannot ask the monitor: %s", strerror(-err));
		free(w.e);
		return err;
	}
	free(n->entries);
	n->entries = w.e;
	n->count = n->capacity = w.count;
	if (wait)
		err = wait_for_replies(n, error, cap);
	n->failed = err != 0;
	return err;
}

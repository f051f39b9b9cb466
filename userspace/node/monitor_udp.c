/* SPDX-License-Identifier: MIT
 *
 * UDP sockets in groups: one SO_REUSEPORT group per family, workers first and control last, because
 * the steering program counts members in the order of binding.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <unistd.h>

#include "plat/tcp.h"
#include "plat/udp_io.h"

#define UDP_BUFFER_BYTES (4 << 20)
/* tries to find a number that is free in both families */
#define UDP_ANY_TRIES 16

static void group_close(struct node_monitor_udp_group *g)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(g->v4); i++) {
		if (g->v4[i] >= 0)
			close(g->v4[i]);
		if (g->v6[i] >= 0)
			close(g->v6[i]);
		g->v4[i] = g->v6[i] = -1;
	}
	g->open = g->have_v4 = g->have_v6 = false;
}

static void group_clear(struct node_monitor_udp_group *g)
{
	*g = (struct node_monitor_udp_group){0};
	for (unsigned i = 0; i < TT_ARRAY_LEN(g->v4); i++)
		g->v4[i] = g->v6[i] = -1;
}

static bool family_is_absent(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL || err == -EPROTONOSUPPORT;
}

static int socket_open(const struct node_monitor_udp_group *g, enum tt_family family,
		       uint16_t udp_port, bool reuseport, uint16_t *bound)
{
	struct plat_udp_options opt = {.family = family,
				       .udp_port = udp_port,
				       .fwmark = g->fwmark,
				       .reuseport = reuseport,
				       .buffer_bytes = UDP_BUFFER_BYTES};

	return plat_udp_open(&opt, bound);
}

/*
 * Finds out which families there are and whether the number is free in all of them. A socket with
 * SO_REUSEPORT would join a stranger's group of the same uid without a word, another taltund's for
 * one; a plain one is refused. Sets udp_port, have_v4, have_v6.
 */
static int group_probe_once(struct node_monitor_udp_group *g)
{
	uint16_t bound = g->requested;
	int v4 = socket_open(g, TT_FAMILY_V4, bound, false, &bound);
	int v6 = v4 >= 0 || family_is_absent(v4)
			 ? socket_open(g, TT_FAMILY_V6, bound, false, &bound)
			 : -EAFNOSUPPORT;
	int err = 0;

	g->have_v4 = v4 >= 0;
	g->have_v6 = v6 >= 0;
	if (v4 >= 0)
		close(v4);
	if (v6 >= 0)
		close(v6);
	if (v4 < 0 && v6 < 0)
		err = v4;
	else if (v6 < 0 && !family_is_absent(v6))
		err = v6;
	g->udp_port = bound;
	return err;
}

static int group_probe(struct node_monitor_udp_group *g)
{
	int err = -EADDRINUSE;

	for (int i = 0; err == -EADDRINUSE && i < (g->requested ? 1 : UDP_ANY_TRIES); i++)
		err = group_probe_once(g);
	return err;
}

static int family_open(struct node_monitor_udp_group *g, enum tt_family family, int *fds)
{
	uint16_t bound;

	for (unsigned i = 0; i < g->per_family; i++) {
		fds[i] = socket_open(g, family, g->udp_port, g->steered, &bound);
		if (fds[i] < 0)
			return fds[i];
	}
	return g->steered ? plat_udp_steer(fds[0], g->workers) : 0;
}

static int group_open_sockets(struct node_monitor_udp_group *g, bool steered)
{
	bool have_v4 = g->have_v4, have_v6 = g->have_v6;
	int err = 0;

	g->steered = steered;
	g->per_family = steered ? g->workers + 1u : 1;
	if (have_v4)
		err = family_open(g, TT_FAMILY_V4, g->v4);
	if (!err && have_v6)
		err = family_open(g, TT_FAMILY_V6, g->v6);
	if (err)
		group_close(g);
	g->open = !err;
	g->have_v4 = have_v4;
	g->have_v6 = have_v6;
	return err;
}

static int group_open(struct node_monitor_udp_group *g, const struct node_priv_request *req)
{
	int err;

	group_clear(g);
	g->requested = req->u.udp.udp_port;
	g->workers = req->u.udp.workers;
	g->fwmark = req->u.udp.fwmark;
	err = group_probe(g);
	if (!err)
		err = group_open_sockets(g, true);
	if (err == -ENOTSUP || err == -ENOPROTOOPT) {
		tt_log(TT_LOG_WARN, "udp.not_steered",
		       TT_F_STR("effect", "one socket per family for everything"));
		err = group_open_sockets(g, false);
	}
	if (err)
		return err;
	if (!g->have_v6)
		tt_log(TT_LOG_WARN, "udp.no_ipv6", TT_F_U64("udp_port", g->udp_port));
	if (!g->have_v4)
		tt_log(TT_LOG_WARN, "udp.no_ipv4", TT_F_U64("udp_port", g->udp_port));
	tt_log(TT_LOG_INFO, "udp.opened", TT_F_U64("udp_port", g->udp_port),
	       TT_F_U64("workers", g->workers), TT_F_BOOL("steered", g->steered));
	return 0;
}

static bool group_matches(const struct node_monitor_udp_group *g,
			  const struct node_priv_request *req)
{
	return g->open && g->workers == req->u.udp.workers &&
	       (g->requested == req->u.udp.udp_port || g->udp_port == req->u.udp.udp_port);
}

static int group_set_fwmark(struct node_monitor_udp_group *g, uint32_t fwmark)
{
	if (!g->open || g->fwmark == fwmark)
		return 0;
	for (unsigned i = 0; i < g->per_family; i++) {
		int err = g->have_v4 ? plat_udp_set_fwmark(g->v4[i], fwmark) : 0;
		if (!err && g->have_v6)
			err = plat_udp_set_fwmark(g->v6[i], fwmark);
		if (err)
			return err;
	}
	g->fwmark = fwmark;
	return 0;
}

static int udp_explain(struct node_priv_reply *reply, int err, uint16_t udp_port)
{
	if (err == -EADDRINUSE)
		return node_monitor_fail(reply, err, "UDP port %u is in use by another program",
					 udp_port);
	if (err == -EPERM || err == -EACCES)
		return node_monitor_fail(
			reply, err, "no right to open UDP port %u (fwmark needs CAP_NET_ADMIN)",
			udp_port);
	return node_monitor_fail(reply, err, "cannot open UDP port %u: %s", udp_port,
				 strerror(-err));
}

static void udp_describe(const struct node_monitor_udp *udp, const struct node_monitor_udp_group *g,
			 struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	unsigned n = 0;

	reply->u.udp.udp_port = g->udp_port;
	reply->u.udp.workers = g->steered ? g->workers : 0;
	reply->u.udp.flags = udp->flags;
	reply->u.udp.have_v4 = g->have_v4;
	reply->u.udp.have_v6 = g->have_v6;
	reply->u.udp.steered = g->steered;
	reply->u.udp.gso = (uint8_t)udp->offloads.gso;
	reply->u.udp.gro = (uint8_t)udp->offloads.gro;
	for (unsigned i = 0; g->have_v4 && i < g->per_family; i++)
		fds[n++] = g->v4[i];
	for (unsigned i = 0; g->have_v6 && i < g->per_family; i++)
		fds[n++] = g->v6[i];
	*nfds = n;
}

/* A new group beside the current one, or in its place where nobody can be using that. */
static int udp_open_new(struct node_monitor *m, const struct node_priv_request *req,
			struct node_priv_reply *reply, struct node_monitor_udp_group **out)
{
	struct node_monitor_udp *udp = &m->udp;
	struct node_monitor_udp_group *g = udp->current.open ? &udp->next : &udp->current;
	uint16_t udp_port = req->u.udp.udp_port;
	int err;

	if (udp->current.open && udp->current.workers != req->u.udp.workers) {
		if (udp->given)
			return node_monitor_fail(
				reply, -EINVAL,
				"the number of workers cannot change while running");
		group_close(&udp->current);
		g = &udp->current;
	}
	if (udp->next.open)
		group_close(&udp->next);
	err = group_open(g, req);
	if (err)
		return udp_explain(reply, err, udp_port);
	*out = g;
	return 0;
}

int node_monitor_udp_open(struct node_monitor *m, const struct node_priv_request *req,
			  struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	struct node_monitor_udp *udp = &m->udp;
	struct node_monitor_udp_group *g = NULL;
	int err = 0;

	if (!udp->probed) {
		udp->flags = plat_udp_probe_offloads(&udp->offloads);
		node_monitor_log_offload("udp_gso", udp->offloads.gso);
		node_monitor_log_offload("udp_gro", udp->offloads.gro);
	}
	udp->probed = true;
	if (group_matches(&udp->current, req))
		g = &udp->current;
	else if (group_matches(&udp->next, req))
		g = &udp->next;
	if (g == &udp->current && udp->next.open)
		group_close(&udp->next);
	if (!g)
		err = udp_open_new(m, req, reply, &g);
	if (err)
		return err;
	err = group_set_fwmark(g, req->u.udp.fwmark);
	if (err)
		return node_monitor_fail(reply, err, "cannot set fwmark 0x%x: %s",
					 req->u.udp.fwmark, strerror(-err));
	udp->given = true;
	node_monitor_xdp_ports(m);
	udp_describe(udp, g, reply, fds, nfds);
	return 0;
}

int node_monitor_udp_commit(struct node_monitor *m)
{
	if (!m->udp.next.open)
		return 0;
	group_close(&m->udp.current);
	m->udp.current = m->udp.next;
	group_clear(&m->udp.next);
	node_monitor_xdp_ports(m);
	node_monitor_gateway_udp_port(m);
	return 0;
}

int node_monitor_udp_fwmark(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply)
{
	int err = group_set_fwmark(&m->udp.current, req->u.udp.fwmark);

	if (!err)
		err = group_set_fwmark(&m->udp.next, req->u.udp.fwmark);
	if (err)
		return node_monitor_fail(reply, err, "cannot set fwmark 0x%x: %s",
					 req->u.udp.fwmark, strerror(-err));
	return 0;
}

void node_monitor_udp_close(struct node_monitor *m)
{
	if (m->udp.current.open)
		group_close(&m->udp.current);
	if (m->udp.next.open)
		group_close(&m->udp.next);
}

/* --- the hub: TCP, and past the tunnel as the group is -----------------------------------------
 */

int node_monitor_hub_socket(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	uint32_t fwmark = m->udp.current.open ? m->udp.current.fwmark : 0;
	int fd;

	if (!node_monitor_hub_is_allowed(m))
		return node_monitor_fail(reply, -EPERM, "the configuration has no [hub]");
	fd = plat_tcp_socket((enum tt_family)req->u.hub.family, fwmark);
	if (fd < 0)
		return node_monitor_fail(reply, fd, "cannot open a TCP socket for the hub: %s",
					 strerror(-fd));
	fds[0] = fd;
	*nfds = 1;
	return 0;
}

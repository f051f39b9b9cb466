/* SPDX-License-Identifier: MIT
 *
 * The steering program on interfaces of the host, and sockets for the engine. Attachments outlive
 * an engine: while there is none its sockets are gone from the maps and everything passes to the
 * UDP sockets that the monitor holds.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <unistd.h>

#include "plat/addresses.h"
#include "plat/clock.h"
#include "plat/xsk.h"

#define XDP_ADDRESSES_MAX 1024
/* of one engine: a back-off that attaches again and again stays below it for weeks */
#define XDP_OFFERS_MAX 100000

/* --- what the maps hold ------------------------------------------------------------------------
 */

static struct plat_xdp *any_attached(const struct node_monitor *m)
{
	for (unsigned i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp)
			return m->xdp.at[i].xdp;
	return NULL;
}

void node_monitor_xdp_ports(struct node_monitor *m)
{
	struct plat_xdp *any = any_attached(m);
	uint16_t udp_port[2];
	unsigned n = 0;

	/* both while a change is under way: workers switch somewhere in between */
	if (m->udp.current.open)
		udp_port[n++] = m->udp.current.udp_port;
	if (m->udp.next.open)
		udp_port[n++] = m->udp.next.udp_port;
	/* one array serves them all */
	if (any)
		plat_xdp_set_udp_ports(any, udp_port, n);
}

static void xdp_addresses(struct node_monitor *m)
{
	static struct tt_ip ips[XDP_ADDRESSES_MAX];
	struct plat_xdp *any = any_attached(m);
	int n = any ? plat_addresses_get(ips, XDP_ADDRESSES_MAX) : 0;
	int err = n < 0 ? n : 0;

	if (any && n >= 0)
		err = plat_xdp_set_addresses(any, ips,
					     TT_MIN((unsigned)n, (unsigned)XDP_ADDRESSES_MAX));
	/* packets to an address that is missing go by the kernel */
	if (err || n > XDP_ADDRESSES_MAX)
		tt_log_limited(TT_LOG_WARN, "xdp.addresses", NULL, plat_clock_mono(), 1,
			       TT_F_I64("found", n), TT_F_ERRNO("error", err ? err : -E2BIG));
}

static void on_event(void *arg, const struct plat_netcfg_event *ev)
{
	bool *changed = arg;

	if (ev->kind == PLAT_NETCFG_EVENT_ADDR || ev->kind == PLAT_NETCFG_EVENT_LOST)
		*changed = true;
}

void node_monitor_xdp_watch(struct node_monitor *m)
{
	bool changed = false;

	if (m->xdp.watch < 0)
		return; /* the last attachment went in this turn */
	if (plat_netcfg_watch_read(m->xdp.watch, on_event, &changed) < 0) {
		tt_log(TT_LOG_WARN, "xdp.watch",
		       TT_F_STR("effect", "new addresses of this host "
					  "are served by the sockets"));
		close(m->xdp.watch);
		m->xdp.watch = -1;
	}
	if (changed)
		xdp_addresses(m);
}

/* --- attaching ---------------------------------------------------------------------------------
 */

static int xdp_find(const struct node_monitor *m, uint32_t ifindex)
{
	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp && m->xdp.at[i].ifindex == ifindex)
			return i;
	return -1;
}

static int xdp_free_slot(const struct node_monitor *m)
{
	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (!m->xdp.at[i].xdp)
			return i;
	return -ENOSPC;
}

static void watch_if_attached(struct node_monitor *m)
{
	if (any_attached(m) || m->xdp.watch < 0)
		return;
	close(m->xdp.watch);
	m->xdp.watch = -1;
}

static void xdp_detach(struct node_monitor *m, int i)
{
	tt_log(TT_LOG_INFO, "xdp.detached", TT_F_U64("ifindex", m->xdp.at[i].ifindex));
	plat_xdp_detach(m->xdp.at[i].xdp);
	node_monitor_threaded_forget(m, i);
	m->xdp.at[i].xdp = NULL;
	watch_if_attached(m);
}

static int xdp_attach(struct node_monitor *m, const struct node_priv_request *req,
		      struct node_priv_reply *reply)
{
	struct plat_xdp_options opt = {.ifindex = req->u.xdp.ifindex,
				       .mode = (enum plat_xdp_mode)req->u.xdp.mode,
				       .owner = m->name,
				       .share = any_attached(m),
				       .frame_limit = req->u.xdp.frame_limit};
	char why[PLAT_XDP_WHY_MAX] = "";
	int i = xdp_free_slot(m), err;

	if (i < 0)
		return node_monitor_fail(reply, i, "at most %d interfaces", MONITOR_XDP_MAX);
	/* before the addresses are read, so that none is missed in between */
	if (m->xdp.watch < 0)
		m->xdp.watch = plat_netcfg_watch_open();
	err = plat_xdp_attach(&opt, &m->xdp.at[i].xdp, why);
	if (err) {
		m->xdp.at[i].xdp = NULL;
		watch_if_attached(m);
		return node_monitor_fail(reply, err, "%s", why[0] ? why : strerror(-err));
	}
	m->xdp.at[i].ifindex = opt.ifindex;
	m->xdp.at[i].mode = opt.mode;
	node_monitor_threaded_put_back(m);
	if (!opt.share) {
		node_monitor_xdp_ports(m);
		xdp_addresses(m);
	}
	tt_log(TT_LOG_INFO, "xdp.attached", TT_F_U64("ifindex", opt.ifindex),
	       TT_F_STR("mode", plat_xdp_mode_name(opt.mode)));
	return i;
}

/* 0, or -errno with reply's text where the configuration does not want it. */
static int xdp_refuse(const struct node_monitor *m, uint32_t ifindex, enum plat_xdp_mode mode,
		      struct node_priv_reply *reply)
{
	struct plat_netcfg_link link;
	int err = plat_netcfg_link_get(ifindex, NULL, &link);

	if (err)
		return node_monitor_fail(reply, err, "no such interface");
	if (node_monitor_xdp_is_allowed(m, link.name, mode))
		return 0;
	tt_log_limited(TT_LOG_WARN, "xdp.not_allowed", NULL, plat_clock_mono(), 1,
		       TT_F_STR("interface", link.name),
		       TT_F_STR("mode", plat_xdp_mode_name(mode)));
	return node_monitor_fail(reply, -EPERM, "%s: not in %s mode by [datapath] mode, interfaces",
				 link.name, plat_xdp_mode_name(mode));
}

int node_monitor_xdp_attach(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	int i = xdp_find(m, req->u.xdp.ifindex), err;
	struct plat_xdp_fds maps;

	if (!m->name[0])
		return node_monitor_fail(reply, -EINVAL, "the configuration comes first");
	err = xdp_refuse(m, req->u.xdp.ifindex, (enum plat_xdp_mode)req->u.xdp.mode, reply);
	if (err)
		return err;
	if (i >= 0 && (m->xdp.at[i].mode != (enum plat_xdp_mode)req->u.xdp.mode ||
		       !plat_xdp_is_attached(m->xdp.at[i].xdp))) {
		xdp_detach(m, i);
		i = -1;
	}
	if (i >= 0) {
		plat_xdp_set_frame_limit(m->xdp.at[i].xdp, req->u.xdp.frame_limit);
		/* this engine has not asked for it */
		(void)node_monitor_threaded_set(m, i, false);
	} else {
		i = xdp_attach(m, req, reply);
	}
	if (i < 0)
		return i;
	plat_xdp_fds_get(m->xdp.at[i].xdp, &maps);
	fds[0] = maps.sockets;
	fds[1] = maps.index;
	fds[2] = maps.config;
	fds[3] = maps.counters;
	*nfds = 4;
	return 0;
}

int node_monitor_xdp_detach(struct node_monitor *m, const struct node_priv_request *req)
{
	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp &&
		    (!req->u.xdp.ifindex || m->xdp.at[i].ifindex == req->u.xdp.ifindex))
			xdp_detach(m, i);
	return 0;
}

int node_monitor_xdp_limit(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply)
{
	int i = xdp_find(m, req->u.xdp.ifindex);

	if (i < 0)
		return node_monitor_fail(reply, -ENOENT, "not attached");
	plat_xdp_set_frame_limit(m->xdp.at[i].xdp, req->u.xdp.frame_limit);
	return 0;
}

void node_monitor_xdp_review(struct node_monitor *m)
{
	struct plat_netcfg_link link;

	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		/* one whose interface has gone, the engine lets go of */
		if (m->xdp.at[i].xdp &&
		    plat_netcfg_link_get(m->xdp.at[i].ifindex, NULL, &link) == 0 &&
		    !node_monitor_xdp_is_allowed(m, link.name, m->xdp.at[i].mode))
			xdp_detach(m, i);
}

int node_monitor_xdp_threaded(struct node_monitor *m, const struct node_priv_request *req,
			      struct node_priv_reply *reply)
{
	int i = xdp_find(m, req->u.xdp_threaded.ifindex);

	if (i < 0)
		return node_monitor_fail(reply, -ENOENT, "not attached");
	return node_monitor_threaded_set(m, i, req->u.xdp_threaded.on);
}

void node_monitor_xdp_close(struct node_monitor *m)
{
	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp)
			xdp_detach(m, i);
}

/* --- sockets -----------------------------------------------------------------------------------
 */

static int offer_explain(struct node_priv_reply *reply, int err, uint32_t bytes)
{
	if (err == -EPERM || err == -ENOBUFS)
		return node_monitor_fail(reply, err,
					 "no right to lock %u MiB of packet memory "
					 "(CAP_NET_RAW and CAP_IPC_LOCK, or a larger "
					 "RLIMIT_MEMLOCK)",
					 bytes >> 20);
	if (err == -EAFNOSUPPORT || err == -ENOTSUP)
		return node_monitor_fail(reply, err, "this kernel has no AF_XDP sockets");
	return node_monitor_fail(reply, err, "cannot open an AF_XDP socket: %s", strerror(-err));
}

int node_monitor_xsk_offer(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	struct plat_xsk_offer offer;
	int err;

	if (!node_monitor_xsk_is_allowed(m))
		return node_monitor_fail(reply, -EPERM, "no AF_XDP sockets by [datapath] mode");
	if (m->xdp.offers >= XDP_OFFERS_MAX)
		return node_monitor_fail(reply, -ENOSPC, "too many AF_XDP sockets were opened");
	err = plat_xsk_offer_open(req->u.xsk.umem_bytes, &offer);
	if (err)
		return offer_explain(reply, err, req->u.xsk.umem_bytes);
	m->xdp.offers++;
	fds[0] = offer.fd;
	fds[1] = offer.umem_fd;
	*nfds = 2;
	return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * The engine's descriptors: what the loop watches, and what the control thread sends.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "node/engine_impl.h"
#include "node/resolver.h"
#include "plat/clock.h"
#include "plat/netcfg.h"
#include "plat/timer.h"

/* How often what outlives the engine is written: with news (of so many peers that there is news all
 * the time: less often), without. */
#define KEEP_NEWS_NS	  TT_NS_PER_SEC
#define KEEP_MUCH_NEWS_NS (5 * TT_NS_PER_SEC)
#define KEEP_MANY_PEERS	  256
#define KEEP_MAX_NS	  (60 * TT_NS_PER_SEC)

#define UDP_BATCH 16
/* GRO is on for every member of the group (the kernel looks at any of them when it coalesces), so a
 * flood of handshakes from one source arrives as one super-datagram. */
#define UDP_BUFFER 65536
#define UDP_USUAL  2048

/* --- UDP -------------------------------------------------------------------------------------- */

static int own_socket(const struct node_sockets *s, enum tt_family family)
{
	return family == TT_FAMILY_V6 ? s->fd6[s->workers] : s->fd4[s->workers];
}

int node_engine_send(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len,
		     bool *lost_source)
{
	struct node_engine *e = ctx;
	int fd = own_socket(&e->sockets, dest->to.ip.family);
	struct plat_udp_tx tx = {
		.buf = data, .len = (uint32_t)len, .segment = (uint32_t)len, .dest = dest};

	if (fd < 0)
		return -EAFNOSUPPORT;
	plat_udp_send(fd, &tx, 1, lost_source);
	return tx.error;
}

static void on_udp(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;
	struct plat_udp_rx rx[UDP_BATCH];
	bool v6 = h == e->poll_udp6;
	int fd = own_socket(&e->sockets, v6 ? TT_FAMILY_V6 : TT_FAMILY_V4);
	struct tt_mono now = plat_clock_mono();

	(void)events;
	if (status < 0 || fd < 0)
		return;
	/* bounded: a flood must not keep the loop from its other work */
	for (int turn = 0; turn < 8; turn++) {
		for (unsigned i = 0; i < UDP_BATCH; i++) {
			rx[i].buf = e->udp_buffers + i * UDP_BUFFER;
			rx[i].cap = UDP_BUFFER;
		}
		int n = plat_udp_recv(fd, rx, UDP_BATCH);
		for (int i = 0; i < n; i++)
			if (!node_engine_mesh_datagram(e, &rx[i]))
				node_device_datagram(e->device, now, &rx[i]);
		if (n < UDP_BATCH)
			break;
	}
}

static void close_sockets(struct node_sockets *s)
{
	for (unsigned i = 0; i <= DP_WORKERS_MAX; i++) {
		if (s->fd4[i] >= 0)
			close(s->fd4[i]);
		if (s->fd6[i] >= 0)
			close(s->fd6[i]);
		s->fd4[i] = s->fd6[i] = -1;
	}
}

/* A control thread that gets a super-datagram cuts it (node_device_datagram). */
void node_engine_set_gro(const struct node_sockets *s, bool on)
{
	for (unsigned i = 0; i <= s->workers; i++) {
		if (s->fd4[i] >= 0)
			plat_udp_enable_gro(s->fd4[i], on);
		if (s->fd6[i] >= 0)
			plat_udp_enable_gro(s->fd6[i], on);
	}
}

/* Not steered: one socket per family, at 0, which worker 0 reads and the control thread sends from
 * too. */
static void take_sockets(struct node_sockets *s, const struct node_priv_reply *r, const int *fds,
			 bool gro)
{
	unsigned n = 0, each = r->u.udp.steered ? r->u.udp.workers + 1u : 1;

	memset(s->fd4, -1, sizeof(s->fd4));
	memset(s->fd6, -1, sizeof(s->fd6));
	s->udp_port = r->u.udp.udp_port;
	s->workers = r->u.udp.workers;
	s->flags = r->u.udp.flags;
	s->steered = r->u.udp.steered;
	s->offloads.gso = (enum plat_offload)r->u.udp.gso;
	s->offloads.gro = (enum plat_offload)r->u.udp.gro;
	for (unsigned i = 0; r->u.udp.have_v4 && i < each; i++)
		s->fd4[i] = fds[n++];
	for (unsigned i = 0; r->u.udp.have_v6 && i < each; i++)
		s->fd6[i] = fds[n++];
	if (s->flags & PLAT_UDP_GRO)
		node_engine_set_gro(s, gro);
}

static uv_poll_t *poll_socket(struct node_engine *e, int fd)
{
	uv_poll_t *h = fd >= 0 ? calloc(1, sizeof(*h)) : NULL;

	if (!h)
		return NULL;
	uv_poll_init(&e->loop, h, fd);
	h->data = e;
	uv_poll_start(h, UV_READABLE, on_udp);
	return h;
}

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static void stop_udp_polls(struct node_engine *e)
{
	if (e->poll_udp4)
		uv_close((uv_handle_t *)e->poll_udp4, free_handle);
	if (e->poll_udp6)
		uv_close((uv_handle_t *)e->poll_udp6, free_handle);
	e->poll_udp4 = e->poll_udp6 = NULL;
}

static void start_udp_polls(struct node_engine *e)
{
	const struct node_sockets *s = &e->sockets;

	if (!s->steered) /* worker 0 reads everything and hands handshakes over */
		return;
	e->poll_udp4 = poll_socket(e, s->fd4[s->workers]);
	e->poll_udp6 = poll_socket(e, s->fd6[s->workers]);
}

int node_engine_open_udp(struct node_engine *e, uint16_t udp_port)
{
	struct node_priv_request req = {.op = NODE_PRIV_UDP_OPEN};
	struct node_priv_reply reply;
	struct node_sockets fresh = {0};
	int fds[NODE_PRIV_FDS_MAX];

	req.u.udp.udp_port = udp_port;
	req.u.udp.workers = (uint16_t)e->tun.queues;
	req.u.udp.fwmark = e->fwmark;
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);
	if (err) {
		tt_log(TT_LOG_ERROR, "udp.open_failed", TT_F_U64("udp_port", udp_port),
		       TT_F_STR("error", reply.error), TT_F_ERRNO("errno", err));
		return err;
	}
	take_sockets(&fresh, &reply, fds, !e->gro_refused);
	if (!e->plane) {
		e->sockets = fresh;
		return 0;
	}
	err = dp_plane_set_udp(e->plane, fresh.fd4, fresh.fd6);
	if (err) {
		close_sockets(&fresh);
		return err;
	}
	stop_udp_polls(e);
	close_sockets(&e->sockets);
	e->sockets = fresh;
	start_udp_polls(e);
	if (e->xdp)
		node_xdp_outer_changed(e->xdp);
	struct node_priv_request commit = {.op = NODE_PRIV_UDP_COMMIT};
	return node_priv_send(e->priv, &commit, -1, NULL, NULL);
}

int node_engine_rebind(void *ctx, uint16_t udp_port, uint16_t *bound)
{
	struct node_engine *e = ctx;
	int err = node_engine_open_udp(e, udp_port);

	if (!err)
		*bound = e->sockets.udp_port;
	return err;
}

int node_engine_set_fwmark(void *ctx, uint32_t fwmark)
{
	struct node_engine *e = ctx;
	struct node_priv_request req = {.op = NODE_PRIV_UDP_FWMARK};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	req.u.udp.fwmark = fwmark;
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);
	if (!err)
		e->fwmark = fwmark;
	if (!err && e->xdp)
		node_xdp_outer_changed(e->xdp);
	return err;
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void on_deadline_fd(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)status;
	(void)events;
	plat_timer_clear(e->deadline_fd);
	node_device_tick(e->device, plat_clock_mono());
}

static void on_deadline_timer(uv_timer_t *h)
{
	struct node_engine *e = h->data;

	node_device_tick(e->device, plat_clock_mono());
}

void node_engine_arm(void *ctx, struct tt_mono deadline)
{
	struct node_engine *e = ctx;

	if (e->deadline_fd >= 0) {
		plat_timer_set(e->deadline_fd, deadline);
		return;
	}
	if (!deadline.ns) {
		uv_timer_stop(&e->deadline);
		return;
	}
	uint64_t wait = tt_mono_since(deadline, plat_clock_mono());
	uv_timer_start(&e->deadline, on_deadline_timer, (wait + TT_NS_PER_MS - 1) / TT_NS_PER_MS,
		       0);
}

/* --- the resolver ----------------------------------------------------------------------------- */

void node_engine_resolve(void *ctx, uint32_t query, const char *host, uint16_t udp_port)
{
	struct node_engine *e = ctx;
	struct node_resolver_query q = {.id = query, .udp_port = udp_port};
	struct tt_endpoint none;

	strncpy(q.host, host, sizeof(q.host) - 1);
	if (node_resolver_ask(e->start->resolver_fd, &q) == 0)
		return;
	if (query == NODE_ENGINE_HUB_QUERY && e->mesh)
		node_mesh_resolved(e->mesh, &none, 0);
	else
		node_device_resolved(e->device, query, &none, 0);
}

static void say_unresolved(struct node_engine *e, const struct node_resolver_answer *a)
{
	if (a->id != NODE_ENGINE_HUB_QUERY || !e->config)
		node_device_unresolved(e->device, a->id, a->error);
	else
		tt_log_limited(TT_LOG_WARN, "resolver.failed", NULL, plat_clock_mono(), 4,
			       TT_F_STR("host", node_config_str(e->config, e->config->hub.host)),
			       TT_F_STR("error", a->error));
}

static void on_resolver(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;
	struct node_resolver_answer a;
	int err = 0;

	(void)status;
	(void)events;
	for (int i = 0; i < 64 && (err = node_resolver_read(e->start->resolver_fd, &a)) == 0; i++) {
		if (a.result)
			say_unresolved(e, &a);
		if (a.id == NODE_ENGINE_HUB_QUERY && e->mesh)
			node_mesh_resolved(e->mesh, a.addr, a.result ? 0 : a.count);
		else
			node_device_resolved(e->device, a.id, a.addr, a.result ? 0 : a.count);
	}
	if (err == -EPIPE) /* it died; the monitor gives the next engine a new one */
		uv_poll_stop(h);
}

/* --- what outlives the engine ----------------------------------------------------------------- */

/*
 * Sessions, stamps and endpoints that are new: a successor asks those peers for a handshake at
 * once, and takes no initiation a second time. Looked at after each doorbell, so that little is
 * lost where we are killed.
 */
static void keep_changes(struct node_engine *e, struct tt_mono now)
{
	struct node_device_info info;
	uint64_t changes = node_device_changes(e->device), gap = KEEP_MAX_NS;

	if (tt_mono_since(now, e->state_saved) < KEEP_NEWS_NS)
		return;
	if (changes != e->kept_changes) {
		node_device_get_info(e->device, &info);
		gap = info.peers > KEEP_MANY_PEERS ? KEEP_MUCH_NEWS_NS : KEEP_NEWS_NS;
	}
	if (tt_mono_since(now, e->state_saved) < gap)
		return;
	e->kept_changes = changes;
	node_engine_memory_save(e);
	node_engine_state_save(e, false);
}

/* --- monitor, signals, doorbell ----------------------------------------------------------------
 */

static void on_priv(uv_poll_t *h, int status, int events);

static void poll_priv(struct node_engine *e)
{
	int events = UV_READABLE | (node_priv_wants_write(e->priv) ? UV_WRITABLE : 0);

	uv_poll_start(&e->poll_priv, events, on_priv);
}

static void on_priv(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)events;
	if (status < 0 || node_priv_dispatch(e->priv) == -EPIPE) {
		/* without the monitor nothing keeps or cleans the host's state: end at once */
		tt_log(TT_LOG_ERROR, "monitor.gone");
		_exit(NODE_EXIT_FAILED);
	}
	poll_priv(e);
}

static void on_answers(uv_prepare_t *h)
{
	struct node_engine *e = h->data;

	if (node_priv_has_answers(e->priv))
		on_priv(&e->poll_priv, 0, 0);
}

static void say_alive(struct node_engine *e)
{
	struct node_priv_request req = {.op = NODE_PRIV_ALIVE};

	node_priv_send(e->priv, &req, -1, NULL, NULL);
}

static void on_signal(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;
	char byte;

	(void)status;
	(void)events;
	while (read(e->start->signal_fd, &byte, 1) == 1) {
		if (byte == NODE_SIGNAL_STOP)
			node_engine_stop(e, NODE_EXIT_OK);
		else if (byte == NODE_SIGNAL_RELOAD)
			node_engine_reload(e);
		else if (byte == NODE_SIGNAL_PING)
			say_alive(e);
		else if (byte == NODE_SIGNAL_FIREWALL_RESTORED || byte == NODE_SIGNAL_FIREWALL_GONE)
			node_engine_gateway_changed(e, byte == NODE_SIGNAL_FIREWALL_RESTORED);
	}
}

static void on_more(uv_idle_t *h)
{
	struct node_engine *e = h->data;

	if (!node_device_doorbell(e->device, plat_clock_mono()))
		uv_idle_stop(h);
}

static void look_at_tun(struct node_engine *e);

static void on_doorbell(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)status;
	(void)events;
	if (dp_plane_tun_state(e->plane) == PLAT_TUN_GONE)
		look_at_tun(e);
	struct tt_mono now = plat_clock_mono();
	node_engine_mesh_datagrams(e);
	if (node_device_doorbell(e->device, now))
		uv_idle_start(&e->more, on_more);
	keep_changes(e, now);
}

/* --- the network and the interface ------------------------------------------------------------ */

/* Somebody took the link down: with it went routes, and addresses of IPv6, which are ours to keep.
 */
static void link_is_back(struct node_engine *e)
{
	char error[NODE_PRIV_ERROR_MAX];

	e->link_lost = false;
	if (!e->config)
		return;
	node_net_forget(e->net);
	if (node_net_apply(e->net, e->config, e->mtu, &e->mark, false, error, sizeof(error)) != 0)
		tt_log(TT_LOG_WARN, "net.failed", TT_F_STR("error", error));
}

static void look_at_tun(struct node_engine *e)
{
	struct node_device_info info;

	switch (plat_tun_state(e->tun.fd[0])) {
	case PLAT_TUN_GONE:
		tt_log(TT_LOG_INFO, "interface.deleted", TT_F_STR("interface", e->tun.name));
		node_engine_stop(e, NODE_EXIT_DELETED);
		break;
	case PLAT_TUN_UP:
		node_device_set_up(e->device, true);
		if (e->link_lost)
			link_is_back(e);
		break;
	case PLAT_TUN_DOWN:
		node_device_get_info(e->device, &info);
		e->link_lost |= info.up;
		node_device_set_up(e->device, false);
		break;
	}
}

static void on_net_event(void *arg, const struct plat_netcfg_event *ev)
{
	struct node_engine *e = arg;

	if (ev->ifindex == e->tun.ifindex) {
		if (ev->kind == PLAT_NETCFG_EVENT_LINK && ev->mtu) {
			e->mtu = ev->mtu;
			dp_plane_set_mtu(e->plane, ev->mtu);
		}
		look_at_tun(e);
		return;
	}
	if (e->xdp)
		node_xdp_link_event(e->xdp, ev);
	if (e->mesh &&
	    ((ev->kind == PLAT_NETCFG_EVENT_LINK && ev->mtu) || ev->kind == PLAT_NETCFG_EVENT_LOST))
		node_mesh_mtu_changed(e->mesh);
	if (ev->kind == PLAT_NETCFG_EVENT_ADDR && ev->removed)
		node_device_address_gone(e->device, &ev->ip);
	e->network_changed = true;
}

/*
 * Once for many events, and once a second at most: every peer that does not answer is tried at
 * once, and a host whose routes change all the time must not flood them.
 */
static void tell_network_changed(struct node_engine *e)
{
	struct tt_mono now = plat_clock_mono();

	if (!e->network_changed || tt_mono_since(now, e->network_told) < TT_NS_PER_SEC)
		return;
	e->network_changed = false;
	e->network_told = now;
	node_device_network_changed(e->device);
	if (e->mesh)
		node_mesh_network_changed(e->mesh);
}

static void on_watch(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)events;
	if (status < 0 || plat_netcfg_watch_read(e->watch_fd, on_net_event, e) < 0)
		uv_poll_stop(h);
	tell_network_changed(e);
}

static void on_second(uv_timer_t *h)
{
	struct node_engine *e = h->data;
	struct tt_mono now = plat_clock_mono();

	look_at_tun(e);
	tell_network_changed(e);
	tt_epoch_reclaim(dp_plane_epoch(e->plane));
	keep_changes(e, now);
	node_engine_metrics_tick(e, now);
	tt_log_flush(now);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void watch_fd(struct node_engine *e, uv_poll_t *h, int fd, uv_poll_cb cb)
{
	uv_poll_init(&e->loop, h, fd);
	h->data = e;
	uv_poll_start(h, UV_READABLE, cb);
}

int node_engine_io_start(struct node_engine *e)
{
	e->udp_buffers = malloc(UDP_BATCH * UDP_BUFFER);
	if (!e->udp_buffers)
		return -ENOMEM;
	/* into memory now, what a control message needs: it does not grow with the longest batch */
	for (unsigned i = 0; i < UDP_BATCH; i++)
		memset(e->udp_buffers + i * UDP_BUFFER, 0, UDP_USUAL);
	watch_fd(e, &e->poll_priv, node_priv_client_fd(e->priv), on_priv);
	watch_fd(e, &e->poll_signal, e->start->signal_fd, on_signal);
	watch_fd(e, &e->poll_resolver, e->start->resolver_fd, on_resolver);
	watch_fd(e, &e->poll_doorbell, dp_plane_doorbell_fd(e->plane), on_doorbell);
	if (e->deadline_fd >= 0)
		watch_fd(e, &e->poll_deadline, e->deadline_fd, on_deadline_fd);
	e->watch_fd = plat_netcfg_watch_open();
	if (e->watch_fd >= 0)
		watch_fd(e, &e->poll_watch, e->watch_fd, on_watch);
	start_udp_polls(e);
	uv_idle_init(&e->loop, &e->more);
	e->more.data = e;
	uv_prepare_init(&e->loop, &e->answers);
	e->answers.data = e;
	uv_prepare_start(&e->answers, on_answers);
	uv_timer_init(&e->loop, &e->deadline);
	e->deadline.data = e;
	uv_timer_init(&e->loop, &e->memory_due);
	e->memory_due.data = e;
	uv_timer_init(&e->loop, &e->second);
	e->second.data = e;
	uv_timer_start(&e->second, on_second, 200, 1000);
	poll_priv(e);
	look_at_tun(e);
	return 0;
}

static void close_any(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void node_engine_io_stop(struct node_engine *e)
{
	stop_udp_polls(e);
	node_engine_xdp_unwatch(e);
	uv_walk(&e->loop, close_any, NULL);
	for (int i = 0; i < 16 && uv_run(&e->loop, UV_RUN_NOWAIT); i++)
		;
	if (e->watch_fd >= 0)
		close(e->watch_fd);
	close_sockets(&e->sockets);
	free(e->udp_buffers);
}

/* SPDX-License-Identifier: MIT
 *
 * The monitor's end of the channel. Every field is checked before anything is done; what a sound
 * engine never sends ends the engine.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "node/priv_wire.h"
#include "plat/clock.h"
#include "plat/xsk.h"

#define REQUEST_STATE_MAX (64u << 20)
#define REQUEST_MTU_MIN	  68
#define REQUEST_MTU_MAX	  65535
#define REQUEST_FRAME_MIN 64
#define REQUEST_UMEM_MIN  (1u << 20)
#define REQUEST_UMEM_MAX  PLAT_XSK_UMEM_DEFAULT
/* one turn of the loop: signals and children get their share */
#define REQUESTS_PER_TURN 256

int node_monitor_fail(struct node_priv_reply *reply, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reply->error, sizeof(reply->error), fmt, ap);
	va_end(ap);
	reply->result = err;
	return err;
}

/* --- replies -----------------------------------------------------------------------------------
 */

static void channel_release_fds(struct node_monitor_channel *c)
{
	if (c->close_fds)
		node_wire_close(c->fds, c->reply.fds);
	c->close_fds = false;
}

void node_monitor_channel_flush(struct node_monitor *m)
{
	struct node_monitor_channel *c = &m->channel;
	int err;

	if (c->fd < 0)
		return;
	err = node_wire_send(c->fd, &c->reply, sizeof(c->reply), c->fds, c->reply.fds);
	c->blocked = err == -EAGAIN;
	/* any other error: the engine is gone, which its end will tell */
	if (!c->blocked)
		channel_release_fds(c);
}

void node_monitor_reply(struct node_monitor *m, uint32_t op, uint32_t id,
			struct node_priv_reply *reply, const int *fds, unsigned nfds,
			bool close_fds)
{
	struct node_monitor_channel *c = &m->channel;

	tt_assert(!c->blocked && nfds <= NODE_PRIV_FDS_MAX);
	if (reply->result && reply->error[0])
		snprintf(m->last_error, sizeof(m->last_error), "%s", reply->error);
	reply->op = op;
	reply->id = id;
	reply->fds = nfds;
	c->reply = *reply;
	if (nfds)
		memcpy(c->fds, fds, nfds * sizeof(int));
	c->close_fds = close_fds;
	node_monitor_channel_flush(m);
}

void node_monitor_channel_close(struct node_monitor *m)
{
	struct node_monitor_channel *c = &m->channel;

	if (c->fd < 0)
		return;
	if (c->blocked)
		channel_release_fds(c);
	close(c->fd);
	c->fd = -1;
	c->blocked = false;
}

/* --- checks -------------------------------------------------------------------------------------
 */

static bool all_zero(const uint8_t *b, size_t n)
{
	while (n)
		if (b[--n])
			return false;
	return true;
}

static bool prefix_valid(const struct tt_cidr *c)
{
	switch (c->ip.family) {
	case TT_FAMILY_V4:
		return c->bits <= 32 && all_zero(c->ip.b + 4, 12);
	case TT_FAMILY_V6:
		return c->bits <= 128;
	default:
		return false;
	}
}

static bool exit_valid(int32_t status)
{
	return status == NODE_EXIT_OK || status == NODE_EXIT_FAILED || status == NODE_EXIT_CONFIG ||
	       status == NODE_EXIT_DELETED;
}

static bool tun_request_valid(const struct node_monitor *m, const struct node_priv_request *req)
{
	const char *name = req->u.tun.name;

	return memchr(name, 0, sizeof(req->u.tun.name)) && node_monitor_name_valid(name) &&
	       strcmp(name, m->name) == 0 && req->u.tun.queues >= 1 &&
	       req->u.tun.queues <= PLAT_TUN_QUEUES_MAX &&
	       !(req->u.tun.want_flags & ~(PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO));
}

static bool xdp_mode_valid(uint32_t mode)
{
	return mode == PLAT_XDP_MODE_DRIVER || mode == PLAT_XDP_MODE_GENERIC;
}

static bool frame_limit_valid(uint32_t bytes)
{
	return bytes >= REQUEST_FRAME_MIN && bytes <= PLAT_XSK_FRAME;
}

static bool umem_valid(uint32_t bytes)
{
	return bytes >= REQUEST_UMEM_MIN && bytes <= REQUEST_UMEM_MAX &&
	       bytes % PLAT_XSK_FRAME == 0;
}

static bool state_save_valid(const struct node_priv_request *req)
{
	uint32_t kind = req->u.state.kind;

	return kind < NODE_STATE_KIND_COUNT && req->u.state.len >= 1 &&
	       req->u.state.len <=
		       (kind == NODE_STATE_KIND_CERT ? NODE_PRIV_CERT_MAX : REQUEST_STATE_MAX);
}

static bool request_valid(const struct node_monitor *m, const struct node_priv_request *req)
{
	switch ((enum node_priv_op)req->op) {
	case NODE_PRIV_TUN_OPEN:
		return tun_request_valid(m, req);
	case NODE_PRIV_UDP_OPEN:
		return req->u.udp.workers >= 1 && req->u.udp.workers <= MONITOR_WORKERS_MAX;
	case NODE_PRIV_TUN_QUEUE:
		return req->u.tun_queue.on <= 1 && req->u.tun_queue.queue < PLAT_TUN_QUEUES_MAX;
	case NODE_PRIV_XDP_ATTACH:
		return req->u.xdp.ifindex && xdp_mode_valid(req->u.xdp.mode) &&
		       frame_limit_valid(req->u.xdp.frame_limit);
	case NODE_PRIV_XDP_DETACH:
		return req->u.xdp.mode == 0 && req->u.xdp.frame_limit == 0;
	case NODE_PRIV_XDP_LIMIT:
		return req->u.xdp.ifindex && frame_limit_valid(req->u.xdp.frame_limit);
	case NODE_PRIV_XDP_THREADED:
		return req->u.xdp_threaded.ifindex && req->u.xdp_threaded.on <= 1;
	case NODE_PRIV_XSK_OFFER:
		return umem_valid(req->u.xsk.umem_bytes);
	case NODE_PRIV_NET_MTU:
		return req->u.net.mtu >= REQUEST_MTU_MIN && req->u.net.mtu <= REQUEST_MTU_MAX;
	case NODE_PRIV_NET_UP:
		return req->u.net.on <= 1;
	case NODE_PRIV_ADDR:
	case NODE_PRIV_ROUTE:
	case NODE_PRIV_DEFAULT_ROUTE:
		return req->u.net.on <= 1 && prefix_valid(&req->u.net.prefix) &&
		       node_monitor_is_allowed(m, req);
	case NODE_PRIV_HUB_SOCKET:
		return req->u.hub.family == TT_FAMILY_V4 || req->u.hub.family == TT_FAMILY_V6;
	case NODE_PRIV_STATE_SAVE:
		return state_save_valid(req);
	case NODE_PRIV_STATE_LOAD:
		return req->u.state.kind < NODE_STATE_KIND_COUNT;
	case NODE_PRIV_LOG_LEVEL:
		return req->u.log.level <= TT_LOG_DEBUG;
	case NODE_PRIV_EXIT:
		return exit_valid(req->u.exit.status);
	case NODE_PRIV_UDP_COMMIT:
	case NODE_PRIV_UDP_FWMARK:
	case NODE_PRIV_LISTEN_UAPI:
	case NODE_PRIV_LISTEN_CONTROL:
	case NODE_PRIV_LISTEN_METRICS:
	case NODE_PRIV_CONFIG_LOAD:
	case NODE_PRIV_CONFIG_COMMIT:
	case NODE_PRIV_CONFIG_REFUSE:
	case NODE_PRIV_GATEWAY:
	case NODE_PRIV_READY:
	case NODE_PRIV_ALIVE:
		return true;
	case NODE_PRIV_OP_COUNT:
		break;
	}
	return false;
}

/* --- what needs no file of its own -------------------------------------------------------------
 */

static void request_ready(struct node_monitor *m)
{
	if (!m->reported)
		tt_log(TT_LOG_INFO, "monitor.ready", TT_F_STR("name", m->name));
	node_monitor_report(m, 0, "");
	node_monitor_notify_ready(m);
}

static void request_log_level(enum tt_log_level level)
{
	tt_log_set_level(level);
	tt_log(TT_LOG_INFO, "log.level", TT_F_STR("is", tt_log_level_name(level)));
}

static void request_exit(struct node_monitor *m, int32_t status)
{
	m->engine.leaving = true;
	m->engine.leaving_status = status;
	node_monitor_notify_stopping(m);
	/* it has said good-bye: from here on its time runs */
	if (!tt_mono_is_set(m->engine.kill_at))
		m->engine.kill_at = tt_mono_add_ns(plat_clock_mono(), 2 * TT_NS_PER_SEC);
}

/* The name is known: files and sockets can be named after it. */
static int request_listen(struct node_monitor *m, struct node_monitor_listen *l, const char *dir,
			  struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	int err;

	if (!m->name[0])
		return node_monitor_fail(reply, -EINVAL, "the configuration comes first");
	err = node_monitor_listen(m, l, dir, reply);
	if (err)
		return err;
	fds[0] = l->fd;
	*nfds = 1;
	return 0;
}

/* --- dispatch ------------------------------------------------------------------------------------
 */

struct answer {
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned nfds;
	bool close_fds;
	bool later; /* a child answers */
};

static int request_act(struct node_monitor *m, const struct node_priv_request *req, int fd,
		       struct answer *a)
{
	struct node_priv_reply *reply = &a->reply;
	bool now;
	int err;

	switch ((enum node_priv_op)req->op) {
	case NODE_PRIV_TUN_OPEN:
		return node_monitor_tun_open(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_UDP_OPEN:
		return node_monitor_udp_open(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_UDP_COMMIT:
		return node_monitor_udp_commit(m);
	case NODE_PRIV_UDP_FWMARK:
		return node_monitor_udp_fwmark(m, req, reply);
	case NODE_PRIV_TUN_QUEUE:
		return node_monitor_tun_queue(m, req, reply);
	case NODE_PRIV_XDP_ATTACH:
		return node_monitor_xdp_attach(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_XDP_DETACH:
		return node_monitor_xdp_detach(m, req);
	case NODE_PRIV_XDP_LIMIT:
		return node_monitor_xdp_limit(m, req, reply);
	case NODE_PRIV_XDP_THREADED:
		return node_monitor_xdp_threaded(m, req, reply);
	case NODE_PRIV_XSK_OFFER:
		a->close_fds = true;
		return node_monitor_xsk_offer(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_NET_MTU:
	case NODE_PRIV_NET_UP:
	case NODE_PRIV_ADDR:
	case NODE_PRIV_ROUTE:
	case NODE_PRIV_DEFAULT_ROUTE:
		return node_monitor_net(m, req, reply);
	case NODE_PRIV_LISTEN_UAPI:
		return request_listen(m, &m->uapi, m->wg_dir, reply, a->fds, &a->nfds);
	case NODE_PRIV_LISTEN_CONTROL:
		return request_listen(m, &m->control, m->run_dir, reply, a->fds, &a->nfds);
	case NODE_PRIV_LISTEN_METRICS:
		return node_monitor_listen_metrics(m, reply, a->fds, &a->nfds);
	case NODE_PRIV_CONFIG_LOAD:
		err = node_monitor_config_load(m, req, reply, a->fds, &a->nfds, &now);
		a->later = !now;
		return err;
	case NODE_PRIV_CONFIG_COMMIT:
		return node_monitor_config_commit(m, reply);
	case NODE_PRIV_CONFIG_REFUSE:
		node_monitor_config_refuse(m);
		return 0;
	case NODE_PRIV_GATEWAY:
		return node_monitor_gateway(m, reply);
	case NODE_PRIV_STATE_SAVE:
		err = node_monitor_state_save(m, req, fd, reply);
		a->later = !err;
		return err;
	case NODE_PRIV_STATE_LOAD:
		a->close_fds = true;
		return node_monitor_state_load(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_HUB_SOCKET:
		a->close_fds = true;
		return node_monitor_hub_socket(m, req, reply, a->fds, &a->nfds);
	case NODE_PRIV_READY:
		request_ready(m);
		return 0;
	case NODE_PRIV_LOG_LEVEL:
		request_log_level((enum tt_log_level)req->u.log.level);
		return 0;
	case NODE_PRIV_ALIVE:
		node_monitor_notify_alive();
		return 0;
	case NODE_PRIV_EXIT:
		request_exit(m, req->u.exit.status);
		return 0;
	case NODE_PRIV_OP_COUNT:
		break;
	}
	return -EINVAL;
}

static void request_handle(struct node_monitor *m, const struct node_priv_request *req, int fd)
{
	static struct answer a;

	memset(&a, 0, sizeof(a));
	a.reply.result = request_act(m, req, fd, &a);
	if (a.reply.result)
		a.nfds = 0;
	if (!a.later)
		node_monitor_reply(m, req->op, req->id, &a.reply, a.fds, a.nfds, a.close_fds);
}

static void request_malformed(struct node_monitor *m, uint32_t op, const char *what)
{
	tt_log(TT_LOG_ERROR, "priv.malformed", TT_F_STR("what", what), TT_F_U64("op", op));
	node_monitor_channel_close(m);
	node_monitor_engine_kill(m);
}

/* One request; false where there is none, or no engine any more. */
static bool request_next(struct node_monitor *m)
{
	struct node_priv_request req = {0};
	int fds[NODE_PRIV_FDS_MAX];
	unsigned nfds, want_fds;
	ssize_t n = node_wire_recv(m->channel.fd, &req, sizeof(req), fds, &nfds);

	if (n == -EAGAIN)
		return false;
	if (n <= 0 && n != -EMSGSIZE) {
		/* closed: it ends now, or it has no business going on */
		node_monitor_channel_close(m);
		if (!tt_mono_is_set(m->engine.kill_at))
			m->engine.kill_at = tt_mono_add_ns(plat_clock_mono(), 2 * TT_NS_PER_SEC);
		return false;
	}
	want_fds = req.op == NODE_PRIV_STATE_SAVE;
	if (n == sizeof(req) && nfds == want_fds && request_valid(m, &req)) {
		request_handle(m, &req, want_fds ? fds[0] : -1);
		return true;
	}
	node_wire_close(fds, nfds);
	request_malformed(m, req.op,
			  n != sizeof(req)   ? "size"
			  : nfds != want_fds ? "fds"
					     : "fields");
	return false;
}

void node_monitor_serve(struct node_monitor *m)
{
	for (int i = 0; i < REQUESTS_PER_TURN && m->channel.fd >= 0 && !m->channel.blocked; i++)
		if (!request_next(m))
			break;
}

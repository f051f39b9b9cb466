/* SPDX-License-Identifier: MIT
 *
 * The engine's life: bring up, run, tear down. The order of bring_up is the order in which a half
 * started engine is taken apart again.
 */
#include "node/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/mem.h"
#include "datapath/csum.h"
#include "node/apply.h"
#include "node/engine_impl.h"
#include "node/events.h"
#include "node/xdp_workers.h"
#include "plat/clock.h"
#include "plat/timer.h"
#include "wire/uv.h"

#define AUTO_WORKERS_MAX 4

/* Mapped and locked by node_engine_prepare() while the right to lock is there. */
static struct node_memory *prepared_memory;

int node_engine_prepare(const struct node_engine_start *start)
{
	int err = node_device_prepare();

	if (!err)
		err = node_uapi_prepare();

	return err ? err : node_memory_open(start->memory_fd, NODE_MEMORY_BYTES, &prepared_memory);
}

void node_engine_stop(struct node_engine *e, int status)
{
	if (e->stopping)
		return;
	e->stopping = true;
	e->status = status;
	uv_stop(&e->loop);
}

/* --- parts of bring-up ------------------------------------------------------------------------ */

static int fail(const char *event, int err, const char *text)
{
	tt_log(TT_LOG_ERROR, event, TT_F_STR("error", text), TT_F_ERRNO("errno", err));
	return err;
}

static const char *aead_wanted(const struct node_engine *e)
{
	static const char *const name[] = {NULL, "avx512", "ipsec-mb", "libsodium"};

	if (e->config && e->config->aead != NODE_AEAD_AUTO)
		return name[e->config->aead];
	return getenv("TALTUN_AEAD");
}

static int choose_aead(struct node_engine *e)
{
	const char *wanted = aead_wanted(e);

	switch (crypto_aead_select(wanted, &e->aead)) {
	case CRYPTO_AEAD_CHOSEN:
		break;
	case CRYPTO_AEAD_UNKNOWN:
		tt_log(TT_LOG_ERROR, "aead.unknown", TT_F_STR("wanted", wanted),
		       TT_F_STR("hint", "use auto, avx512, ipsec-mb or libsodium"));
		return -EINVAL;
	case CRYPTO_AEAD_UNAVAILABLE:
		tt_log(TT_LOG_ERROR, "aead.unavailable", TT_F_STR("wanted", wanted),
		       TT_F_STR("hint", "not in this build, or not on this CPU; use auto"));
		return -ENOTSUP;
	case CRYPTO_AEAD_BROKEN:
		tt_log(TT_LOG_ERROR, "aead.broken", TT_F_STR("backend", crypto_aead_refused()),
		       TT_F_STR("hint", "it failed its self-test; choose another backend"));
		return -EIO;
	}
	if (crypto_aead_refused())
		tt_log(TT_LOG_WARN, "aead.refused", TT_F_STR("backend", crypto_aead_refused()),
		       TT_F_STR("using", e->aead));
	return 0;
}

static unsigned workers_wanted(const struct node_engine *e)
{
	unsigned workers = TT_MIN(uv_available_parallelism(), (unsigned)AUTO_WORKERS_MAX);
	struct node_xdp_settings settings;

	if (e->config && e->config->workers)
		return TT_MIN(e->config->workers, (unsigned)DP_WORKERS_MAX);
	node_xdp_settings_of(e->config ? e->config : e->start->settings, &settings);
	unsigned queues = node_xdp_queues_expected(&settings, e->config);
	return TT_MAX(1u, queues ? TT_MIN(workers, queues) : workers);
}

static int open_tun(struct node_engine *e)
{
	struct node_priv_request req = {.op = NODE_PRIV_TUN_OPEN};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	memcpy(req.u.tun.name, e->config ? e->config->name : e->start->name,
	       sizeof(req.u.tun.name));
	req.u.tun.queues = workers_wanted(e);
	req.u.tun.want_flags = PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO;
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);
	if (err)
		return fail("tun.open_failed", err, reply.error);
	memcpy(e->tun.name, reply.u.tun.name, sizeof(e->tun.name));
	e->tun.ifindex = reply.u.tun.ifindex;
	e->tun.flags = reply.u.tun.flags;
	e->tun.queues = reply.u.tun.queues;
	e->tun_offloads.tso = (enum plat_offload)reply.u.tun.tso;
	e->tun_offloads.uso = (enum plat_offload)reply.u.tun.uso;
	e->mtu = reply.u.tun.mtu;
	memcpy(e->tun.fd, fds, e->tun.queues * sizeof(fds[0]));
	return 0;
}

static int set_mtu(struct node_engine *e)
{
	struct node_priv_request req = {.op = NODE_PRIV_NET_MTU};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	/* an engine that was restarted finds the MTU somebody may have set since */
	if (e->start->restarts)
		return 0;
	e->mtu = e->config ? node_engine_config_mtu(e, e->config) : NODE_DEFAULT_MTU;
	req.u.net.mtu = e->mtu;
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);
	return err ? fail("tun.mtu_failed", err, reply.error) : 0;
}

static int make_plane(struct node_engine *e)
{
	struct dp_config cfg = {
		.workers = e->tun.queues,
		.poll = DP_POLL_ADAPTIVE,
		.between = DP_BETWEEN_KERNEL,
		.tun_flags = e->tun.flags,
		.mtu = e->mtu,
		.udp_flags = e->sockets.flags,
	};

	if (e->config) {
		cfg.poll = (enum dp_poll)e->config->poll;
		cfg.between =
			e->config->forward_between_peers ? DP_BETWEEN_DIRECT : DP_BETWEEN_DENY;
	}
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++) {
		bool mine = i < e->tun.queues;
		cfg.tun_fd[i] = mine ? e->tun.fd[i] : -1;
		cfg.udp4_fd[i] = mine ? e->sockets.fd4[i] : -1;
		cfg.udp6_fd[i] = mine ? e->sockets.fd6[i] : -1;
	}
	int err = dp_plane_create(&cfg, &e->plane);
	return err ? fail("plane.create_failed", err, "cannot make the data plane") : 0;
}

/*
 * Once the peers are there: what waits in the TUN of an engine that crashed would be told that no
 * peer has its destination.
 */
static int start_workers(struct node_engine *e)
{
	int err = dp_plane_start(e->plane);

	return err ? fail("plane.start_failed", err, "cannot start the workers") : 0;
}

void node_engine_publish_addresses(struct node_engine *e)
{
	uint32_t count = e->config ? e->config->addresses.count : 0;
	struct tt_ip *ips = calloc(count + 1, sizeof(*ips));

	for (uint32_t i = 0; ips && i < count; i++)
		ips[i] = node_config_cidr(e->config, e->config->addresses, i)->ip;
	if (ips)
		dp_plane_set_inner_addresses(e->plane, ips, count);
	free(ips);
}

static void device_event(void *ctx, const struct node_event *ev)
{
	struct node_engine *e = ctx;

	node_events_emit(e->control, ev);
}

/* A clock that was set back must not make a successor's handshakes older than ours. */
static void device_stamped(void *ctx, const uint8_t stamp[WG_TIMESTAMP_LEN])
{
	struct node_engine *e = ctx;

	node_memory_note(e->memory, stamp);
}

static int make_device(struct node_engine *e)
{
	uint8_t stamp[NODE_MEMORY_NOTE];
	struct node_device_options opt = {
		.plane = e->plane,
		.udp_port = e->sockets.udp_port,
		.fwmark = e->fwmark,
		.rng = plat_rng(),
		.send = node_engine_send,
		.rebind = node_engine_rebind,
		.fwmark_set = node_engine_set_fwmark,
		.resolve = node_engine_resolve,
		.arm = node_engine_arm,
		.index = node_engine_index,
		.find_link = node_engine_find_link,
		.send_route = node_engine_send_route,
		.heard = node_engine_heard,
		.wanted = node_engine_wanted,
		.gone = node_engine_peer_gone,
		.event = device_event,
		.stamped = device_stamped,
		.ctx = e,
	};

	memcpy(opt.name, e->tun.name, sizeof(opt.name));
	int err = node_device_create(&opt, &e->device);
	if (!err && e->start->restarts && node_memory_noted(e->memory, stamp))
		node_device_set_stamp(e->device, stamp);
	return err ? fail("device.create_failed", err, "cannot make the device") : 0;
}

static int configure(struct node_engine *e)
{
	char error[NODE_PRIV_ERROR_MAX] = "";
	int err = 0;

	/* a handshake from a udp_port that is not the one in force would be answered to nobody */
	node_device_hold(e->device, e->start->restarts > 0);
	if (e->config) {
		node_engine_publish_addresses(e);
		err = node_apply_device(e->device, e->config, NULL);
		if (err)
			return fail("config.apply_failed", err, "see the lines above");
	}
	if (e->start->restarts)
		node_engine_memory_restore(e);
	node_device_hold(e->device, false);
	if (e->config) {
		err = node_engine_gateway_start(e, error, sizeof(error));
		if (err)
			return fail("gateway.failed", err, error);
		err = node_net_apply(e->net, e->config, e->mtu, &e->mark, true, error,
				     sizeof(error));
		/* after a crash the tunnel goes on with what the host lets us have */
		if (err && e->start->restarts)
			tt_log(TT_LOG_WARN, "net.apply_failed", TT_F_STR("error", error),
			       TT_F_ERRNO("errno", err));
		else if (err)
			return fail("net.apply_failed", err, error);
	}
	return 0;
}

/* --- UAPI and control sockets ------------------------------------------------------------------
 */

static int listen_on(struct node_engine *e, enum node_priv_op op)
{
	struct node_priv_request req = {.op = op};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);

	return err ? fail("listen.failed", err, reply.error) : fds[0];
}

static void on_uapi_change(void *ctx)
{
	node_engine_memory_soon(ctx);
}

void node_engine_describe(void *ctx, struct node_control_about *about)
{
	static const char *const poll_name[] = {"adaptive", "busy", "interrupt"};
	static const char *const firewall_name[] = {"off", "on", "missing"};
	const struct node_engine *e = ctx;

	*about = (struct node_control_about){
		.version = TALTUN_VERSION,
		.mode = e->config ? "config" : "uapi",
		.config_file = e->start->config_path ? e->start->config_path : "",
		.aead = e->aead,
		.poll = poll_name[e->config ? e->config->poll : 0],
		.tun_flags = e->tun.flags,
		.udp_flags = e->sockets.flags,
		.tun_offloads = e->tun_offloads,
		.udp_offloads = e->sockets.offloads,
		.steered = e->sockets.steered,
		.mtu = e->mtu,
		.restarts = e->start->restarts,
		.mesh = e->mesh,
		.xdp = e->xdp,
		.hung = e->watchdog ? node_watchdog_hung(e->watchdog) : 0,
		.firewall = e->config && e->config->gateway.given
				    ? firewall_name[e->gateway.firewall]
				    : NULL,
		.firewall_restored = e->gateway.restored,
		.not_kept = e->not_kept,
		.uptime_ns = tt_mono_since(plat_clock_mono(), e->started),
	};
}

static void control_stop(void *ctx)
{
	node_engine_stop(ctx, NODE_EXIT_OK);
}

static int serve(struct node_engine *e)
{
	struct node_control_ops ops = {
		.device = e->device,
		.describe = node_engine_describe,
		.reload = node_engine_reload_for,
		.stop = control_stop,
		.log_level = node_engine_log_level,
		.ctx = e,
	};
	int fd = listen_on(e, NODE_PRIV_LISTEN_UAPI);
	int err =
		fd < 0 ? fd : node_uapi_serve(&e->loop, fd, e->device, on_uapi_change, e, &e->uapi);

	if (err < 0)
		return err;
	fd = listen_on(e, NODE_PRIV_LISTEN_CONTROL);
	return fd < 0 ? fd : node_control_serve(&e->loop, fd, &ops, &e->control);
}

static int ready(struct node_engine *e)
{
	struct node_priv_request req = {.op = NODE_PRIV_READY};
	struct node_device_info info;

	node_device_get_info(e->device, &info);
	tt_log(TT_LOG_INFO, "engine.ready", TT_F_STR("interface", info.name),
	       TT_F_U64("udp_port", info.udp_port), TT_F_U64("peers", info.peers),
	       TT_F_U64("workers", e->tun.queues), TT_F_STR("aead", e->aead),
	       TT_F_BOOL("vnet_hdr", !!(e->tun.flags & PLAT_TUN_VNET_HDR)),
	       TT_F_BOOL("uso", !!(e->tun.flags & PLAT_TUN_USO)),
	       TT_F_BOOL("udp_gso", !!(e->sockets.flags & PLAT_UDP_GSO)));
	return node_priv_send(e->priv, &req, -1, NULL, NULL);
}

/* --- life ------------------------------------------------------------------------------------- */

static int bring_up(struct node_engine *e)
{
	char error[NODE_PRIV_ERROR_MAX] = "";
	int err = node_priv_client_create(e->start->priv_fd, &e->priv);

	if (err)
		return fail("engine.failed", err, "no channel to the monitor");
	if (e->start->mode == NODE_MODE_CONFIG) {
		err = node_engine_load_config(e, &e->config, error, sizeof(error));
		if (err) {
			e->status = NODE_EXIT_CONFIG;
			return fail("config.invalid", err, error);
		}
	}
	if ((err = choose_aead(e)) || (err = open_tun(e)))
		return err;
	if (e->config)
		node_net_choose_mark(e->config, e->tun.ifindex, &e->mark);
	e->fwmark = e->mark.fwmark;
	if ((err = set_mtu(e)) ||
	    (err = node_engine_open_udp(e, e->config ? e->config->listen_port : 0)) ||
	    (err = make_plane(e)) || (err = make_device(e)) ||
	    (err = node_net_create(e->priv, &e->net)))
		return err;
	err = node_engine_io_start(e);
	if (!err)
		err = node_engine_xdp_create(e);
	if (!err)
		err = configure(e);
	if (!err)
		err = node_engine_mesh_create(e);
	/* with all peers there, those of the map too */
	if (!err)
		node_engine_state_load(e);
	if (!err)
		err = start_workers(e);
	if (err)
		return err;
	node_engine_xdp_start(e);
	node_engine_mesh_start(e);
	err = serve(e);
	if (err)
		return err;
	/* a tunnel without metrics is better than none */
	(void)node_engine_metrics_configure(e, error, sizeof(error));
	node_engine_memory_save(e);
	if (e->config) {
		struct node_priv_request req = {.op = NODE_PRIV_CONFIG_COMMIT};
		node_priv_send(e->priv, &req, -1, NULL, NULL);
	}
	return ready(e);
}

static void tear_down(struct node_engine *e)
{
	if (e->device)
		node_engine_state_save(e, true);
	if (e->uapi)
		node_uapi_stop(e->uapi);
	if (e->control)
		node_control_stop(e->control);
	e->control = NULL; /* nobody is left to tell */
	node_engine_metrics_stop(e);
	node_engine_mesh_destroy(e);
	/* before the sockets close, which the workers use */
	node_engine_xdp_destroy(e);
	if (e->plane)
		dp_plane_stop(e->plane);
	node_engine_io_stop(e);
	node_device_destroy(e->device);
	dp_plane_destroy(e->plane);
	node_net_destroy(e->net);
	for (unsigned i = 0; i < e->tun.queues; i++)
		close(e->tun.fd[i]);
	if (e->deadline_fd >= 0)
		close(e->deadline_fd);
	node_engine_config_free(e->config);
	node_memory_close(e->memory);
	if (e->priv) {
		struct node_priv_request req = {.op = NODE_PRIV_EXIT};
		struct node_priv_reply reply;
		int fds[NODE_PRIV_FDS_MAX];
		req.u.exit.status = e->status;
		node_priv_call(e->priv, &req, -1, &reply, fds);
		node_priv_client_destroy(e->priv);
	}
}

int node_engine_run(const struct node_engine_start *start)
{
	struct node_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NODE_EXIT_FAILED;
	tt_log_process("engine");
	e->start = start;
	e->started = plat_clock_mono();
	e->memory = prepared_memory;
	e->watch_fd = -1;
	e->deadline_fd = plat_timer_open();
	memset(e->sockets.fd4, -1, sizeof(e->sockets.fd4));
	memset(e->sockets.fd6, -1, sizeof(e->sockets.fd6));
	dp_csum_init();
	int err = wire_uv_loop_init(&e->loop);
	if (err) {
		tt_log(TT_LOG_ERROR, "engine.not_started", TT_F_ERRNO("error", err));
		node_memory_close(e->memory);
		if (e->deadline_fd >= 0)
			close(e->deadline_fd);
		free(e);
		return NODE_EXIT_FAILED;
	}
	e->status = NODE_EXIT_FAILED;
	if (e->memory && bring_up(e) == 0) {
		e->status = NODE_EXIT_OK;
		if (!e->stopping)
			uv_run(&e->loop, UV_RUN_DEFAULT);
		tt_log(TT_LOG_INFO, "engine.stopping", TT_F_I64("status", e->status));
	}
	int status = e->status;
	tear_down(e);
	tt_log_flush(TT_LOG_FLUSH_ALL);
	uv_loop_close(&e->loop);
	free(e);
	return status;
}

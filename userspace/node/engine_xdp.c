/* SPDX-License-Identifier: MIT
 *
 * The way past the kernel and the watchdog, as parts of the engine: what they see of it, and what
 * they do to it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/engine_impl.h"
#include "plat/clock.h"

/* --- for the device --------------------------------------------------------------------------- */

void node_engine_index(void *ctx, uint32_t index, bool on)
{
	struct node_engine *e = ctx;

	if (e->xdp)
		node_xdp_index(e->xdp, index, on);
}

enum node_link node_engine_find_link(void *ctx, const struct plat_udp_dest *dest,
				     struct dp_link *out)
{
	struct node_engine *e = ctx;

	return e->xdp ? node_xdp_find_link(e->xdp, dest, out) : NODE_LINK_KERNEL;
}

static void allow_gro(void *ctx, bool allowed)
{
	struct node_engine *e = ctx;

	e->gro_refused = !allowed;
	if (e->sockets.flags & PLAT_UDP_GRO)
		node_engine_set_gro(&e->sockets, allowed);
}

/* --- the watchdog ----------------------------------------------------------------------------- */

static bool worker_pending(void *ctx, unsigned worker)
{
	struct node_engine *e = ctx;
	struct pollfd p[] = {{.fd = e->tun.fd[worker], .events = POLLIN},
			     {.fd = e->sockets.fd4[worker], .events = POLLIN},
			     {.fd = e->sockets.fd6[worker], .events = POLLIN}};
	bool waits = e->xdp && node_xdp_worker_pending(e->xdp, worker);

	if (poll(p, TT_ARRAY_LEN(p), 0) > 0)
		for (size_t i = 0; i < TT_ARRAY_LEN(p); i++)
			waits |= p[i].revents == POLLIN;
	return waits;
}

/* New datagrams of hung workers go to the next one. */
static void steer_around(struct node_engine *e, uint32_t hung)
{
	const struct node_sockets *s = &e->sockets;
	int fd[] = {s->fd4[s->workers], s->fd6[s->workers]};

	for (size_t i = 0; s->steered && i < TT_ARRAY_LEN(fd); i++) {
		int err = fd[i] >= 0 ? plat_udp_steer_without(fd[i], s->workers, hung) : 0;
		if (err)
			tt_log(TT_LOG_WARN, "udp.steer", TT_F_ERRNO("error", err),
			       TT_F_U64("hung", hung));
	}
}

static void worker_hung(void *ctx, unsigned worker, bool hung)
{
	struct node_priv_request req = {.op = NODE_PRIV_TUN_QUEUE};
	struct node_engine *e = ctx;

	if (e->tun.queues == 1)
		return; /* nobody to stand in */
	if (e->xdp)
		(hung ? node_xdp_worker_out : node_xdp_worker_back)(e->xdp, worker);
	steer_around(e, node_watchdog_hung(e->watchdog));
	req.u.tun_queue.queue = worker;
	req.u.tun_queue.on = !hung;
	(void)node_priv_send(e->priv, &req, -1, NULL, NULL);
}

/* An empty fill ring of a zero-copy queue takes other traffic of the NIC down with it. */
static void look_for_starved(struct node_engine *e)
{
	e->starved_ticks = node_xdp_starved(e->xdp) ? e->starved_ticks + 1 : 0;
	if (e->starved_ticks < NODE_WATCHDOG_HUNG)
		return;
	tt_log(TT_LOG_ERROR, "xdp.starved", TT_F_STR("effect", "the engine is started again"));
	abort();
}

static void on_beat(uv_timer_t *h)
{
	struct node_engine *e = h->data;
	struct tt_mono now = plat_clock_mono();

	node_watchdog_tick(e->watchdog, now);
	node_xdp_tick(e->xdp, now);
	look_for_starved(e);
	node_engine_xdp_watch(e);
}

/* --- routes ----------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
	free(h);
}

static void unwatch(struct node_engine *e)
{
	if (e->poll_routes)
		uv_close((uv_handle_t *)e->poll_routes, on_closed);
	e->poll_routes = NULL;
}

static void on_routes(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)events;
	/* before the descriptor goes, the handle: it is read once more than it is watched */
	if (status < 0 || node_xdp_read(e->xdp) != 0)
		unwatch(e);
}

/* Follows the descriptor of the routing events, which comes and goes with the mode. */
void node_engine_xdp_watch(struct node_engine *e)
{
	int fd = e->xdp ? node_xdp_fd(e->xdp) : -1;

	if (fd < 0) {
		unwatch(e);
		return;
	}
	if (e->poll_routes)
		return;
	e->poll_routes = calloc(1, sizeof(*e->poll_routes));
	if (!e->poll_routes)
		return;
	uv_poll_init(&e->loop, e->poll_routes, fd);
	e->poll_routes->data = e;
	uv_poll_start(e->poll_routes, UV_READABLE, on_routes);
}

/* --- life ------------------------------------------------------------------------------------- */

int node_engine_xdp_create(struct node_engine *e)
{
	struct node_xdp_options xdp = {.priv = e->priv,
				       .device = e->device,
				       .plane = e->plane,
				       .allow_gro = allow_gro,
				       .ctx = e};
	struct node_watchdog_options dog = {
		.plane = e->plane, .pending = worker_pending, .hung = worker_hung, .ctx = e};
	int err = node_xdp_create(&xdp, &e->xdp);

	return err ? err : node_watchdog_start(&dog, &e->watchdog);
}

void node_engine_xdp_configure(struct node_engine *e)
{
	struct node_xdp_settings settings;

	node_xdp_settings_of(e->config ? e->config : e->start->settings, &settings);
	node_xdp_configure(e->xdp, &settings);
	node_engine_xdp_watch(e);
}

void node_engine_xdp_start(struct node_engine *e)
{
	node_engine_xdp_configure(e);
	uv_timer_init(&e->loop, &e->beat);
	e->beat.data = e;
	uv_timer_start(&e->beat, on_beat, NODE_WATCHDOG_TICK_MS, NODE_WATCHDOG_TICK_MS);
}

void node_engine_xdp_unwatch(struct node_engine *e)
{
	unwatch(e);
}

void node_engine_xdp_destroy(struct node_engine *e)
{
	node_watchdog_stop(e->watchdog);
	node_xdp_destroy(e->xdp);
	e->watchdog = NULL;
	e->xdp = NULL;
}

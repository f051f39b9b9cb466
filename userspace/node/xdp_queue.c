/* SPDX-License-Identifier: MIT
 *
 * AF_XDP queues: memory from the monitor, sockets here, packets at the workers. A queue belongs to
 * one worker for good: number modulo workers.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "node/priv_wire.h"
#include "node/xdp_impl.h"

/* A queue whose last socket died a moment ago (with an engine that crashed) stays busy for some
 * 20 ms; who waits longer blocks the control thread, so that the back-off does. */
#define BIND_WAIT_MS 200

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 64;

	while (p < n)
		p *= 2;
	return p;
}

/* --- one socket ------------------------------------------------------------------------------- */

static int take_offer(struct node_xdp *x, uint32_t umem_bytes, struct plat_xsk_offer *out,
		      char *why)
{
	struct node_priv_request req = {.op = NODE_PRIV_XSK_OFFER};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	req.u.xsk.umem_bytes = umem_bytes;
	int err = node_priv_call(x->opt.priv, &req, -1, &reply, fds);
	if (!err && reply.fds != 2) {
		node_wire_close(fds, reply.fds);
		err = -EBADMSG;
	}
	if (err) {
		snprintf(why, PLAT_XDP_WHY_MAX, "%.*s", PLAT_XDP_WHY_MAX - 1, reply.error);
		return err;
	}
	*out = (struct plat_xsk_offer){.fd = fds[0], .umem_fd = fds[1], .umem_bytes = umem_bytes};
	return 0;
}

static void explain(const struct xdp_interface *i, enum node_xdp_kind kind, uint32_t queue, int err,
		    char *why)
{
	if (err == -ETIME)
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "self-test: a frame did not leave queue %u within %u ms", queue,
			 PLAT_XSK_SELF_TEST_MS);
	else if (kind == NODE_XDP_ZERO_COPY && (err == -EOPNOTSUPP || err == -EINVAL))
		snprintf(why, PLAT_XDP_WHY_MAX, "driver %s has no zero-copy for queue %u",
			 i->facts.driver, queue);
	else if (err == -EBUSY)
		snprintf(why, PLAT_XDP_WHY_MAX, "queue %u has an AF_XDP socket of another program",
			 queue);
	else
		snprintf(why, PLAT_XDP_WHY_MAX, "queue %u: %s", queue, strerror(-err));
}

/*
 * A veth holds 256 packets for its other end, and throws away what comes beyond, unless it has a
 * qdisc. Some of that is for the host's other traffic.
 */
static uint32_t tx_room(const struct xdp_interface *i, enum node_xdp_kind kind)
{
	return kind == NODE_XDP_NATIVE_COPY && strcmp(i->facts.driver, "veth") == 0 ? 192 : 0;
}

/* Half of the frames (2,048 at most) are for sending: see dp_port_xsk_set(). */
static int open_one(struct node_xdp *x, struct xdp_interface *i, enum node_xdp_kind kind,
		    uint32_t queue, char *why)
{
	uint32_t umem_bytes = i->umem_bytes;
	uint32_t frames = umem_bytes / PLAT_XSK_FRAME;
	uint32_t sending = TT_MIN(frames / 2, 2048u);
	struct plat_xsk_options opt = {
		.ifindex = i->ifindex,
		.queue = queue,
		.mode = kind == NODE_XDP_ZERO_COPY ? PLAT_XSK_ZERO_COPY : PLAT_XSK_COPY,
		.fill = power_of_two(frames - sending),
		.rx = power_of_two(frames - sending),
		.tx = power_of_two(sending),
		.completion = power_of_two(sending),
		.tx_room = tx_room(i, kind),
		.bind_wait_ms = BIND_WAIT_MS,
	};
	struct xdp_queue *q = &i->queue[queue];
	int err = take_offer(x, umem_bytes, &opt.offer, why);

	if (err)
		return err;
	err = plat_xsk_start(&opt, &q->xsk);
	if (!err && kind == NODE_XDP_ZERO_COPY)
		err = plat_xsk_self_test(q->xsk, i->facts.mac, 0);
	if (!err)
		return 0;
	explain(i, kind, queue, err, why);
	plat_xsk_stop(q->xsk);
	q->xsk = NULL;
	return err;
}

/* --- the workers' lists ----------------------------------------------------------------------- */

static unsigned worker_list(const struct node_xdp *x, unsigned worker,
			    struct plat_xsk *xsk[DP_XSK_LANES], uint32_t ifindex[DP_XSK_LANES])
{
	unsigned n = 0;

	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		const struct xdp_interface *i = &x->at[k];
		for (unsigned q = 0; q < i->queues && n < DP_XSK_LANES; q++) {
			if (!i->queue[q].xsk || i->queue[q].worker != worker)
				continue;
			xsk[n] = i->queue[q].xsk;
			ifindex[n++] = i->ifindex;
		}
	}
	return n;
}

static int give_to_worker(struct node_xdp *x, unsigned worker)
{
	struct plat_xsk *xsk[DP_XSK_LANES];
	uint32_t ifindex[DP_XSK_LANES];
	unsigned n = worker_list(x, worker, xsk, ifindex);
	int err = dp_plane_set_xsk(x->opt.plane, worker, xsk, ifindex, n);

	/* it has let go of all that it had before */
	for (unsigned k = 0; err != -ETIMEDOUT && k < DP_XSK_LANES; k++) {
		plat_xsk_stop(x->held[worker][k]);
		x->held[worker][k] = NULL;
	}
	return err;
}

bool node_xdp_queues_release(struct node_xdp *x)
{
	bool released = false;

	for (unsigned w = 0; w < dp_plane_workers(x->opt.plane); w++) {
		bool holds = false;

		for (unsigned k = 0; k < DP_XSK_LANES; k++)
			holds |= x->held[w][k] != NULL;
		if (holds && dp_plane_has_switched(x->opt.plane, w))
			released |= give_to_worker(x, w) != -ETIMEDOUT;
	}
	return released;
}

static unsigned lanes_used(const struct node_xdp *x, unsigned worker)
{
	struct plat_xsk *xsk[DP_XSK_LANES];
	uint32_t ifindex[DP_XSK_LANES];

	return worker_list(x, worker, xsk, ifindex);
}

static bool worker_has(const struct xdp_interface *i, unsigned worker)
{
	for (unsigned q = 0; q < i->queues; q++)
		if (i->queue[q].worker == worker)
			return true;
	return false;
}

/* --- all of an interface ---------------------------------------------------------------------- */

/* As many queues as are wanted, as there are, and as workers have room for. */
static unsigned queues_wanted(const struct node_xdp *x, const struct xdp_interface *i)
{
	unsigned workers = dp_plane_workers(x->opt.plane), room = 0;
	unsigned n = TT_MIN(TT_MAX(i->facts.queues, 1u), (unsigned)PLAT_XDP_QUEUES_MAX);

	if (x->settings.queues)
		n = TT_MIN(n, x->settings.queues);
	for (unsigned w = 0; w < workers; w++)
		room += DP_XSK_LANES - lanes_used(x, w);
	return TT_MIN(n, room);
}

/* What is left of the memory, MiB. */
static uint32_t umem_left_mb(const struct node_xdp *x)
{
	uint32_t total = x->settings.umem_mb ? x->settings.umem_mb : NODE_CONFIG_UMEM_MB;
	uint64_t used = 0;

	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		used += (uint64_t)x->at[k].queues * x->at[k].umem_bytes;
	return total - (uint32_t)TT_MIN(used >> 20, (uint64_t)total);
}

/* The queue's own worker, or the next that has room. */
static unsigned worker_for(const struct node_xdp *x, unsigned queue)
{
	unsigned workers = dp_plane_workers(x->opt.plane), w = queue % workers;

	for (unsigned k = 0; k < workers && lanes_used(x, w) == DP_XSK_LANES; k++)
		w = (w + 1) % workers;
	return w;
}

/* Sockets bound, frames at the workers, and only then named in the map. */
static int put_to_work(struct node_xdp *x, struct xdp_interface *i, char *why)
{
	unsigned workers = dp_plane_workers(x->opt.plane);
	int err = 0;

	for (unsigned w = 0; w < workers && !err; w++)
		if (worker_has(i, w))
			err = give_to_worker(x, w);
	for (unsigned q = 0; q < i->queues && !err; q++) {
		if (x->out_workers & (1u << i->queue[q].worker))
			continue;
		err = plat_xdp_view_queue_set(i->view, q, plat_xsk_fd(i->queue[q].xsk));
		i->queue[q].active = !err;
	}
	if (err)
		snprintf(why, PLAT_XDP_WHY_MAX, "cannot put its queues to work: %s",
			 strerror(-err));
	return err;
}

int node_xdp_queues_open(struct node_xdp *x, struct xdp_interface *i, enum node_xdp_kind kind,
			 char *why)
{
	unsigned wanted = queues_wanted(x, i), fit = 0;
	uint32_t left_mb = umem_left_mb(x);
	int err = 0;

	(void)node_xdp_queues_release(x);
	i->umem_bytes = left_mb ? node_xdp_umem_share(left_mb, wanted, &fit) : 0;
	wanted = TT_MIN(wanted, fit);
	if (!wanted) {
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "no memory or no worker is left for its queues (umem_mb, workers)");
		return -ENOSPC;
	}
	for (unsigned q = 0; q < wanted && !err; q++) {
		i->queue[q] = (struct xdp_queue){.worker = worker_for(x, q)};
		err = open_one(x, i, kind, q, why);
		if (!err)
			i->queues = q + 1;
	}
	if (!err)
		err = put_to_work(x, i, why);
	if (err) {
		node_xdp_queues_withdraw(x, i);
		node_xdp_queues_close(x, i);
	}
	return err;
}

/* Sockets that a worker may not have let go of wait until it has. */
static void hold(struct node_xdp *x, struct xdp_queue *q)
{
	for (unsigned k = 0; k < DP_XSK_LANES; k++)
		if (!x->held[q->worker][k]) {
			x->held[q->worker][k] = q->xsk;
			q->xsk = NULL;
			return;
		}
	/* it hangs for good, and the watchdog ends the process: the socket stays open until then */
	q->xsk = NULL;
}

void node_xdp_queues_withdraw(struct node_xdp *x, struct xdp_interface *i)
{
	unsigned queues = i->queues;

	for (unsigned q = 0; q < queues; q++) {
		if (i->queue[q].active)
			(void)plat_xdp_view_queue_clear(i->view, q);
		i->queue[q].active = false;
	}
	i->queues = 0;
	for (unsigned w = 0; w < dp_plane_workers(x->opt.plane); w++) {
		bool has = false;

		for (unsigned q = 0; q < queues; q++)
			has |= i->queue[q].worker == w;
		if (!has || give_to_worker(x, w) != -ETIMEDOUT)
			continue;
		for (unsigned q = 0; q < queues; q++)
			if (i->queue[q].xsk && i->queue[q].worker == w)
				hold(x, &i->queue[q]);
	}
}

void node_xdp_queues_close(struct node_xdp *x, struct xdp_interface *i)
{
	(void)x;
	for (unsigned q = 0; q < PLAT_XDP_QUEUES_MAX; q++) {
		plat_xsk_stop(i->queue[q].xsk);
		i->queue[q] = (struct xdp_queue){0};
	}
}

/* --- for the watchdog ------------------------------------------------------------------------- */

static void worker_switch(struct node_xdp *x, unsigned worker, bool on)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct xdp_interface *i = &x->at[k];

		for (unsigned q = 0; q < i->queues; q++) {
			if (i->queue[q].worker != worker || i->queue[q].active == on)
				continue;
			int err = on ? plat_xdp_view_queue_set(i->view, q,
							       plat_xsk_fd(i->queue[q].xsk))
				     : plat_xdp_view_queue_clear(i->view, q);
			if (!err)
				i->queue[q].active = on;
		}
	}
}

void node_xdp_worker_out(struct node_xdp *x, unsigned worker)
{
	x->out_workers |= 1u << worker;
	worker_switch(x, worker, false);
}

void node_xdp_worker_back(struct node_xdp *x, unsigned worker)
{
	x->out_workers &= ~(1u << worker);
	worker_switch(x, worker, true);
}

bool node_xdp_worker_pending(const struct node_xdp *x, unsigned worker)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		const struct xdp_interface *i = &x->at[k];
		for (unsigned q = 0; q < i->queues; q++)
			if (i->queue[q].worker == worker && plat_xsk_rx_pending(i->queue[q].xsk))
				return true;
	}
	return false;
}

bool node_xdp_starved(const struct node_xdp *x)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		const struct xdp_interface *i = &x->at[k];
		for (unsigned q = 0; i->kind == NODE_XDP_ZERO_COPY && q < i->queues; q++)
			if (!plat_xsk_fill_level(i->queue[q].xsk))
				return true;
	}
	return false;
}

/* SPDX-License-Identifier: MIT */
#include "datapath/port_xsk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/drop.h"

/* One packet per path this often goes by the kernel, which keeps conntrack and neighbours alive. */
#define KERNEL_EVERY_NS (20 * TT_NS_PER_SEC)
/* How often a full queue is kicked before its messages are given up or take the socket. */
#define KICKS_MAX      64
#define COMPLETE_BATCH 256
#define PLACE_STEP     320 /* five cache lines */

static inline struct dp_port_xsk *xsk_of(struct dp_outer_port *port)
{
	return (struct dp_port_xsk *)port;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* A frame changes hands. Ends a debug build where it was in other hands than it should be. */
static inline void hand_over(struct dp_xsk_queue *q, uint32_t addr, enum dp_frame_owner from,
			     enum dp_frame_owner to)
{
#ifdef TT_DEBUG
	uint8_t *owner = &q->owner[addr / PLAT_XSK_FRAME];

	tt_assert(addr / PLAT_XSK_FRAME < q->frames && *owner == from);
	*owner = (uint8_t)to;
#else
	(void)q;
	(void)addr;
	(void)from;
	(void)to;
#endif
}

/* Plain stores are what this compiles to. */
static void publish_queue(struct dp_port_xsk *x, const struct dp_xsk_queue *q)
{
	struct dp_xsk_seen *s = &x->seen[q - x->queue];

	atomic_store_explicit(&s->free_frames, q->free_count, memory_order_relaxed);
	atomic_store_explicit(&s->out, q->out, memory_order_relaxed);
	atomic_store_explicit(&s->sent, q->sent, memory_order_relaxed);
	atomic_store_explicit(&s->received, q->received, memory_order_relaxed);
}

static void publish_all(struct dp_port_xsk *x)
{
	for (unsigned i = 0; i < x->queues; i++) {
		atomic_store_explicit(&x->seen[i].ifindex, x->queue[i].ifindex,
				      memory_order_relaxed);
		atomic_store_explicit(&x->seen[i].frames, x->queue[i].frames, memory_order_relaxed);
		publish_queue(x, &x->queue[i]);
	}
	atomic_store_explicit(&x->seen_queues, x->queues, memory_order_release);
}

static unsigned take_completions(struct dp_xsk_queue *q)
{
	uint32_t addr[COMPLETE_BATCH] __attribute__((uninitialized));
	unsigned n, sum = 0;

	do {
		n = plat_xsk_complete(q->xsk, addr, COMPLETE_BATCH);
		for (unsigned i = 0; i < n; i++) {
			hand_over(q, addr[i], DP_FRAME_SENDING, DP_FRAME_FREE);
			q->free_frame[q->free_count++] = plat_xsk_frame_of(addr[i]);
		}
		q->out -= n;
		sum += n;
	} while (n == COMPLETE_BATCH);
	return sum;
}

/* What the fill ring did not take is offered again: an empty fill ring drops everything. */
static void give_back(struct dp_xsk_queue *q)
{
	unsigned took = plat_xsk_fill(q->xsk, q->owed_addr, q->fill_owed);

	q->fill_owed -= took;
	if (q->fill_owed && took)
		memmove(q->owed_addr, q->owed_addr + took, q->fill_owed * sizeof(*q->owed_addr));
}

static void queue_forget(struct dp_xsk_queue *q)
{
	free(q->free_frame);
	free(q->owed_addr);
	free(q->owner);
	memset(q, 0, sizeof(*q));
}

static int queue_take(struct dp_xsk_queue *q, struct plat_xsk *xsk, uint32_t ifindex)
{
	uint32_t bytes;

	memset(q, 0, sizeof(*q));
	q->umem = plat_xsk_umem(xsk, &bytes);
	q->frames = bytes / PLAT_XSK_FRAME;
	q->free_frame = calloc(q->frames, sizeof(*q->free_frame));
	q->owed_addr = calloc(q->frames, sizeof(*q->owed_addr));
#ifdef TT_DEBUG
	q->owner = calloc(q->frames, 1);
	tt_assert(q->owner);
#endif
	if (!q->free_frame || !q->owed_addr) {
		queue_forget(q);
		return -ENOMEM;
	}
	q->xsk = xsk;
	q->ifindex = ifindex;
	uint32_t sending = TT_MIN(q->frames / 2, DP_XSK_TX_MAX);
	for (uint32_t i = 0; i < q->frames; i++) {
		if (i < sending)
			q->free_frame[q->free_count++] = i * PLAT_XSK_FRAME;
		else
			q->owed_addr[q->fill_owed++] = i * PLAT_XSK_FRAME;
		if (i >= sending)
			hand_over(q, i * PLAT_XSK_FRAME, DP_FRAME_FREE, DP_FRAME_FILL);
	}
	give_back(q);
	return 0;
}

/* --- receiving -------------------------------------------------------------------------------- */

static int port_xsk_fd(const struct dp_outer_port *port, unsigned lane)
{
	const struct dp_port_xsk *x = (const struct dp_port_xsk *)port;

	if (lane < DP_UDP_LANES)
		return x->udp->port.ops->fd(&x->udp->port, lane);
	const struct dp_xsk_queue *q = &x->queue[lane - DP_UDP_LANES];
	return q->xsk ? plat_xsk_fd(q->xsk) : -1;
}

static void set_origin(struct dp_origin *o, const struct dp_link_rx *rx, uint32_t ifindex)
{
	o->src = rx->src;
	o->dst = rx->dst;
	o->ifindex = ifindex;
}

static unsigned queue_rx(struct dp_xsk_queue *q, struct dp_frame *f, unsigned max)
{
	struct plat_xsk_desc d[64] __attribute__((uninitialized));
	struct dp_link_rx rx;

	max = TT_MIN(TT_MIN(max, (unsigned)TT_ARRAY_LEN(d)), DP_XSK_BATCH - q->held);
	unsigned n = plat_xsk_rx(q->xsk, d, max);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *frame = plat_xsk_data(q->umem, d[i].addr);
		struct dp_origin *o = &q->origin[q->held];

		hand_over(q, d[i].addr, DP_FRAME_FILL, DP_FRAME_HELD);
		q->held_addr[q->held++] = plat_xsk_frame_of(d[i].addr);
		if (tt_unlikely(!dp_link_parse(frame, d[i].len, &rx)))
			rx = (struct dp_link_rx){0}; /* an empty datagram: dropped, counted */
		set_origin(o, &rx, q->ifindex);
		f[i] = (struct dp_frame){.data = frame + rx.message_off,
					 .len = rx.message_len,
					 .ecn = rx.ecn,
					 .origin = o};
	}
	q->received += n;
	q->more = n == max;
	return n;
}

static unsigned port_xsk_rx(struct dp_outer_port *port, unsigned lane, struct dp_frame *f,
			    unsigned max)
{
	struct dp_port_xsk *x = xsk_of(port);

	if (lane < DP_UDP_LANES)
		return x->udp->port.ops->rx(&x->udp->port, lane, f, max);
	struct dp_xsk_queue *q = &x->queue[lane - DP_UDP_LANES];
	if (!q->xsk || q->held == DP_XSK_BATCH)
		return 0;
	return queue_rx(q, f, max);
}

static bool port_xsk_rx_release(struct dp_outer_port *port)
{
	struct dp_port_xsk *x = xsk_of(port);
	bool more = false, mine = false;

	for (unsigned i = 0; i < x->queues; i++) {
		struct dp_xsk_queue *q = &x->queue[i];

		if (!q->held)
			continue;
		for (unsigned k = 0; k < q->held; k++)
			hand_over(q, q->held_addr[k], DP_FRAME_HELD, DP_FRAME_FILL);
		memcpy(q->owed_addr + q->fill_owed, q->held_addr, q->held * sizeof(*q->held_addr));
		q->fill_owed += q->held;
		q->held = 0;
		give_back(q);
		publish_queue(x, q);
		more |= q->more || plat_xsk_rx_pending(q->xsk) > 0;
		mine = true;
	}
	return mine ? more : x->udp->port.ops->rx_release(&x->udp->port);
}

/* Lanes that have something, as the rings say, without a system call. */
static uint32_t port_xsk_peek(const struct dp_outer_port *port)
{
	const struct dp_port_xsk *x = (const struct dp_port_xsk *)port;
	uint32_t lanes = 0;

	for (unsigned i = 0; i < x->queues; i++)
		if (plat_xsk_rx_pending(x->queue[i].xsk))
			lanes |= 1u << (DP_UDP_LANES + i);
	return lanes;
}

/* --- building --------------------------------------------------------------------------------- */

static struct dp_xsk_queue *queue_for(struct dp_port_xsk *x, const struct dp_path *path,
				      uint32_t len)
{
	const struct dp_link *l = &path->link;

	if (!l->ifindex || len > l->max_len || len + l->header_len > PLAT_XSK_FRAME)
		return NULL;
	for (unsigned i = 0; i < x->queues; i++)
		if (x->queue[i].ifindex == l->ifindex)
			return &x->queue[i];
	return NULL;
}

/* One packet in a while takes the kernel's way; which worker's does not matter. */
static bool kernels_turn(struct dp_port_xsk *x, struct dp_path *path)
{
	uint64_t last = atomic_load_explicit(&path->kernel_at, memory_order_relaxed);

	if (tt_likely(x->now->ns - last < KERNEL_EVERY_NS))
		return false;
	return atomic_compare_exchange_strong(&path->kernel_at, &last, x->now->ns);
}

/*
 * Frames lie 4096 bytes apart: packets that all began alike would share a third of the lines of
 * the caches.
 */
static uint32_t place_in_frame(uint32_t addr, uint32_t len)
{
	return len <= PLAT_XSK_FRAME - 7 * PLACE_STEP ? addr / PLAT_XSK_FRAME % 8 * PLACE_STEP : 0;
}

static uint8_t *port_xsk_tx_slot(struct dp_outer_port *port, struct dp_peer *peer,
				 struct dp_path *path, uint8_t ecn, uint32_t len)
{
	struct dp_port_xsk *x = xsk_of(port);
	struct dp_xsk_queue *q = queue_for(x, path, len);

	if (!q || kernels_turn(x, path)) {
		x->by_kernel++;
		return x->udp->port.ops->tx_slot(&x->udp->port, peer, path, ecn, len);
	}
	if (x->tx_count == DP_XSK_MESSAGE)
		return NULL;
	if (tt_unlikely(!q->free_count))
		take_completions(q);
	if (tt_unlikely(!q->free_count)) {
		if (x->tx_count)
			return NULL; /* sending what is built may bring frames back */
		x->by_kernel++;
		return x->udp->port.ops->tx_slot(&x->udp->port, peer, path, ecn, len);
	}
	uint32_t addr = q->free_frame[--q->free_count];
	hand_over(q, addr, DP_FRAME_FREE, DP_FRAME_BUILT);
	addr += place_in_frame(addr, len + path->link.header_len);
	struct dp_xsk_message *m = &x->tx[x->tx_count++];

	*m = (struct dp_xsk_message){.path = path,
				     .message = q->umem + addr + path->link.header_len,
				     .len = len,
				     .queue = (uint8_t)(q - x->queue),
				     .ecn = ecn};
	q->built++;
	x->tx_bytes += len;
	return m->message;
}

static void port_xsk_tx_commit(struct dp_outer_port *port)
{
	struct dp_port_xsk *x = xsk_of(port);

	x->udp->port.ops->tx_commit(&x->udp->port);
	/* the header's checksum covers the ciphertext, which is there now */
	for (unsigned i = x->done_count; i < x->tx_count; i++) {
		struct dp_xsk_message *m = &x->tx[i];
		dp_link_write(&m->path->link, m->message, m->len, m->ecn, x->ip_id++);
	}
	x->done_count = x->tx_count;
	x->done_bytes = x->tx_bytes;
}

static void port_xsk_tx_abort(struct dp_outer_port *port)
{
	struct dp_port_xsk *x = xsk_of(port);

	x->udp->port.ops->tx_abort(&x->udp->port);
	while (x->tx_count > x->done_count) {
		struct dp_xsk_message *m = &x->tx[--x->tx_count];
		struct dp_xsk_queue *q = &x->queue[m->queue];

		uint32_t addr = plat_xsk_frame_of((uint32_t)(m->message - q->umem));

		hand_over(q, addr, DP_FRAME_BUILT, DP_FRAME_FREE);
		q->free_frame[q->free_count++] = addr;
		q->built--;
	}
	x->tx_bytes = x->done_bytes;
}

static uint32_t port_xsk_tx_pending(const struct dp_outer_port *port)
{
	const struct dp_port_xsk *x = (const struct dp_port_xsk *)port;

	return x->done_bytes + x->udp->port.ops->tx_pending(&x->udp->port);
}

/* --- sending ---------------------------------------------------------------------------------- */

static int kick(struct dp_xsk_queue *q)
{
	int err;

	for (unsigned i = 0; i < KICKS_MAX; i++) {
		err = plat_xsk_kick(q->xsk);
		if (!take_completions(q) || err != -EAGAIN)
			return err;
	}
	return err;
}

/* Puts the messages of one queue into its ring; returns those that found no place. */
static unsigned submit(struct dp_port_xsk *x, unsigned queue)
{
	struct plat_xsk_desc d[DP_XSK_MESSAGE] __attribute__((uninitialized));
	struct dp_xsk_queue *q = &x->queue[queue];
	unsigned n = 0, took = 0;

	for (unsigned i = 0; i < x->tx_count; i++) {
		const struct dp_xsk_message *m = &x->tx[i];
		if (m->queue != queue)
			continue;
		uint32_t header = m->path->link.header_len;
		d[n++] = (struct plat_xsk_desc){(uint32_t)(m->message - q->umem) - header,
						m->len + header};
	}
	for (unsigned round = 0; round < KICKS_MAX; round++) {
		unsigned now = plat_xsk_tx(q->xsk, d + took, n - took);

		for (unsigned i = took; i < took + now; i++)
			hand_over(q, d[i].addr, DP_FRAME_BUILT, DP_FRAME_SENDING);
		took += now;
		q->out += now;
		if (took == n)
			break;
		kick(q);
	}
	for (unsigned i = took; i < n; i++) {
		hand_over(q, d[i].addr, DP_FRAME_BUILT, DP_FRAME_FREE);
		q->free_frame[q->free_count++] = plat_xsk_frame_of(d[i].addr);
	}
	q->built -= n;
	q->sent += took;
	return n - took;
}

static void flush_queues(struct dp_port_xsk *x, struct dp_tx_report *report)
{
	for (unsigned i = 0; i < x->queues && x->tx_count; i++) {
		if (!x->queue[i].built)
			continue;
		report->failed[TT_DROP_TX_SOCKET_FULL] += submit(x, i);
		int err = kick(&x->queue[i]);

		x->queue[i].stalled = err == -EAGAIN;
		if (err && err != -EAGAIN)
			report->queue_failed = true;
		publish_queue(x, &x->queue[i]);
	}
	x->tx_count = x->done_count = 0;
	x->tx_bytes = x->done_bytes = 0;
}

static void port_xsk_tx_flush(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_port_xsk *x = xsk_of(port);

	flush_queues(x, report);
	if (x->udp->port.ops->tx_pending(&x->udp->port))
		x->udp->port.ops->tx_flush(&x->udp->port, report);
}

static void port_xsk_tx_flush_full(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_port_xsk *x = xsk_of(port);

	flush_queues(x, report);
	if (x->udp->port.ops->tx_pending(&x->udp->port))
		x->udp->port.ops->tx_flush_full(&x->udp->port, report);
}

/* --- construction ----------------------------------------------------------------------------- */

static bool port_xsk_tx_retry(struct dp_outer_port *port)
{
	struct dp_port_xsk *x = xsk_of(port);
	bool waits = false;

	for (unsigned i = 0; i < x->queues; i++) {
		struct dp_xsk_queue *q = &x->queue[i];

		if (q->stalled) {
			q->stalled = kick(q) == -EAGAIN;
			publish_queue(x, q);
		}
		waits |= q->stalled;
	}
	return waits;
}

static const struct dp_outer_ops port_xsk_ops = {
	.fd = port_xsk_fd,
	.rx = port_xsk_rx,
	.rx_release = port_xsk_rx_release,
	.peek = port_xsk_peek,
	.tx_slot = port_xsk_tx_slot,
	.tx_commit = port_xsk_tx_commit,
	.tx_abort = port_xsk_tx_abort,
	.tx_pending = port_xsk_tx_pending,
	.tx_flush = port_xsk_tx_flush,
	.tx_retry = port_xsk_tx_retry,
	.tx_flush_full = port_xsk_tx_flush_full,
};

void dp_port_xsk_init(struct dp_port_xsk *x, struct dp_port_udp *udp, const struct tt_mono *now)
{
	memset(x, 0, sizeof(*x));
	x->port.ops = &port_xsk_ops;
	x->udp = udp;
	x->now = now;
}

static void forget_all(struct dp_port_xsk *x)
{
	for (unsigned i = 0; i < x->queues; i++)
		queue_forget(&x->queue[i]);
	x->queues = 0;
}

void dp_port_xsk_destroy(struct dp_port_xsk *x)
{
	forget_all(x);
}

/* Moves the queue of this socket out of what there was before. */
static bool queue_keep(struct dp_xsk_queue *q, struct dp_xsk_queue *was, unsigned n,
		       const struct plat_xsk *xsk)
{
	for (unsigned i = 0; i < n; i++)
		if (was[i].xsk == xsk) {
			*q = was[i];
			memset(&was[i], 0, sizeof(was[i]));
			return true;
		}
	return false;
}

static int set_queues(struct dp_port_xsk *x, struct plat_xsk *const *xsk, const uint32_t *ifindex,
		      unsigned n)
{
	struct dp_xsk_queue *was = malloc(sizeof(x->queue));
	unsigned had = x->queues;
	int err = was ? 0 : -ENOMEM;

	tt_assert(n <= DP_XSK_LANES && !x->tx_count);
	if (err) {
		forget_all(x);
		return err;
	}
	memcpy(was, x->queue, sizeof(x->queue));
	memset(x->queue, 0, sizeof(x->queue));
	x->queues = 0;
	for (unsigned i = 0; i < n && !err; i++) {
		if (!queue_keep(&x->queue[i], was, had, xsk[i]))
			err = queue_take(&x->queue[i], xsk[i], ifindex[i]);
		x->queues += !err;
	}
	for (unsigned i = 0; i < had; i++)
		queue_forget(&was[i]);
	free(was);
	if (err)
		forget_all(x);
	return err;
}

int dp_port_xsk_set(struct dp_port_xsk *x, struct plat_xsk *const *xsk, const uint32_t *ifindex,
		    unsigned n)
{
	int err = set_queues(x, xsk, ifindex, n);

	publish_all(x);
	return err;
}

static struct dp_xsk_stats stats_of(const struct dp_xsk_seen *s)
{
	return (struct dp_xsk_stats){
		.ifindex = atomic_load_explicit(&s->ifindex, memory_order_relaxed),
		.rx = atomic_load_explicit(&s->received, memory_order_relaxed),
		.tx = atomic_load_explicit(&s->sent, memory_order_relaxed),
		.frames = atomic_load_explicit(&s->frames, memory_order_relaxed),
		.free_frames = atomic_load_explicit(&s->free_frames, memory_order_relaxed),
		.out = atomic_load_explicit(&s->out, memory_order_relaxed),
	};
}

unsigned dp_port_xsk_stats(const struct dp_port_xsk *x, struct dp_xsk_stats *out, unsigned max)
{
	unsigned n = atomic_load_explicit(&x->seen_queues, memory_order_acquire);

	n = TT_MIN(n, max);
	for (unsigned i = 0; i < n; i++)
		out[i] = stats_of(&x->seen[i]);
	return n;
}

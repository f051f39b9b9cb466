/* SPDX-License-Identifier: MIT
 *
 * The relay's thread: what comes is taken in batches, what goes is queued per socket and sent in
 * batches. Neighbouring datagrams of one size to one leg become one super-datagram, so that the
 * network stack is walked through once for many.
 */
#include "hub/relay_impl.h"

#include <errno.h>
#include <unistd.h>

#include "plat/clock.h"

#define BUFFER_BYTES (8 << 20)
#define IDLE_NS	     TT_NS_PER_SEC

/* --- sockets ---------------------------------------------------------------------------------- */

static int open_socket(struct hub_relay *r, const struct tt_endpoint *at)
{
	static const uint8_t any[16];
	struct plat_udp_options opt = {.family = at->ip.family,
				       .udp_port = at->udp_port ? at->udp_port : r->udp_port,
				       .buffer_bytes = BUFFER_BYTES};
	uint16_t bound;

	if (memcmp(at->ip.b, any, sizeof(any)) != 0)
		opt.local = at->ip;
	int fd = plat_udp_open(&opt, &bound);

	if (fd < 0)
		return fd;
	if (!r->udp_port)
		r->udp_port = bound;
	r->at[r->sockets] = at->ip;
	r->fd[r->sockets] = fd;
	return plat_waiter_set(&r->waiter, r->sockets++, fd);
}

int relay_sockets_open(struct hub_relay *r)
{
	unsigned offloads = plat_udp_probe();
	int err = plat_waiter_open(&r->waiter);

	if (err)
		return err;
	r->has_waiter = true;
	err = -EINVAL;
	for (unsigned i = 0; i < TT_MIN(r->opt.listen_count, HUB_RELAY_LISTEN_MAX); i++) {
		err = open_socket(r, &r->opt.listen[i]);
		if (err && err != -EAFNOSUPPORT)
			return err;
	}
	if (r->sockets == 0)
		return err;
	r->gso = (offloads & PLAT_UDP_GSO) != 0;
	for (unsigned i = 0; i < r->sockets && (offloads & PLAT_UDP_GRO); i++)
		(void)plat_udp_enable_gro(r->fd[i], true);
	return 0;
}

void relay_sockets_close(struct hub_relay *r)
{
	for (unsigned i = 0; i < r->sockets; i++)
		close(r->fd[i]);
	if (r->has_waiter)
		plat_waiter_close(&r->waiter);
}

/* --- sending ---------------------------------------------------------------------------------- */

static uint32_t segments_of(const struct plat_udp_tx *tx)
{
	return (tx->len + tx->segment - 1) / tx->segment;
}

static void settle(struct hub_relay *r, const struct plat_udp_tx *tx, struct relay_leg *leg)
{
	if (tx->error) {
		relay_count(&r->count.socket, segments_of(tx));
		return;
	}
	relay_count(&r->count.tx_packets, segments_of(tx));
	relay_count(&r->count.tx_bytes, tx->len);
	if (tx->gso_refused && leg && leg->gso_strikes < RELAY_GSO_STRIKES)
		leg->gso_strikes++;
}

void relay_flush(struct hub_relay *r)
{
	bool lost;

	for (unsigned s = 0; s < r->sockets; s++) {
		struct relay_queue *q = &r->queue[s];

		if (q->count == 0)
			continue;
		plat_udp_send(r->fd[s], q->tx, q->count, &lost);
		for (unsigned i = 0; i < q->count; i++)
			settle(r, &q->tx[i], q->leg[i]);
		q->count = 0;
	}
	r->answers = 0;
	r->batch++;
}

static struct relay_queue *queue_with_room(struct hub_relay *r, unsigned socket)
{
	if (r->queue[socket].count == RELAY_BATCH)
		relay_flush(r);
	return &r->queue[socket];
}

/*
 * Copies it behind the leg's last message, into the free end of that one's receive buffer, where it
 * is a run of full datagrams of this size.
 */
static bool append(struct hub_relay *r, struct relay_leg *to, const uint8_t *p, uint32_t len,
		   uint32_t segment, uint8_t ecn)
{
	struct relay_queue *q = &r->queue[to->socket];

	if (to->batch != r->batch)
		return false;
	struct plat_udp_tx *tx = &q->tx[to->pending];

	if (tx->ecn != ecn || tx->len % tx->segment != 0 || q->room[to->pending] < len ||
	    tx->len + len > RELAY_SUPER_MAX)
		return false;
	/* one that is smaller may only be the last */
	if (segment != tx->segment && (segment != len || segment > tx->segment))
		return false;
	if ((tx->len + len + tx->segment - 1) / tx->segment > PLAT_UDP_GSO_SEGS_MAX)
		return false;
	memcpy((uint8_t *)tx->buf + tx->len, p, len);
	q->room[to->pending] -= len;
	tx->len += len;
	return true;
}

static void put(struct hub_relay *r, struct relay_leg *to, uint8_t *p, uint32_t len,
		uint32_t segment, uint8_t ecn, uint32_t room)
{
	struct relay_queue *q = queue_with_room(r, to->socket);

	to->batch = r->batch;
	to->pending = q->count;
	q->leg[q->count] = to;
	q->room[q->count] = room;
	q->tx[q->count++] = (struct plat_udp_tx){
		.buf = p, .len = len, .segment = segment, .ecn = ecn, .dest = &to->dest};
}

void relay_forward(struct hub_relay *r, struct relay_leg *to, uint8_t *p, uint32_t len,
		   uint32_t segment, uint8_t ecn, uint32_t room)
{
	if (r->gso && to->gso_strikes < RELAY_GSO_STRIKES) {
		if (!append(r, to, p, len, segment, ecn))
			put(r, to, p, len, segment, ecn, room);
		return;
	}
	for (uint32_t at = 0; at < len; at += segment) {
		uint32_t n = TT_MIN(segment, len - at);

		put(r, to, p + at, n, n, ecn, 0);
	}
}

void relay_send_whole(struct hub_relay *r, const struct relay_leg *to, const uint8_t *p,
		      uint32_t len)
{
	if (plat_udp_send_probe(r->fd[to->socket], &to->dest, p, len) != 0) {
		relay_count(&r->count.socket, 1);
		return;
	}
	relay_count(&r->count.tx_packets, 1);
	relay_count(&r->count.tx_bytes, len);
}

uint8_t *relay_answer_begin(struct hub_relay *r)
{
	if (r->answers == RELAY_BATCH)
		relay_flush(r);
	return r->answer[r->answers].bytes;
}

void relay_answer_send(struct hub_relay *r, const struct plat_udp_rx *rx, unsigned socket,
		       uint32_t len)
{
	struct relay_queue *q = &r->queue[socket];
	struct relay_answer *a = &r->answer[r->answers];

	a->dest = (struct plat_udp_dest){.to = rx->src, .from = rx->dst};
	plat_udp_dest_prepare(&a->dest);
	if (q->count == RELAY_BATCH) {
		/* the flush would take the answer's place, which nothing uses yet, as well */
		struct relay_answer keep = *a;

		relay_flush(r);
		a = &r->answer[0];
		*a = keep;
	}
	r->answers++;
	q->leg[q->count] = NULL;
	q->room[q->count] = 0;
	q->tx[q->count++] =
		(struct plat_udp_tx){.buf = a->bytes, .len = len, .segment = len, .dest = &a->dest};
}

/* --- the thread ------------------------------------------------------------------------------- */

static void turn_begin(struct hub_relay *r)
{
	uint64_t turn = atomic_load_explicit(&r->turn, memory_order_relaxed);

	atomic_store_explicit(&r->turn, turn + 1, memory_order_seq_cst);
	r->now = plat_clock_mono();
	mesh_relay_cookies_refresh(&r->cookies, r->now, &r->rng);
}

static void turn_end(struct hub_relay *r)
{
	uint64_t turn = atomic_load_explicit(&r->turn, memory_order_relaxed);

	relay_flush(r);
	atomic_store_explicit(&r->turn, turn + 1, memory_order_seq_cst);
}

/* One batch; what is left makes the socket ready again. */
static void serve(struct hub_relay *r, unsigned socket)
{
	int n = plat_udp_recv(r->fd[socket], r->rx, RELAY_BATCH);

	if (n <= 0)
		return;
	turn_begin(r);
	for (int i = 0; i < n; i++)
		relay_take(r, socket, &r->rx[i]);
	turn_end(r);
}

void relay_main(void *relay)
{
	struct hub_relay *r = relay;

	while (!atomic_load_explicit(&r->stopping, memory_order_relaxed)) {
		uint32_t ready = plat_waiter_wait(&r->waiter, IDLE_NS);

		for (unsigned s = 0; s < r->sockets; s++)
			if (ready & (1u << s))
				serve(r, s);
		turn_begin(r);
		relay_sweep(r);
		turn_end(r);
	}
	mesh_relay_cookies_wipe(&r->cookies);
}

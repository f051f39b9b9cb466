/* SPDX-License-Identifier: MIT */
#include "datapath/port_relay.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert((DP_RELAY_FRAMES & (DP_RELAY_FRAMES - 1)) == 0, "positions wrap");

/* --- queues ---------------------------------------------------------------------------------- */

static inline struct dp_relay_frame *frame_at(const struct dp_relay_queue *q, uint32_t position)
{
	return &q->frame[position & (DP_RELAY_FRAMES - 1)];
}

static inline uint32_t own(const _Atomic uint32_t *position)
{
	return atomic_load_explicit(position, memory_order_relaxed);
}

/* The other side's: what it did to the frames before is seen. */
static inline uint32_t other(const _Atomic uint32_t *position)
{
	return atomic_load_explicit(position, memory_order_acquire);
}

static inline void advance(_Atomic uint32_t *position, uint32_t n)
{
	atomic_store_explicit(position, own(position) + n, memory_order_release);
}

static int queue_init(struct dp_relay_queue *q)
{
	atomic_init(&q->head, 0);
	atomic_init(&q->tail, 0);
	q->frame = aligned_alloc(TT_CACHELINE, sizeof(*q->frame) * DP_RELAY_FRAMES);
	return q->frame ? 0 : -ENOMEM;
}

void dp_port_relay_prepare(struct dp_port_relay *r)
{
	memset(r->out.frame, 0, sizeof(*r->out.frame) * DP_RELAY_FRAMES);
	memset(r->in.frame, 0, sizeof(*r->in.frame) * DP_RELAY_FRAMES);
}

/* --- sending ---------------------------------------------------------------------------------- */

static inline struct dp_port_relay *relay_of(struct dp_outer_port *port)
{
	return (struct dp_port_relay *)port;
}

static int port_relay_fd(const struct dp_outer_port *port, unsigned lane)
{
	(void)port;
	(void)lane;
	return -1;
}

static uint8_t *port_relay_tx_slot(struct dp_outer_port *port, struct dp_peer *peer,
				   struct dp_path *path, uint8_t ecn, uint32_t len)
{
	struct dp_port_relay *r = relay_of(port);
	uint32_t next = own(&r->out.head) + r->built;

	(void)peer;
	(void)ecn;
	if (len > DP_RELAY_MESSAGE_MAX || next - other(&r->out.tail) >= DP_RELAY_FRAMES)
		return NULL;
	struct dp_relay_frame *f = frame_at(&r->out, next);

	f->tag = path->tag;
	f->len = len;
	r->built++;
	r->built_bytes += len;
	return f->bytes;
}

static void port_relay_tx_commit(struct dp_outer_port *port)
{
	struct dp_port_relay *r = relay_of(port);

	r->done = r->built;
	r->done_bytes = r->built_bytes;
}

static void port_relay_tx_abort(struct dp_outer_port *port)
{
	struct dp_port_relay *r = relay_of(port);

	r->built = r->done;
	r->built_bytes = r->done_bytes;
}

static uint32_t port_relay_tx_pending(const struct dp_outer_port *port)
{
	return ((const struct dp_port_relay *)port)->done_bytes;
}

static void port_relay_tx_flush(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_port_relay *r = relay_of(port);

	(void)report;
	tt_assert(r->built == r->done);
	advance(&r->out.head, r->done);
	r->built = r->done = r->built_bytes = r->done_bytes = 0;
	if (!atomic_exchange(&r->bell->raised, true))
		plat_event_raise(&r->bell->event);
}

/* --- receiving -------------------------------------------------------------------------------- */

static unsigned port_relay_rx(struct dp_outer_port *port, unsigned lane, struct dp_frame *f,
			      unsigned max)
{
	struct dp_port_relay *r = relay_of(port);
	uint32_t at = own(&r->in.tail) + r->open;
	unsigned n = TT_MIN(max, other(&r->in.head) - at);

	(void)lane;
	for (unsigned i = 0; i < n; i++) {
		struct dp_relay_frame *frame = frame_at(&r->in, at + i);

		f[i] = (struct dp_frame){.data = frame->bytes,
					 .len = frame->len,
					 .origin = &frame->origin,
					 .via = frame->via,
					 .tag = frame->tag};
	}
	r->open += n;
	return n;
}

static bool port_relay_rx_release(struct dp_outer_port *port)
{
	struct dp_port_relay *r = relay_of(port);

	advance(&r->in.tail, r->open);
	r->open = 0;
	return other(&r->in.head) != own(&r->in.tail);
}

static const struct dp_outer_ops port_relay_ops = {
	.fd = port_relay_fd,
	.rx = port_relay_rx,
	.rx_release = port_relay_rx_release,
	.tx_slot = port_relay_tx_slot,
	.tx_commit = port_relay_tx_commit,
	.tx_abort = port_relay_tx_abort,
	.tx_pending = port_relay_tx_pending,
	.tx_flush = port_relay_tx_flush,
};

int dp_port_relay_init(struct dp_port_relay *r)
{
	memset(r, 0, sizeof(*r));
	r->port.ops = &port_relay_ops;
	if (queue_init(&r->out) || queue_init(&r->in)) {
		dp_port_relay_destroy(r);
		return -ENOMEM;
	}
	return 0;
}

void dp_port_relay_destroy(struct dp_port_relay *r)
{
	free(r->out.frame);
	free(r->in.frame);
	r->out.frame = r->in.frame = NULL;
}

/* --- the other side: control ------------------------------------------------------------------ */

bool dp_port_relay_push(struct dp_port_relay *r, const struct dp_frame *f, bool *wake)
{
	uint32_t head = own(&r->in.head);

	*wake = false;
	if (head - other(&r->in.tail) >= DP_RELAY_FRAMES)
		return false;
	struct dp_relay_frame *to = frame_at(&r->in, head);

	to->origin = *f->origin;
	to->tag = f->tag;
	to->via = f->via;
	to->len = f->len;
	memcpy(to->bytes, f->data, f->len);
	advance(&r->in.head, 1);
	*wake = !atomic_exchange(&r->pushed, true);
	return true;
}

bool dp_port_relay_arrived(struct dp_port_relay *r)
{
	return atomic_load_explicit(&r->pushed, memory_order_relaxed) &&
	       atomic_exchange(&r->pushed, false);
}

unsigned dp_port_relay_pop(struct dp_port_relay *r, struct dp_relay_message *out, unsigned max)
{
	uint32_t at = own(&r->out.tail) + r->popped;
	unsigned n = TT_MIN(max, other(&r->out.head) - at);

	for (unsigned i = 0; i < n; i++) {
		const struct dp_relay_frame *f = frame_at(&r->out, at + i);

		out[i] = (struct dp_relay_message){f->tag, f->len, f->bytes};
	}
	r->popped += n;
	return n;
}

void dp_port_relay_return(struct dp_port_relay *r)
{
	advance(&r->out.tail, r->popped);
	r->popped = 0;
}

bool dp_port_relay_waiting(const struct dp_port_relay *r)
{
	return other(&r->out.head) != own(&r->out.tail) + r->popped;
}

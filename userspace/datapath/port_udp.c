/* SPDX-License-Identifier: MIT */
#include "datapath/port_udp.h"

#include <errno.h>
#include <stdlib.h>

/* Super-datagrams of this size are received few at a time: they stay in the cache, and the kernel
 * works on the first while we work on the next. */
#define BULK_BYTES    8192
#define BULK_MESSAGES 2
/* Asked for where few came last: each message asked for is written to, and a batch that comes after
 * a pause finds its memory in no cache. */
#define FEW_MESSAGES 4
/* The beginning of a super-datagram that is worth keeping for what follows. */
#define KEEP_BYTES (16 * 1024)
/* Every link carries this (IPv6's minimum MTU): a refusal of smaller segments is not about size. */
#define SEGMENT_UNDOUBTED 1200

static inline struct dp_port_udp *udp_of(struct dp_outer_port *port)
{
	return (struct dp_port_udp *)port;
}

static int port_udp_fd(const struct dp_outer_port *port, unsigned lane)
{
	return lane < DP_UDP_LANES ? ((const struct dp_port_udp *)port)->fd[lane] : -1;
}

/* --- receiving ------------------------------------------------------------------------------- */

/*
 * One super-datagram is a batch of its own; of small datagrams four times as many as there were:
 * more is not asked for in vain, and a batch that was full is followed by a larger one.
 */
static unsigned rx_batch_size(const struct dp_port_udp *u)
{
	for (unsigned i = 0; u->gro && i < u->rx_count; i++)
		if (u->rx[i].len >= BULK_BYTES)
			return BULK_MESSAGES;
	return TT_MIN(u->rx_count * FEW_MESSAGES, (unsigned)DP_UDP_MESSAGES);
}

static bool rx_receive(struct dp_port_udp *u, unsigned lane)
{
	if (u->fd[lane] < 0)
		return false;
	int n = plat_udp_recv(u->fd[lane], u->rx, u->rx_want);

	if (n <= 0)
		return false;
	u->rx_count = (unsigned)n;
	u->rx_next = 0;
	u->rx_at = 0;
	u->rx_open = true;
	u->rx_full = u->rx_count == u->rx_want;
	u->rx_want = rx_batch_size(u);
	for (unsigned i = 0; i < u->rx_count; i++)
		u->origin[i] = (struct dp_origin){u->rx[i].src, u->rx[i].dst, u->rx[i].ifindex};
	return true;
}

/* Cuts message m, from rx_at on, into at most max frames. An empty datagram is a frame as well. */
static unsigned rx_split(struct dp_port_udp *u, const struct plat_udp_rx *m, struct dp_frame *f,
			 unsigned max)
{
	const struct dp_origin *origin = &u->origin[m - u->rx];
	unsigned n = 0;

	do {
		uint32_t left = m->len - u->rx_at;
		uint32_t len = m->segment ? TT_MIN(m->segment, left) : left;

		f[n++] = (struct dp_frame){.data = m->buf + u->rx_at,
					   .len = len,
					   .ecn = m->ecn,
					   .truncated = m->truncated,
					   .origin = origin};
		u->rx_at += len;
	} while (u->rx_at < m->len && n < max);
	return n;
}

static unsigned port_udp_rx(struct dp_outer_port *port, unsigned lane, struct dp_frame *f,
			    unsigned max)
{
	struct dp_port_udp *u = udp_of(port);
	unsigned n = 0;

	if (!u->rx_open && !rx_receive(u, lane))
		return 0;
	while (n < max && u->rx_next < u->rx_count) {
		const struct plat_udp_rx *m = &u->rx[u->rx_next];

		n += rx_split(u, m, f + n, max - n);
		if (u->rx_at >= m->len) {
			u->rx_next++;
			u->rx_at = 0;
		}
	}
	return n;
}

static bool port_udp_rx_release(struct dp_outer_port *port)
{
	struct dp_port_udp *u = udp_of(port);

	u->rx_open = false;
	return u->rx_full;
}

/* --- building -------------------------------------------------------------------------------- */

static inline uint32_t wire_max(const struct dp_path *path)
{
	return path->dest.to.ip.family == TT_FAMILY_V4 ? DP_WIRE_MAX_V4 : DP_WIRE_MAX_V6;
}

static inline bool may_join(const struct dp_port_udp *u, const struct dp_udp_message *m,
			    const struct dp_path *path, uint8_t ecn, uint32_t len)
{
	if (m->path != path || m->ecn != ecn || m->closed || len > m->segment)
		return false;
	uint32_t limit = atomic_load_explicit(&path->gso_limit, memory_order_relaxed);

	return u->gso && m->segments < PLAT_UDP_GSO_SEGS_MAX && m->len + len <= wire_max(path) &&
	       (!limit || m->segment < limit);
}

static uint8_t *port_udp_tx_slot(struct dp_outer_port *port, struct dp_peer *peer,
				 struct dp_path *path, uint8_t ecn, uint32_t len)
{
	struct dp_port_udp *u = udp_of(port);

	if (u->tx_tail + len > DP_UDP_TX_ARENA)
		return NULL;
	struct dp_udp_message *m = u->tx_count ? &u->tx[u->tx_count - 1] : NULL;

	if (!m || !may_join(u, m, path, ecn, len)) {
		if (u->tx_count == DP_UDP_MESSAGES)
			return NULL;
		m = &u->tx[u->tx_count++];
		*m = (struct dp_udp_message){
			.path = path, .peer = peer, .at = u->tx_tail, .segment = len, .ecn = ecn};
	}
	m->closed = len < m->segment;
	m->len += len;
	m->segments++;
	u->tx_tail += len;
	return u->tx_buf + u->tx_tail - len;
}

static void port_udp_tx_commit(struct dp_outer_port *port)
{
	struct dp_port_udp *u = udp_of(port);

	u->done_tail = u->tx_tail;
	u->done_count = u->tx_count;
	if (u->tx_count)
		u->done_last = u->tx[u->tx_count - 1];
}

static void port_udp_tx_abort(struct dp_outer_port *port)
{
	struct dp_port_udp *u = udp_of(port);

	u->tx_tail = u->done_tail;
	u->tx_count = u->done_count;
	if (u->tx_count)
		u->tx[u->tx_count - 1] = u->done_last;
}

static uint32_t port_udp_tx_pending(const struct dp_outer_port *port)
{
	return ((const struct dp_port_udp *)port)->done_tail;
}

/* --- sending --------------------------------------------------------------------------------- */

static enum tt_drop drop_of(int error)
{
	switch (-error) {
	case EAGAIN:
	case ENOBUFS:
		return TT_DROP_TX_SOCKET_FULL;
	case EMSGSIZE:
		return TT_DROP_TX_TOO_BIG;
	default:
		return TT_DROP_TX_SOCKET;
	}
}

/*
 * The datagrams have gone out one by one. Either the path's MTU is below the segment, which is
 * remembered with the path; or this egress cannot at all.
 */
static void note_gso_refused(struct dp_port_udp *u, const struct dp_udp_message *m,
			     struct dp_tx_report *report)
{
	atomic_store_explicit(&m->path->gso_limit, m->segment, memory_order_relaxed);
	if (m->segment <= SEGMENT_UNDOUBTED) {
		u->gso = false;
		report->gso_off = true;
	}
}

static void note_lost_source(const struct dp_udp_message *m, struct dp_tx_report *report)
{
	for (unsigned i = 0; i < report->lost_sources; i++)
		if (report->lost_source[i] == m->peer)
			return;
	if (report->lost_sources < DP_TX_LOST_MAX)
		report->lost_source[report->lost_sources++] = m->peer;
}

/* Sends messages [from, to), which are of one family. */
static void send_run(struct dp_port_udp *u, unsigned from, unsigned to, unsigned lane,
		     struct dp_tx_report *report)
{
	struct plat_udp_tx tx[DP_UDP_MESSAGES] __attribute__((uninitialized));
	bool lost_source = false;

	for (unsigned i = from; i < to; i++) {
		struct dp_udp_message *m = &u->tx[i];

		tx[i - from] = (struct plat_udp_tx){.buf = u->tx_buf + m->at,
						    .len = m->len,
						    .segment = m->segment,
						    .ecn = m->ecn,
						    .dest = &m->path->dest};
	}
	if (u->tx_fd[lane] < 0) {
		for (unsigned i = from; i < to; i++)
			report->failed[TT_DROP_TX_SOCKET] += u->tx[i].segments;
		return;
	}
	plat_udp_send(u->tx_fd[lane], tx, to - from, &lost_source);
	for (unsigned i = from; i < to; i++) {
		if (tx[i - from].error)
			report->failed[drop_of(tx[i - from].error)] += u->tx[i].segments;
		if (tx[i - from].gso_refused)
			note_gso_refused(u, &u->tx[i], report);
		if (tx[i - from].lost_source)
			note_lost_source(&u->tx[i], report);
	}
}

static inline unsigned lane_of(const struct dp_udp_message *m)
{
	return m->path->dest.to.ip.family == TT_FAMILY_V4 ? 0 : 1;
}

/* Sends the first n messages. */
static void send_messages(struct dp_port_udp *u, unsigned n, struct dp_tx_report *report)
{
	unsigned from = 0;

	tt_assert(u->tx_tail == u->done_tail);
	while (from < n) {
		unsigned lane = lane_of(&u->tx[from]), to = from + 1;

		while (to < n && lane_of(&u->tx[to]) == lane)
			to++;
		send_run(u, from, to, lane, report);
		from = to;
	}
}

static void port_udp_tx_flush(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_port_udp *u = udp_of(port);

	send_messages(u, u->tx_count, report);
	u->tx_count = u->done_count = 0;
	u->tx_tail = u->done_tail = 0;
}

/*
 * A super-packet of 64 KiB makes one full super-datagram and the beginning of another. Sent at
 * once, that beginning would cost as much as a full one.
 */
static void port_udp_tx_flush_full(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_port_udp *u = udp_of(port);
	struct dp_udp_message *last = &u->tx[u->tx_count - 1];

	if (!u->tx_count || !u->gso || last->closed || last->len > KEEP_BYTES) {
		port_udp_tx_flush(port, report);
		return;
	}
	send_messages(u, u->tx_count - 1, report);
	memmove(u->tx_buf, u->tx_buf + last->at, last->len);
	last->at = 0;
	u->tx[0] = *last;
	u->tx_count = 1;
	u->tx_tail = last->len;
	port_udp_tx_commit(port);
}

static const struct dp_outer_ops port_udp_ops = {
	.fd = port_udp_fd,
	.rx = port_udp_rx,
	.rx_release = port_udp_rx_release,
	.tx_slot = port_udp_tx_slot,
	.tx_commit = port_udp_tx_commit,
	.tx_abort = port_udp_tx_abort,
	.tx_pending = port_udp_tx_pending,
	.tx_flush = port_udp_tx_flush,
	.tx_flush_full = port_udp_tx_flush_full,
};

int dp_port_udp_init(struct dp_port_udp *u, unsigned udp_flags)
{
	memset(u, 0, sizeof(*u));
	u->port.ops = &port_udp_ops;
	u->gso = udp_flags & PLAT_UDP_GSO;
	u->gro = udp_flags & PLAT_UDP_GRO;
	u->rx_want = DP_UDP_MESSAGES;
	for (unsigned lane = 0; lane < DP_UDP_LANES; lane++)
		u->fd[lane] = u->tx_fd[lane] = -1;
	u->rx_buf = aligned_alloc(TT_CACHELINE, (size_t)DP_UDP_MESSAGES * DP_UDP_RX_STRIDE);
	u->tx_buf = aligned_alloc(TT_CACHELINE, DP_UDP_TX_ARENA);
	if (!u->rx_buf || !u->tx_buf) {
		dp_port_udp_destroy(u);
		return -ENOMEM;
	}
	/* What any traffic needs: memory and first packets do not depend on how long batches were.
	 */
	for (unsigned i = 0; i < DP_UDP_MESSAGES; i++) {
		memset(u->rx_buf + (size_t)i * DP_UDP_RX_STRIDE, 0, DP_UDP_RX_USUAL);
		u->rx[i].buf = u->rx_buf + (size_t)i * DP_UDP_RX_STRIDE;
		u->rx[i].cap = DP_UDP_RX_BUFFER;
	}
	return 0;
}

void dp_port_udp_destroy(struct dp_port_udp *u)
{
	free(u->rx_buf);
	free(u->tx_buf);
	u->rx_buf = u->tx_buf = NULL;
}

void dp_port_udp_set_fds(struct dp_port_udp *u, const int fd[DP_UDP_LANES],
			 const int tx_fd[DP_UDP_LANES])
{
	for (unsigned lane = 0; lane < DP_UDP_LANES; lane++) {
		u->fd[lane] = fd[lane];
		u->tx_fd[lane] = tx_fd[lane];
	}
}

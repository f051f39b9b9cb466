/* SPDX-License-Identifier: MIT */
#include "datapath/bench_port.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/csum.h"

enum {
	V4_DST_LOW = 18,
	UDP_CHECK_OFF = 26,
};

/* --- outer ------------------------------------------------------------------------------------ */

static inline struct dp_bench_outer *outer_of(struct dp_outer_port *port)
{
	return (struct dp_bench_outer *)port;
}

static int outer_fd(const struct dp_outer_port *port, unsigned lane)
{
	(void)port;
	(void)lane;
	return -1;
}

static unsigned outer_rx(struct dp_outer_port *port, unsigned lane, struct dp_frame *f,
			 unsigned max)
{
	struct dp_bench_outer *o = outer_of(port);
	unsigned n = lane ? 0 : TT_MIN(max, TT_MIN(o->budget, o->rx_end - o->rx_next));

	for (unsigned i = 0; i < n; i++, o->rx_next++)
		f[i] = (struct dp_frame){.data = dp_bench_rx_frame(o, o->rx_next),
					 .len = o->wire_len,
					 .origin = &o->origin[o->rx_next]};
	o->budget -= n;
	return n;
}

static bool outer_rx_release(struct dp_outer_port *port)
{
	return outer_of(port)->rx_next < outer_of(port)->rx_end;
}

static uint8_t *outer_tx_slot(struct dp_outer_port *port, struct dp_peer *peer,
			      struct dp_path *path, uint8_t ecn, uint32_t len)
{
	struct dp_bench_outer *o = outer_of(port);

	(void)peer;
	(void)path;
	(void)ecn;
	if (o->tx_used == DP_BENCH_FRAMES || len > o->wire_len)
		return NULL;
	return dp_bench_tx_frame(o, o->tx_used++);
}

static void outer_tx_commit(struct dp_outer_port *port)
{
	outer_of(port)->tx_committed = outer_of(port)->tx_used;
}

static void outer_tx_abort(struct dp_outer_port *port)
{
	outer_of(port)->tx_used = outer_of(port)->tx_committed;
}

static uint32_t outer_tx_pending(const struct dp_outer_port *port)
{
	const struct dp_bench_outer *o = (const struct dp_bench_outer *)port;

	return o->tx_committed * o->wire_len;
}

static void outer_tx_flush(struct dp_outer_port *port, struct dp_tx_report *report)
{
	struct dp_bench_outer *o = outer_of(port);

	(void)report;
	o->tx_used -= o->tx_committed;
	o->tx_committed = 0;
}

static const struct dp_outer_ops outer_ops = {
	.fd = outer_fd,
	.rx = outer_rx,
	.rx_release = outer_rx_release,
	.tx_slot = outer_tx_slot,
	.tx_commit = outer_tx_commit,
	.tx_abort = outer_tx_abort,
	.tx_pending = outer_tx_pending,
	.tx_flush = outer_tx_flush,
};

int dp_bench_outer_init(struct dp_bench_outer *o, uint32_t wire_len)
{
	size_t bytes;

	memset(o, 0, sizeof(*o));
	o->port.ops = &outer_ops;
	o->wire_len = wire_len;
	/* an odd number of lines, so that the frames' headers do not share a few sets of the cache
	 */
	o->stride = TT_ALIGN_UP(wire_len, 2u * TT_CACHELINE) + TT_CACHELINE;
	bytes = (size_t)o->stride * DP_BENCH_FRAMES;
	o->rx_memory = aligned_alloc(TT_CACHELINE, bytes);
	o->tx_memory = aligned_alloc(TT_CACHELINE, bytes);
	if (!o->rx_memory || !o->tx_memory) {
		dp_bench_outer_destroy(o);
		return -ENOMEM;
	}
	memset(o->rx_memory, 0, bytes);
	memset(o->tx_memory, 0, bytes);
	return 0;
}

void dp_bench_outer_destroy(struct dp_bench_outer *o)
{
	free(o->rx_memory);
	free(o->tx_memory);
}

/* --- inner ------------------------------------------------------------------------------------ */

static int inner_fd(const struct dp_inner_port *port)
{
	(void)port;
	return -1;
}

/* To the next peer; the open checksum, a plain sum of the pseudo header, goes along. */
static void aim(struct dp_bench_inner *p, uint16_t host)
{
	uint16_t sum;

	memcpy(&sum, p->pkt + UDP_CHECK_OFF, sizeof(sum));
	sum = dp_csum_fold_plain(dp_csum_sub(sum, dp_csum_be16(p->host)) + dp_csum_be16(host));
	memcpy(p->pkt + UDP_CHECK_OFF, &sum, sizeof(sum));
	tt_store_be16(p->pkt + V4_DST_LOW, host);
	p->host = host;
}

static ssize_t inner_rx(struct dp_inner_port *port, uint8_t **pkt, struct plat_vnet_hdr *vnet)
{
	struct dp_bench_inner *p = (struct dp_bench_inner *)port;
	uint16_t host = (uint16_t)(p->first_host + p->cursor);

	if (!p->budget)
		return -EAGAIN;
	p->budget--;
	if (++p->cursor == p->sessions)
		p->cursor = 0;
	if (host != p->host)
		aim(p, host);
	*vnet = p->vnet;
	*pkt = p->pkt;
	return (ssize_t)p->len;
}

static ssize_t inner_write(struct dp_inner_port *port, const struct iovec *iov, int n)
{
	size_t bytes = 0;

	(void)port;
	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return (ssize_t)bytes;
}

static const struct dp_inner_ops inner_ops = {
	.fd = inner_fd,
	.rx = inner_rx,
	.write = inner_write,
};

int dp_bench_inner_init(struct dp_bench_inner *p, uint32_t len)
{
	memset(p, 0, sizeof(*p));
	p->port =
		(struct dp_inner_port){&inner_ops, PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO};
	p->len = len;
	p->pkt = aligned_alloc(TT_CACHELINE, TT_ALIGN_UP(len, (size_t)TT_CACHELINE));
	return p->pkt ? 0 : -ENOMEM;
}

void dp_bench_inner_destroy(struct dp_bench_inner *p)
{
	free(p->pkt);
}

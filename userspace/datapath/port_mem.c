/* SPDX-License-Identifier: MIT */
#include "datapath/port_mem.h"

#include <errno.h>
#include <stdlib.h>

/* --- queues ---------------------------------------------------------------------------------- */

static int queue_init(struct dp_mem_queue *q)
{
	memset(q, 0, sizeof(*q));
	q->memory = malloc((size_t)DP_MEM_SLOTS * DP_MEM_BYTES);
	if (!q->memory)
		return -ENOMEM;
	for (unsigned i = 0; i < DP_MEM_SLOTS; i++)
		q->slot[i].bytes = q->memory + (size_t)i * DP_MEM_BYTES;
	return 0;
}

static struct dp_mem_message *queue_at(struct dp_mem_queue *q, uint32_t i)
{
	return &q->slot[(q->head + i) % DP_MEM_SLOTS];
}

struct dp_mem_message *dp_mem_put(struct dp_mem_queue *q)
{
	if (q->count == DP_MEM_SLOTS)
		return NULL;
	struct dp_mem_message *m = queue_at(q, q->count++);

	*m = (struct dp_mem_message){.bytes = m->bytes};
	return m;
}

struct dp_mem_message *dp_mem_take(struct dp_mem_queue *q)
{
	if (!q->count)
		return NULL;
	struct dp_mem_message *m = queue_at(q, 0);

	q->head = (q->head + 1) % DP_MEM_SLOTS;
	q->count--;
	return m;
}

/* --- outer ----------------------------------------------------------------------------------- */

static inline struct dp_port_mem_outer *outer_of(struct dp_outer_port *port)
{
	return (struct dp_port_mem_outer *)port;
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
	struct dp_port_mem_outer *o = outer_of(port);
	unsigned n = 0;

	if (lane != 0)
		return 0;
	for (; n < max && o->rx_open < o->in.count; n++) {
		struct dp_mem_message *m = queue_at(&o->in, o->rx_open++);

		f[n] = (struct dp_frame){
			.data = m->bytes, .len = m->len, .ecn = m->ecn, .origin = &m->origin};
	}
	return n;
}

static bool outer_rx_release(struct dp_outer_port *port)
{
	struct dp_port_mem_outer *o = outer_of(port);

	for (; o->rx_open; o->rx_open--)
		dp_mem_take(&o->in);
	return o->in.count > 0;
}

static uint8_t *outer_tx_slot(struct dp_outer_port *port, struct dp_peer *peer,
			      struct dp_path *path, uint8_t ecn, uint32_t len)
{
	struct dp_mem_message *m = len <= DP_MEM_BYTES ? dp_mem_put(&outer_of(port)->out) : NULL;

	(void)peer;
	if (!m)
		return NULL;
	m->len = len;
	m->ecn = ecn;
	m->to = path->dest.to;
	return m->bytes;
}

static void outer_tx_commit(struct dp_outer_port *port)
{
	outer_of(port)->committed = outer_of(port)->out.count;
}

static void outer_tx_abort(struct dp_outer_port *port)
{
	outer_of(port)->out.count = outer_of(port)->committed;
}

static uint32_t outer_tx_pending(const struct dp_outer_port *port)
{
	const struct dp_port_mem_outer *o = (const struct dp_port_mem_outer *)port;
	uint32_t bytes = 0;

	for (uint32_t i = o->flushed; i < o->committed; i++)
		bytes += o->out.slot[(o->out.head + i) % DP_MEM_SLOTS].len;
	return bytes;
}

static void outer_tx_flush(struct dp_outer_port *port, struct dp_tx_report *report)
{
	(void)report;
	outer_of(port)->flushed = outer_of(port)->committed;
}

static const struct dp_outer_ops mem_outer_ops = {
	.fd = outer_fd,
	.rx = outer_rx,
	.rx_release = outer_rx_release,
	.tx_slot = outer_tx_slot,
	.tx_commit = outer_tx_commit,
	.tx_abort = outer_tx_abort,
	.tx_pending = outer_tx_pending,
	.tx_flush = outer_tx_flush,
};

struct dp_mem_message *dp_port_mem_outer_sent(struct dp_port_mem_outer *m)
{
	if (!m->flushed)
		return NULL;
	m->flushed--;
	m->committed--;
	return dp_mem_take(&m->out);
}

int dp_port_mem_outer_init(struct dp_port_mem_outer *m)
{
	memset(m, 0, sizeof(*m));
	m->port.ops = &mem_outer_ops;
	if (queue_init(&m->in))
		return -ENOMEM;
	if (!queue_init(&m->out))
		return 0;
	free(m->in.memory);
	return -ENOMEM;
}

void dp_port_mem_outer_destroy(struct dp_port_mem_outer *m)
{
	free(m->in.memory);
	free(m->out.memory);
}

/* --- inner ----------------------------------------------------------------------------------- */

static int inner_fd(const struct dp_inner_port *port)
{
	(void)port;
	return -1;
}

static ssize_t inner_rx(struct dp_inner_port *port, uint8_t **pkt, struct plat_vnet_hdr *vnet)
{
	struct dp_port_mem_inner *p = (struct dp_port_mem_inner *)port;
	struct dp_mem_message *m = dp_mem_take(&p->in);
	size_t hdr = port->flags & PLAT_TUN_VNET_HDR ? sizeof(*vnet) : 0;

	*vnet = (struct plat_vnet_hdr){0};
	if (!m || m->len <= hdr)
		return m ? -EIO : -EAGAIN;
	memcpy(vnet, m->bytes, hdr);
	*pkt = m->bytes + hdr;
	return (ssize_t)(m->len - hdr);
}

static ssize_t inner_write(struct dp_inner_port *port, const struct iovec *iov, int n)
{
	struct dp_port_mem_inner *p = (struct dp_port_mem_inner *)port;
	const struct plat_vnet_hdr *vnet = iov[0].iov_base;
	struct dp_mem_message *m;

	if (p->refuse_all)
		return p->refuse_all;
	if (p->refuse_super && (port->flags & PLAT_TUN_VNET_HDR) &&
	    vnet->gso_type != PLAT_VNET_GSO_NONE)
		return p->refuse_super;
	m = dp_mem_put(&p->out);
	if (!m)
		return -ENOBUFS;
	for (int i = 0; i < n; i++) {
		if (m->len + iov[i].iov_len > DP_MEM_BYTES)
			return -EMSGSIZE;
		memcpy(m->bytes + m->len, iov[i].iov_base, iov[i].iov_len);
		m->len += (uint32_t)iov[i].iov_len;
	}
	return m->len;
}

static const struct dp_inner_ops mem_inner_ops = {
	.fd = inner_fd,
	.rx = inner_rx,
	.write = inner_write,
};

int dp_port_mem_inner_init(struct dp_port_mem_inner *m, unsigned tun_flags)
{
	memset(m, 0, sizeof(*m));
	m->port = (struct dp_inner_port){&mem_inner_ops, tun_flags};
	if (queue_init(&m->in))
		return -ENOMEM;
	if (!queue_init(&m->out))
		return 0;
	free(m->in.memory);
	return -ENOMEM;
}

void dp_port_mem_inner_destroy(struct dp_port_mem_inner *m)
{
	free(m->in.memory);
	free(m->out.memory);
}

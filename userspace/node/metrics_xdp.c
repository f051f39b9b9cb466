/* SPDX-License-Identifier: MIT */
#include "node/metrics_impl.h"

/* --- interfaces ------------------------------------------------------------------------------- */

struct device {
	struct node_xdp_interface_info info;
	struct tt_prom_labels label;
};

static void attach_modes(struct node_metrics *m, const struct device *d, unsigned n)
{
	tt_prom_family(&m->prom, "taltun_xdp_attach_mode", TT_PROM_GAUGE,
		       "1 for the way by which the interface's packets travel.");
	for (unsigned i = 0; i < n; i++)
		for (int k = 0; k < NODE_XDP_KIND_COUNT; k++) {
			struct tt_prom_labels l = d[i].label;
			tt_prom_label(&l, "mode", node_xdp_kind_name((enum node_xdp_kind)k));
			tt_prom_u64(&m->prom, &l, k == (int)d[i].info.kind);
		}
}

static void steered(struct node_metrics *m, const struct device *d, unsigned device, unsigned queue)
{
	uint64_t packets[PLAT_XDP_REASONS_MAX];
	unsigned reasons = node_xdp_reasons_get(m->about.xdp, device, queue, packets);

	for (unsigned r = 0; r < reasons; r++) {
		struct tt_prom_labels l = d->label;

		if (queue < PLAT_XDP_QUEUES_MAX)
			tt_prom_label_u64(&l, "queue", queue);
		else
			tt_prom_label(&l, "queue", "other");
		tt_prom_label(&l, "reason", plat_xdp_reason_name(r));
		tt_prom_u64(&m->prom, &l, packets[r]);
	}
}

static void devices(struct node_metrics *m, const struct device *d, unsigned n)
{
	attach_modes(m, d, n);
	tt_prom_family(&m->prom, "taltun_xdp_restarts_total", TT_PROM_COUNTER,
		       "Times the steering program was attached again after it was lost.");
	for (unsigned i = 0; i < n; i++)
		tt_prom_u64(&m->prom, &d[i].label, d[i].info.restarts);
	tt_prom_family(
		&m->prom, "taltun_xdp_packets_total", TT_PROM_COUNTER,
		"Packets that the steering program has seen, by queue and what it did with them.");
	/* of all queues that the NIC has: those without a worker say why they have none */
	for (unsigned i = 0; i < n; i++)
		for (unsigned q = 0; q < d[i].info.nic_queues && q <= PLAT_XDP_QUEUES_MAX; q++)
			steered(m, &d[i], i, q);
}

/* --- queues ----------------------------------------------------------------------------------- */

struct queue {
	struct node_xdp_queue_info info;
	struct tt_prom_labels label;
};

/* Of all interfaces, as many as there may be. */
#define QUEUES_MAX (NODE_XDP_INTERFACES * PLAT_XDP_QUEUES_MAX)

static unsigned gather_queues(struct node_metrics *m, const struct device *d, unsigned n,
			      struct queue *q)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < d[i].info.queues && count < QUEUES_MAX; k++) {
			struct queue *out = &q[count++];
			node_xdp_queue_get(m->about.xdp, i, k, &out->info);
			out->label = d[i].label;
			tt_prom_label_u64(&out->label, "queue", out->info.queue);
		}
	return count;
}

static void frames_at(struct node_metrics *m, const struct queue *q, const char *place,
		      uint64_t frames)
{
	struct tt_prom_labels l = q->label;

	tt_prom_label(&l, "place", place);
	tt_prom_u64(&m->prom, &l, frames);
}

static void rings(struct node_metrics *m, const struct queue *q, unsigned n)
{
	tt_prom_family(&m->prom, "taltun_xdp_queue_frames", TT_PROM_GAUGE,
		       "Frames of the queue's memory, by the ring or place that they are in.");
	for (unsigned i = 0; i < n; i++) {
		frames_at(m, &q[i], "free", q[i].info.datapath.free_frames);
		frames_at(m, &q[i], "fill", q[i].info.fill_level);
		frames_at(m, &q[i], "rx", q[i].info.rx_pending);
		frames_at(m, &q[i], "sending", q[i].info.datapath.out);
	}
	tt_prom_family(&m->prom, "taltun_xdp_queue_memory_frames", TT_PROM_GAUGE,
		       "Frames that the queue's memory has room for.");
	for (unsigned i = 0; i < n; i++)
		tt_prom_u64(&m->prom, &q[i].label, q[i].info.datapath.frames);
}

static const struct {
	const char *name;
	size_t offset; /* in struct plat_xsk_stats */
} kernel_events[] = {
#define EVENT(field)                                           \
	{                                                      \
#field, offsetof(struct plat_xsk_stats, field) \
	}
	EVENT(rx_dropped),	EVENT(rx_ring_full),	EVENT(rx_fill_empty),
	EVENT(rx_invalid_desc), EVENT(tx_invalid_desc), EVENT(tx_ring_empty),
	EVENT(kicks),		EVENT(again),		EVENT(lost),
	EVENT(rx_wakeup),
#undef EVENT
};

static void events(struct node_metrics *m, const struct queue *q, unsigned n)
{
	tt_prom_family(&m->prom, "taltun_xdp_queue_events_total", TT_PROM_COUNTER,
		       "What the kernel and the queue's worker counted, by event.");
	for (unsigned i = 0; i < n; i++)
		for (unsigned e = 0; e < TT_ARRAY_LEN(kernel_events); e++) {
			struct tt_prom_labels l = q[i].label;
			uint64_t v;

			memcpy(&v, (const char *)&q[i].info.kernel + kernel_events[e].offset,
			       sizeof(v));
			tt_prom_label(&l, "event", kernel_events[e].name);
			tt_prom_u64(&m->prom, &l, v);
		}
}

static void queues(struct node_metrics *m, const struct queue *q, unsigned n)
{
	tt_prom_family(&m->prom, "taltun_xdp_queue_active", TT_PROM_GAUGE,
		       "Whether packets of the queue come here; if not, they go by the kernel.");
	for (unsigned i = 0; i < n; i++)
		tt_prom_u64(&m->prom, &q[i].label, q[i].info.active);
	tt_prom_family(&m->prom, "taltun_xdp_queue_received_packets_total", TT_PROM_COUNTER,
		       "Packets received by the queue.");
	for (unsigned i = 0; i < n; i++)
		tt_prom_u64(&m->prom, &q[i].label, q[i].info.datapath.rx);
	tt_prom_family(&m->prom, "taltun_xdp_queue_sent_packets_total", TT_PROM_COUNTER,
		       "Packets sent by the queue.");
	for (unsigned i = 0; i < n; i++)
		tt_prom_u64(&m->prom, &q[i].label, q[i].info.datapath.tx);
	rings(m, q, n);
	events(m, q, n);
}

void node_metrics_xdp(struct node_metrics *m)
{
	/* of the control thread alone, and too large for its stack */
	static struct device device[NODE_XDP_INTERFACES];
	static struct queue queue[QUEUES_MAX];
	unsigned n = m->about.xdp ? node_xdp_interface_count(m->about.xdp) : 0;

	n = TT_MIN(n, (unsigned)NODE_XDP_INTERFACES);
	for (unsigned i = 0; i < n; i++) {
		node_xdp_interface_get(m->about.xdp, i, &device[i].info);
		device[i].label = node_metrics_label("device", device[i].info.name);
	}
	devices(m, device, n);
	queues(m, queue, gather_queues(m, device, n, queue));
}

/* SPDX-License-Identifier: MIT */
#include "node/metrics_impl.h"

static const struct {
	const char *name, *help;
	size_t offset; /* in struct dp_stats */
} counters[] = {
#define COUNTER(name, field, help)                                                     \
	{                                                                              \
		"taltun_worker_" name "_total", help, offsetof(struct dp_stats, field) \
	}
	COUNTER("received_packets", rx_packets, "Encrypted packets received."),
	COUNTER("received_bytes", rx_bytes, "Bytes of these, their WireGuard headers included."),
	COUNTER("receive_batches", rx_batches, "Batches that they came in."),
	COUNTER("sent_packets", tx_packets, "Encrypted packets sent."),
	COUNTER("sent_bytes", tx_bytes, "Bytes of these, their WireGuard headers included."),
	COUNTER("send_batches", tx_batches, "Batches that they went out in."),
	COUNTER("tun_read_packets", tun_rx_packets,
		"Inner packets read from the interface, after segmentation."),
	COUNTER("tun_reads", tun_rx_reads, "Reads that brought them."),
	COUNTER("tun_written_packets", tun_tx_packets,
		"Inner packets written to the interface, before they were joined."),
	COUNTER("tun_writes", tun_tx_writes, "Writes that took them."),
	COUNTER("forwarded_packets", forwarded_packets, "Packets passed on from peer to peer."),
	COUNTER("staged_packets", staged_packets, "Packets that had to wait for a handshake."),
	COUNTER("mss_clamped_packets", mss_clamped, "TCP openings whose segment size was lowered."),
	COUNTER("fragmented_packets", fragmented_packets,
		"Inner packets that went out in fragments."),
	COUNTER("turns", loops, "Turns of the worker's loop."),
	COUNTER("busy_turns", busy_loops, "Of these, with something to do."),
	COUNTER("sleeps", sleeps, "Times the worker waited."),
#undef COUNTER
};

static uint64_t value_at(const struct dp_stats *s, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)s + offset, sizeof(v));
	return v;
}

void node_metrics_workers(struct node_metrics *m)
{
	struct dp_plane *pl = node_device_plane(m->device);
	unsigned n = dp_plane_workers(pl);
	struct tt_prom_labels label[DP_WORKERS_MAX] = {0};
	struct dp_stats s[DP_WORKERS_MAX];

	for (unsigned w = 0; w < n; w++) {
		tt_prom_label_u64(&label[w], "worker", w);
		dp_plane_stats(pl, w, &s[w]);
	}
	for (unsigned i = 0; i < TT_ARRAY_LEN(counters); i++) {
		tt_prom_family(&m->prom, counters[i].name, TT_PROM_COUNTER, counters[i].help);
		for (unsigned w = 0; w < n; w++)
			tt_prom_u64(&m->prom, &label[w], value_at(&s[w], counters[i].offset));
	}
	tt_prom_family(&m->prom, "taltun_worker_cpu_seconds_total", TT_PROM_COUNTER,
		       "CPU time of the worker's thread; its rate is the busy fraction.");
	for (unsigned w = 0; w < n; w++)
		tt_prom_seconds(&m->prom, &label[w], dp_plane_worker_cpu_ns(pl, w));
	tt_prom_family(&m->prom, "taltun_worker_hung", TT_PROM_GAUGE,
		       "Whether the watchdog has taken the worker out.");
	for (unsigned w = 0; w < n; w++)
		tt_prom_u64(&m->prom, &label[w], m->about.hung >> w & 1);
}

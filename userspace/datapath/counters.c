/* SPDX-License-Identifier: MIT */
#include "datapath/counters.h"

static inline uint64_t value(const dp_counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void dp_counters_add(const struct dp_counters *c, struct dp_stats *out)
{
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		out->drops[i] += value(&c->drops[i]);
	out->rx_packets += value(&c->rx_packets);
	out->rx_bytes += value(&c->rx_bytes);
	out->rx_batches += value(&c->rx_batches);
	out->tx_packets += value(&c->tx_packets);
	out->tx_bytes += value(&c->tx_bytes);
	out->tx_batches += value(&c->tx_batches);
	out->tun_rx_packets += value(&c->tun_rx_packets);
	out->tun_rx_reads += value(&c->tun_rx_reads);
	out->tun_tx_packets += value(&c->tun_tx_packets);
	out->tun_tx_writes += value(&c->tun_tx_writes);
	out->forwarded_packets += value(&c->forwarded_packets);
	out->staged_packets += value(&c->staged_packets);
	out->mss_clamped += value(&c->mss_clamped);
	out->fragmented_packets += value(&c->fragmented_packets);
	out->loops += value(&c->loops);
	out->busy_loops += value(&c->busy_loops);
	out->sleeps += value(&c->sleeps);
}

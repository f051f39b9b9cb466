/* SPDX-License-Identifier: MIT
 *
 * Counters of one worker: written by it alone, read by any thread. A relaxed load and store is one
 * ordinary addition to memory.
 */
#ifndef TT_DATAPATH_COUNTERS_H
#define TT_DATAPATH_COUNTERS_H

#include <stdatomic.h>
#include "datapath/plane.h"

typedef _Atomic uint64_t dp_counter;

struct dp_counters {
	dp_counter drops[TT_DROP_COUNT];
	dp_counter rx_packets, rx_bytes, rx_batches;
	dp_counter tx_packets, tx_bytes, tx_batches;
	dp_counter tun_rx_packets, tun_rx_reads;
	dp_counter tun_tx_packets, tun_tx_writes;
	dp_counter forwarded_packets;
	dp_counter staged_packets;
	dp_counter mss_clamped, fragmented_packets;
	dp_counter loops, busy_loops, sleeps;
};

static inline void dp_count(dp_counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void dp_count_drop(struct dp_counters *c, enum tt_drop reason, uint64_t n)
{
	dp_count(&c->drops[reason], n);
}

/* Adds c to *out. */
void dp_counters_add(const struct dp_counters *c, struct dp_stats *out);

#endif

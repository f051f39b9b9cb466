/* SPDX-License-Identifier: MIT
 *
 * Ports for measuring (bench.h): frames lie side by side, no wider than their packets, and nothing
 * is copied. The worker sees no more than `budget` packets until it is set again.
 */
#ifndef TT_DATAPATH_BENCH_PORT_H
#define TT_DATAPATH_BENCH_PORT_H

#include "datapath/port.h"

#define DP_BENCH_FRAMES 256 /* of one sample */

struct dp_bench_outer {
	struct dp_outer_port port;
	uint32_t stride, wire_len;
	uint32_t budget;
	uint32_t rx_next, rx_end; /* frames given out, and there */
	uint32_t tx_used, tx_committed;
	uint8_t *rx_memory, *tx_memory; /* DP_BENCH_FRAMES of stride bytes each */
	struct dp_origin origin[DP_BENCH_FRAMES];
};

struct dp_bench_inner {
	struct dp_inner_port port;
	uint32_t budget;
	uint32_t len;
	uint32_t sessions, cursor; /* packets go to their peers in turn */
	uint32_t first_host;	   /* of this worker's peers: low half of their inner addresses */
	uint16_t host;		   /* of pkt's destination now */
	struct plat_vnet_hdr vnet;
	uint8_t *pkt;
};

static inline uint8_t *dp_bench_rx_frame(struct dp_bench_outer *o, uint32_t i)
{
	return o->rx_memory + (size_t)i * o->stride;
}

static inline uint8_t *dp_bench_tx_frame(struct dp_bench_outer *o, uint32_t i)
{
	return o->tx_memory + (size_t)i * o->stride;
}

/* For messages of wire_len bytes. 0 or -ENOMEM. */
int dp_bench_outer_init(struct dp_bench_outer *o, uint32_t wire_len);
void dp_bench_outer_destroy(struct dp_bench_outer *o);
/* For packets of len bytes; the caller writes pkt, vnet and the hosts. 0 or -ENOMEM. */
int dp_bench_inner_init(struct dp_bench_inner *p, uint32_t len);
void dp_bench_inner_destroy(struct dp_bench_inner *p);

#endif

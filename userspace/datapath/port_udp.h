/* SPDX-License-Identifier: MIT
 *
 * Outer port over a worker's UDP sockets, one per family. Messages to send lie one behind the other
 * in one arena; neighbours of equal size to one path form a super-datagram (UDP_SEGMENT).
 */
#ifndef TT_DATAPATH_PORT_UDP_H
#define TT_DATAPATH_PORT_UDP_H

#include "datapath/port.h"

#define DP_UDP_MESSAGES	 PLAT_UDP_BATCH_MAX
#define DP_UDP_RX_BUFFER 65536u
/* Distance of receive buffers: an odd number of cache lines, so that they spread over cache sets.
 */
#define DP_UDP_RX_USUAL	 8192u /* of a buffer, in memory from the start */
#define DP_UDP_RX_STRIDE (DP_UDP_RX_BUFFER + TT_CACHELINE)
#define DP_UDP_TX_ARENA	 (256u * 1024)

struct dp_udp_message {
	struct dp_path *path;
	struct dp_peer *peer;
	uint32_t at, len; /* in the arena */
	uint32_t segment;
	uint16_t segments;
	uint8_t ecn;
	bool closed; /* ended by a shorter datagram */
};

struct dp_port_udp {
	struct dp_outer_port port;
	int fd[DP_UDP_LANES]; /* -1: none of this family */
	/* Where to send: the same, or another worker's where this one has none. */
	int tx_fd[DP_UDP_LANES];
	bool gso, gro;

	/* the batch being received: messages, and how far they have been split */
	uint8_t *rx_buf;
	struct plat_udp_rx rx[DP_UDP_MESSAGES];
	struct dp_origin origin[DP_UDP_MESSAGES];
	unsigned rx_count, rx_next;
	uint32_t rx_at;
	bool rx_open; /* a batch is out: no receiving before its release */
	bool rx_full; /* it filled what it was given: there may be more */
	unsigned rx_want;

	/* the batch being built */
	uint8_t *tx_buf;
	uint32_t tx_tail;
	unsigned tx_count;
	struct dp_udp_message tx[DP_UDP_MESSAGES];
	/* what tx_abort() returns to */
	uint32_t done_tail;
	unsigned done_count;
	struct dp_udp_message done_last;
};

/* udp_flags: enum plat_udp_flags. 0 or -ENOMEM. Descriptors are set afterwards. */
int dp_port_udp_init(struct dp_port_udp *u, unsigned udp_flags);
void dp_port_udp_destroy(struct dp_port_udp *u);
/* Owner thread, between batches. */
void dp_port_udp_set_fds(struct dp_port_udp *u, const int fd[DP_UDP_LANES],
			 const int tx_fd[DP_UDP_LANES]);

#endif

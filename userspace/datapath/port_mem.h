/* SPDX-License-Identifier: MIT
 *
 * Ports in memory: what a test puts in, the worker receives, and what the worker sends, the test
 * takes out. No descriptor, no thread; the clock is whatever the test says.
 */
#ifndef TT_DATAPATH_PORT_MEM_H
#define TT_DATAPATH_PORT_MEM_H

#include "datapath/port.h"

#define DP_MEM_SLOTS 256
#define DP_MEM_BYTES 66048

struct dp_mem_message {
	uint32_t len;
	uint8_t ecn;
	struct dp_origin origin; /* received */
	struct tt_endpoint to;	 /* sent */
	uint8_t *bytes;		 /* of DP_MEM_BYTES */
};

/* First in, first out; a full one refuses. */
struct dp_mem_queue {
	uint32_t head, count; /* message i of count is slot (head + i) mod DP_MEM_SLOTS */
	uint8_t *memory;
	struct dp_mem_message slot[DP_MEM_SLOTS];
};

/* The next free message, which then counts; NULL where it is full. */
struct dp_mem_message *dp_mem_put(struct dp_mem_queue *q);
/* The oldest message; stays readable until DP_MEM_SLOTS - 1 more were put. NULL: empty. */
struct dp_mem_message *dp_mem_take(struct dp_mem_queue *q);

struct dp_port_mem_outer {
	struct dp_outer_port port;
	struct dp_mem_queue in, out;
	unsigned rx_open;   /* messages given out and not yet released */
	uint32_t committed; /* messages of `out` that are sealed */
	uint32_t flushed;   /* and those that are sent */
};

struct dp_port_mem_inner {
	struct dp_inner_port port;
	struct dp_mem_queue in, out; /* behind a vnet header where the flags say so */
	int refuse_super;	     /* -errno for every super-packet written; 0: takes them */
	int refuse_all;
};

/* The oldest message that was sent. NULL: none. */
struct dp_mem_message *dp_port_mem_outer_sent(struct dp_port_mem_outer *m);

/* 0 or -ENOMEM. */
int dp_port_mem_outer_init(struct dp_port_mem_outer *m);
void dp_port_mem_outer_destroy(struct dp_port_mem_outer *m);
int dp_port_mem_inner_init(struct dp_port_mem_inner *m, unsigned tun_flags);
void dp_port_mem_inner_destroy(struct dp_port_mem_inner *m);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Letting packets gather: where single packets come from the inner port faster than a rate, they
 * are not sent in twos and threes as they come, but left to come together for a moment, as a NIC
 * holds back its interrupts. What is received wakes the worker as ever.
 */
#ifndef TT_DATAPATH_GATHER_H
#define TT_DATAPATH_GATHER_H

#include "base/types.h"

#define DP_GATHER_RATE	 100000 /* reads a second from which on it pays */
#define DP_GATHER_BURST	 64	/* as many as are sent by one call */
#define DP_GATHER_MAX_NS (100 * TT_NS_PER_US)

struct dp_gather {
	uint64_t rest_ns;      /* 0: it does not pay */
	struct tt_mono since;  /* when the rate was looked at */
	uint64_t reads_then;   /* at that time */
	uint64_t reads_before; /* at the last call */
};

/*
 * After each turn of a worker: for how long nothing is to be taken from the inner port; 0: go on.
 * reads: of the inner port so far; a super-packet is one. Not after a turn that took nothing:
 * whoever sends has stopped, or waits for an answer.
 */
uint64_t dp_gather_rest(struct dp_gather *g, uint64_t reads, struct tt_mono now);

#endif

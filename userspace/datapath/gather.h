/* SPDX-License-Identifier: MIT
 *
 * Letting packets gather: where single packets come from the inner port faster than a rate, they
 * are not sent in twos and threes as they come, but left to come together for a moment, as a NIC
 * holds back its interrupts. What is received wakes the worker as ever.
 */
#ifndef TT_DATAPATH_GATHER_H
#define TT_DATAPATH_GATHER_H

#include "base/types.h"

/* For so long nothing is taken from the inner port: 20 packets at 400,000 a second. */
#define DP_GATHER_NS   (50 * TT_NS_PER_US)
#define DP_GATHER_RATE 100000 /* reads a second from which on it pays */

struct dp_gather {
	bool on;
	struct tt_mono since;  /* when the rate was looked at */
	uint64_t reads_then;   /* at that time */
	uint64_t reads_before; /* at the last call */
};

/*
 * After each turn of a worker: whether packets are to gather before its next one. reads: of the
 * inner port so far; a super-packet is one. Not after a turn that took nothing: whoever sends has
 * stopped, or waits for an answer.
 */
bool dp_gather_pays(struct dp_gather *g, uint64_t reads, struct tt_mono now);

#endif

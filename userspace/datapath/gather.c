/* SPDX-License-Identifier: MIT */
#include "datapath/gather.h"

#define LOOK_NS TT_NS_PER_MS

/* What a burst takes to come at the rate of the time that has just passed. */
static uint64_t rest_at(uint64_t reads, uint64_t past_ns)
{
	if (reads < past_ns / (TT_NS_PER_SEC / DP_GATHER_RATE))
		return 0;
	return TT_MIN(past_ns * DP_GATHER_BURST / reads, DP_GATHER_MAX_NS);
}

uint64_t dp_gather_rest(struct dp_gather *g, uint64_t reads, struct tt_mono now)
{
	uint64_t past = tt_mono_since(now, g->since);
	bool took = reads != g->reads_before;

	g->reads_before = reads;
	if (past >= LOOK_NS) {
		g->rest_ns = rest_at(reads - g->reads_then, past);
		g->since = now;
		g->reads_then = reads;
	}
	return took ? g->rest_ns : 0;
}

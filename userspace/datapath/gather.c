/* SPDX-License-Identifier: MIT */
#include "datapath/gather.h"

#define LOOK_NS TT_NS_PER_MS

bool dp_gather_pays(struct dp_gather *g, uint64_t reads, struct tt_mono now)
{
	uint64_t past = tt_mono_since(now, g->since);
	bool took = reads != g->reads_before;

	g->reads_before = reads;
	if (past >= LOOK_NS) {
		g->on = reads - g->reads_then >= past / (TT_NS_PER_SEC / DP_GATHER_RATE);
		g->since = now;
		g->reads_then = reads;
	}
	return g->on && took;
}

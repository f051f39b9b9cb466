/* SPDX-License-Identifier: MIT */
#include "datapath/yield.h"

#define QUIET_NS    TT_NS_PER_MS	/* a worker that sleeps for less is busy */
#define LONG_NS	    (50 * TT_NS_PER_US) /* others had work there */
#define AGAIN_NS    (10 * TT_NS_PER_MS) /* after a long one; doubles, up to 10 s */
#define DOUBLES_MAX 10

bool dp_yield_pays(const struct dp_yield *y, uint64_t slept_ns, struct tt_mono now)
{
	return y->on && slept_ns >= QUIET_NS && !tt_mono_before(now, y->not_before);
}

void dp_yield_took(struct dp_yield *y, uint64_t took_ns, struct tt_mono now)
{
	if (took_ns <= LONG_NS) {
		y->long_ones -= y->long_ones > 0;
		return;
	}
	y->not_before = tt_mono_add_ns(now, AGAIN_NS << y->long_ones);
	y->long_ones = TT_MIN(y->long_ones + 1, DOUBLES_MAX);
}

/* SPDX-License-Identifier: MIT */
#include "datapath/yield.h"

#define AGAIN_NS    (10 * TT_NS_PER_MS) /* after a long one; doubles, up to 10 s */
#define DOUBLES_MAX 10

void dp_yield_took(struct dp_yield *y, uint64_t took_ns, struct tt_mono now)
{
	if (took_ns <= y->long_ns) {
		y->long_ones -= y->long_ones > 0;
		return;
	}
	y->not_before = tt_mono_add_ns(now, AGAIN_NS << y->long_ones);
	y->long_ones = TT_MIN(y->long_ones + 1, DOUBLES_MAX);
}

/* SPDX-License-Identifier: MIT
 *
 * Giving the CPU away where that lets somebody finish whom the worker serves, and not where others
 * keep the CPU busy: a yield that took long is noticed, and the next is left for a while.
 */
#ifndef TT_DATAPATH_YIELD_H
#define TT_DATAPATH_YIELD_H

#include "base/types.h"

/* Zeroed but for long_ns is a valid beginning. */
struct dp_yield {
	uint64_t long_ns;	   /* more than whom it is for needs; 0: never yield */
	unsigned long_ones;	   /* less those that were not, since; bounded */
	struct tt_mono not_before; /* the next */
};

static inline bool dp_yield_pays(const struct dp_yield *y, struct tt_mono now)
{
	return y->long_ns && !tt_mono_before(now, y->not_before);
}

/* What it took. now: after it. */
void dp_yield_took(struct dp_yield *y, uint64_t took_ns, struct tt_mono now);

#endif

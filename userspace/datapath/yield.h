/* SPDX-License-Identifier: MIT
 *
 * Letting a sender finish. Who writes the first packet after a quiet time wakes the worker, which
 * the scheduler may run in its place at once, on its CPU. As long as both want that CPU whoever is
 * woken next is put on another one, which sleeps deeply where nothing else goes on (measured with
 * both ends on one machine, docs/performance.md). So the sender is let go on until it sleeps,
 * usually in some microseconds; what else it sends joins the batch. Where that CPU has other work
 * it would take long: that is noticed, and left for a while.
 */
#ifndef TT_DATAPATH_YIELD_H
#define TT_DATAPATH_YIELD_H

#include "base/types.h"

struct dp_yield {
	bool on;		   /* false: never */
	unsigned long_ones;	   /* less those that were not, since; at most as many as double */
	struct tt_mono not_before; /* the next */
};

/* After the worker has slept so long, and was woken by the inner port: whether to let it finish. */
bool dp_yield_pays(const struct dp_yield *y, uint64_t slept_ns, struct tt_mono now);
/* What it took. now: after it. */
void dp_yield_took(struct dp_yield *y, uint64_t took_ns, struct tt_mono now);

#endif

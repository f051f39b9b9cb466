/* SPDX-License-Identifier: MIT */
#include "hub/bucket.h"

bool hub_bucket_take(struct hub_bucket *b, uint64_t n, uint64_t rate, uint64_t burst,
		     struct tt_mono now)
{
	if (!tt_mono_is_set(b->filled)) {
		b->level = burst;
	} else {
		uint64_t ms =
			TT_MIN(tt_mono_since(now, b->filled) / TT_NS_PER_MS, UINT64_C(3600000));
		b->level = TT_MIN(burst, b->level + ms * rate / 1000);
		/* what is less than one stays in the clock */
		if (ms * rate < 1000 && b->level < burst)
			now = b->filled;
	}
	b->filled = now;
	if (b->level < n)
		return false;
	b->level -= n;
	return true;
}

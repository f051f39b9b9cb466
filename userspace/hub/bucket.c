/* SPDX-License-Identifier: MIT */
#include "hub/bucket.h"

/* Milliseconds that are looked at: an hour fills any. */
#define SINCE_MAX_MS UINT64_C(3600000)

static void fill(struct hub_bucket *b, uint64_t rate, uint64_t burst, struct tt_mono now)
{
	uint64_t ms = TT_MIN(tt_mono_since(now, b->filled) / TT_NS_PER_MS, SINCE_MAX_MS);
	uint64_t more = ms * rate / 1000;

	if (!tt_mono_is_set(b->filled) || b->level + more >= burst) {
		b->level = burst;
		b->filled = now;
	} else if (more) {
		/* what is less than one stays in the clock */
		b->level += more;
		b->filled =
			tt_mono_add_ns(b->filled, (more * 1000 + rate - 1) / rate * TT_NS_PER_MS);
	}
}

bool hub_bucket_take(struct hub_bucket *b, uint64_t n, uint64_t rate, uint64_t burst,
		     struct tt_mono now)
{
	fill(b, rate, burst, now);
	if (b->level < n)
		return false;
	b->level -= n;
	return true;
}

/* SPDX-License-Identifier: MIT
 *
 * A token bucket: rate a second, and as much at once as the burst. All zero is full. Pure.
 */
#ifndef TT_HUB_BUCKET_H
#define TT_HUB_BUCKET_H

#include "base/types.h"

struct hub_bucket {
	uint64_t level;
	struct tt_mono filled;
};

/* Takes n where rate per second, burst at most, allow it. */
bool hub_bucket_take(struct hub_bucket *b, uint64_t n, uint64_t rate, uint64_t burst,
		     struct tt_mono now);

#endif

/* SPDX-License-Identifier: MIT */
#include "plat/clock.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Time asleep counts: a key must not outlive its limit because the laptop was closed. */
#if defined(CLOCK_BOOTTIME)
#define CLOCK_SINCE_BOOT CLOCK_BOOTTIME
#else
#define CLOCK_SINCE_BOOT CLOCK_MONOTONIC
#endif

struct tt_mono plat_clock_mono(void)
{
	struct timespec t;
	/* Fails only where the clock does not exist, and that was decided above. */
	int r = clock_gettime(CLOCK_SINCE_BOOT, &t);

	tt_assert(r == 0);
	uint64_t ns = (uint64_t)t.tv_sec * TT_NS_PER_SEC + (uint64_t)t.tv_nsec;

	return (struct tt_mono){ns ? ns : 1};
}

struct tt_wall plat_clock_wall(void)
{
	struct timespec t;
	int r = clock_gettime(CLOCK_REALTIME, &t);

	tt_assert(r == 0);
	return (struct tt_wall){t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec, (uint32_t)t.tv_nsec};
}

#define ENTROPY_CHUNK 256 /* the most getentropy gives at once, and never less than asked */

static void rng_fill(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)ctx;
	while (len) {
		size_t n = TT_MIN(len, (size_t)ENTROPY_CHUNK);

		/* Going on with predictable keys would be worse than stopping. */
		if (getentropy(p, n) != 0)
			abort();
		p += n;
		len -= n;
	}
}

struct tt_rng plat_rng(void)
{
	return (struct tt_rng){rng_fill, NULL};
}

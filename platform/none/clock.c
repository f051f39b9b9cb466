/* SPDX-License-Identifier: MIT
 *
 * C11 alone: it has one clock, the wall's, so "monotonic" is that clock held back from going
 * backwards; and it has no randomness, so the conventional device must be there.
 */
#include "plat/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct tt_mono plat_clock_mono(void)
{
	static _Atomic uint64_t latest;
	struct timespec t = {0};
	int r = timespec_get(&t, TIME_UTC);

	tt_assert(r == TIME_UTC);
	uint64_t now = (uint64_t)t.tv_sec * TT_NS_PER_SEC + (uint64_t)t.tv_nsec;
	uint64_t seen = atomic_load_explicit(&latest, memory_order_relaxed);

	while (seen < now &&
	       !atomic_compare_exchange_weak_explicit(&latest, &seen, now, memory_order_relaxed,
						      memory_order_relaxed))
		;
	now = TT_MAX(now, seen);
	return (struct tt_mono){now ? now : 1};
}

struct tt_wall plat_clock_wall(void)
{
	struct timespec t = {0};
	int r = timespec_get(&t, TIME_UTC);

	tt_assert(r == TIME_UTC);
	return (struct tt_wall){t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec, (uint32_t)t.tv_nsec};
}

static void rng_fill(void *ctx, void *buf, size_t len)
{
	FILE *f = fopen("/dev/urandom", "rb");

	(void)ctx;
	if (!f)
		abort();
	/* Unbuffered, so that no unused random bytes stay behind in freed memory. */
	setvbuf(f, NULL, _IONBF, 0);
	if (fread(buf, 1, len, f) != len)
		abort();
	fclose(f);
}

struct tt_rng plat_rng(void)
{
	return (struct tt_rng){rng_fill, NULL};
}

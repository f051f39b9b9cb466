/* SPDX-License-Identifier: MIT */
#include "plat/clock.h"

#include <time.h>
#include "tt_test.h"

static void mono_advances(void)
{
	struct tt_mono last = plat_clock_mono();

	CU_ASSERT_TRUE(tt_mono_is_set(last));
	for (unsigned i = 0; i < 10000; i++) {
		struct tt_mono now = plat_clock_mono();

		CU_ASSERT_FALSE(tt_mono_before(now, last));
		last = now;
	}
	struct timespec ms = {0, 5000000};
	nanosleep(&ms, NULL);
	CU_ASSERT_TRUE(tt_mono_since(plat_clock_mono(), last) >= 5000000);
}

static void wall_is_now(void)
{
	struct tt_wall w = plat_clock_wall();

	CU_ASSERT_TRUE(w.nsec < 1000000000);
	CU_ASSERT_TRUE(w.sec + 1 >= (uint64_t)time(NULL) && w.sec <= (uint64_t)time(NULL));
}

static void random_fills(void)
{
	enum { LEN = 5000 };
	static uint8_t a[LEN + 1], b[LEN];
	struct tt_rng rng = plat_rng();
	unsigned bits = 0;

	tt_rng_fill(&rng, a, 0);
	CU_ASSERT_EQUAL(a[0], 0);
	for (unsigned i = 0; i < 64; i++) {
		tt_rng_fill(&rng, a, i);
		CU_ASSERT_EQUAL(a[i], 0);
	}
	tt_rng_fill(&rng, a, LEN);
	tt_rng_fill(&rng, b, LEN);
	CU_ASSERT_EQUAL(a[LEN], 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, LEN), 0);
	for (unsigned i = 0; i < LEN; i++)
		bits += (unsigned)__builtin_popcount(a[i]);
	/* 20,000 expected; ten standard deviations are 1,000. */
	CU_ASSERT_TRUE(bits > 19000 && bits < 21000);
}

TT_TESTS("clock", {"monotonic advances", mono_advances}, {"wall is now", wall_is_now},
	 {"random fills", random_fills})

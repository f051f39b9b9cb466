/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "wg/tai64n.h"

static const struct tt_wall no_limit = {0, 0};
static const struct wg_tai64n none;

static void layout(void)
{
	struct wg_tai64n t;
	static const uint8_t want[] = {0x40, 0, 0, 0, 0x5b, 0x52, 0x64, 0x7b, 0x15, 0, 0, 0};

	/* 2^62 + 10 + Unix time, big-endian */
	CU_ASSERT(wg_tai64n_next(&t, &none, (struct tt_wall){0x5b526471, 0x15405610}, no_limit));
	CU_ASSERT(memcmp(t.b, want, sizeof(want)) == 0);
	CU_ASSERT_EQUAL(wg_tai64n_wall(&t).sec, 0x5b526471);
	CU_ASSERT_EQUAL(wg_tai64n_wall(&t).nsec, 0x15000000);
	CU_ASSERT_EQUAL(wg_tai64n_wall(&none).sec, 0);
}

static void whitened(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 1);
	struct wg_tai64n t;

	CU_ASSERT(WG_TAI64N_GRAIN >= 16 * 1000 * 1000);
	for (int i = 0; i < 1000; i++) {
		struct tt_wall now = {1700000000, tt_rng_below(&rng, 1000000000)};
		CU_ASSERT(wg_tai64n_next(&t, &none, now, no_limit));
		CU_ASSERT_EQUAL(tt_load_be32(t.b + 8) % WG_TAI64N_GRAIN, 0);
		CU_ASSERT(tt_load_be32(t.b + 8) <= now.nsec);
	}
}

static void strictly_monotonic(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 2);
	struct wg_tai64n last = none, t;
	struct tt_wall now = {1700000000, 0};

	for (int i = 0; i < 20000; i++) {
		switch (tt_rng_below(&rng, 6)) {
		case 0: /* the clock jumps back */
			now.sec -= tt_rng_below(&rng, 3600);
			break;
		case 1: /* or forward */
			now.sec += tt_rng_below(&rng, 3600);
			break;
		case 2:
			now.nsec = tt_rng_below(&rng, 1000000000);
			break;
		default: /* or stands still */
			break;
		}
		CU_ASSERT(wg_tai64n_next(&t, &last, now, no_limit));
		CU_ASSERT(wg_tai64n_compare(&t, &last) > 0);
		CU_ASSERT(tt_load_be32(t.b + 8) < 1000000000);
		CU_ASSERT_EQUAL(tt_load_be32(t.b + 8) % WG_TAI64N_GRAIN, 0);
		last = t;
	}
}

static void clock_back(void)
{
	struct wg_tai64n a, b;

	CU_ASSERT(wg_tai64n_next(&a, &none, (struct tt_wall){1700003600, 5}, no_limit));
	CU_ASSERT(wg_tai64n_next(&b, &a, (struct tt_wall){1700000000, 0}, no_limit));
	CU_ASSERT(wg_tai64n_compare(&b, &a) > 0);
	/* by one grain, not by a jump */
	CU_ASSERT_EQUAL(wg_tai64n_wall(&b).sec, 1700003600);
	CU_ASSERT_EQUAL(wg_tai64n_wall(&b).nsec, WG_TAI64N_GRAIN);
}

static void upper_bound(void)
{
	struct wg_tai64n t = none, last;
	struct tt_wall limit = {2000000000, 0};

	CU_ASSERT_FALSE(wg_tai64n_next(&t, &none, (struct tt_wall){4102444800, 0}, limit));
	CU_ASSERT(memcmp(&t, &none, sizeof(t)) == 0);
	CU_ASSERT(wg_tai64n_next(&t, &none, limit, limit));
	last = t;
	CU_ASSERT_FALSE(wg_tai64n_next(&t, &last, (struct tt_wall){1, 0}, limit));
	CU_ASSERT(wg_tai64n_next(&t, &last, (struct tt_wall){1, 0}, no_limit));
}

static void compare(void)
{
	struct wg_tai64n a = none, b = none;

	CU_ASSERT_EQUAL(wg_tai64n_compare(&a, &b), 0);
	b.b[11] = 1;
	CU_ASSERT(wg_tai64n_compare(&a, &b) < 0 && wg_tai64n_compare(&b, &a) > 0);
	a.b[0] = 0x80;
	CU_ASSERT(wg_tai64n_compare(&a, &b) > 0);
	a = b;
	a.b[7] = 1;
	CU_ASSERT(wg_tai64n_compare(&a, &b) > 0);
}

TT_TESTS("tai64n", {"layout", layout}, {"case 06: whitened to 16 ms or more", whitened},
	 {"case 33: monotonic, whatever the clock does", strictly_monotonic},
	 {"case 33: clock one hour back", clock_back},
	 {"case 07: refuses to stamp past the bound", upper_bound}, {"compare", compare})

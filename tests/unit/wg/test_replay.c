/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "wg/messages.h"
#include "wg/replay.h"

#define LIMIT WG_REJECT_AFTER_MESSAGES
#define WIN   WG_REPLAY_WINDOW

static struct wg_replay r;

static bool accepts(uint64_t counter)
{
	enum wg_replay_verdict v = wg_replay_accept(&r, counter);

	return v == WG_REPLAY_OK || v == WG_REPLAY_OK_NEWEST;
}

struct step {
	uint64_t counter;
	enum wg_replay_verdict expect;
};

static void run(const struct step *steps, size_t n)
{
	wg_replay_init(&r);
	for (size_t i = 0; i < n; i++) {
		enum wg_replay_verdict v = wg_replay_accept(&r, steps[i].counter);
		if (v != steps[i].expect)
			printf("  step %zu counter %llu: %d, not %d\n", i,
			       (unsigned long long)steps[i].counter, v, steps[i].expect);
		CU_ASSERT_EQUAL(v, steps[i].expect);
	}
}

#define NEW  WG_REPLAY_OK_NEWEST
#define OK   WG_REPLAY_OK
#define SEEN WG_REPLAY_SEEN
#define OLD  WG_REPLAY_OLD
#define LIM  WG_REPLAY_LIMIT

static void edge_table(void)
{
	static const struct step steps[] = {
		{0, NEW},
		{1, NEW},
		{1, SEEN},
		{9, NEW},
		{8, OK},
		{7, OK},
		{7, SEEN},
		{WIN + 1, NEW}, /* distance to 1: exactly the window */
		{WIN, OK},
		{WIN, SEEN},
		{WIN - 1, OK},
		{1, SEEN}, /* still inside, and known */
		{2, OK},   /* never seen, still inside */
		{2, SEEN},
		{0, OLD},
		{2 * WIN + 1, NEW}, /* everything up to WIN falls out but WIN + 1 */
		{WIN, OLD},
		{WIN + 1, SEEN},
		{WIN + 2, OK},
		{2 * WIN, OK},
		{2 * WIN + 2, NEW},
		{WIN + 1, OLD},
		{WIN + 2, SEEN},
		{100000, NEW},
		{99999, OK},
		{100000, SEEN},
		{100000 - WIN - 1, OLD},
		{100000 - WIN, OK},
		{100000 - WIN, SEEN},
		{100000 - WIN + 1, OK},
		{0, OLD},
		{LIMIT - 1, NEW},
		{LIMIT - 2, OK},
		{LIMIT - 1, SEEN},
		{LIMIT, LIM},
		{LIMIT + 1, LIM},
		{UINT64_MAX, LIM},
		{LIMIT - 2, SEEN},
		{LIMIT - 1 - WIN, OK},
		{LIMIT - 2 - WIN, OLD},
		{0, OLD},
	};
	run(steps, TT_ARRAY_LEN(steps));
}

/* A counter at the limit must change nothing, not even what "newest" means. */
static void limit_leaves_window(void)
{
	static const struct step steps[] = {
		{UINT64_MAX, LIM}, {LIMIT, LIM}, {0, NEW}, {UINT64_MAX, LIM}, {1, NEW}, {0, SEEN},
	};
	run(steps, TT_ARRAY_LEN(steps));
}

static void ascending(void)
{
	wg_replay_init(&r);
	for (uint64_t i = 0; i < 3 * WG_REPLAY_BITS; i++)
		CU_ASSERT(accepts(i));
	for (uint64_t i = 0; i < 3 * WG_REPLAY_BITS; i++)
		CU_ASSERT_FALSE(accepts(i));
}

/* The window filled from its far end backwards: all fit but what lies left of it. */
static void descending(void)
{
	uint64_t top = 5 * WG_REPLAY_BITS + 17;

	wg_replay_init(&r);
	for (uint64_t i = 0; i <= WIN; i++)
		CU_ASSERT(accepts(top - i));
	CU_ASSERT_FALSE(accepts(top - WIN - 1));
	CU_ASSERT(accepts(top + 1));
	CU_ASSERT_FALSE(accepts(top - WIN));
}

static void reversed_from_zero(void)
{
	wg_replay_init(&r);
	for (uint64_t i = WIN + 1; i-- > 0;)
		CU_ASSERT(accepts(i));
	CU_ASSERT_FALSE(accepts(0));
	wg_replay_init(&r);
	CU_ASSERT(accepts(WIN + 1));
	CU_ASSERT(accepts(1));
	CU_ASSERT_FALSE(accepts(0));
}

/* Two interleaved streams half a window apart. */
static void interleaved(void)
{
	wg_replay_init(&r);
	for (uint64_t i = 0; i < 2 * WG_REPLAY_BITS; i++) {
		CU_ASSERT(accepts(2 * i + WIN / 2 + 1));
		CU_ASSERT(accepts(2 * i));
	}
}

static void gaps_of_a_word(void)
{
	wg_replay_init(&r);
	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT(accepts(i * 64));
	for (uint64_t i = 1000 - WIN / 64; i < 999; i++) {
		CU_ASSERT_FALSE(accepts(i * 64));
		CU_ASSERT(accepts(i * 64 + 1));
	}
}

static void huge_jumps(void)
{
	wg_replay_init(&r);
	CU_ASSERT(accepts(0));
	CU_ASSERT(accepts(UINT64_C(1) << 63)); /* would not end if it went bit by bit */
	CU_ASSERT_FALSE(accepts(UINT64_C(1) << 63));
	CU_ASSERT_FALSE(accepts(1));
	for (uint64_t i = 1; i <= WIN; i++)
		CU_ASSERT(accepts((UINT64_C(1) << 63) - i));
	wg_replay_init(&r);
	CU_ASSERT(accepts(LIMIT - 1)); /* the first one of all */
	CU_ASSERT(accepts(LIMIT - 2));
}

/* Against a model that remembers everything. */
static void random_model(void)
{
	enum { SPACE = 60000, STEPS = 200000 };
	static uint8_t seen[SPACE + WG_REPLAY_BITS];
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 6479);
	uint64_t top = 0, wrong = 0;
	bool any = false;

	wg_replay_init(&r);
	for (int i = 0; i < STEPS; i++) {
		uint64_t base = any && tt_rng_below(&rng, 3) ? top : top + tt_rng_below(&rng, 8);
		uint64_t back = tt_rng_below(&rng, tt_rng_below(&rng, 4) ? 200 : 9000);
		uint64_t c = TT_MIN(base > back ? base - back + tt_rng_below(&rng, 3) : base,
				    (uint64_t)SPACE);
		enum wg_replay_verdict expect = SEEN;
		if (any && top > c && top - c > WIN)
			expect = OLD;
		else if (!seen[c])
			expect = !any || c > top ? NEW : OK;
		if (expect == NEW || expect == OK) {
			seen[c] = 1;
			top = any ? TT_MAX(top, c) : c;
			any = true;
		}
		wrong += wg_replay_accept(&r, c) != expect;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(top > 9000);
}

TT_TESTS("replay", {"case 11: edge table", edge_table},
	 {"case 11: jump of 2^63 costs one window", huge_jumps},
	 {"case 13: a counter at the limit leaves the window alone", limit_leaves_window},
	 {"ascending, then all again", ascending}, {"window filled backwards", descending},
	 {"reversed from zero", reversed_from_zero}, {"two interleaved streams", interleaved},
	 {"gaps of a word", gaps_of_a_word}, {"random counters against a model", random_model})

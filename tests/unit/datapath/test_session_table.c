/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "datapath/session_table.h"

enum { N = 3000 };

static struct dp_session_table *t;
static struct wg_session *all;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

static void set_up(void)
{
	rng = tt_rng_seeded_init(&seed, 5);
	t = calloc(1, sizeof(*t));
	all = calloc(N, sizeof(*all));
	dp_session_table_init(t);
}

static void tear_down(void)
{
	free(t);
	free(all);
}

/* Nothing may point to a session that was taken out: it is about to be freed. */
static unsigned pointers_to(const struct wg_session *s)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < DP_INDEX_SLOTS; i++)
		found += atomic_load(&t->slot[i]) == s;
	return found;
}

static void grows_and_finds(void)
{
	set_up();
	for (uint32_t i = 0; i < N; i++) {
		/* the low 18 bits tell them apart, as the allocator's do; the low 10 do not */
		all[i].local_index = tt_rng_u32(&rng) << 18 | i << 4;
		dp_session_table_put(t, &all[i]);
	}
	CU_ASSERT(atomic_load(&t->mask) > DP_SESSION_SLOTS_MIN);
	for (uint32_t i = 0; i < N; i++) {
		CU_ASSERT_PTR_EQUAL(dp_session_table_find(t, all[i].local_index), &all[i]);
		CU_ASSERT_PTR_NULL(dp_session_table_find(t, all[i].local_index ^ 1));
	}
	for (uint32_t i = 0; i < N; i++) {
		dp_session_table_remove(t, &all[i]);
		CU_ASSERT_PTR_NULL(dp_session_table_find(t, all[i].local_index));
		if (i % 100 == 0)
			CU_ASSERT_EQUAL(pointers_to(&all[i]), 0);
	}
	uint32_t left = 0;
	for (uint32_t i = 0; i < DP_INDEX_SLOTS; i++)
		left += atomic_load(&t->slot[i]) != NULL;
	CU_ASSERT_EQUAL(left, 0);
	tear_down();
}

/* Sessions that follow each other in few slots touch no more of them. */
static void does_not_grow_for_replacements(void)
{
	set_up();
	for (uint32_t i = 0; i < 100 * N; i++) {
		struct wg_session *s = &all[i % 64];

		if (s->local_index)
			dp_session_table_remove(t, s);
		/* slot i % 64 and every high bit */
		s->local_index = (tt_rng_u32(&rng) & ~UINT32_C(1023)) | (i % 64);
		dp_session_table_put(t, s);
		CU_ASSERT_PTR_EQUAL(dp_session_table_find(t, s->local_index), s);
	}
	CU_ASSERT_EQUAL(atomic_load(&t->mask), DP_SESSION_SLOTS_MIN - 1);
	tear_down();
}

/* The copy that growing leaves in an old place is no reason to grow again, and no session's end. */
static void old_places_are_free(void)
{
	struct wg_session *a, *b, *c;

	set_up();
	a = &all[0], b = &all[1], c = &all[2];
	a->local_index = 1024 + 7;
	b->local_index = 7;
	c->local_index = 2048 + 7;
	dp_session_table_put(t, a);
	dp_session_table_put(t, b);
	CU_ASSERT_EQUAL(atomic_load(&t->mask), 2 * DP_SESSION_SLOTS_MIN - 1);
	dp_session_table_remove(t, b);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find(t, a->local_index), a);
	dp_session_table_put(t, c);
	CU_ASSERT_EQUAL(atomic_load(&t->mask), 2 * DP_SESSION_SLOTS_MIN - 1);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find(t, c->local_index), c);
	dp_session_table_remove(t, a);
	CU_ASSERT_EQUAL(pointers_to(a), 0);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find(t, c->local_index), c);
	tear_down();
}

/* A worker that has read the mask and then has to wait, while the table grows for the session that
 * gets the old place. */
static void found_by_an_old_mask(void)
{
	const uint32_t old = DP_SESSION_SLOTS_MIN - 1;

	set_up();
	all[0].local_index = 1024 + 7;
	all[1].local_index = 7;
	dp_session_table_put(t, &all[0]);
	dp_session_table_put(t, &all[1]);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find_by(t, 1024 + 7, old), &all[0]);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find_by(t, 7, old), &all[1]);
	CU_ASSERT_PTR_NULL(dp_session_table_find_by(t, 2048 + 7, old));
	dp_session_table_remove(t, &all[0]);
	CU_ASSERT_PTR_NULL(dp_session_table_find_by(t, 1024 + 7, old));
	tear_down();
}

TT_TESTS("session_table", {"grows, and finds all", grows_and_finds},
	 {"does not grow for replacements", does_not_grow_for_replacements},
	 {"old places are free", old_places_are_free},
	 {"found by an old mask", found_by_an_old_mask})

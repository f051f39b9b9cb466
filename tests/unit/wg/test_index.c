/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "wg/index.h"

static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct wg_index_table t;

static void set_up(uint32_t capacity)
{
	free(t.entries);
	rng = tt_rng_seeded_init(&seed, capacity);
	wg_index_init(&t, calloc(capacity, sizeof(struct wg_index_entry)), capacity);
}

static struct tt_mono at(uint64_t s)
{
	return (struct tt_mono){s * TT_NS_PER_SEC};
}

static void find_and_full_compare(void)
{
	set_up(256);
	uint32_t i = wg_index_add(&t, at(1), &rng, WG_INDEX_HANDSHAKE, 7);
	CU_ASSERT_NOT_EQUAL(i, 0);
	CU_ASSERT_EQUAL(wg_index_find(&t, i).kind, WG_INDEX_HANDSHAKE);
	CU_ASSERT_EQUAL(wg_index_find(&t, i).peer, 7);
	for (int bit = 0; bit < 32; bit++)
		CU_ASSERT_EQUAL(wg_index_find(&t, i ^ (UINT32_C(1) << bit)).kind, WG_INDEX_FREE);
	wg_index_promote(&t, i);
	CU_ASSERT_EQUAL(wg_index_find(&t, i).kind, WG_INDEX_SESSION);
	wg_index_remove(&t, i ^ 0x80000000, at(2)); /* another one's: nothing happens */
	CU_ASSERT_EQUAL(t.used, 1);
	wg_index_remove(&t, i, at(2));
	wg_index_remove(&t, i, at(2));
	CU_ASSERT_EQUAL(wg_index_find(&t, i).kind, WG_INDEX_FREE);
	CU_ASSERT_EQUAL(t.used, 0);
	CU_ASSERT_EQUAL(wg_index_find(&t, 0).kind, WG_INDEX_FREE);
}

/* 255 degrees of freedom: 99.9 % of fair draws stay below 330.5. */
static double chi_square(const uint32_t *counts, uint32_t n)
{
	double expected = n / 256.0, sum = 0;

	for (int i = 0; i < 256; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) / expected;
	return sum;
}

static void random_and_unique(void)
{
	enum { N = 10000 };
	static uint32_t all[N];
	uint32_t bytes[4][256] = {{0}};

	set_up(UINT32_C(1) << 18);
	for (int i = 0; i < N; i++) {
		all[i] = wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, (tt_peer_id)i);
		CU_ASSERT_NOT_EQUAL_FATAL(all[i], 0);
		for (int b = 0; b < 4; b++)
			bytes[b][all[i] >> (8 * b) & 0xff]++;
	}
	for (int b = 0; b < 4; b++) {
		double x2 = chi_square(bytes[b], N);
		printf("  chi-square of byte %d: %.1f\n", b, x2);
		CU_ASSERT(x2 < 330.5 && x2 > 190.0);
	}
	/* every one is found as its own, so no two are the same */
	for (int i = 0; i < N; i++)
		CU_ASSERT_EQUAL(wg_index_find(&t, all[i]).peer, (tt_peer_id)i);
}

static void sessions_rest(void)
{
	set_up(64);
	uint32_t index[64];
	for (int i = 0; i < 64; i++) {
		index[i] = wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, 1);
		CU_ASSERT_NOT_EQUAL(index[i], 0);
	}
	CU_ASSERT_EQUAL(wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, 1), 0);
	wg_index_remove(&t, index[5], at(10));
	CU_ASSERT_EQUAL(wg_index_add(&t, at(10), &rng, WG_INDEX_SESSION, 1), 0);
	CU_ASSERT_EQUAL(wg_index_add(&t, at(189), &rng, WG_INDEX_SESSION, 1), 0);
	uint32_t again = wg_index_add(&t, at(190), &rng, WG_INDEX_SESSION, 2);
	CU_ASSERT_EQUAL(wg_index_slot(&t, again), wg_index_slot(&t, index[5]));
	CU_ASSERT_NOT_EQUAL(again, index[5]);
}

/* A peer that never answers draws an index every 5 s: those do not rest. */
static void handshakes_do_not_rest(void)
{
	set_up(2);
	for (uint64_t s = 1; s < 1000; s++) {
		uint32_t i = wg_index_add(&t, at(s), &rng, WG_INDEX_HANDSHAKE, 1);
		uint32_t j = wg_index_add(&t, at(s), &rng, WG_INDEX_HANDSHAKE, 1);
		CU_ASSERT(i && j && i != j);
		wg_index_remove(&t, i, at(s));
		wg_index_remove(&t, j, at(s));
	}
}

static void uniform_when_crowded(void)
{
	uint32_t hits[64] = {0};

	set_up(64);
	for (int i = 0; i < 60; i++)
		wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, 1);
	for (int i = 0; i < 4000; i++) {
		uint32_t index = wg_index_add(&t, at(1), &rng, WG_INDEX_HANDSHAKE, 2);
		hits[wg_index_slot(&t, index)]++;
		wg_index_remove(&t, index, at(1));
	}
	uint32_t slots = 0;
	for (int i = 0; i < 64; i++) {
		slots += hits[i] != 0;
		CU_ASSERT(hits[i] == 0 || (hits[i] > 850 && hits[i] < 1150));
	}
	CU_ASSERT_EQUAL(slots, 4);
}

/* Adds and removes at random on a moving clock, against what must hold. */
static void random_life(void)
{
	enum { LIVE = 100 };
	uint32_t live[LIVE] = {0};
	uint64_t rested[256] = {0}, wrong = 0;

	set_up(256);
	for (uint64_t step = 0; step < 100000; step++) {
		struct tt_mono now = {TT_NS_PER_SEC + step * 100 * TT_NS_PER_MS};
		uint32_t *l = &live[tt_rng_below(&rng, LIVE)];
		if (*l) {
			rested[*l & 255] = now.ns;
			wrong += wg_index_find(&t, *l).peer != (tt_peer_id)(l - live);
			wg_index_remove(&t, *l, now);
			*l = 0;
			continue;
		}
		*l = wg_index_add(&t, now, &rng, WG_INDEX_SESSION, (tt_peer_id)(l - live));
		if (*l && rested[*l & 255])
			wrong += now.ns - rested[*l & 255] < WG_INDEX_REST_NS;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* What is live keeps its index through all sizes, and no two ever share the low bits. */
static void grows_with_what_is_live(void)
{
	enum { N = 5000 };
	static uint32_t all[N];
	uint32_t slots = 0, doubled = 0;

	set_up(UINT32_C(1) << 14);
	for (int i = 0; i < N; i++) {
		doubled += t.slots != slots;
		slots = t.slots;
		all[i] = wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, (tt_peer_id)i);
		CU_ASSERT_NOT_EQUAL_FATAL(all[i], 0);
		CU_ASSERT(t.used * 8 <= t.slots + 8 || t.slots == t.capacity);
	}
	CU_ASSERT_EQUAL(doubled, 5); /* 1024 .. 16384 */
	for (int i = 0; i < N; i++)
		CU_ASSERT_EQUAL(wg_index_find(&t, all[i]).peer, (tt_peer_id)i);
	for (int i = 0; i < N; i++)
		wg_index_remove(&t, all[i], at(2));
	CU_ASSERT_EQUAL(t.used, 0);
}

/* A laptop's rekeys of a year stay within the first slots. */
static void rekeys_do_not_spread(void)
{
	uint32_t old = 0;

	set_up(UINT32_C(1) << 18);
	for (uint64_t s = 1; s < 365 * 86400; s += 120) {
		uint32_t new = wg_index_add(&t, at(s), &rng, WG_INDEX_SESSION, 1);
		wg_index_remove(&t, old, at(s + 1));
		old = new;
	}
	CU_ASSERT_EQUAL(t.slots, WG_INDEX_SLOTS_MIN);
}

/* Slots that rest go on resting after the table has grown, in both halves. */
static void rest_survives_growth(void)
{
	uint64_t wrong = 0;

	set_up(UINT32_C(1) << 12);
	for (int i = 0; i < 1024; i++) {
		uint32_t index = wg_index_add(&t, at(1), &rng, WG_INDEX_SESSION, 1);
		if (t.slots != WG_INDEX_SLOTS_MIN)
			break; /* nearly all rest */
		wg_index_remove(&t, index, at(2));
	}
	CU_ASSERT_EQUAL(t.slots, 2 * WG_INDEX_SLOTS_MIN);
	for (uint32_t i = 0; i < WG_INDEX_SLOTS_MIN; i++)
		wrong += t.entries[i].kind == WG_INDEX_FREE &&
			 t.entries[i + WG_INDEX_SLOTS_MIN].kind == WG_INDEX_FREE &&
			 t.entries[i].resting_until !=
				 t.entries[i + WG_INDEX_SLOTS_MIN].resting_until;
	CU_ASSERT_EQUAL(wrong, 0);
}

TT_TESTS("index", {"find compares all 32 bits", find_and_full_compare},
	 {"case 06: 10,000 indices, chi-square and uniqueness", random_and_unique},
	 {"no slot of a session is reused within 180 s", sessions_rest},
	 {"slots of unanswered handshakes are free at once", handshakes_do_not_rest},
	 {"uniform among the free ones", uniform_when_crowded}, {"random life", random_life},
	 {"grows with what is live", grows_with_what_is_live},
	 {"rekeys do not spread", rekeys_do_not_spread},
	 {"rest survives growth", rest_survives_growth})

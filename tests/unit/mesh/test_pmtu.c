/* SPDX-License-Identifier: MIT
 *
 * The search for a path's MTU against links of many sizes, with loss and lies, on a virtual clock.
 */
#include "tt_test.h"

#include "mesh/check.h"
#include "mesh/pmtu.h"

#define MS(n)  ((uint64_t)(n)*TT_NS_PER_MS)
#define SEC(n) ((uint64_t)(n)*TT_NS_PER_SEC)
#define FLIGHT 256

static struct mesh_pmtu p;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static uint32_t carries, loss, rtt_ms, probes, bytes;
static bool busy, dead;

static struct {
	struct tt_mono at;
	uint8_t id[MESH_CHECK_ID_LEN];
} flight[FLIGHT];
static unsigned in_flight;

static void start(enum tt_family family, bool relayed, uint32_t link, uint32_t really)
{
	rng = tt_rng_seeded_init(&seed, 3 + link + really);
	now = (struct tt_mono){SEC(100)};
	carries = really;
	rtt_ms = 30;
	loss = probes = bytes = in_flight = 0;
	busy = true;
	dead = false;
	mesh_pmtu_start(&p, family, relayed, link);
}

static void send(const struct mesh_pmtu_probe *a)
{
	CU_ASSERT_EQUAL(a->outer % 4, 0);
	CU_ASSERT(a->check_len >= MESH_CHECK_LEN_MIN);
	CU_ASSERT_EQUAL(a->check_len,
			a->outer - mesh_pmtu_headers((enum tt_family)p.family, p.relayed));
	CU_ASSERT(a->outer <= p.ceiling);
	probes++;
	bytes += a->outer;
	if (dead || a->outer > carries || in_flight == FLIGHT || tt_rng_below(&rng, 100) < loss ||
	    tt_rng_below(&rng, 100) < loss)
		return;
	flight[in_flight].at = tt_mono_add_ns(now, MS(rtt_ms));
	memcpy(flight[in_flight++].id, a->id, sizeof(a->id));
}

static void run(void)
{
	struct mesh_pmtu_probe a[MESH_PMTU_PROBES_MAX];
	unsigned n = mesh_pmtu_run(&p, busy, rtt_ms * 1000, now, &rng, a);

	CU_ASSERT(n <= MESH_PMTU_PROBES_MAX);
	for (unsigned i = 0; i < n; i++)
		send(&a[i]);
	CU_ASSERT(mesh_pmtu_next_deadline(&p, busy).ns > now.ns);
}

static void deliver(void)
{
	for (unsigned i = 0; i < in_flight;) {
		uint8_t id[MESH_CHECK_ID_LEN];
		if (tt_mono_before(now, flight[i].at)) {
			i++;
			continue;
		}
		memcpy(id, flight[i].id, sizeof(id));
		flight[i] = flight[--in_flight];
		mesh_pmtu_answered(&p, id, now);
	}
}

static void pass(uint64_t ns)
{
	struct tt_mono end = tt_mono_add_ns(now, ns);

	run();
	while (tt_mono_before(now, end)) {
		struct tt_mono next = mesh_pmtu_next_deadline(&p, busy);

		next.ns = TT_MIN(next.ns, end.ns);
		for (unsigned i = 0; i < in_flight; i++)
			next.ns = TT_MIN(next.ns, flight[i].at.ns);
		now.ns = TT_MAX(next.ns, now.ns);
		deliver();
		run();
	}
}

/* ns until what is published is another size or known; at most `limit`. */
static uint64_t until_change(uint64_t limit)
{
	struct tt_mono begin = now;
	uint16_t outer = p.outer;
	bool known = p.known;

	while (p.outer == outer && p.known == known && tt_mono_since(now, begin) < limit)
		pass(MS(10));
	return tt_mono_since(now, begin);
}

/* As large as the path carries, to the step. */
static bool right(void)
{
	uint32_t least = TT_MIN(carries, (uint32_t)p.ceiling);

	return p.known && p.outer <= carries && p.outer + (uint32_t)MESH_PMTU_STEP > least;
}

static const uint16_t mtus[] = {576, 1124, 1280, 1420, 1500, 9000};

static void finds(enum tt_family family, bool relayed)
{
	for (size_t l = 0; l < TT_ARRAY_LEN(mtus); l++)
		for (size_t r = 0; r <= l; r++) {
			if (family == TT_FAMILY_V6 && mtus[r] < 1280)
				continue;
			start(family, relayed, mtus[l], mtus[r]);
			CU_ASSERT(!mesh_pmtu_is_known(&p));
			CU_ASSERT_EQUAL(p.outer, mtus[l]);
			uint64_t took = until_change(SEC(30));
			CU_ASSERT(right());
			CU_ASSERT(took <= (l == 5 ? SEC(4) : SEC(3)));
			CU_ASSERT(l != r || took <= MS(50)); /* one round trip */
			CU_ASSERT(probes <= 130);
			uint16_t around = (family == TT_FAMILY_V4 ? 60 : 80) + (relayed ? 8 : 0);
			CU_ASSERT_EQUAL(mesh_pmtu_inner(&p), p.outer - around);
		}
}

static void finds_v4(void)
{
	finds(TT_FAMILY_V4, false);
	finds(TT_FAMILY_V4, true);
}

static void finds_v6(void)
{
	finds(TT_FAMILY_V6, false);
	finds(TT_FAMILY_V6, true);
}

/* Every size between the bounds, so that no one falls through the steps. */
static void finds_any(void)
{
	for (uint32_t really = 576; really <= 1600; really += 7) {
		start(TT_FAMILY_V4, false, 1500, really);
		pass(SEC(5));
		CU_ASSERT(right());
	}
	for (uint32_t link = 0; link < 700; link += 13) {
		start(TT_FAMILY_V4, true, link, link);
		pass(SEC(5));
		CU_ASSERT_EQUAL(mesh_pmtu_is_known(&p), (link & ~3u) >= 36 + MESH_CHECK_LEN_MIN);
		CU_ASSERT(p.outer <= link);
	}
	start(TT_FAMILY_V4, false, 65536, 65536);
	pass(SEC(5));
	CU_ASSERT_EQUAL(p.outer, 65528);
}

static void shrinks(void)
{
	static const uint16_t to[] = {1420, 1280, 1124, 576};

	for (size_t i = 0; i < TT_ARRAY_LEN(to); i++) {
		start(TT_FAMILY_V4, false, 1500, 1500);
		pass(SEC(3));
		CU_ASSERT(right());
		carries = to[i];
		/* seen by itself within the time between two looks */
		CU_ASSERT(until_change(SEC(30)) <= SEC(13));
		CU_ASSERT(right());
		/* and at once where somebody says so */
		start(TT_FAMILY_V4, false, 1500, 1500);
		pass(SEC(3));
		carries = to[i];
		mesh_pmtu_suspect(&p);
		CU_ASSERT(until_change(SEC(30)) <= SEC(4));
		CU_ASSERT(right());
		start(TT_FAMILY_V4, false, 1500, 1500);
		pass(SEC(3));
		carries = to[i];
		mesh_pmtu_too_big(&p, to[i]);
		CU_ASSERT(until_change(SEC(30)) <= SEC(4));
		CU_ASSERT(right());
	}
}

static void grows(void)
{
	start(TT_FAMILY_V4, false, 1500, 1280);
	pass(SEC(10));
	CU_ASSERT(right());
	carries = 1500;
	pass(SEC(500));
	CU_ASSERT_EQUAL(p.outer, 1280);
	pass(SEC(110));
	CU_ASSERT_EQUAL(p.outer, 1500);
	/* the link itself: at once */
	carries = 9000;
	mesh_pmtu_link_changed(&p, 9000, now);
	CU_ASSERT_EQUAL(p.outer, 1500);
	CU_ASSERT(p.known);
	pass(SEC(1));
	CU_ASSERT_EQUAL(p.outer, 9000);
	mesh_pmtu_link_changed(&p, 1400, now);
	CU_ASSERT_EQUAL(p.outer, 1400);
}

static void lossy(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 60; i++) {
		uint16_t really = mtus[i % TT_ARRAY_LEN(mtus)];
		start(TT_FAMILY_V4, false, 9000, really);
		rng = tt_rng_seeded_init(&seed, i);
		loss = 5;
		pass(SEC(60));
		CU_ASSERT(p.known);
		CU_ASSERT(p.outer <= carries);
		wrong += !right();
		/* and it stays so for an hour */
		if (i < 6) {
			pass(SEC(3600));
			CU_ASSERT(right());
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Whoever can send ICMP makes us look, once a second, and nothing else. */
static void icmp_lies(void)
{
	start(TT_FAMILY_V4, false, 1500, 1500);
	pass(SEC(3));
	probes = bytes = 0;
	for (unsigned i = 0; i < 6000; i++) {
		mesh_pmtu_too_big(&p, tt_rng_below(&rng, 1600));
		pass(MS(10));
		CU_ASSERT(p.known && p.outer == 1500);
	}
	CU_ASSERT(probes <= 62);
	/* while nothing is known it does not either */
	start(TT_FAMILY_V4, false, 1500, 1500);
	mesh_pmtu_too_big(&p, 68);
	pass(SEC(1));
	CU_ASSERT(p.known && p.outer == 1500);
}

/* Nothing gets through, small or large: that is no news about sizes. */
static void dead_path(void)
{
	start(TT_FAMILY_V4, false, 1500, 1500);
	dead = true;
	pass(SEC(60));
	CU_ASSERT(!p.known && p.outer == 1500);
	CU_ASSERT(probes <= 12 * (1 + 2 * MESH_PMTU_SIZES));
	dead = false;
	pass(SEC(12));
	CU_ASSERT(right());
	dead = true;
	pass(SEC(60));
	CU_ASSERT(p.known && p.outer == 1500);
}

/* The path does not even carry the floor: DF stays clear. */
static void below_floor(void)
{
	start(TT_FAMILY_V6, false, 1500, 1000);
	pass(SEC(60));
	CU_ASSERT(!p.known && p.outer == 1500);
}

static void idle(void)
{
	start(TT_FAMILY_V4, false, 1500, 1420);
	busy = false;
	pass(SEC(100));
	CU_ASSERT_EQUAL(probes, 0);
	CU_ASSERT_EQUAL(mesh_pmtu_next_deadline(&p, false).ns, UINT64_MAX);
	busy = true;
	pass(SEC(10));
	CU_ASSERT(right());
	busy = false;
	probes = 0;
	pass(SEC(2000));
	CU_ASSERT_EQUAL(probes, 0);
	/* busy for an hour: little is spent on it */
	busy = true;
	bytes = 0;
	pass(SEC(3600));
	CU_ASSERT(bytes <= 3600 * 300);
}

static void foreign_answers(void)
{
	uint8_t id[MESH_CHECK_ID_LEN] = {0};

	start(TT_FAMILY_V4, false, 1500, 0);
	CU_ASSERT(!mesh_pmtu_answered(&p, id, now));
	run();
	CU_ASSERT(!mesh_pmtu_answered(&p, id, now));
	memcpy(id, p.size[0].id[0], sizeof(id));
	CU_ASSERT(mesh_pmtu_answered(&p, id, now));
	memcpy(id, p.size[1].id[0], sizeof(id));
	CU_ASSERT(mesh_pmtu_answered(&p, id, now));
	run();
	CU_ASSERT(p.known && p.outer == 1500);
	CU_ASSERT(!mesh_pmtu_answered(&p, id, now));
}

TT_TESTS("pmtu", {"finds v4", finds_v4}, {"finds v6", finds_v6}, {"finds any", finds_any},
	 {"shrinks", shrinks}, {"grows", grows}, {"lossy", lossy}, {"icmp lies", icmp_lies},
	 {"dead path", dead_path}, {"below the floor", below_floor}, {"idle", idle},
	 {"foreign answers", foreign_answers})

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "wg/ratelimit.h"

static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct wg_ratelimit r;

static void set_up(uint32_t capacity)
{
	free(r.entries);
	free(r.buckets);
	rng = tt_rng_seeded_init(&seed, 3);
	wg_ratelimit_init(&r, malloc(capacity * sizeof(struct wg_ratelimit_entry)),
			  malloc(capacity * sizeof(uint32_t)), capacity, &rng);
}

static struct tt_ip ip(const char *text)
{
	struct tt_ip out;

	CU_ASSERT_EQUAL_FATAL(tt_ip_parse(text, &out), 0);
	return out;
}

static bool ask(const char *text, uint64_t ms)
{
	struct tt_ip a = ip(text);

	return wg_ratelimit_allow(&r, &a, (struct tt_mono){TT_NS_PER_SEC + ms * TT_NS_PER_MS});
}

static void burst_and_rate(void)
{
	set_up(64);
	for (int i = 0; i < WG_RATELIMIT_BURST; i++)
		CU_ASSERT(ask("192.0.2.1", 0));
	CU_ASSERT_FALSE(ask("192.0.2.1", 0));
	CU_ASSERT_FALSE(ask("192.0.2.1", 49));
	CU_ASSERT(ask("192.0.2.1", 50));
	CU_ASSERT_FALSE(ask("192.0.2.1", 50));
	CU_ASSERT(ask("192.0.2.1", 150));
	CU_ASSERT(ask("192.0.2.1", 150));
	CU_ASSERT_FALSE(ask("192.0.2.1", 150));
	/* 1,000 a second for 10 s: 20 a second get through, and the burst */
	int passed = 0;
	for (uint64_t ms = 10000; ms < 20000; ms++)
		passed += ask("192.0.2.1", ms);
	CU_ASSERT(passed >= 200 && passed <= 205);
}

static void per_source(void)
{
	set_up(64);
	for (int i = 0; i < WG_RATELIMIT_BURST; i++) {
		CU_ASSERT(ask("192.0.2.1", 0));
		CU_ASSERT(ask("2001:db8:0:1::1", 0));
	}
	CU_ASSERT_FALSE(ask("192.0.2.1", 0));
	CU_ASSERT(ask("192.0.2.2", 0));		    /* another /32 */
	CU_ASSERT_FALSE(ask("2001:db8:0:1::2", 0)); /* the same /64 */
	CU_ASSERT_FALSE(ask("2001:db8:0:1:ffff:ffff:ffff:ffff", 0));
	CU_ASSERT(ask("2001:db8:0:2::1", 0));	     /* another /64 */
	CU_ASSERT_FALSE(ask("::ffff:192.0.2.1", 0)); /* mapped is the IPv4 address */
	/* not the IPv4 address of the same bits */
	CU_ASSERT(ask("0:0:c000:201::", 0));
}

static void bounded_and_fails_closed(void)
{
	set_up(16);
	char text[32];
	for (int i = 0; i < 16; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		CU_ASSERT(ask(text, (uint64_t)i));
	}
	CU_ASSERT_EQUAL(r.count, 16);
	CU_ASSERT_FALSE(ask("10.0.1.1", 100)); /* full: the new source is refused */
	CU_ASSERT(ask("10.0.0.3", 100));       /* a known one is not */
	CU_ASSERT_FALSE(ask("10.0.1.1", 249));
	CU_ASSERT(ask("10.0.1.1", 250)); /* 10.0.0.0 is expired, and makes room */
	CU_ASSERT_FALSE(ask("10.0.1.2", 250));
	CU_ASSERT(ask("10.0.1.2", 252));
	CU_ASSERT_EQUAL(r.count, 16);
}

/* A hundred thousand sources through the largest table: never more than it holds. */
static void flood_of_sources(void)
{
	set_up(WG_RATELIMIT_MAX);
	uint32_t passed = 0;
	for (uint32_t i = 0; i < 100000; i++) {
		struct tt_ip a = tt_ip_v4_host(0x0a000000 + i);
		passed += wg_ratelimit_allow(&r, &a, (struct tt_mono){TT_NS_PER_SEC});
	}
	CU_ASSERT_EQUAL(passed, WG_RATELIMIT_MAX);
	CU_ASSERT_EQUAL(r.count, WG_RATELIMIT_MAX);
	for (uint32_t i = 0; i < 100000; i++) {
		struct tt_ip a = tt_ip_v4_host(0x0b000000 + i);
		passed += wg_ratelimit_allow(&r, &a, (struct tt_mono){2 * TT_NS_PER_SEC});
	}
	CU_ASSERT_EQUAL(passed, 2 * WG_RATELIMIT_MAX);
}

/* Against a list that forgets nothing. */
static void random_model(void)
{
	enum { SOURCES = 40, COST = 1000 / WG_RATELIMIT_PER_SECOND };
	struct {
		uint64_t credit, last;
		bool known;
	} model[SOURCES] = {{0, 0, false}};
	uint64_t ms = 0, wrong = 0;

	set_up(64);
	for (int i = 0; i < 100000; i++) {
		uint32_t s = tt_rng_below(&rng, SOURCES);
		struct tt_ip a = tt_ip_v4_host(0x0a000000 + s);
		ms += tt_rng_below(&rng, 4);
		uint64_t full = COST * WG_RATELIMIT_BURST;
		uint64_t credit = model[s].known ? model[s].credit + ms - model[s].last : full;
		credit = TT_MIN(credit, full);
		bool expect = credit >= COST;
		model[s].known = true;
		model[s].credit = expect ? credit - COST : credit;
		model[s].last = ms;
		wrong += wg_ratelimit_allow(&r, &a,
					    (struct tt_mono){TT_NS_PER_SEC + ms * TT_NS_PER_MS}) !=
			 expect;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

TT_TESTS("ratelimit", {"case 03: 20 a second, 5 at once", burst_and_rate},
	 {"case 03: per IPv4 /32 and IPv6 /64", per_source},
	 {"case 03: bounded, fails closed, expired go first", bounded_and_fails_closed},
	 {"case 03: flood of sources", flood_of_sources},
	 {"random sources against a model", random_model})

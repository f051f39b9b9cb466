/* SPDX-License-Identifier: MIT */
#include "datapath/yield.h"
#include "tt_test.h"

#define MS(n) ((n)*TT_NS_PER_MS)

static struct tt_mono now;

/* Wakes up for a time, each time after so long, and yields take so long; how many there were. */
static unsigned wakes(struct dp_yield *y, uint64_t every_ns, uint64_t took_ns, uint64_t for_ns)
{
	unsigned n = 0;

	for (uint64_t end = now.ns + for_ns; now.ns < end;) {
		now.ns += every_ns;
		if (!dp_yield_pays(y, every_ns, now))
			continue;
		now.ns += took_ns;
		dp_yield_took(y, took_ns, now);
		n++;
	}
	return n;
}

static void quiet(void)
{
	struct dp_yield y = {.on = true}, never = {.on = false};

	CU_ASSERT_EQUAL(wakes(&y, MS(10), 8000, MS(10000)), 1000);
	CU_ASSERT_EQUAL(wakes(&never, MS(10), 8000, MS(10000)), 0);
}

static void not_under_traffic(void)
{
	struct dp_yield y = {.on = true};

	CU_ASSERT_EQUAL(wakes(&y, 100 * TT_NS_PER_US, 8000, MS(10000)), 0);
}

/* Somebody computes on that CPU: a handful of long ones, then one in ten seconds. */
static void not_beside_others(void)
{
	struct dp_yield y = {.on = true};

	CU_ASSERT(wakes(&y, MS(10), MS(3), MS(20000)) <= 11);
	CU_ASSERT(wakes(&y, MS(10), MS(3), MS(100000)) <= 10);
	/* and when it has gone it takes no longer than that to come back */
	wakes(&y, MS(10), 8000, MS(11000));
	CU_ASSERT_EQUAL(wakes(&y, MS(10), 8000, MS(1000)), 100);
}

TT_TESTS("yield", {"quiet", quiet}, {"not under traffic", not_under_traffic},
	 {"not beside others", not_beside_others})

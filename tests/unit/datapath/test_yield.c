/* SPDX-License-Identifier: MIT */
#include "datapath/yield.h"
#include "tt_test.h"

#define MS(n) ((n)*TT_NS_PER_MS)

static struct tt_mono now;

/* Asks so often for a time, and each yield takes so long; how many there were. */
static unsigned yields(struct dp_yield *y, uint64_t every_ns, uint64_t took_ns, uint64_t for_ns)
{
	unsigned n = 0;

	for (uint64_t end = now.ns + for_ns; now.ns < end;) {
		now.ns += every_ns;
		if (!dp_yield_pays(y, now))
			continue;
		now.ns += took_ns;
		dp_yield_took(y, took_ns, now);
		n++;
	}
	return n;
}

static void short_ones(void)
{
	struct dp_yield y = {.long_ns = 50000}, never = {.long_ns = 0};

	CU_ASSERT_EQUAL(yields(&y, MS(10), 0, MS(10000)), 1000);
	CU_ASSERT_EQUAL(yields(&y, 50000, 50000, MS(1000)), 10000);
	CU_ASSERT_EQUAL(yields(&never, MS(10), 0, MS(10000)), 0);
}

/* Somebody computes on that CPU: a handful of long ones, then one in ten seconds. */
static void not_beside_others(void)
{
	struct dp_yield y = {.long_ns = 50000};

	CU_ASSERT(yields(&y, 100000, MS(3), MS(20000)) <= 11);
	CU_ASSERT(yields(&y, 100000, MS(3), MS(100000)) <= 10);
	/* and when it has gone it takes no longer than that to come back */
	yields(&y, MS(10), 8000, MS(11000));
	CU_ASSERT_EQUAL(yields(&y, MS(10), 0, MS(1000)), 100);
}

TT_TESTS("yield", {"short ones", short_ones}, {"not beside others", not_beside_others})

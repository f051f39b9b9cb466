/* SPDX-License-Identifier: MIT */
#include "datapath/gather.h"
#include "tt_test.h"

static struct dp_gather g;
static struct tt_mono now;
static uint64_t reads;

/* Turns for a time, each of which takes n packets; how many of them are followed by a rest. */
static unsigned turns(unsigned n, uint64_t every_ns, uint64_t for_ns)
{
	unsigned rests = 0;

	for (uint64_t end = now.ns + for_ns; now.ns < end;) {
		now.ns += every_ns;
		reads += n;
		rests += dp_gather_rest(&g, reads, now) > 0;
	}
	return rests;
}

static void set_up(void)
{
	memset(&g, 0, sizeof(g));
	now.ns = 5 * TT_NS_PER_SEC;
	reads = 0;
	dp_gather_rest(&g, reads, now);
}

static void flood(void)
{
	set_up();
	/* 400,000 a second, in twos: from the second millisecond on each turn but those that take
	 * nothing */
	CU_ASSERT_EQUAL(turns(2, 5 * TT_NS_PER_US, TT_NS_PER_MS), 1);
	CU_ASSERT_EQUAL(turns(2, 5 * TT_NS_PER_US, 10 * TT_NS_PER_MS), 2000);
	CU_ASSERT_EQUAL(turns(20, 50 * TT_NS_PER_US, 10 * TT_NS_PER_MS), 200);
	CU_ASSERT_EQUAL(g.rest_ns, DP_GATHER_MAX_NS);
	/* 2,000,000: a burst takes 32 us */
	turns(100, 50 * TT_NS_PER_US, 2 * TT_NS_PER_MS);
	CU_ASSERT_EQUAL(g.rest_ns, 32 * TT_NS_PER_US);
	CU_ASSERT_EQUAL(dp_gather_rest(&g, reads, now), 0);
}

static void below_the_rate(void)
{
	set_up();
	CU_ASSERT_EQUAL(turns(1, 11 * TT_NS_PER_US, TT_NS_PER_SEC), 0);
	/* a TCP stream: few reads, many bytes */
	CU_ASSERT_EQUAL(turns(3, 200 * TT_NS_PER_US, TT_NS_PER_SEC), 0);
	/* a ping after a long time, and a short burst: its end is not held back */
	now.ns += 3600 * TT_NS_PER_SEC;
	CU_ASSERT_EQUAL(turns(1, 10 * TT_NS_PER_MS, TT_NS_PER_SEC), 0);
	CU_ASSERT_EQUAL(turns(10, 30 * TT_NS_PER_US, 300 * TT_NS_PER_US), 0);
}

static void ends_with_the_flood(void)
{
	set_up();
	turns(20, 50 * TT_NS_PER_US, 10 * TT_NS_PER_MS);
	CU_ASSERT(turns(1, 100 * TT_NS_PER_US, 100 * TT_NS_PER_MS) <= 11);
	CU_ASSERT_EQUAL(turns(1, 100 * TT_NS_PER_US, 100 * TT_NS_PER_MS), 0);
	turns(20, 50 * TT_NS_PER_US, 10 * TT_NS_PER_MS);
	now.ns += 100 * TT_NS_PER_SEC;
	CU_ASSERT_EQUAL(turns(1, 10 * TT_NS_PER_MS, TT_NS_PER_SEC), 0);
}

TT_TESTS("gather", {"flood", flood}, {"below the rate", below_the_rate},
	 {"ends with the flood", ends_with_the_flood})

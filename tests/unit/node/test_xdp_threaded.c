/* SPDX-License-Identifier: MIT */
#include "node/xdp_impl.h"
#include "tt_test.h"

#define BULK 3000 /* packets a tick */

static struct xdp_bulk bulk;
static uint64_t packets, tcp;

static bool tick(uint64_t more, uint64_t more_tcp)
{
	packets += more;
	tcp += more_tcp;
	return node_xdp_bulk_tick(&bulk, packets, tcp);
}

/* The last of n equal ticks. */
static bool ticks(unsigned n, uint64_t more, uint64_t more_tcp)
{
	bool on = bulk.on;

	while (n--)
		on = tick(more, more_tcp);
	return on;
}

static void fresh(void)
{
	bulk = (struct xdp_bulk){0};
	packets = tcp = 0;
}

static void two_busy_ticks_turn_it_on(void)
{
	fresh();
	CU_ASSERT_FALSE(tick(BULK, BULK));
	CU_ASSERT_TRUE(tick(BULK, BULK));
	fresh();
	for (int i = 0; i < 50; i++) { /* never two in a row */
		CU_ASSERT_FALSE(tick(BULK, BULK));
		CU_ASSERT_FALSE(tick(BULK - 1, BULK - 1));
	}
}

static void two_seconds_without_turn_it_off(void)
{
	fresh();
	CU_ASSERT_TRUE(ticks(2, BULK, BULK));
	CU_ASSERT_TRUE(ticks(19, 0, 0));
	CU_ASSERT_FALSE(tick(0, 0));
	CU_ASSERT_TRUE(ticks(2, BULK, BULK));
	/* one busy tick is a new beginning */
	CU_ASSERT_TRUE(ticks(19, 0, 0));
	CU_ASSERT_TRUE(tick(BULK, BULK));
	CU_ASSERT_TRUE(ticks(19, 0, 0));
	CU_ASSERT_FALSE(tick(0, 0));
}

static void three_quarters_must_be_tcp(void)
{
	fresh();
	CU_ASSERT_FALSE(ticks(10, 40000, 0));
	CU_ASSERT_FALSE(ticks(10, 40000, 29999));
	CU_ASSERT_TRUE(ticks(2, 40000, 30000));
	/* a flood of UDP beside it */
	CU_ASSERT_FALSE(ticks(20, 60000, 40000));
}

TT_TESTS("node/xdp_threaded", {"two busy ticks turn it on", two_busy_ticks_turn_it_on},
	 {"two seconds without turn it off", two_seconds_without_turn_it_off},
	 {"three quarters must be tcp", three_quarters_must_be_tcp})

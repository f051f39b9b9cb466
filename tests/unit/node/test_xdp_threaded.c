/* SPDX-License-Identifier: MIT */
#include "node/xdp_impl.h"
#include "tt_test.h"

#define BULK 3000 /* packets a tick */

static struct xdp_bulk bulk;
static uint64_t packets;

static bool tick(uint64_t more)
{
	packets += more;
	return node_xdp_bulk_tick(&bulk, packets);
}

/* The last of n equal ticks. */
static bool ticks(unsigned n, uint64_t more)
{
	bool on = bulk.on;

	while (n--)
		on = tick(more);
	return on;
}

static void fresh(void)
{
	bulk = (struct xdp_bulk){0};
	packets = 0;
}

static void two_busy_ticks_turn_it_on(void)
{
	fresh();
	CU_ASSERT_FALSE(tick(BULK));
	CU_ASSERT_TRUE(tick(BULK));
	fresh();
	for (int i = 0; i < 50; i++) { /* never two in a row */
		CU_ASSERT_FALSE(tick(BULK));
		CU_ASSERT_FALSE(tick(BULK - 1));
	}
}

static void two_seconds_without_turn_it_off(void)
{
	fresh();
	CU_ASSERT_TRUE(ticks(2, BULK));
	CU_ASSERT_TRUE(ticks(19, 0));
	CU_ASSERT_FALSE(tick(0));
	CU_ASSERT_TRUE(ticks(2, BULK));
	/* one busy tick is a new beginning */
	CU_ASSERT_TRUE(ticks(19, 0));
	CU_ASSERT_TRUE(tick(BULK));
	CU_ASSERT_TRUE(ticks(19, 0));
	CU_ASSERT_FALSE(tick(0));
}

TT_TESTS("node/xdp_threaded", {"two busy ticks turn it on", two_busy_ticks_turn_it_on},
	 {"two seconds without turn it off", two_seconds_without_turn_it_off})

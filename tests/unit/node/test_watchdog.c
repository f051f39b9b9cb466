/* SPDX-License-Identifier: MIT
 *
 * The watchdog's judgement of one worker, tick by tick.
 */
#include "node/watchdog.h"

#include "tt_test.h"

#define LOST NODE_WATCHDOG_LOST

static struct node_watchdog_worker w;

static enum node_watchdog_verdict tick(uint64_t turns, bool pending)
{
	return node_watchdog_step(&w, turns, pending, LOST);
}

static void begin(void)
{
	w = (struct node_watchdog_worker){0};
}

static void idle_for_ever(void)
{
	begin();
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(tick(7, false), NODE_WATCHDOG_FINE);
	CU_ASSERT_FALSE(w.hung);
}

static void busy_for_ever(void)
{
	begin();
	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(tick(i, true), NODE_WATCHDOG_FINE);
}

/* One look in between that finds work is no proof: it may have come this moment. */
static void one_missed(void)
{
	begin();
	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(tick(5, i & 1), NODE_WATCHDOG_FINE);
	}
	CU_ASSERT_FALSE(w.hung);
}

static void hung_and_back(void)
{
	begin();
	tick(1, true);
	CU_ASSERT_EQUAL(tick(1, true), NODE_WATCHDOG_FINE);
	CU_ASSERT_EQUAL(tick(1, true), NODE_WATCHDOG_IS_HUNG);
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(tick(1, true), NODE_WATCHDOG_FINE);
	CU_ASSERT_TRUE(w.hung);
	CU_ASSERT_EQUAL(tick(2, true), NODE_WATCHDOG_RECOVERED);
	CU_ASSERT_FALSE(w.hung);
	CU_ASSERT_EQUAL(tick(3, true), NODE_WATCHDOG_FINE);
}

/* Its work was given away: that alone brings it back to nothing. */
static void hung_without_work(void)
{
	begin();
	tick(1, true);
	tick(1, true);
	CU_ASSERT_EQUAL(tick(1, true), NODE_WATCHDOG_IS_HUNG);
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(tick(1, false), NODE_WATCHDOG_FINE);
	CU_ASSERT_TRUE(w.hung);
	CU_ASSERT_EQUAL(tick(9, false), NODE_WATCHDOG_RECOVERED);
}

static void lost_after_two_seconds(void)
{
	unsigned ticks = 0;

	begin();
	tick(1, true);
	for (;;) {
		ticks++;
		if (tick(1, true) == NODE_WATCHDOG_IS_LOST)
			break;
		CU_ASSERT_FATAL(ticks < 100);
	}
	CU_ASSERT_EQUAL(ticks * NODE_WATCHDOG_TICK_MS, 2000);
}

TT_TESTS("watchdog", {"idle for ever", idle_for_ever}, {"busy for ever", busy_for_ever},
	 {"one look missed", one_missed}, {"hung and back", hung_and_back},
	 {"hung without work", hung_without_work},
	 {"lost after two seconds", lost_after_two_seconds})

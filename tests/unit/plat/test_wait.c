/* SPDX-License-Identifier: MIT */
#include "plat/wait.h"

#include "plat/clock.h"
#include "tt_test.h"

static struct plat_waiter waiter;
static struct plat_event event[2];

static void open_all(void)
{
	CU_ASSERT_EQUAL_FATAL(plat_waiter_open(&waiter), 0);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(plat_event_open(&event[i]), 0);
		CU_ASSERT_EQUAL(plat_waiter_set(&waiter, i, event[i].fd), 0);
	}
}

static void close_all(void)
{
	for (unsigned i = 0; i < 2; i++)
		plat_event_close(&event[i]);
	plat_waiter_close(&waiter);
}

static void one_slot_is_left_out(void)
{
	open_all();
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, 0), 0);
	plat_event_raise(&event[0]);
	CU_ASSERT_EQUAL(plat_waiter_wait(&waiter, 0), 1);
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, 0), 0);
	plat_event_raise(&event[1]);
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, PLAT_WAITER_FOREVER / 2), 2);
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 1, 0), 1);
	plat_waiter_wake(&waiter);
	plat_event_clear(&event[1]);
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, TT_NS_PER_SEC), PLAT_WAITER_WOKEN);
	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, 0), 0);
	close_all();
}

static void it_takes_its_time(void)
{
	open_all();
	plat_event_raise(&event[0]);
	struct tt_mono before = plat_clock_mono();

	CU_ASSERT_EQUAL(plat_waiter_wait_without(&waiter, 0, 5 * TT_NS_PER_MS), 0);
	CU_ASSERT_TRUE(tt_mono_since(plat_clock_mono(), before) >= 5 * TT_NS_PER_MS);
	close_all();
}

TT_TESTS("plat/wait", {"one slot is left out", one_slot_is_left_out},
	 {"it takes its time", it_takes_its_time})

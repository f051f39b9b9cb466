/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <time.h>
#include <unistd.h>

#include "plat/usage.h"

static void start_does_not_move(void)
{
	struct plat_usage first, u;

	plat_usage_get(&first);
	if (!first.started_ms) {
		tt_test_skip(1, "this platform does not know it");
		return;
	}
	uint64_t now_ms = (uint64_t)time(NULL) * 1000;
	CU_ASSERT(first.started_ms <= now_ms + 1000 && now_ms < first.started_ms + 600000);
	for (int i = 0; i < 500; i++) {
		/* the two clocks are read apart from each other, at any fraction of a millisecond
		 */
		usleep(137);
		plat_usage_get(&u);
		CU_ASSERT_EQUAL(u.started_ms, first.started_ms);
	}
}

static void counts_descriptors(void)
{
	struct plat_usage before, after;

	plat_usage_get(&before);
	if (!before.open_fds) {
		tt_test_skip(1, "this platform does not know it");
		return;
	}
	int fd = dup(0);
	plat_usage_get(&after);
	CU_ASSERT_EQUAL(after.open_fds, before.open_fds + 1);
	CU_ASSERT(after.max_fds >= after.open_fds);
	CU_ASSERT(after.cpu_ns >= before.cpu_ns && after.resident_bytes > 0);
	close(fd);
}

TT_TESTS("usage", {"the start does not move", start_does_not_move},
	 {"counts descriptors", counts_descriptors})

/* SPDX-License-Identifier: MIT */
#include "wire/uv.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tt_test.h"

/* With so many descriptors and no more: a loop or an error, and never the end of the process. */
static void test_few_descriptors(void)
{
	struct rlimit before, now;
	unsigned refused = 0, made = 0;
	int lowest = dup(0);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &before);
	for (int more = 0; more < 32; more++) {
		uv_loop_t loop;

		now = before;
		now.rlim_cur = (rlim_t)(lowest + more);
		CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &now), 0);
		int err = wire_uv_loop_init(&loop);
		CU_ASSERT(err == 0 || err == -EMFILE);
		if (!err)
			CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
		refused += err != 0;
		made += err == 0;
	}
	setrlimit(RLIMIT_NOFILE, &before);
	CU_ASSERT(refused > 0);
	CU_ASSERT(made > 0);
}

TT_TESTS("uv", {"case 35: few descriptors", test_few_descriptors})

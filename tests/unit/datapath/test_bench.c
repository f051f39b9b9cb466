/* SPDX-License-Identifier: MIT
 *
 * The measurement itself: every packet that goes in comes out, in both directions, for one session
 * and for many. How long it takes is nobody's business here.
 */
#include <errno.h>

#include "crypto/aead.h"
#include "datapath/bench.h"
#include "tt_test.h"

static void run(bool inbound, unsigned bytes, unsigned batch, unsigned sessions, unsigned workers)
{
	struct dp_bench_case c = {inbound, bytes, batch, sessions, workers, TT_NS_PER_MS};
	struct dp_bench_result r;

	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), 0);
	CU_ASSERT(r.packets > 0 && r.ns > 0 && r.aead_ns > 0 && r.mpps > 0);
}

static void test_all_arrive(void)
{
	const char *chosen;

	CU_ASSERT_EQUAL_FATAL(crypto_aead_select(NULL, &chosen), CRYPTO_AEAD_CHOSEN);
	for (int inbound = 0; inbound < 2; inbound++) {
		run(inbound, 64, 64, 1, 1);
		run(inbound, 1420, 32, 1, 1);
		run(inbound, 77, 7, 300, 1);
		run(inbound, 1420, 64, 1000, 2);
		run(inbound, 28, 1, 1, 2);
	}
}

static void test_bounds(void)
{
	struct dp_bench_case good = {true, 64, 64, 1, 1, 0}, c;
	struct dp_bench_result r;

	c = good, c.bytes = DP_BENCH_BYTES_MIN - 1;
	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), -EINVAL);
	c = good, c.bytes = DP_BENCH_BYTES_MAX + 1;
	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), -EINVAL);
	c = good, c.batch = DP_BENCH_BATCH_MAX + 1;
	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), -EINVAL);
	c = good, c.sessions = 0;
	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), -EINVAL);
	c = good, c.workers = DP_WORKERS_MAX + 1;
	CU_ASSERT_EQUAL(dp_bench_run(&c, &r), -EINVAL);
}

TT_TESTS("bench", {"every packet arrives", test_all_arrive}, {"bounds", test_bounds})

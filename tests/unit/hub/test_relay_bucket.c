/* SPDX-License-Identifier: MIT */
#include "hub/relay_impl.h"
#include "tt_test.h"

/* What is taken in a time of `seconds` by asking for `n` each `every_ns`, from the second burst on.
 */
static uint64_t taken(uint64_t rate, uint64_t burst, uint64_t n, uint64_t every_ns,
		      unsigned seconds)
{
	struct relay_bucket b = {0};
	struct tt_mono now = {TT_NS_PER_SEC};
	uint64_t sum = 0;

	while (relay_bucket_take(&b, burst, 1, rate, burst, now) == burst)
		;
	relay_bucket_take(&b, UINT64_MAX, 1, rate, burst, now);
	for (uint64_t end = now.ns + seconds * TT_NS_PER_SEC; now.ns < end;) {
		now.ns += every_ns;
		sum += relay_bucket_take(&b, n, 1, rate, burst, now);
	}
	return sum;
}

/* However often it is asked, and whatever is left over each time. */
static void gives_its_rate(void)
{
	static const uint64_t every_us[] = {7, 400, 1300, 100000, 390000};

	for (unsigned i = 0; i < TT_ARRAY_LEN(every_us); i++) {
		uint64_t us = every_us[i];
		CU_ASSERT(taken(3, 20, 20, us * TT_NS_PER_US, 20) >= 59);
		CU_ASSERT(taken(3, 20, 20, us * TT_NS_PER_US, 20) <= 61);
		uint64_t bytes = taken(999983, 1 << 20, 1 << 20, us * TT_NS_PER_US, 10);
		CU_ASSERT(bytes >= 9990000 && bytes <= 9999830 + us);
	}
}

/* Datagrams of one turn of the loop are asked for one by one, at the same time. */
static void gives_no_more(void)
{
	static const uint64_t rates[] = {700000, 1250000, 12500000, 124875000};

	for (unsigned i = 0; i < TT_ARRAY_LEN(rates); i++) {
		struct relay_bucket b = {0};
		struct tt_mono now = {TT_NS_PER_SEC};
		uint64_t burst = rates[i] / 4, sum = 0;

		sum += relay_bucket_take(&b, burst, 1, rates[i], burst, now);
		for (unsigned turn = 0; turn < 20000; turn++) {
			now.ns += 23700;
			for (unsigned n = 0; n < 64; n++)
				sum += relay_bucket_take(&b, 120, 1, rates[i], burst, now);
		}
		uint64_t due = burst + rates[i] * (now.ns - TT_NS_PER_SEC) / TT_NS_PER_SEC;
		CU_ASSERT(sum <= due);
		CU_ASSERT(sum >= TT_MIN(due - rates[i] / 1000000 - 1, UINT64_C(20000) * 64 * 120));
	}
}

static void bounded(void)
{
	struct relay_bucket b = {0};
	struct tt_mono now = {TT_NS_PER_SEC};

	CU_ASSERT_EQUAL(relay_bucket_take(&b, 50, 1, 5, 20, now), 20);
	now.ns = UINT64_MAX / 2;
	CU_ASSERT_EQUAL(relay_bucket_take(&b, 50, 1, 5, 20, now), 20);
	/* whole units only, and a rate beyond all sense */
	now.ns += TT_NS_PER_SEC;
	CU_ASSERT_EQUAL(relay_bucket_take(&b, 5, 3, 5, 20, now), 5);
	now.ns += TT_NS_PER_SEC;
	CU_ASSERT_EQUAL(relay_bucket_take(&b, 50, 3, 5, 20, now), 3);
	now.ns += 3600 * TT_NS_PER_SEC;
	CU_ASSERT_EQUAL(relay_bucket_take(&b, UINT64_MAX, 1, UINT64_MAX, UINT64_MAX / 2, now) > 0,
			true);
	CU_ASSERT_EQUAL(relay_bucket_take(&b, 1, 1, 0, 0, now), 0);
}

TT_TESTS("relay_bucket", {"gives its rate", gives_its_rate}, {"gives no more", gives_no_more},
	 {"bounded", bounded})

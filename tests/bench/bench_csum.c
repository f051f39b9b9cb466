/* SPDX-License-Identifier: MIT
 *
 * Throughput of the checksum in cache: reading only, and copying, per implementation and size.
 *
 *	bench_csum [MILLISECONDS-PER-CELL]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/csum.h"

#define BUFFER 65536

static uint8_t src[BUFFER + 64] __attribute__((aligned(64)));
static uint8_t dst[BUFFER + 64] __attribute__((aligned(64)));
static volatile uint32_t sink;

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t run(bool copy, size_t len, size_t src_at, size_t dst_at, unsigned n)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum = copy ? dp_csum_copy(dst + dst_at, src + src_at, len, sum)
			   : dp_csum_partial(src + src_at, len, sum);
	return sum;
}

/* Best of many short runs: the machine may be shared. In GB/s. */
static double rate(bool copy, size_t len, size_t src_at, size_t dst_at, double seconds)
{
	double best = 0, until = now_s() + seconds;
	unsigned n = (unsigned)(1000000 / (len + 50)) + 1;
	while (now_s() < until) {
		double start = now_s();
		sink = run(copy, len, src_at, dst_at, n);
		double got = (double)len * n / (now_s() - start) / 1e9;
		best = TT_MAX(best, got);
	}
	return best;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"portable", "avx2", "avx512"};
	static const size_t sizes[] = {20, 64, 256, 1400, 9000, 65535};
	double seconds = (argc > 1 ? atof(argv[1]) : 50) / 1000;
	printf("chosen here: %s\n%-10s %6s %10s %10s %10s  (GB/s)\n", dp_csum_init(), "", "bytes",
	       "partial", "copy", "unaligned");
	for (size_t i = 0; i < TT_ARRAY_LEN(names); i++) {
		if (dp_csum_select(names[i]) != 0)
			continue;
		for (size_t s = 0; s < TT_ARRAY_LEN(sizes); s++)
			printf("%-10s %6zu %10.1f %10.1f %10.1f\n", names[i], sizes[s],
			       rate(false, sizes[s], 0, 0, seconds),
			       rate(true, sizes[s], 0, 0, seconds),
			       rate(true, sizes[s], 22, 12, seconds));
	}
	return 0;
}

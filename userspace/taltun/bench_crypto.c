/* SPDX-License-Identifier: MIT
 *
 * bench crypto: what this machine's AEAD backends do, on one core.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "plat/clock.h"
#include "taltun/bench.h"

#define ROUND_NS (100 * TT_NS_PER_MS)

static const unsigned sizes[] = {64, 256, 512, 1420};
static const unsigned bursts[] = {1, 8, 32, 64};

struct arena {
	struct crypto_aead_ctx *ctx;
	struct crypto_aead_key key;
	struct crypto_aead_job jobs[CRYPTO_AEAD_BURST_MAX];
	uint8_t *packets;
};

static bool arena_init(struct arena *a)
{
	size_t ctx_size = TT_ALIGN_UP(crypto_aead_ctx_size(), (size_t)CRYPTO_AEAD_CTX_ALIGN);
	void *ctx = aligned_alloc(CRYPTO_AEAD_CTX_ALIGN, ctx_size);

	memset(a, 0, sizeof(*a));
	a->packets = calloc(CRYPTO_AEAD_BURST_MAX, 2048);
	if (!ctx || !a->packets) {
		free(ctx);
		free(a->packets);
		return false;
	}
	a->ctx = crypto_aead_ctx_init(ctx);
	for (unsigned i = 0; i < CRYPTO_AEAD_BURST_MAX; i++) {
		a->jobs[i].src = a->jobs[i].dst = a->packets + i * 2048;
		a->jobs[i].counter = i;
	}
	return true;
}

static void arena_free(struct arena *a)
{
	free(a->ctx);
	free(a->packets);
}

/* ns per packet of seal, or of open with good tags. */
static double measure(struct arena *a, unsigned size, unsigned burst, bool open)
{
	struct tt_mono start, now;
	uint64_t packets = 0, good = 0;

	for (unsigned i = 0; i < burst; i++)
		a->jobs[i].len = size;
	start = now = plat_clock_mono();
	while (tt_mono_since(now, start) < ROUND_NS) {
		for (int i = 0; i < 16; i++, packets += burst) {
			if (open)
				/* opened in place, so only the first round has a good tag; the
				 * time is the same: both are computed before the comparison */
				good |= crypto_aead_open_burst(a->ctx, &a->key, a->jobs, burst);
			else
				crypto_aead_seal_burst(a->ctx, &a->key, a->jobs, burst);
		}
		now = plat_clock_mono();
	}
	(void)good;
	return (double)tt_mono_since(now, start) / (double)packets;
}

static json_t *measure_one(struct arena *a, const char *backend, unsigned size, unsigned burst)
{
	double seal = measure(a, size, burst, false), open = measure(a, size, burst, true);

	return json_pack("{s:s,s:i,s:i,s:f,s:f,s:f,s:f}", "backend", backend, "bytes", (int)size,
			 "burst", (int)burst, "seal_ns", seal, "open_ns", open, "seal_gbps",
			 size * 8 / seal, "open_gbps", size * 8 / open);
}

static void print_row(const json_t *row)
{
	printf("%-10s %6lld %6lld %10.0f %10.0f %10.2f %10.2f\n",
	       json_string_value(json_object_get(row, "backend")),
	       (long long)json_integer_value(json_object_get(row, "bytes")),
	       (long long)json_integer_value(json_object_get(row, "burst")),
	       json_real_value(json_object_get(row, "seal_ns")),
	       json_real_value(json_object_get(row, "open_ns")),
	       json_real_value(json_object_get(row, "seal_gbps")),
	       json_real_value(json_object_get(row, "open_gbps")));
	fflush(stdout);
}

static void measure_backend(const char *backend, json_t *rows, bool print)
{
	struct arena a;

	if (!arena_init(&a))
		return;
	for (size_t s = 0; s < TT_ARRAY_LEN(sizes); s++)
		for (size_t b = 0; b < TT_ARRAY_LEN(bursts); b++) {
			json_t *row = measure_one(&a, backend, sizes[s], bursts[b]);
			json_array_append_new(rows, row);
			if (print)
				print_row(row);
		}
	arena_free(&a);
}

int bench_crypto(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");

	if (argc != 1)
		return cli_usage("bench", "crypto takes nothing but --json");
	json_t *rows = json_array();

	if (!json)
		printf("%-10s %6s %6s %10s %10s %10s %10s\n", "BACKEND", "BYTES", "BURST",
		       "SEAL ns", "OPEN ns", "SEAL Gb/s", "OPEN Gb/s");
	for (const char *const *b = crypto_aead_backends(); *b; b++)
		if (bench_backend_select(*b))
			measure_backend(*b, rows, !json);
	return bench_finish(rows, json);
}

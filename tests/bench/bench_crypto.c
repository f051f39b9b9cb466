/* SPDX-License-Identifier: MIT
 *
 * Cost of every crypto primitive on one core: ns per packet and Gb/s of plaintext, per backend,
 * direction, packet size and burst. `bench_crypto [BACKEND]`.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/x25519.h"

#define SLOT	 2048
#define ROUNDS	 5
#define ROUND_NS 3000000

static uint8_t *packets, *packets_out;
static struct crypto_aead_ctx *ctx;
static struct crypto_aead_key key;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * TT_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

struct work {
	void (*run)(const struct work *w);
	size_t n;
	uint32_t len;
	bool in_place;
};

/* Best of ROUNDS, ns for one run: the least disturbed round is the one that tells the cost. */
static double measure(const struct work *w)
{
	double best = 1e18;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = now_ns(), end = start, runs = 0;

		for (; end - start < ROUND_NS; end = now_ns(), runs += 16)
			for (int i = 0; i < 16; i++)
				w->run(w);
		best = TT_MIN(best, (double)(end - start) / (double)runs);
	}
	return best;
}

static struct crypto_aead_job jobs[CRYPTO_AEAD_BURST_MAX];

static void make_jobs(const struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		jobs[i] = (struct crypto_aead_job){packets + i * SLOT,
						   (w->in_place ? packets : packets_out) + i * SLOT,
						   i, w->len};
}

static void run_seal(const struct work *w)
{
	make_jobs(w);
	crypto_aead_seal_burst(ctx, &key, jobs, w->n);
}

/* Out of place, so that the packets stay sealed and every open succeeds. */
static void run_open(const struct work *w)
{
	make_jobs(w);
	uint64_t ok = crypto_aead_open_burst(ctx, &key, jobs, w->n);
	uint64_t all = w->n == 64 ? UINT64_MAX : (UINT64_C(1) << w->n) - 1;
	if (ok != all) {
		fprintf(stderr, "bench_crypto: a packet did not open\n");
		exit(1);
	}
}

static void run_one_shot(const struct work *w)
{
	crypto_aead_seal(&key, 7, NULL, 0, packets, w->len, packets);
}

static void run_mac1(const struct work *w)
{
	crypto_blake2s(packets_out, 16, key.bytes, 32, packets, w->len);
}

static void run_kdf3(const struct work *w)
{
	(void)w;
	crypto_blake2s_kdf3(packets_out, packets_out + 32, packets_out + 64, key.bytes, packets,
			    32);
}

static void run_x25519(const struct work *w)
{
	(void)w;
	if (!crypto_x25519(packets_out, key.bytes, packets))
		exit(1);
}

static void print_row(const char *backend, const char *what, const struct work *w)
{
	double ns = measure(w) / (double)w->n;

	printf("%-10s %-16s %5u bytes  burst %2zu  %7.0f ns/packet  %6.2f Gb/s\n", backend, what,
	       w->len, w->n, ns, w->len * 8 / ns);
}

static void bench_bursts(const char *name)
{
	static const uint32_t lens[] = {64, 256, 512, 1420};
	static const size_t bursts[] = {1, 4, 16, 32, 64};

	for (size_t l = 0; l < TT_ARRAY_LEN(lens); l++) {
		for (size_t b = 0; b < TT_ARRAY_LEN(bursts); b++) {
			struct work w = {run_seal, bursts[b], lens[l], true};

			print_row(name, "seal", &w);
			w.in_place = false;
			print_row(name, "seal out-of-place", &w);
			for (size_t i = 0; i < w.n; i++) {
				struct crypto_aead_job job = {packets + i * SLOT,
							      packets + i * SLOT, i, w.len};
				crypto_aead_seal_burst(ctx, &key, &job, 1);
			}
			w.run = run_open;
			print_row(name, "open out-of-place", &w);
		}
	}
}

static int bench_backend(const char *name, void *memory)
{
	const char *chosen;

	if (crypto_aead_select(name, &chosen) != CRYPTO_AEAD_CHOSEN ||
	    !(ctx = crypto_aead_ctx_init(memory))) {
		fprintf(stderr, "bench_crypto: backend %s is not usable here\n", name);
		return 1;
	}
	bench_bursts(chosen);
	return 0;
}

static void bench_others(void)
{
	print_row("one-shot", "seal", &(struct work){run_one_shot, 1, 1420, true});
	print_row("one-shot", "seal", &(struct work){run_one_shot, 1, 32, true});
	print_row("blake2s", "keyed (mac1)", &(struct work){run_mac1, 1, 116, true});
	print_row("blake2s", "keyed", &(struct work){run_mac1, 1, 1420, true});
	print_row("blake2s", "kdf3", &(struct work){run_kdf3, 1, 32, true});
	print_row("x25519", "dh", &(struct work){run_x25519, 1, 32, true});
}

int main(int argc, char **argv)
{
	const size_t bytes = (size_t)CRYPTO_AEAD_BURST_MAX * SLOT;
	const char *const *names = crypto_aead_backends();
	int rc = 0;

	packets = aligned_alloc(4096, bytes);
	packets_out = aligned_alloc(4096, bytes);
	void *memory = aligned_alloc(CRYPTO_AEAD_CTX_ALIGN, crypto_aead_ctx_size());
	if (!packets || !packets_out || !memory)
		return 1;
	memset(packets, 0x42, bytes);
	memset(packets_out, 0, bytes);
	memset(key.bytes, 0x17, sizeof(key.bytes));
	if (argc > 1)
		rc = bench_backend(argv[1], memory);
	else
		for (; *names; names++)
			rc |= bench_backend(*names, memory);
	if (rc == 0)
		bench_others();
	free(packets);
	free(packets_out);
	free(memory);
	return rc;
}

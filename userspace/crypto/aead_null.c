/* SPDX-License-Identifier: MIT
 *
 * Encryption replaced by a copy: what is left of a benchmark is the rest of the data path, with
 * each byte read and written once, as any cipher must. Exists only in builds made for that (make
 * BENCH_NULL_AEAD=1), which are never installed.
 */
#ifdef TT_BENCH_NULL_AEAD
#include "crypto/aead_backend.h"

/* Where a packet is encrypted in place, the copy goes here: 64 packets take what the ring of
 * frames of a real cipher's output would take of the caches. */
#define ASIDE_SLOT    2048
#define ASIDE_PACKETS 64

struct null_state {
	uint8_t aside[ASIDE_PACKETS][ASIDE_SLOT];
};

static void copy_job(struct null_state *s, const struct crypto_aead_job *job, size_t i)
{
	if (job->dst != job->src) {
		memcpy(job->dst, job->src, job->len);
		return;
	}
	for (size_t at = 0; at < job->len; at += ASIDE_SLOT)
		memcpy(s->aside[i % ASIDE_PACKETS], job->src + at,
		       TT_MIN((size_t)ASIDE_SLOT, (size_t)job->len - at));
	/* or the compiler may see that nobody reads it */
	__asm__ volatile("" : : "r"(s->aside) : "memory");
}

static void seal_burst(void *state, const struct crypto_aead_key *key,
		       const struct crypto_aead_job *jobs, size_t n)
{
	(void)key;
	for (size_t i = 0; i < n; i++) {
		copy_job(state, &jobs[i], i);
		memset(jobs[i].dst + jobs[i].len, 0x55, CRYPTO_AEAD_TAG_LEN);
	}
}

static uint64_t open_burst(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n)
{
	(void)key;
	for (size_t i = 0; i < n; i++)
		copy_job(state, &jobs[i], i);
	return n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static enum crypto_aead_choice probe(void)
{
	return CRYPTO_AEAD_CHOSEN;
}

static size_t state_size(void)
{
	return sizeof(struct null_state);
}

static bool state_init(void *state)
{
	(void)state;
	return true;
}

const struct crypto_aead_backend crypto_aead_backend_null = {
	.name = "null",
	.probe = probe,
	.state_size = state_size,
	.state_init = state_init,
	.seal_burst = seal_burst,
	.open_burst = open_burst,
};
#endif

/* SPDX-License-Identifier: MIT
 *
 * No encryption at all: what is left of a benchmark is the rest of the data path. Exists only in
 * builds made for that (make BENCH_NULL_AEAD=1), which are never installed.
 */
#ifdef TT_BENCH_NULL_AEAD
#include "crypto/aead_backend.h"

static void seal_burst(void *state, const struct crypto_aead_key *key,
		       const struct crypto_aead_job *jobs, size_t n)
{
	(void)state;
	(void)key;
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].dst != jobs[i].src)
			memcpy(jobs[i].dst, jobs[i].src, jobs[i].len);
		memset(jobs[i].dst + jobs[i].len, 0x55, CRYPTO_AEAD_TAG_LEN);
	}
}

static uint64_t open_burst(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n)
{
	(void)state;
	(void)key;
	for (size_t i = 0; i < n; i++)
		if (jobs[i].dst != jobs[i].src)
			memcpy(jobs[i].dst, jobs[i].src, jobs[i].len);
	return n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static enum crypto_aead_choice probe(void)
{
	return CRYPTO_AEAD_CHOSEN;
}

static size_t state_size(void)
{
	return 0;
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

/* SPDX-License-Identifier: MIT
 *
 * The portable backend: one packet after the other. It is also what one-shot calls use.
 */
#include "crypto/aead_backend.h"

#include <sodium/core.h>
#include <sodium/crypto_aead_chacha20poly1305.h>
#include "crypto/mem.h"

void crypto_aead_seal_nonce(const struct crypto_aead_key *key, const uint8_t nonce[12],
			    const void *aad, size_t aad_len, const uint8_t *src, size_t len,
			    uint8_t *dst)
{
	tt_assert(key->suite == CRYPTO_AEAD_CHACHA20_POLY1305);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(dst, dst + len, NULL, src, len, aad,
							   aad_len, NULL, nonce, key->bytes);
}

bool crypto_aead_open_nonce(const struct crypto_aead_key *key, const uint8_t nonce[12],
			    const void *aad, size_t aad_len, const uint8_t *src, size_t len,
			    uint8_t *dst)
{
	tt_assert(key->suite == CRYPTO_AEAD_CHACHA20_POLY1305);
	if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(dst, NULL, src, len, src + len, aad,
							       aad_len, nonce, key->bytes) == 0)
		return true;
	crypto_wipe(dst, len);
	return false;
}

void crypto_aead_seal(const struct crypto_aead_key *key, uint64_t counter, const void *aad,
		      size_t aad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t nonce[12];

	crypto_aead_nonce(nonce, counter);
	crypto_aead_seal_nonce(key, nonce, aad, aad_len, src, len, dst);
}

bool crypto_aead_open(const struct crypto_aead_key *key, uint64_t counter, const void *aad,
		      size_t aad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t nonce[12];

	crypto_aead_nonce(nonce, counter);
	return crypto_aead_open_nonce(key, nonce, aad, aad_len, src, len, dst);
}

static void seal_burst(void *state, const struct crypto_aead_key *key,
		       const struct crypto_aead_job *jobs, size_t n)
{
	(void)state;
	for (size_t i = 0; i < n; i++)
		crypto_aead_seal(key, jobs[i].counter, NULL, 0, jobs[i].src, jobs[i].len,
				 jobs[i].dst);
}

static uint64_t open_burst(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n)
{
	uint64_t ok = 0;

	(void)state;
	for (size_t i = 0; i < n; i++)
		ok |= (uint64_t)crypto_aead_open(key, jobs[i].counter, NULL, 0, jobs[i].src,
						 jobs[i].len, jobs[i].dst)
		      << i;
	return ok;
}

static enum crypto_aead_choice probe(void)
{
	/* without it libsodium works, but with its slowest code */
	if (sodium_init() < 0)
		return CRYPTO_AEAD_UNAVAILABLE;
	return crypto_aead_self_test(&crypto_aead_backend_libsodium, NULL) ? CRYPTO_AEAD_CHOSEN
									   : CRYPTO_AEAD_BROKEN;
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

const struct crypto_aead_backend crypto_aead_backend_libsodium = {
	.name = "libsodium",
	.probe = probe,
	.state_size = state_size,
	.state_init = state_init,
	.seal_burst = seal_burst,
	.open_burst = open_burst,
};

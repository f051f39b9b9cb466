/* SPDX-License-Identifier: MIT
 *
 * Between crypto/aead.c and the backends. Only they and their tests include it.
 */
#ifndef TT_CRYPTO_AEAD_BACKEND_H
#define TT_CRYPTO_AEAD_BACKEND_H

#include "crypto/aead.h"

struct crypto_aead_backend {
	const char *name;
	/* Does this CPU suffice, and are known answers right? At start; may allocate and free. */
	enum crypto_aead_choice (*probe)(void);
	/* Bytes of state per thread, its alignment is CRYPTO_AEAD_CTX_ALIGN; state_init: usable? */
	size_t (*state_size)(void);
	bool (*state_init)(void *state);
	void (*seal_burst)(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n);
	uint64_t (*open_burst)(void *state, const struct crypto_aead_key *key,
			       const struct crypto_aead_job *jobs, size_t n);
};

extern const struct crypto_aead_backend crypto_aead_backend_libsodium;
extern const struct crypto_aead_backend crypto_aead_backend_avx512;   /* x86-64 */
extern const struct crypto_aead_backend crypto_aead_backend_ipsec_mb; /* TT_HAVE_IPSEC_MB */
extern const struct crypto_aead_backend crypto_aead_backend_compact;  /* for short ones alone */
extern const struct crypto_aead_backend crypto_aead_backend_null;     /* TT_BENCH_NULL_AEAD */

/*
 * The Poly1305 of the avx512 backend alone, for tests with extreme keys: tags of up to 16 texts as
 * RFC 8439 2.8 feeds them, without associated data, each under a one-time key of its own.
 */
void crypto_aead_avx512_macs(const uint8_t *const *texts, const uint32_t *lens, size_t n,
			     const uint8_t (*keys)[32], uint8_t (*tags)[16]);

/* The same of the compact backend, of one text. */
void crypto_aead_compact_mac(const uint8_t *text, size_t len, const uint8_t key[32],
			     uint8_t tag[CRYPTO_AEAD_TAG_LEN]);

/* The candidates of crypto_aead_select(), best first; ends with NULL. */
extern const struct crypto_aead_backend *const crypto_aead_builtin[];
enum crypto_aead_choice crypto_aead_select_from(const struct crypto_aead_backend *const *candidates,
						const char *forced, const char **chosen);

/* Known answers for one-shot and bursts, in and out of place, good and bad tags. */
bool crypto_aead_self_test(const struct crypto_aead_backend *backend, void *state);

/* One-shot with any nonce: for published vectors, whose nonces are not WireGuard's. */
void crypto_aead_seal_nonce(const struct crypto_aead_key *key, const uint8_t nonce[12],
			    const void *aad, size_t aad_len, const uint8_t *src, size_t len,
			    uint8_t *dst);
bool crypto_aead_open_nonce(const struct crypto_aead_key *key, const uint8_t nonce[12],
			    const void *aad, size_t aad_len, const uint8_t *src, size_t len,
			    uint8_t *dst) __attribute__((warn_unused_result));

static inline void crypto_aead_nonce(uint8_t nonce[12], uint64_t counter)
{
	memset(nonce, 0, 4);
	tt_store_le64(nonce + 4, counter);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * XChaCha20-Poly1305, for cookies: a 24-byte nonce may be drawn at random.
 */
#ifndef TT_CRYPTO_XAEAD_H
#define TT_CRYPTO_XAEAD_H

#include "base/types.h"

#define CRYPTO_XAEAD_KEY_LEN   32
#define CRYPTO_XAEAD_NONCE_LEN 24
#define CRYPTO_XAEAD_TAG_LEN   16

/* Writes len bytes and the tag to dst. dst and src are the same or do not overlap. */
void crypto_xaead_seal(const uint8_t key[CRYPTO_XAEAD_KEY_LEN],
		       const uint8_t nonce[CRYPTO_XAEAD_NONCE_LEN], const void *aad, size_t aad_len,
		       const uint8_t *src, size_t len, uint8_t *dst);

/*
 * src holds len bytes of ciphertext and the tag; writes len bytes to dst. False, with the len bytes
 * of dst zeroed, where the tag is wrong.
 */
bool crypto_xaead_open(const uint8_t key[CRYPTO_XAEAD_KEY_LEN],
		       const uint8_t nonce[CRYPTO_XAEAD_NONCE_LEN], const void *aad, size_t aad_len,
		       const uint8_t *src, size_t len, uint8_t *dst)
	__attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: MIT
 *
 * BLAKE2s (RFC 7693), HMAC over it and WireGuard's key derivation. Our own code: libcrypto
 * allocates for every hash, which the path of a handshake flood must not.
 */
#ifndef TT_CRYPTO_BLAKE2S_H
#define TT_CRYPTO_BLAKE2S_H

#include "base/types.h"

#define CRYPTO_BLAKE2S_LEN   32
#define CRYPTO_BLAKE2S_BLOCK 64

struct crypto_blake2s {
	uint32_t h[8];
	uint64_t count; /* bytes compressed so far */
	uint8_t block[CRYPTO_BLAKE2S_BLOCK];
	uint32_t block_len;
	uint32_t out_len;
};

/* out_len: 1..32. key_len: 0..32; 0 is the plain hash, and key may then be NULL. */
void crypto_blake2s_init(struct crypto_blake2s *s, size_t out_len, const void *key, size_t key_len);
void crypto_blake2s_update(struct crypto_blake2s *s, const void *data, size_t len);
/* Writes out_len bytes and wipes s. */
void crypto_blake2s_final(struct crypto_blake2s *s, uint8_t *out);

/* All of it at once. out may be the same memory as data or key. */
void crypto_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *data,
		    size_t len);

/* HMAC-BLAKE2s-256; any key length. */
void crypto_blake2s_hmac(uint8_t out[CRYPTO_BLAKE2S_LEN], const void *key, size_t key_len,
			 const void *data, size_t len);

/*
 * WireGuard's KDF_n: HKDF with the chaining key as salt. Every output may be the same memory as
 * chaining_key or as the input; both are read before anything is written.
 */
void crypto_blake2s_kdf1(uint8_t out1[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len);
void crypto_blake2s_kdf2(uint8_t out1[CRYPTO_BLAKE2S_LEN], uint8_t out2[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len);
void crypto_blake2s_kdf3(uint8_t out1[CRYPTO_BLAKE2S_LEN], uint8_t out2[CRYPTO_BLAKE2S_LEN],
			 uint8_t out3[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len);

#endif

/* SPDX-License-Identifier: MIT
 *
 * HMAC (RFC 2104) over SHA-1 and SHA-256, for STUN and for the keys of path checks. Never fails and
 * never allocates: any thread, the packet path included. SHA-1 is here for STUN servers that know
 * nothing else; nothing of ours relies on it.
 */
#ifndef TT_CRYPTO_HMAC_H
#define TT_CRYPTO_HMAC_H

#include "base/types.h"

enum crypto_hmac_hash {
	CRYPTO_HMAC_SHA1,
	CRYPTO_HMAC_SHA256,
};

#define CRYPTO_HMAC_SHA1_LEN   20
#define CRYPTO_HMAC_SHA256_LEN 32
#define CRYPTO_HMAC_MAX_LEN    32

/* Data that lies in several places is given as its parts, in order. */
struct crypto_part {
	const void *data;
	size_t len;
};

static inline size_t crypto_hmac_len(enum crypto_hmac_hash hash)
{
	return hash == CRYPTO_HMAC_SHA1 ? CRYPTO_HMAC_SHA1_LEN : CRYPTO_HMAC_SHA256_LEN;
}

/*
 * Writes crypto_hmac_len(hash) bytes. Key and data of any length; with length 0 the pointer may be
 * NULL. out may be the same memory as the key or a part.
 */
void crypto_hmac(enum crypto_hmac_hash hash, uint8_t *out, const void *key, size_t key_len,
		 const struct crypto_part *parts, size_t count);

/*
 * True where tag is the HMAC, or the first tag_len bytes of it; the time does not say where it
 * differs. What length is long enough is for the caller to say; 0 and one that is too long are
 * never right.
 */
bool crypto_hmac_check(enum crypto_hmac_hash hash, const uint8_t *tag, size_t tag_len,
		       const void *key, size_t key_len, const struct crypto_part *parts,
		       size_t count);

#endif

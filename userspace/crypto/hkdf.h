/* SPDX-License-Identifier: MIT
 *
 * HKDF-SHA256 (RFC 5869): keys from secrets. Never fails and never allocates; any thread. (What
 * WireGuard calls its KDF is another function: crypto/blake2s.h.)
 */
#ifndef TT_CRYPTO_HKDF_H
#define TT_CRYPTO_HKDF_H

#include "base/types.h"
#include "crypto/hmac.h"

#define CRYPTO_HKDF_PRK_LEN 32
#define CRYPTO_HKDF_OUT_MAX (255 * 32)

/* The secret may lie in several parts. salt_len 0: no salt. */
void crypto_hkdf_extract(uint8_t prk[CRYPTO_HKDF_PRK_LEN], const void *salt, size_t salt_len,
			 const struct crypto_part *secret, size_t count);

/* out_len: 1..CRYPTO_HKDF_OUT_MAX, asserted. out must not overlap prk or info. */
void crypto_hkdf_expand(uint8_t *out, size_t out_len, const uint8_t prk[CRYPTO_HKDF_PRK_LEN],
			const void *info, size_t info_len);

/* Both at once. */
void crypto_hkdf(uint8_t *out, size_t out_len, const void *salt, size_t salt_len,
		 const void *secret, size_t secret_len, const void *info, size_t info_len);

#endif

/* SPDX-License-Identifier: MIT */
#include "crypto/hkdf.h"

#include "crypto/mem.h"

void crypto_hkdf_extract(uint8_t prk[CRYPTO_HKDF_PRK_LEN], const void *salt, size_t salt_len,
			 const struct crypto_part *secret, size_t count)
{
	crypto_hmac(CRYPTO_HMAC_SHA256, prk, salt, salt_len, secret, count);
}

void crypto_hkdf_expand(uint8_t *out, size_t out_len, const uint8_t prk[CRYPTO_HKDF_PRK_LEN],
			const void *info, size_t info_len)
{
	uint8_t block[CRYPTO_HMAC_SHA256_LEN], number = 0;

	tt_assert(out_len > 0 && out_len <= CRYPTO_HKDF_OUT_MAX);
	while (out_len > 0) {
		size_t len = TT_MIN(out_len, sizeof(block));
		struct crypto_part parts[] = {
			{block, number == 0 ? 0 : sizeof(block)},
			{info, info_len},
			{&number, 1},
		};

		number++;
		crypto_hmac(CRYPTO_HMAC_SHA256, block, prk, CRYPTO_HKDF_PRK_LEN, parts,
			    TT_ARRAY_LEN(parts));
		memcpy(out, block, len);
		out += len;
		out_len -= len;
	}
	crypto_wipe(block, sizeof(block));
}

void crypto_hkdf(uint8_t *out, size_t out_len, const void *salt, size_t salt_len,
		 const void *secret, size_t secret_len, const void *info, size_t info_len)
{
	struct crypto_part part = {secret, secret_len};
	uint8_t prk[CRYPTO_HKDF_PRK_LEN];

	crypto_hkdf_extract(prk, salt, salt_len, &part, 1);
	crypto_hkdf_expand(out, out_len, prk, info, info_len);
	crypto_wipe(prk, sizeof(prk));
}

/* SPDX-License-Identifier: MIT */
#include "crypto/xaead.h"

#include <sodium/crypto_aead_xchacha20poly1305.h>
#include "crypto/mem.h"

void crypto_xaead_seal(const uint8_t key[CRYPTO_XAEAD_KEY_LEN],
		       const uint8_t nonce[CRYPTO_XAEAD_NONCE_LEN], const void *aad, size_t aad_len,
		       const uint8_t *src, size_t len, uint8_t *dst)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(dst, dst + len, NULL, src, len, aad,
							    aad_len, NULL, nonce, key);
}

bool crypto_xaead_open(const uint8_t key[CRYPTO_XAEAD_KEY_LEN],
		       const uint8_t nonce[CRYPTO_XAEAD_NONCE_LEN], const void *aad, size_t aad_len,
		       const uint8_t *src, size_t len, uint8_t *dst)
{
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(dst, NULL, src, len, src + len, aad,
								aad_len, nonce, key) == 0)
		return true;
	crypto_wipe(dst, len);
	return false;
}

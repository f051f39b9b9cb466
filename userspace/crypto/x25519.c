/* SPDX-License-Identifier: MIT */
#include "crypto/x25519.h"

#include <sodium/crypto_scalarmult_curve25519.h>
#include "crypto/mem.h"

_Static_assert(CRYPTO_X25519_LEN == crypto_scalarmult_curve25519_BYTES, "libsodium's length");

bool crypto_x25519(uint8_t out[CRYPTO_X25519_LEN], const uint8_t secret[CRYPTO_X25519_LEN],
		   const uint8_t point[CRYPTO_X25519_LEN])
{
	/* libsodium refuses only the points it knows to be of low order; the result decides */
	if (crypto_scalarmult_curve25519(out, secret, point) == 0 &&
	    !crypto_is_zero(out, CRYPTO_X25519_LEN))
		return true;
	crypto_wipe(out, CRYPTO_X25519_LEN);
	return false;
}

void crypto_x25519_base(uint8_t out[CRYPTO_X25519_LEN], const uint8_t secret[CRYPTO_X25519_LEN])
{
	int rc = crypto_scalarmult_curve25519_base(out, secret);

	tt_assert(rc == 0);
}

void crypto_x25519_clamp(uint8_t secret[CRYPTO_X25519_LEN])
{
	secret[0] &= 248;
	secret[31] = (secret[31] & 127) | 64;
}

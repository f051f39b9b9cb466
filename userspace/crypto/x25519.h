/* SPDX-License-Identifier: MIT
 *
 * X25519 (RFC 7748). Secrets may be unclamped; the functions clamp a copy.
 */
#ifndef TT_CRYPTO_X25519_H
#define TT_CRYPTO_X25519_H

#include "base/types.h"

#define CRYPTO_X25519_LEN 32

/*
 * out = secret * point. False, with out all zero, where the result is the zero point: the other
 * side sent a low-order point, and a handshake that goes on would have a key anybody can compute.
 * Twist and non-canonical points are computed as RFC 7748 says.
 */
bool crypto_x25519(uint8_t out[CRYPTO_X25519_LEN], const uint8_t secret[CRYPTO_X25519_LEN],
		   const uint8_t point[CRYPTO_X25519_LEN]) __attribute__((warn_unused_result));

/* The public key of a secret. */
void crypto_x25519_base(uint8_t out[CRYPTO_X25519_LEN], const uint8_t secret[CRYPTO_X25519_LEN]);

/* Brings a secret into the form in which wg(8) shows and stores it. */
void crypto_x25519_clamp(uint8_t secret[CRYPTO_X25519_LEN]);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What vouches for a STUN message: FINGERPRINT tells it from noise, MESSAGE-INTEGRITY from a
 * forgery. Pure; any thread. Time depends on lengths only where a key is involved.
 */
#ifndef TT_MESH_STUN_INTEGRITY_H
#define TT_MESH_STUN_INTEGRITY_H

#include "crypto/hmac.h"
#include "mesh/stun.h"

/* The value of the FINGERPRINT that follows these len bytes, whose header already counts it. */
uint32_t mesh_stun_fingerprint(const uint8_t *bytes, size_t len);

/*
 * The HMAC of an integrity attribute with a value of value_len bytes that starts at `at`; writes
 * crypto_hmac_len(hash) bytes. The length in the message's header does not matter: what is
 * authenticated is the one that ends the message behind this attribute.
 */
void mesh_stun_integrity(enum crypto_hmac_hash hash, uint8_t *out, const uint8_t *bytes, size_t at,
			 size_t value_len, const void *key, size_t key_len);

/*
 * TT_DROP_NONE where the message carries the integrity of this hash, right under this key;
 * otherwise TT_DROP_STUN_INTEGRITY. Everything that mesh_stun_find() finds is then authentic.
 */
enum tt_drop mesh_stun_check_integrity(const struct mesh_stun_msg *m, enum crypto_hmac_hash hash,
				       const void *key, size_t key_len);

#endif

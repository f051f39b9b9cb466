/* SPDX-License-Identifier: MIT
 *
 * What two nodes tell each other by way of the hub before they check paths: candidates, and fresh
 * keys for the checks. Sealed end to end under a key that the hub does not have (the static-static
 * DH of the WireGuard keys), so that it learns no address and can forge none. Pure.
 *
 *	nonce 24 | XChaCha20-Poly1305 of:
 *	version u8 = 1 | flags u8 (1: send yours) | count u8 | 0 u8 | generation u64 be |
 *	ufrag 8 | key 32 | count times: kind u8 | family u8 (4, 6) | udp_port u16 be | address 4 or
 *16
 *
 * Key: HKDF-SHA256(salt "taltun signal v1", DH, sender's public key | receiver's public key).
 */
#ifndef TT_MESH_EXCHANGE_H
#define TT_MESH_EXCHANGE_H

#include "mesh/path.h"

#define MESH_UFRAG_LEN	    8
#define MESH_CHECK_KEY_LEN  32
#define MESH_CANDIDATES_MAX 16
#define MESH_EXCHANGE_NONCE 24
#define MESH_EXCHANGE_FIXED 52
#define MESH_EXCHANGE_MAX \
	(MESH_EXCHANGE_NONCE + MESH_EXCHANGE_FIXED + 20 * MESH_CANDIDATES_MAX + 16)

/* Wipe it after use: it holds a key. */
struct mesh_offer {
	uint64_t generation; /* grows with every offer of a node: wall time in ms, or one more */
	bool asks;	     /* the receiver is to send its own */
	uint8_t ufrag[MESH_UFRAG_LEN];
	uint8_t key[MESH_CHECK_KEY_LEN];
	uint8_t count;
	struct mesh_candidate candidate[MESH_CANDIDATES_MAX];
};

/* Between whom: the DH of the long-term keys, and both public keys. */
struct mesh_pair {
	const uint8_t *static_static; /* 32 bytes, not zero */
	const uint8_t *own_key, *peer_key;
};

/* Bytes written to out (MESH_EXCHANGE_MAX is room enough). nonce: fresh random bytes. */
size_t mesh_exchange_seal(uint8_t *out, const struct mesh_offer *o, const struct mesh_pair *pair,
			  const uint8_t nonce[MESH_EXCHANGE_NONCE]);

enum mesh_exchange_outcome {
	MESH_EXCHANGE_OK,
	MESH_EXCHANGE_BAD_LENGTH,
	MESH_EXCHANGE_FORGED,
	MESH_EXCHANGE_BAD_VERSION,
	MESH_EXCHANGE_MALFORMED,
};
/* What the peer sent. Whether the generation is new is the caller's to see. */
enum mesh_exchange_outcome mesh_exchange_open(struct mesh_offer *o, const uint8_t *sealed,
					      size_t len, const struct mesh_pair *pair);

#endif

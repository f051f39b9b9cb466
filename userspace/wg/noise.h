/* SPDX-License-Identifier: MIT
 *
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (whitepaper section 5.4). The four
 * steps of a handshake as functions of their inputs: ephemeral keys, stamps and indices are
 * parameters, so that every byte can be tested. Macs are wg/cookie's.
 *
 * Every function derives on its stack, wipes through one exit, and writes its results on success
 * only.
 */
#ifndef TT_WG_NOISE_H
#define TT_WG_NOISE_H

#include "base/types.h"
#include "wg/messages.h"
#include "wg/session.h"
#include "wg/tai64n.h"

enum wg_noise_outcome {
	WG_NOISE_OK,
	WG_NOISE_LOW_ORDER, /* a public key without a shared secret */
	WG_NOISE_BAD_AUTH,  /* does not decrypt */
};

/* Hash and chaining key so far. */
struct wg_noise_symmetric {
	uint8_t hash[WG_KEY_LEN];
	uint8_t chaining_key[WG_KEY_LEN];
};

/* Our own long-term key. */
struct wg_noise_static {
	uint8_t private_key[WG_KEY_LEN];
	uint8_t public_key[WG_KEY_LEN];
};

/* What the handshake needs to know of the other side. */
struct wg_noise_remote {
	uint8_t public_key[WG_KEY_LEN];
	uint8_t psk[WG_KEY_LEN];
	uint8_t static_static[WG_KEY_LEN]; /* DH of both long-term keys */
};

/* Initiator, between initiation and response. */
struct wg_noise_initiator {
	struct wg_noise_symmetric sym;
	uint8_t ephemeral_private[WG_KEY_LEN];
	uint32_t local_index;
};

/* Responder, between the two halves of one initiation; never outlives the datagram. */
struct wg_noise_responder {
	struct wg_noise_symmetric sym;
	uint8_t remote_static[WG_KEY_LEN];
	uint8_t remote_ephemeral[WG_KEY_LEN];
	uint32_t remote_index;
};

/* The result: keys in the direction of whoever asks. */
struct wg_noise_keys {
	uint8_t send[WG_KEY_LEN];
	uint8_t recv[WG_KEY_LEN];
	uint32_t local_index, remote_index;
};

/* msg: all but the macs. */
enum wg_noise_outcome
wg_noise_initiation_create(struct wg_noise_initiator *out, struct wg_msg_initiation *msg,
			   const struct wg_noise_static *self, const struct wg_noise_remote *remote,
			   const uint8_t ephemeral_private[WG_KEY_LEN],
			   const struct wg_tai64n *stamp, uint32_t local_index);

/* First half: who is it? Learns out->remote_static, which is proved only by the second half. */
enum wg_noise_outcome wg_noise_initiation_open(struct wg_noise_responder *out,
					       const struct wg_msg_initiation *msg,
					       const struct wg_noise_static *self);
/* Second half: with the static-static secret of that peer. Authenticates the stamp. */
enum wg_noise_outcome wg_noise_initiation_verify(struct wg_noise_responder *r,
						 struct wg_tai64n *stamp,
						 const struct wg_msg_initiation *msg,
						 const struct wg_noise_remote *remote);

enum wg_noise_outcome
wg_noise_response_create(struct wg_noise_keys *keys, struct wg_msg_response *msg,
			 const struct wg_noise_responder *r, const struct wg_noise_remote *remote,
			 const uint8_t ephemeral_private[WG_KEY_LEN], uint32_t local_index);

enum wg_noise_outcome wg_noise_response_consume(struct wg_noise_keys *keys,
						const struct wg_msg_response *msg,
						const struct wg_noise_initiator *i,
						const struct wg_noise_static *self,
						const struct wg_noise_remote *remote);

#endif

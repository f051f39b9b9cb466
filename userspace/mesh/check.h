/* SPDX-License-Identifier: MIT
 *
 * Connectivity checks: STUN Binding requests between two nodes that have exchanged keys
 * (mesh/exchange.h). USERNAME is the receiver's ufrag ":" the sender's, in hex; integrity is
 * MESSAGE-INTEGRITY-SHA256 under HKDF of both exchange keys, the static-static DH and both public
 * keys. No FINGERPRINT and nothing constant but STUN's own cookie. Pure.
 *
 * Both ends change their keys with every exchange that the other has heard of; the old ones are
 * good until 60 s after that, so that checks that are under way are answered, and so that a hub
 * that loses our offers does not cost us what we had.
 */
#ifndef TT_MESH_CHECK_H
#define TT_MESH_CHECK_H

#include "base/rng.h"
#include "mesh/exchange.h"
#include "mesh/stun.h"

#define MESH_CHECK_OLD_NS  (60 * TT_NS_PER_SEC)
#define MESH_STUN_PADDING  0x0026 /* RFC 5780 */
#define MESH_CHECK_LEN_MIN 96	  /* of a request without padding */

struct mesh_frag {
	bool set;
	uint8_t ufrag[MESH_UFRAG_LEN];
	uint8_t key[MESH_CHECK_KEY_LEN];
	bool used;		 /* local: the peer has shown that it has it */
	struct tt_mono replaced; /* 0: nobody has shown to have a newer one */
};

/* The keys of one peer; all zero: nothing exchanged. Wipe it at the end. */
struct mesh_check_keys {
	struct mesh_frag local[2], remote[2]; /* [0]: current, [1]: the one before */
	uint64_t generation;		      /* of the peer's last offer */
	bool stale;			      /* local[0] was seen in another network */
	uint8_t turn;
};

/* New local keys, for an offer; those of the last one as long as the peer may not have heard of it.
 */
void mesh_check_renew(struct mesh_check_keys *k, const struct tt_rng *rng);
/* Our network is another one: what was seen in the last does not appear there. */
void mesh_check_network_changed(struct mesh_check_keys *k);
/* The peer's offer. False: not newer than the last. */
bool mesh_check_accept(struct mesh_check_keys *k, const struct mesh_offer *o, struct tt_mono now);
/* Both sides have keys. */
bool mesh_check_ready(const struct mesh_check_keys *k);
/* Whether this is a local ufrag, current or old enough to answer. */
bool mesh_check_knows(const struct mesh_check_keys *k, const uint8_t ufrag[MESH_UFRAG_LEN],
		      struct tt_mono now);

/*
 * A request with this id; len: what the whole message is to measure (a multiple of 4, at least
 * MESH_CHECK_LEN_MIN), 0: as short as it is. Bytes written; 0: no keys, no room, or no such length.
 */
size_t mesh_check_request(struct mesh_check_keys *k, const struct mesh_pair *pair,
			  const uint8_t id[MESH_CHECK_ID_LEN], size_t len, uint8_t *out,
			  size_t room);

/* The two ufrags of a request; false: it has no USERNAME of ours. */
bool mesh_check_ufrags(const struct mesh_stun_msg *m, uint8_t to[MESH_UFRAG_LEN],
		       uint8_t from[MESH_UFRAG_LEN]);

/* Whether a request is the peer's: TT_DROP_NONE, STUN_INTEGRITY, STUN_UNEXPECTED (other ufrags). */
enum tt_drop mesh_check_verify_request(struct mesh_check_keys *k, const struct mesh_pair *pair,
				       const struct mesh_stun_msg *m, struct tt_mono now);
/* The answer to a request that was verified just now; never longer than it. 0: no room. */
size_t mesh_check_answer(const struct mesh_check_keys *k, const struct mesh_pair *pair,
			 const struct mesh_stun_msg *m, const struct tt_endpoint *source,
			 uint8_t *out, size_t room);
/* Whether a success response is the peer's. Its id is for the path to know. */
enum tt_drop mesh_check_verify_answer(struct mesh_check_keys *k, const struct mesh_pair *pair,
				      const struct mesh_stun_msg *m, struct tt_mono now);

#endif

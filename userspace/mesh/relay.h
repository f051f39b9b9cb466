/* SPDX-License-Identifier: MIT
 *
 * Datagrams between a node's udp_port and the hub's UDP relay. Header: 0xA7 | type u8 | u16 zero |
 * u32 be tag. A leg is one side of an allocation; its tag (random, never 0) and 32-byte key are
 * known to that node and to the hub, given over the TLS connection. Pure; any thread.
 *
 *	type            length  behind the header
 *	DATA            28..    the packet
 *	BIND_REQUEST    40      32 zero bytes
 *	BIND_CHALLENGE  24      cookie 16
 *	BIND_ANSWER     40      cookie 16, MAC 16
 *	BOUND           28      expires_s u32 be, MAC 16
 *	KEEPALIVE       32      sequence u64 be, MAC 16
 *	PROBE           28..    the packet; not to be fragmented behind the hub either
 *
 * No answer is longer than what it answers, and nothing is remembered about a source that has not
 * shown a cookie. A MAC is BLAKE2s-128 under the leg's key over all that is before it; BOUND's also
 * covers what it answers (16 bytes, not sent: the cookie, or the sequence and 8 zero bytes), so
 *that an old one proves nothing.
 */
#ifndef TT_MESH_RELAY_H
#define TT_MESH_RELAY_H

#include "base/addr.h"
#include "base/rng.h"

#define MESH_RELAY_MAGIC      0xA7 /* first byte */
#define MESH_RELAY_HEADER     8
#define MESH_RELAY_COOKIE_LEN 16
#define MESH_RELAY_MAC_LEN    16
#define MESH_RELAY_KEY_LEN    32
#define MESH_RELAY_INNER_MIN  20 /* a STUN message; those of WireGuard are longer */

enum mesh_relay_type {
	MESH_RELAY_DATA = 0,
	MESH_RELAY_BIND_REQUEST = 1,
	MESH_RELAY_BIND_CHALLENGE = 2,
	MESH_RELAY_BIND_ANSWER = 3,
	MESH_RELAY_BOUND = 4,
	MESH_RELAY_KEEPALIVE = 5,
	MESH_RELAY_PROBE = 6, /* to the hub only: it goes on as DATA, with DF set */
};

#define MESH_RELAY_REQUEST_LEN	 40
#define MESH_RELAY_CHALLENGE_LEN 24
#define MESH_RELAY_ANSWER_LEN	 40
#define MESH_RELAY_BOUND_LEN	 28
#define MESH_RELAY_KEEPALIVE_LEN 32
#define MESH_RELAY_MESSAGE_MAX	 40 /* of any type but DATA and PROBE */

_Static_assert(MESH_RELAY_CHALLENGE_LEN <= MESH_RELAY_REQUEST_LEN &&
		       MESH_RELAY_CHALLENGE_LEN <= MESH_RELAY_KEEPALIVE_LEN &&
		       MESH_RELAY_CHALLENGE_LEN <= MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN &&
		       MESH_RELAY_BOUND_LEN <= MESH_RELAY_ANSWER_LEN &&
		       MESH_RELAY_BOUND_LEN <= MESH_RELAY_KEEPALIVE_LEN,
	       "an answer amplifies nothing");

/* A leg that neither sends nor keeps alive for so long is not bound any more. */
#define MESH_RELAY_LEG_IDLE_NS (300 * TT_NS_PER_SEC)

enum mesh_relay_verdict {
	MESH_RELAY_OK,
	MESH_RELAY_TOO_SHORT,
	MESH_RELAY_BAD_MAGIC,
	MESH_RELAY_BAD_RESERVED,
	MESH_RELAY_BAD_TAG, /* 0 */
	MESH_RELAY_BAD_TYPE,
	MESH_RELAY_BAD_LENGTH, /* not that of its type */
	MESH_RELAY_BAD_INNER,  /* DATA inside DATA, or padding that is not zero */
};

/* "bad_tag"; never NULL. */
const char *mesh_relay_verdict_name(enum mesh_relay_verdict v);

/* Pointers go into the datagram; those that the type does not have are NULL. */
struct mesh_relay_message {
	enum mesh_relay_type type;
	uint32_t tag;
	const uint8_t *start; /* of the datagram: what the MAC covers */
	const uint8_t *cookie;
	const uint8_t *mac;
	uint64_t sequence;
	uint32_t expires_s;
	const uint8_t *inner;
	size_t inner_len;
};

/* Form only: MACs and cookies are for the functions below. *m is set where MESH_RELAY_OK. */
enum mesh_relay_verdict mesh_relay_parse(struct mesh_relay_message *m, const uint8_t *datagram,
					 size_t len);

/* In front of a packet; the hub writes the other leg's tag over the old with it. */
static inline void mesh_relay_data_write(uint8_t out[MESH_RELAY_HEADER], uint32_t tag)
{
	tt_store_be32(out, (uint32_t)MESH_RELAY_MAGIC << 24 | MESH_RELAY_DATA << 16);
	tt_store_be32(out + 4, tag);
}

/* In front of a packet that is to arrive whole or not at all (mesh/pmtu.h). */
static inline void mesh_relay_probe_write(uint8_t out[MESH_RELAY_HEADER], uint32_t tag)
{
	tt_store_be32(out, (uint32_t)MESH_RELAY_MAGIC << 24 | MESH_RELAY_PROBE << 16);
	tt_store_be32(out + 4, tag);
}

void mesh_relay_request_write(uint8_t out[MESH_RELAY_REQUEST_LEN], uint32_t tag);
void mesh_relay_challenge_write(uint8_t out[MESH_RELAY_CHALLENGE_LEN], uint32_t tag,
				const uint8_t cookie[MESH_RELAY_COOKIE_LEN]);
void mesh_relay_answer_write(uint8_t out[MESH_RELAY_ANSWER_LEN], uint32_t tag,
			     const uint8_t cookie[MESH_RELAY_COOKIE_LEN],
			     const uint8_t key[MESH_RELAY_KEY_LEN]);
void mesh_relay_keepalive_write(uint8_t out[MESH_RELAY_KEEPALIVE_LEN], uint32_t tag,
				uint64_t sequence, const uint8_t key[MESH_RELAY_KEY_LEN]);
/* Answers m, a BIND_ANSWER or KEEPALIVE (asserted) whose MAC is right. */
void mesh_relay_bound_write(uint8_t out[MESH_RELAY_BOUND_LEN], const struct mesh_relay_message *m,
			    uint32_t expires_s, const uint8_t key[MESH_RELAY_KEY_LEN]);

/* MAC of a BIND_ANSWER or KEEPALIVE, in constant time; false for every other type. */
bool mesh_relay_mac_check(const struct mesh_relay_message *m,
			  const uint8_t key[MESH_RELAY_KEY_LEN]);
/* MAC of a BOUND that answers the cookie, or (cookie NULL) the keepalive of that sequence. */
bool mesh_relay_bound_check(const struct mesh_relay_message *m,
			    const uint8_t key[MESH_RELAY_KEY_LEN],
			    const uint8_t cookie[MESH_RELAY_COOKIE_LEN], uint64_t sequence);

/* --- the hub's cookies -------------------------------------------------------------------------
 */

/*
 * A cookie says that who shows it receives at its source address: BLAKE2s over (address, udp_port,
 * tag) under a secret that changes every 120 s. The last two are good, so that a cookie lives 120
 * to 240 s. Nothing is stored for a source. One thread; all zero to begin with.
 */
#define MESH_RELAY_SECRET_LIFE_NS (120 * TT_NS_PER_SEC)

struct mesh_relay_cookies {
	uint8_t secret[2][32]; /* the current one, the one before */
	struct tt_mono born;
};

/* Once a batch, before the others: draws secrets where they are due. */
void mesh_relay_cookies_refresh(struct mesh_relay_cookies *c, struct tt_mono now,
				const struct tt_rng *rng);
void mesh_relay_cookie_make(const struct mesh_relay_cookies *c,
			    uint8_t cookie[MESH_RELAY_COOKIE_LEN], const struct tt_endpoint *source,
			    uint32_t tag);
/* True where the cookie was given to this source for this tag not long ago. */
bool mesh_relay_cookie_check(const struct mesh_relay_cookies *c,
			     const uint8_t cookie[MESH_RELAY_COOKIE_LEN],
			     const struct tt_endpoint *source, uint32_t tag);
void mesh_relay_cookies_wipe(struct mesh_relay_cookies *c);

#endif

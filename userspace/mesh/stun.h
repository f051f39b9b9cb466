/* SPDX-License-Identifier: MIT
 *
 * STUN messages (RFC 8489) from bytes. Pure: no memory of its own, no state; any thread. Writing
 * them: mesh/stun_write.h; integrity: mesh/stun_integrity.h; answering: mesh/stun_server.h; asking:
 * mesh/stun_client.h.
 */
#ifndef TT_MESH_STUN_H
#define TT_MESH_STUN_H

#include "base/addr.h"
#include "base/drop.h"

#define MESH_STUN_COOKIE     UINT32_C(0x2112a442)
#define MESH_STUN_HEADER_LEN 20
#define MESH_STUN_ATTR_LEN   4 /* header of an attribute */
#define MESH_STUN_ID_LEN     12
#define MESH_STUN_UDP_PORT   3478
#define MESH_STUN_BINDING    0x001 /* the only method that we speak */

/* No message that makes sense has more attributes; one that has is dropped. */
#define MESH_STUN_ATTRS_MAX 32
/* As many are named to the sender; that there are more does not help it. */
#define MESH_STUN_UNKNOWN_MAX 8

enum mesh_stun_class {
	MESH_STUN_REQUEST = 0,
	MESH_STUN_INDICATION = 1,
	MESH_STUN_SUCCESS = 2,
	MESH_STUN_ERROR = 3,
};

/* Below 0x8000: who does not understand the attribute must not act on the message. */
enum mesh_stun_type {
	MESH_STUN_MAPPED_ADDRESS = 0x0001,
	MESH_STUN_USERNAME = 0x0006,
	MESH_STUN_INTEGRITY_SHA1 = 0x0008,
	MESH_STUN_ERROR_CODE = 0x0009,
	MESH_STUN_UNKNOWN_ATTRIBUTES = 0x000a,
	MESH_STUN_REALM = 0x0014,
	MESH_STUN_NONCE = 0x0015,
	MESH_STUN_INTEGRITY_SHA256 = 0x001c,
	MESH_STUN_PASSWORD_ALGORITHM = 0x001d,
	MESH_STUN_USERHASH = 0x001e,
	MESH_STUN_XOR_MAPPED_ADDRESS = 0x0020,
	MESH_STUN_SOFTWARE = 0x8022,
	MESH_STUN_FINGERPRINT = 0x8028,
};

/* Error codes that we send or look at. */
enum {
	MESH_STUN_BAD_REQUEST = 400,
	MESH_STUN_UNAUTHENTICATED = 401,
	MESH_STUN_UNKNOWN_ATTRIBUTE = 420,
};

struct mesh_stun_id {
	uint8_t b[MESH_STUN_ID_LEN];
};

struct mesh_stun_attr {
	uint16_t type;
	uint16_t len; /* without padding */
	const uint8_t *value;
};

/*
 * A message that has been checked. Points into the datagram, which must stay. Attributes behind an
 * integrity are not in here, since nothing vouches for them.
 */
struct mesh_stun_msg {
	const uint8_t *bytes;
	size_t len;
	enum mesh_stun_class class;
	uint16_t method;
	struct mesh_stun_id id;
	uint32_t attr_count;
	struct mesh_stun_attr attr[MESH_STUN_ATTRS_MAX];
	/* comprehension-required ones that are not in enum mesh_stun_type, the first few */
	uint32_t unknown_count;
	uint16_t unknown[MESH_STUN_UNKNOWN_MAX];
	/* where the integrity attributes start in bytes; 0: there is none */
	uint32_t sha1_at;
	uint32_t sha256_at;
	uint32_t sha256_len;  /* of the value: it may be truncated, to 16 bytes at least */
	bool has_fingerprint; /* and it is right */
};

/*
 * By the first bytes alone: is this datagram STUN and nothing else that shares our udp_port? False
 * for every WireGuard message, whatever its bytes 4..7 are. True promises MESH_STUN_HEADER_LEN
 * bytes and no more.
 */
bool mesh_stun_is(const uint8_t *bytes, size_t len);

/*
 * Checks a whole datagram. TT_DROP_NONE, TT_DROP_STUN_MALFORMED or TT_DROP_STUN_FINGERPRINT; *m is
 * undefined unless TT_DROP_NONE. A fingerprint that is there has been checked, an integrity has
 * not.
 */
enum tt_drop mesh_stun_parse(struct mesh_stun_msg *m, const uint8_t *bytes, size_t len);

/* The first attribute of a type, which is the one that counts, or NULL. Not for integrity. */
const struct mesh_stun_attr *mesh_stun_find(const struct mesh_stun_msg *m,
					    enum mesh_stun_type type);

/*
 * XOR_MAPPED_ADDRESS or MAPPED_ADDRESS. False, with *out untouched, where the message has none.
 * IPv4 in an IPv6 form comes out as IPv4. What the address is good for has not been looked at:
 * mesh/address.h.
 */
bool mesh_stun_get_address(const struct mesh_stun_msg *m, enum mesh_stun_type type,
			   struct tt_endpoint *out);

/* 300..699, or 0 where the message has no ERROR-CODE. */
unsigned mesh_stun_get_error(const struct mesh_stun_msg *m);

bool mesh_stun_id_equal(const struct mesh_stun_id *a, const struct mesh_stun_id *b);

#endif

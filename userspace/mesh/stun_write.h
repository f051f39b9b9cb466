/* SPDX-License-Identifier: MIT
 *
 * STUN messages (RFC 8489) into the caller's space. Attributes in the order of the calls: ordinary
 * ones, then integrity, then fingerprint; another order is a bug and asserted. What does not fit
 * marks the writer, and the end returns 0. Pure; any thread.
 */
#ifndef TT_MESH_STUN_WRITE_H
#define TT_MESH_STUN_WRITE_H

#include "mesh/stun.h"

enum mesh_stun_stage {
	MESH_STUN_STAGE_OPEN,
	MESH_STUN_STAGE_SHA1,	/* SHA-256 integrity or a fingerprint may follow */
	MESH_STUN_STAGE_SHA256, /* a fingerprint may follow */
	MESH_STUN_STAGE_CLOSED,
};

struct mesh_stun_writer {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool full;
	enum mesh_stun_stage stage;
};

/* Starts a message in buf, which stays the caller's. */
void mesh_stun_write_begin(struct mesh_stun_writer *w, uint8_t *buf, size_t cap,
			   enum mesh_stun_class class, unsigned method,
			   const struct mesh_stun_id *id);

/* Any attribute; padded with zeros. value may be NULL where len is 0. */
void mesh_stun_write_attr(struct mesh_stun_writer *w, uint16_t type, const void *value, size_t len);

/* An attribute of len zeros. */
void mesh_stun_write_zeros(struct mesh_stun_writer *w, uint16_t type, size_t len);

/* XOR_MAPPED_ADDRESS, or anything else plainly. The endpoint has an address. */
void mesh_stun_write_address(struct mesh_stun_writer *w, enum mesh_stun_type type,
			     const struct tt_endpoint *e);

/* ERROR-CODE 300..699 without a reason phrase: answers stay as short as questions. */
void mesh_stun_write_error(struct mesh_stun_writer *w, unsigned code);

/* UNKNOWN-ATTRIBUTES */
void mesh_stun_write_unknown(struct mesh_stun_writer *w, const uint16_t *types, size_t count);

/* MESSAGE-INTEGRITY over everything so far. */
void mesh_stun_write_sha1(struct mesh_stun_writer *w, const void *key, size_t key_len);
/* MESSAGE-INTEGRITY-SHA256, in full. */
void mesh_stun_write_sha256(struct mesh_stun_writer *w, const void *key, size_t key_len);

void mesh_stun_write_fingerprint(struct mesh_stun_writer *w);

/* Length of the message, or 0 where it did not fit. */
size_t mesh_stun_write_end(struct mesh_stun_writer *w);

#endif

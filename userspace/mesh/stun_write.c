/* SPDX-License-Identifier: MIT */
#include "mesh/stun_write.h"

#include "mesh/stun_integrity.h"

#define BODY_MAX 65532 /* what the length in the header can say */

static uint16_t type_of(enum mesh_stun_class class, unsigned method)
{
	unsigned c = (unsigned)class;

	return (uint16_t)((method & 0x000f) | (method & 0x0070) << 1 | (method & 0x0f80) << 2 |
			  (c & 1) << 4 | (c & 2) << 7);
}

/*
 * Room for an attribute with its header written and its padding zeroed; NULL where there is none.
 * The header counts it from now on, as integrity and fingerprint want it.
 */
static uint8_t *append(struct mesh_stun_writer *w, uint16_t type, size_t len)
{
	size_t padded = TT_ALIGN_UP(len, 4);

	if (w->full || padded > BODY_MAX || w->cap - w->len < MESH_STUN_ATTR_LEN + padded ||
	    w->len - MESH_STUN_HEADER_LEN + MESH_STUN_ATTR_LEN + padded > BODY_MAX) {
		w->full = true;
		return NULL;
	}
	uint8_t *at = w->buf + w->len;
	tt_store_be16(at, type);
	tt_store_be16(at + 2, (uint16_t)len);
	memset(at + MESH_STUN_ATTR_LEN + len, 0, padded - len);
	w->len += MESH_STUN_ATTR_LEN + padded;
	tt_store_be16(w->buf + 2, (uint16_t)(w->len - MESH_STUN_HEADER_LEN));
	return at + MESH_STUN_ATTR_LEN;
}

static uint8_t *append_open(struct mesh_stun_writer *w, uint16_t type, size_t len)
{
	tt_assert(w->stage == MESH_STUN_STAGE_OPEN);
	return append(w, type, len);
}

void mesh_stun_write_begin(struct mesh_stun_writer *w, uint8_t *buf, size_t cap,
			   enum mesh_stun_class class, unsigned method,
			   const struct mesh_stun_id *id)
{
	*w = (struct mesh_stun_writer){.buf = buf, .cap = cap};
	if (cap < MESH_STUN_HEADER_LEN) {
		w->full = true;
		return;
	}
	tt_store_be16(buf, type_of(class, method));
	tt_store_be16(buf + 2, 0);
	tt_store_be32(buf + 4, MESH_STUN_COOKIE);
	memcpy(buf + 8, id->b, MESH_STUN_ID_LEN);
	w->len = MESH_STUN_HEADER_LEN;
}

void mesh_stun_write_attr(struct mesh_stun_writer *w, uint16_t type, const void *value, size_t len)
{
	uint8_t *at = append_open(w, type, len);

	if (at && len > 0)
		memcpy(at, value, len);
}

void mesh_stun_write_zeros(struct mesh_stun_writer *w, uint16_t type, size_t len)
{
	uint8_t *at = append_open(w, type, len);

	if (at)
		memset(at, 0, len);
}

void mesh_stun_write_address(struct mesh_stun_writer *w, enum mesh_stun_type type,
			     const struct tt_endpoint *e)
{
	size_t len = e->ip.family == TT_FAMILY_V4 ? 4 : 16;
	uint8_t *at = append_open(w, (uint16_t)type, 4 + len);

	if (!at)
		return;
	at[0] = 0;
	at[1] = e->ip.family == TT_FAMILY_V4 ? 1 : 2;
	tt_store_be16(at + 2, e->udp_port);
	memcpy(at + 4, e->ip.b, len);
	if (type != MESH_STUN_XOR_MAPPED_ADDRESS)
		return;
	/* cookie and id: the port with the first two bytes, the address with all of them */
	const uint8_t *mask = w->buf + 4;
	at[2] ^= mask[0];
	at[3] ^= mask[1];
	for (size_t i = 0; i < len; i++)
		at[4 + i] ^= mask[i];
}

void mesh_stun_write_error(struct mesh_stun_writer *w, unsigned code)
{
	uint8_t value[4] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};

	tt_assert(code >= 300 && code < 700);
	mesh_stun_write_attr(w, MESH_STUN_ERROR_CODE, value, sizeof(value));
}

void mesh_stun_write_unknown(struct mesh_stun_writer *w, const uint16_t *types, size_t count)
{
	uint8_t *at = append_open(w, MESH_STUN_UNKNOWN_ATTRIBUTES, 2 * count);

	for (size_t i = 0; at && i < count; i++)
		tt_store_be16(at + 2 * i, types[i]);
}

static void write_integrity(struct mesh_stun_writer *w, enum crypto_hmac_hash hash, uint16_t type,
			    const void *key, size_t key_len)
{
	size_t at = w->len, len = crypto_hmac_len(hash);
	uint8_t *value = append(w, type, len);

	if (value)
		mesh_stun_integrity(hash, value, w->buf, at, len, key, key_len);
}

void mesh_stun_write_sha1(struct mesh_stun_writer *w, const void *key, size_t key_len)
{
	tt_assert(w->stage < MESH_STUN_STAGE_SHA1);
	write_integrity(w, CRYPTO_HMAC_SHA1, MESH_STUN_INTEGRITY_SHA1, key, key_len);
	w->stage = MESH_STUN_STAGE_SHA1;
}

void mesh_stun_write_sha256(struct mesh_stun_writer *w, const void *key, size_t key_len)
{
	tt_assert(w->stage < MESH_STUN_STAGE_SHA256);
	write_integrity(w, CRYPTO_HMAC_SHA256, MESH_STUN_INTEGRITY_SHA256, key, key_len);
	w->stage = MESH_STUN_STAGE_SHA256;
}

void mesh_stun_write_fingerprint(struct mesh_stun_writer *w)
{
	tt_assert(w->stage < MESH_STUN_STAGE_CLOSED);
	size_t at = w->len;
	uint8_t *value = append(w, MESH_STUN_FINGERPRINT, 4);

	if (value)
		tt_store_be32(value, mesh_stun_fingerprint(w->buf, at));
	w->stage = MESH_STUN_STAGE_CLOSED;
}

size_t mesh_stun_write_end(struct mesh_stun_writer *w)
{
	w->stage = MESH_STUN_STAGE_CLOSED;
	return w->full ? 0 : w->len;
}

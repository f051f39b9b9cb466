/* SPDX-License-Identifier: MIT */
#include "mesh/stun_integrity.h"

#define FINGERPRINT_XOR UINT32_C(0x5354554e) /* "STUN": another protocol's CRC is not ours */

/* CRC-32 of ISO 3309, four bits at a time: messages are short, and the table is 64 bytes. */
static uint32_t crc32(const uint8_t *bytes, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		crc = table[crc & 15] ^ (crc >> 4);
		crc = table[crc & 15] ^ (crc >> 4);
	}
	return ~crc;
}

uint32_t mesh_stun_fingerprint(const uint8_t *bytes, size_t len)
{
	return crc32(bytes, len) ^ FINGERPRINT_XOR;
}

/* The parts of the message up to `at`, with a header that counts the attribute there. */
struct covered {
	uint8_t length[2];
	struct crypto_part parts[3];
};

static void cover(struct covered *c, const uint8_t *bytes, size_t at, size_t value_len)
{
	size_t end = at + MESH_STUN_ATTR_LEN + value_len;

	tt_store_be16(c->length, (uint16_t)(end - MESH_STUN_HEADER_LEN));
	c->parts[0] = (struct crypto_part){bytes, 2};
	c->parts[1] = (struct crypto_part){c->length, 2};
	c->parts[2] = (struct crypto_part){bytes + 4, at - 4};
}

void mesh_stun_integrity(enum crypto_hmac_hash hash, uint8_t *out, const uint8_t *bytes, size_t at,
			 size_t value_len, const void *key, size_t key_len)
{
	struct covered c;

	cover(&c, bytes, at, value_len);
	crypto_hmac(hash, out, key, key_len, c.parts, TT_ARRAY_LEN(c.parts));
}

enum tt_drop mesh_stun_check_integrity(const struct mesh_stun_msg *m, enum crypto_hmac_hash hash,
				       const void *key, size_t key_len)
{
	size_t at = hash == CRYPTO_HMAC_SHA1 ? m->sha1_at : m->sha256_at;
	size_t len = hash == CRYPTO_HMAC_SHA1 ? CRYPTO_HMAC_SHA1_LEN : m->sha256_len;
	struct covered c;

	if (at == 0)
		return TT_DROP_STUN_INTEGRITY;
	cover(&c, m->bytes, at, len);
	bool right = crypto_hmac_check(hash, m->bytes + at + MESH_STUN_ATTR_LEN, len, key, key_len,
				       c.parts, TT_ARRAY_LEN(c.parts));
	return right ? TT_DROP_NONE : TT_DROP_STUN_INTEGRITY;
}

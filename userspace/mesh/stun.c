/* SPDX-License-Identifier: MIT */
#include "mesh/stun.h"

#include "base/cursor.h"
#include "mesh/stun_integrity.h"

enum {
	FAMILY_V4 = 1,
	FAMILY_V6 = 2,
	ADDRESS_V4_LEN = 8,
	ADDRESS_V6_LEN = 20,
	TEXT_MAX = 763, /* the longest that RFC 8489 allows: 127 characters */
};

/* The lengths of a value that RFC 8489 allows. */
struct rule {
	uint16_t type;
	uint16_t min, max;
	uint16_t step;
};

static const struct rule rules[] = {
	{MESH_STUN_MAPPED_ADDRESS, ADDRESS_V4_LEN, ADDRESS_V6_LEN, 4},
	{MESH_STUN_USERNAME, 1, 508, 1},
	{MESH_STUN_INTEGRITY_SHA1, 20, 20, 1},
	{MESH_STUN_ERROR_CODE, 4, 4 + TEXT_MAX, 1},
	{MESH_STUN_UNKNOWN_ATTRIBUTES, 0, UINT16_MAX, 2},
	{MESH_STUN_REALM, 0, TEXT_MAX, 1},
	{MESH_STUN_NONCE, 0, TEXT_MAX, 1},
	{MESH_STUN_INTEGRITY_SHA256, 16, 32, 4},
	{MESH_STUN_PASSWORD_ALGORITHM, 4, UINT16_MAX, 1},
	{MESH_STUN_USERHASH, 32, 32, 1},
	{MESH_STUN_XOR_MAPPED_ADDRESS, ADDRESS_V4_LEN, ADDRESS_V6_LEN, 4},
	{MESH_STUN_SOFTWARE, 0, TEXT_MAX, 1},
	{MESH_STUN_FINGERPRINT, 4, 4, 1},
};

static const struct rule *rule_of(uint16_t type)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static bool address_is_sound(const struct mesh_stun_attr *a)
{
	return (a->value[1] == FAMILY_V4 && a->len == ADDRESS_V4_LEN) ||
	       (a->value[1] == FAMILY_V6 && a->len == ADDRESS_V6_LEN);
}

static bool error_is_sound(const struct mesh_stun_attr *a)
{
	unsigned class = a->value[2] & 7;

	return class >= 3 && class <= 6 && a->value[3] < 100;
}

static bool value_is_sound(const struct mesh_stun_attr *a, const struct rule *rule)
{
	if (a->len < rule->min || a->len > rule->max || a->len % rule->step != 0)
		return false;
	switch (a->type) {
	case MESH_STUN_MAPPED_ADDRESS:
	case MESH_STUN_XOR_MAPPED_ADDRESS:
		return address_is_sound(a);
	case MESH_STUN_ERROR_CODE:
		return error_is_sound(a);
	default:
		return true;
	}
}

static enum tt_drop take_fingerprint(struct mesh_stun_msg *m, const struct mesh_stun_attr *a,
				     size_t at)
{
	/* it covers everything, so nothing may follow */
	if (at + MESH_STUN_ATTR_LEN + a->len != m->len)
		return TT_DROP_STUN_MALFORMED;
	if (tt_load_be32(a->value) != mesh_stun_fingerprint(m->bytes, at))
		return TT_DROP_STUN_FINGERPRINT;
	m->has_fingerprint = true;
	return TT_DROP_NONE;
}

static enum tt_drop keep(struct mesh_stun_msg *m, const struct mesh_stun_attr *a, bool known)
{
	if (m->attr_count == MESH_STUN_ATTRS_MAX)
		return TT_DROP_STUN_MALFORMED;
	m->attr[m->attr_count++] = *a;
	if (!known && a->type < 0x8000 && m->unknown_count < MESH_STUN_UNKNOWN_MAX)
		m->unknown[m->unknown_count++] = a->type;
	return TT_DROP_NONE;
}

/* `at`: where the attribute starts. What follows an integrity is as if it were not there. */
static enum tt_drop take(struct mesh_stun_msg *m, const struct mesh_stun_attr *a, size_t at)
{
	const struct rule *rule = rule_of(a->type);
	bool covered =
		m->sha256_at == 0 && (m->sha1_at == 0 || a->type == MESH_STUN_INTEGRITY_SHA256);

	if (!covered && a->type != MESH_STUN_FINGERPRINT)
		return TT_DROP_NONE;
	if (rule && !value_is_sound(a, rule))
		return TT_DROP_STUN_MALFORMED;
	switch (a->type) {
	case MESH_STUN_FINGERPRINT:
		return take_fingerprint(m, a, at);
	case MESH_STUN_INTEGRITY_SHA1:
		m->sha1_at = (uint32_t)at;
		return TT_DROP_NONE;
	case MESH_STUN_INTEGRITY_SHA256:
		m->sha256_at = (uint32_t)at;
		m->sha256_len = a->len;
		return TT_DROP_NONE;
	default:
		return keep(m, a, rule != NULL);
	}
}

static enum tt_drop take_all(struct mesh_stun_msg *m)
{
	struct tt_cursor c =
		tt_cursor_over(m->bytes + MESH_STUN_HEADER_LEN, m->len - MESH_STUN_HEADER_LEN);
	unsigned count = 0;

	while (tt_cursor_left(&c) > 0) {
		size_t at = (size_t)(c.p - m->bytes);
		struct mesh_stun_attr a;

		a.type = tt_cursor_be16(&c);
		a.len = tt_cursor_be16(&c);
		a.value = tt_cursor_take(&c, TT_ALIGN_UP((size_t)a.len, 4));
		/* counted here as well, for those that are not kept */
		if (!tt_cursor_ok(&c) || ++count > 2 * MESH_STUN_ATTRS_MAX)
			return TT_DROP_STUN_MALFORMED;
		enum tt_drop drop = take(m, &a, at);
		if (drop != TT_DROP_NONE)
			return drop;
	}
	return TT_DROP_NONE;
}

bool mesh_stun_is(const uint8_t *bytes, size_t len)
{
	if (len < MESH_STUN_HEADER_LEN || (bytes[0] & 0xc0) != 0)
		return false;
	/* the methods that a WireGuard type would be do not exist */
	if (bytes[0] >= 1 && bytes[0] <= 4 && bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0)
		return false;
	return tt_load_be32(bytes + 4) == MESH_STUN_COOKIE;
}

enum tt_drop mesh_stun_parse(struct mesh_stun_msg *m, const uint8_t *bytes, size_t len)
{
	if (!mesh_stun_is(bytes, len))
		return TT_DROP_STUN_MALFORMED;
	unsigned type = tt_load_be16(bytes), body = tt_load_be16(bytes + 2);
	if (body % 4 != 0 || MESH_STUN_HEADER_LEN + body != len)
		return TT_DROP_STUN_MALFORMED;
	m->bytes = bytes;
	m->len = len;
	m->class = (enum mesh_stun_class)((type >> 7 & 2) | (type >> 4 & 1));
	m->method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
	memcpy(m->id.b, bytes + 8, MESH_STUN_ID_LEN);
	m->attr_count = m->unknown_count = 0;
	m->sha1_at = m->sha256_at = m->sha256_len = 0;
	m->has_fingerprint = false;
	return take_all(m);
}

const struct mesh_stun_attr *mesh_stun_find(const struct mesh_stun_msg *m, enum mesh_stun_type type)
{
	for (uint32_t i = 0; i < m->attr_count; i++)
		if (m->attr[i].type == type)
			return &m->attr[i];
	return NULL;
}

bool mesh_stun_get_address(const struct mesh_stun_msg *m, enum mesh_stun_type type,
			   struct tt_endpoint *out)
{
	const struct mesh_stun_attr *a = mesh_stun_find(m, type);
	/* cookie and id, as they lie in the header, are what XOR addresses are XORed with */
	const uint8_t *mask = m->bytes + 4;
	uint8_t b[16];

	if (!a)
		return false;
	bool xored = type == MESH_STUN_XOR_MAPPED_ADDRESS;
	size_t len = a->len - 4u;
	for (size_t i = 0; i < len; i++)
		b[i] = a->value[4 + i] ^ (xored ? mask[i] : 0);
	memset(out, 0, sizeof(*out));
	out->ip = a->value[1] == FAMILY_V4 ? tt_ip_v4(b) : tt_ip_v6(b);
	out->udp_port = tt_load_be16(a->value + 2) ^ (xored ? tt_load_be16(mask) : 0);
	return true;
}

unsigned mesh_stun_get_error(const struct mesh_stun_msg *m)
{
	const struct mesh_stun_attr *a = mesh_stun_find(m, MESH_STUN_ERROR_CODE);

	return a ? (a->value[2] & 7) * 100u + a->value[3] : 0;
}

bool mesh_stun_id_equal(const struct mesh_stun_id *a, const struct mesh_stun_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

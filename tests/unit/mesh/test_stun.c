/* SPDX-License-Identifier: MIT */
#include "mesh/stun.h"

#include "base/rng.h"
#include "mesh/stun_integrity.h"
#include "mesh/stun_write.h"
#include "stun_vectors.h"

#define OK	    TT_DROP_NONE
#define MALFORMED   TT_DROP_STUN_MALFORMED
#define FINGERPRINT TT_DROP_STUN_FINGERPRINT
#define INTEGRITY   TT_DROP_STUN_INTEGRITY

static const struct mesh_stun_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
static const uint8_t key[] = "a key of the tests";

static struct mesh_stun_msg m;

/* Parses a copy of exactly len bytes, so that a sanitizer sees every read behind it. */
static enum tt_drop parse(const uint8_t *bytes, size_t len)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(len ? len : 1);
	memcpy(copy, bytes, len);
	return mesh_stun_parse(&m, copy, len);
}

static bool attr_is(enum mesh_stun_type type, const char *text)
{
	const struct mesh_stun_attr *a = mesh_stun_find(&m, type);

	return a && a->len == strlen(text) && memcmp(a->value, text, a->len) == 0;
}

static bool address_is(enum mesh_stun_type type, const char *text)
{
	struct tt_endpoint got, want;

	tt_assert(tt_endpoint_parse(text, &want) == 0);
	return mesh_stun_get_address(&m, type, &got) && tt_endpoint_equal(&got, &want);
}

/* --- vectors ------------------------------------------------------------------------------- */

static void case_24_vectors(void)
{
	uint8_t bytes[STUN_VECTOR_MAX], vkey[64];

	for (size_t i = 0; i < TT_ARRAY_LEN(stun_vectors); i++) {
		const struct stun_vector *v = &stun_vectors[i];
		size_t len = stun_vector_bytes(v, bytes), key_len = stun_vector_key(v, vkey);
		bool sha1 = v->integrity == CRYPTO_HMAC_SHA1;

		CU_ASSERT_TRUE(mesh_stun_is(bytes, len));
		CU_ASSERT_EQUAL(parse(bytes, len), OK);
		CU_ASSERT_EQUAL(m.method, MESH_STUN_BINDING);
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, v->integrity, vkey, key_len), OK);
		CU_ASSERT_EQUAL(
			mesh_stun_check_integrity(&m, sha1 ? CRYPTO_HMAC_SHA256 : CRYPTO_HMAC_SHA1,
						  vkey, key_len),
			INTEGRITY);
		vkey[0] ^= 1;
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, v->integrity, vkey, key_len),
				INTEGRITY);
		CU_ASSERT_EQUAL(m.has_fingerprint, i < 3);
	}
}

static void case_24_vector_contents(void)
{
	uint8_t bytes[STUN_VECTOR_MAX], hash[32];

	parse(bytes, stun_vector_bytes(&stun_vectors[0], bytes));
	CU_ASSERT_EQUAL(m.class, MESH_STUN_REQUEST);
	CU_ASSERT_TRUE(attr_is(MESH_STUN_SOFTWARE, "STUN test client"));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_USERNAME, "evtj:h6vY"));
	CU_ASSERT_EQUAL(m.unknown_count, 1); /* PRIORITY, of ICE */
	CU_ASSERT_EQUAL(m.unknown[0], 0x0024);
	parse(bytes, stun_vector_bytes(&stun_vectors[1], bytes));
	CU_ASSERT_EQUAL(m.class, MESH_STUN_SUCCESS);
	CU_ASSERT_TRUE(address_is(MESH_STUN_XOR_MAPPED_ADDRESS, "192.0.2.1:32853"));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_SOFTWARE, "test vector"));
	parse(bytes, stun_vector_bytes(&stun_vectors[2], bytes));
	CU_ASSERT_TRUE(address_is(MESH_STUN_XOR_MAPPED_ADDRESS,
				  "[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
	parse(bytes, stun_vector_bytes(&stun_vectors[3], bytes));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_USERNAME, STUN_MATRIX));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_NONCE, "f//499k954d6OL34oL9FSTvy64sA"));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_REALM, "example.org"));
	parse(bytes, stun_vector_bytes(&stun_vectors[4], bytes));
	static const char user[] = STUN_MATRIX ":example.org";
	EVP_Digest(user, strlen(user), hash, NULL, EVP_sha256(), NULL);
	const struct mesh_stun_attr *a = mesh_stun_find(&m, MESH_STUN_USERHASH);
	CU_ASSERT_TRUE(a && memcmp(a->value, hash, 32) == 0);
	CU_ASSERT_TRUE(attr_is(MESH_STUN_NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"));
	CU_ASSERT_EQUAL(m.unknown_count, 0);
}

/* The two with zero padding come out byte by byte when they are written anew. */
static void vectors_rewritten(void)
{
	uint8_t bytes[STUN_VECTOR_MAX], out[STUN_VECTOR_MAX], vkey[64];

	for (size_t i = 3; i < 5; i++) {
		const struct stun_vector *v = &stun_vectors[i];
		size_t len = stun_vector_bytes(v, bytes), key_len = stun_vector_key(v, vkey);
		struct mesh_stun_writer w;

		CU_ASSERT_EQUAL(parse(bytes, len), OK);
		memset(out, 0xee, sizeof(out));
		mesh_stun_write_begin(&w, out, sizeof(out), m.class, m.method, &m.id);
		for (uint32_t a = 0; a < m.attr_count; a++)
			mesh_stun_write_attr(&w, m.attr[a].type, m.attr[a].value, m.attr[a].len);
		if (v->integrity == CRYPTO_HMAC_SHA1)
			mesh_stun_write_sha1(&w, vkey, key_len);
		else
			mesh_stun_write_sha256(&w, vkey, key_len);
		CU_ASSERT_EQUAL(mesh_stun_write_end(&w), len);
		CU_ASSERT_EQUAL(memcmp(out, bytes, len), 0);
	}
}

static void case_24_every_truncation(void)
{
	uint8_t bytes[STUN_VECTOR_MAX];

	for (size_t i = 0; i < TT_ARRAY_LEN(stun_vectors); i++) {
		size_t len = stun_vector_bytes(&stun_vectors[i], bytes);

		for (size_t n = 0; n < len; n++) {
			CU_ASSERT_EQUAL(parse(bytes, n), MALFORMED);
			if (n < MESH_STUN_HEADER_LEN)
				continue;
			/* and with a header that agrees */
			uint8_t cut[STUN_VECTOR_MAX];
			memcpy(cut, bytes, n);
			tt_store_be16(cut + 2, (uint16_t)(n - MESH_STUN_HEADER_LEN));
			enum tt_drop drop = parse(cut, n);
			CU_ASSERT(drop != OK || !m.has_fingerprint);
			CU_ASSERT(n % 4 == 0 || drop == MALFORMED);
		}
		CU_ASSERT_EQUAL(parse(bytes, len - 4), MALFORMED);
		bytes[len] = 0;
		CU_ASSERT_EQUAL(parse(bytes, len + 1), MALFORMED);
	}
}

/* Where in the message its last authenticated byte is. */
static size_t authentic_end(void)
{
	return m.sha256_at ? m.sha256_at + 4 + m.sha256_len : m.sha1_at + 4u + 20;
}

static void case_24_every_bit_flipped(void)
{
	uint8_t bytes[STUN_VECTOR_MAX], vkey[64];

	for (size_t i = 0; i < TT_ARRAY_LEN(stun_vectors); i++) {
		const struct stun_vector *v = &stun_vectors[i];
		size_t len = stun_vector_bytes(v, bytes), key_len = stun_vector_key(v, vkey);

		parse(bytes, len);
		size_t end = authentic_end();
		for (size_t bit = 0; bit < 8 * len; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			enum tt_drop drop = parse(bytes, len);
			/* what says nothing about itself any more has no fingerprint */
			CU_ASSERT(drop != OK || !m.has_fingerprint);
			if (drop == OK && bit / 8 < end)
				CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, v->integrity, vkey,
									  key_len),
						INTEGRITY);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		CU_ASSERT_EQUAL(parse(bytes, len), OK);
	}
}

/* --- lengths that lie ---------------------------------------------------------------------- */

static uint8_t big[1 << 17];

/* A message of `body` bytes with one attribute that says that it is attr_len long. */
static enum tt_drop parse_one(uint16_t type, size_t attr_len, size_t body)
{
	struct mesh_stun_writer w;

	memset(big, 0, body + MESH_STUN_HEADER_LEN);
	mesh_stun_write_begin(&w, big, sizeof(big), MESH_STUN_REQUEST, MESH_STUN_BINDING, &id);
	tt_store_be16(big + 2, (uint16_t)body);
	tt_store_be16(big + 20, type);
	tt_store_be16(big + 22, (uint16_t)attr_len);
	return parse(big, MESH_STUN_HEADER_LEN + body);
}

static void case_24_attribute_past_the_end(void)
{
	static const size_t bodies[] = {4, 8, 12, 1400, 65528, 65532};

	for (size_t b = 0; b < TT_ARRAY_LEN(bodies); b++) {
		size_t room = bodies[b] - 4;

		for (size_t len = room + 1; len <= UINT16_MAX; len++)
			if (len < room + 20 || len > UINT16_MAX - 20 || len % 4096 == 0)
				CU_ASSERT_EQUAL(parse_one(0x8123, len, bodies[b]), MALFORMED);
		CU_ASSERT_EQUAL(parse_one(0x8123, room, bodies[b]), OK);
		CU_ASSERT_EQUAL(m.attr_count, 1);
		CU_ASSERT_EQUAL(m.attr[0].len, room);
	}
}

static void case_24_lengths_not_a_multiple(void)
{
	for (size_t body = 0; body <= 64; body++)
		CU_ASSERT_EQUAL(parse_one(0x8123, 0, body) == OK, body % 4 == 0);
	for (size_t said = 0; said <= UINT16_MAX; said++) {
		tt_store_be16(big + 2, (uint16_t)said);
		memset(big + 20, 0, 8);
		big[20] = big[24] = 0x81;
		if (said != 8)
			CU_ASSERT_EQUAL(parse(big, 28), MALFORMED);
	}
}

static void lengths_by_type(void)
{
	static const struct {
		uint16_t type;
		size_t good[3], bad[5];
	} t[] = {
		{MESH_STUN_USERNAME, {1, 17, 508}, {0, 509, 700, 4000, 65000}},
		{MESH_STUN_INTEGRITY_SHA1, {20, 20, 20}, {0, 16, 19, 21, 65000}},
		{MESH_STUN_INTEGRITY_SHA256, {16, 20, 32}, {0, 12, 15, 17, 36}},
		{MESH_STUN_REALM, {0, 1, 763}, {764, 1000, 4000, 5000, 65000}},
		{MESH_STUN_NONCE, {0, 1, 763}, {764, 1000, 4000, 5000, 65000}},
		{MESH_STUN_SOFTWARE, {0, 1, 763}, {764, 1000, 4000, 5000, 65000}},
		{MESH_STUN_USERHASH, {32, 32, 32}, {0, 31, 33, 64, 65000}},
		{MESH_STUN_UNKNOWN_ATTRIBUTES, {0, 2, 64}, {1, 3, 5, 7, 64999}},
		{MESH_STUN_PASSWORD_ALGORITHM, {4, 8, 64}, {0, 1, 2, 3, 3}},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(t); i++) {
		for (size_t j = 0; j < 3; j++)
			CU_ASSERT_EQUAL(parse_one(t[i].type, t[i].good[j],
						  4 + TT_ALIGN_UP(t[i].good[j], 4)),
					OK);
		for (size_t j = 0; j < 5; j++)
			CU_ASSERT_EQUAL(parse_one(t[i].type, t[i].bad[j],
						  4 + TT_ALIGN_UP(t[i].bad[j], 4)),
					MALFORMED);
	}
}

static void values_by_type(void)
{
	static const uint16_t types[] = {MESH_STUN_MAPPED_ADDRESS, MESH_STUN_XOR_MAPPED_ADDRESS};

	for (size_t t = 0; t < 2; t++)
		for (unsigned family = 0; family < 256; family++)
			for (size_t len = 0; len <= 24; len++) {
				size_t body = 4 + TT_ALIGN_UP(len, 4);

				parse_one(types[t], len, body);
				if (len >= 4)
					big[25] = (uint8_t)family;
				CU_ASSERT_EQUAL(parse(big, 20 + body) == OK,
						(family == 1 && len == 8) ||
							(family == 2 && len == 20));
			}
	for (unsigned class = 0; class < 8; class ++)
		for (unsigned number = 0; number < 256; number++) {
			parse_one(MESH_STUN_ERROR_CODE, 4, 8);
			big[26] = (uint8_t)(0xf8 | class); /* reserved bits do not matter */
			big[27] = (uint8_t)number;
			bool good = class >= 3 && class <= 6 && number < 100;
			CU_ASSERT_EQUAL(parse(big, 28) == OK, good);
			if (good)
				CU_ASSERT_EQUAL(mesh_stun_get_error(&m), class * 100 + number);
		}
}

static void too_many_attributes(void)
{
	for (unsigned n = 0; n < 16000; n += n < 100 ? 1 : 1000) {
		struct mesh_stun_writer w;

		mesh_stun_write_begin(&w, big, sizeof(big), MESH_STUN_REQUEST, 1, &id);
		for (unsigned i = 0; i < n; i++)
			mesh_stun_write_attr(&w, 0x8123, NULL, 0);
		CU_ASSERT_EQUAL(parse(big, mesh_stun_write_end(&w)),
				n <= MESH_STUN_ATTRS_MAX ? OK : MALFORMED);
	}
}

/* --- what follows what --------------------------------------------------------------------- */

static struct mesh_stun_writer w;
static uint8_t buf[2048];

static void begin(void)
{
	mesh_stun_write_begin(&w, buf, sizeof(buf), MESH_STUN_REQUEST, MESH_STUN_BINDING, &id);
}

/* Behind the writer's back: it would not write such a thing. */
static void append_raw(uint16_t type, const void *value, size_t len)
{
	w.stage = MESH_STUN_STAGE_OPEN;
	mesh_stun_write_attr(&w, type, value, len);
}

static void behind_integrity(void)
{
	begin();
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, "me", 2);
	mesh_stun_write_sha1(&w, key, sizeof(key));
	append_raw(MESH_STUN_REALM, "realm", 5);
	append_raw(0x0123, NULL, 0);
	append_raw(MESH_STUN_XOR_MAPPED_ADDRESS, "bad", 3); /* as if it were not there */
	mesh_stun_write_sha256(&w, key, sizeof(key));
	append_raw(MESH_STUN_INTEGRITY_SHA256, key, 16);
	append_raw(MESH_STUN_INTEGRITY_SHA1, key, 20 - 1);
	append_raw(MESH_STUN_NONCE, "nonce", 5);
	mesh_stun_write_fingerprint(&w);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
	CU_ASSERT_TRUE(m.has_fingerprint);
	CU_ASSERT_EQUAL(m.attr_count, 1);
	CU_ASSERT_EQUAL(m.unknown_count, 0);
	CU_ASSERT_TRUE(attr_is(MESH_STUN_USERNAME, "me"));
	CU_ASSERT_PTR_NULL(mesh_stun_find(&m, MESH_STUN_REALM));
	CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA1, key, sizeof(key)), OK);
	CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, key, sizeof(key)), OK);
}

static void sha1_behind_sha256(void)
{
	begin();
	mesh_stun_write_sha256(&w, key, sizeof(key));
	append_raw(MESH_STUN_INTEGRITY_SHA1, key, 19);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
	CU_ASSERT_EQUAL(m.sha1_at, 0);
	CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA1, key, sizeof(key)),
			INTEGRITY);
	CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, key, sizeof(key)), OK);
}

static void fingerprint_is_last(void)
{
	begin();
	mesh_stun_write_fingerprint(&w);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
	append_raw(MESH_STUN_SOFTWARE, "x", 1);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), MALFORMED);
	begin();
	append_raw(MESH_STUN_FINGERPRINT, "1234", 4);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), FINGERPRINT);
	mesh_stun_write_begin(&w, buf, sizeof(buf), MESH_STUN_REQUEST, MESH_STUN_BINDING, &id);
	append_raw(MESH_STUN_FINGERPRINT, "12345678", 8);
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), MALFORMED);
}

static void truncated_sha256(void)
{
	for (size_t len = 0; len <= 36; len++) {
		uint8_t tag[40] = {0};

		begin();
		mesh_stun_write_attr(&w, MESH_STUN_USERNAME, "user", 4);
		if (len <= 32)
			mesh_stun_integrity(CRYPTO_HMAC_SHA256, tag, buf, w.len, len, key,
					    sizeof(key));
		mesh_stun_write_attr(&w, MESH_STUN_INTEGRITY_SHA256, tag, len);
		bool allowed = len >= 16 && len <= 32 && len % 4 == 0;
		CU_ASSERT_EQUAL(parse(buf, w.len), allowed ? OK : MALFORMED);
		if (!allowed)
			continue;
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, key, sizeof(key)),
				OK);
		buf[w.len - 1] ^= 1;
		parse(buf, w.len);
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, key, sizeof(key)),
				INTEGRITY);
	}
}

static void case_24_unknown_required(void)
{
	begin();
	for (uint16_t i = 0; i < 12; i++) {
		mesh_stun_write_attr(&w, 0x8100 + i, "optional", 8);
		mesh_stun_write_attr(&w, 0x0100 + i, "x", 1);
	}
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
	CU_ASSERT_EQUAL(m.attr_count, 24);
	CU_ASSERT_EQUAL(m.unknown_count, MESH_STUN_UNKNOWN_MAX);
	for (uint16_t i = 0; i < MESH_STUN_UNKNOWN_MAX; i++)
		CU_ASSERT_EQUAL(m.unknown[i], 0x0100 + i);
}

static void first_of_a_type(void)
{
	begin();
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, "first", 5);
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, "second", 6);
	parse(buf, mesh_stun_write_end(&w));
	CU_ASSERT_TRUE(attr_is(MESH_STUN_USERNAME, "first"));
}

/* --- the first bytes ----------------------------------------------------------------------- */

static void told_apart(void)
{
	begin();
	size_t len = mesh_stun_write_end(&w);
	uint8_t copy[64];

	for (unsigned first = 0; first < 256; first++) {
		memcpy(copy, buf, len);
		copy[0] = (uint8_t)first;
		CU_ASSERT_EQUAL(mesh_stun_is(copy, len), first < 64);
		/* WireGuard's, with a receiver index that looks like the cookie */
		copy[1] = copy[2] = copy[3] = 0;
		CU_ASSERT_EQUAL(mesh_stun_is(copy, len), first < 64 && !(first >= 1 && first <= 4));
	}
	for (size_t n = 0; n < len; n++)
		CU_ASSERT_FALSE(mesh_stun_is(buf, n));
	for (unsigned bit = 32; bit < 64; bit++) {
		memcpy(copy, buf, len);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(mesh_stun_is(copy, len));
		CU_ASSERT_EQUAL(parse(copy, len), MALFORMED);
	}
}

/* --- writing ------------------------------------------------------------------------------- */

static void classes_and_methods(void)
{
	for (unsigned method = 1; method < 0x1000; method++)
		for (int class = MESH_STUN_REQUEST; class <= MESH_STUN_ERROR; class ++) {
			mesh_stun_write_begin(&w, buf, sizeof(buf), (enum mesh_stun_class) class,
					      method, &id);
			enum tt_drop drop = parse(buf, mesh_stun_write_end(&w));
			if (buf[0] >= 1 && buf[0] <= 4 && buf[1] == 0) {
				CU_ASSERT_EQUAL(drop, MALFORMED); /* a WireGuard type */
				continue;
			}
			CU_ASSERT_EQUAL(drop, OK);
			CU_ASSERT_EQUAL((int)m.class, class);
			CU_ASSERT_EQUAL(m.method, method);
			CU_ASSERT_TRUE(mesh_stun_id_equal(&m.id, &id));
		}
}

static void write_sample(size_t cap)
{
	struct tt_endpoint e = {tt_ip_v4_host(0xc0000201), 12345, 0};

	mesh_stun_write_begin(&w, buf, cap, MESH_STUN_ERROR, MESH_STUN_BINDING, &id);
	mesh_stun_write_attr(&w, MESH_STUN_SOFTWARE, "odd length", 9);
	mesh_stun_write_address(&w, MESH_STUN_XOR_MAPPED_ADDRESS, &e);
	mesh_stun_write_error(&w, 420);
	mesh_stun_write_unknown(&w, (const uint16_t[]){1, 2, 3}, 3);
	mesh_stun_write_sha1(&w, key, sizeof(key));
	mesh_stun_write_sha256(&w, key, sizeof(key));
	mesh_stun_write_fingerprint(&w);
}

static void no_room(void)
{
	write_sample(sizeof(buf));
	size_t len = mesh_stun_write_end(&w);

	CU_ASSERT_EQUAL(parse(buf, len), OK);
	CU_ASSERT_EQUAL(mesh_stun_get_error(&m), 420);
	for (size_t cap = 0; cap < len; cap++) {
		memset(buf, 0xa5, sizeof(buf));
		write_sample(cap);
		CU_ASSERT_EQUAL(mesh_stun_write_end(&w), 0);
		for (size_t i = cap; i < len + 8; i++)
			CU_ASSERT_EQUAL(buf[i], 0xa5);
	}
	write_sample(len);
	CU_ASSERT_EQUAL(mesh_stun_write_end(&w), len);
}

static void as_long_as_it_gets(void)
{
	static const uint8_t value[UINT16_MAX];

	mesh_stun_write_begin(&w, big, sizeof(big), MESH_STUN_REQUEST, 1, &id);
	mesh_stun_write_attr(&w, 0x8123, value, 65528);
	CU_ASSERT_EQUAL(w.len, 20 + 65532);
	CU_ASSERT_EQUAL(parse(big, mesh_stun_write_end(&w)), OK);
	mesh_stun_write_begin(&w, big, sizeof(big), MESH_STUN_REQUEST, 1, &id);
	mesh_stun_write_attr(&w, 0x8123, value, 65524);
	mesh_stun_write_fingerprint(&w);
	CU_ASSERT_EQUAL(mesh_stun_write_end(&w), 0);
	mesh_stun_write_begin(&w, big, sizeof(big), MESH_STUN_REQUEST, 1, &id);
	mesh_stun_write_attr(&w, 0x8123, value, 65533);
	CU_ASSERT_EQUAL(mesh_stun_write_end(&w), 0);
}

static void addresses(void)
{
	static const char *const text[] = {
		"192.0.2.1:1",	   "0.0.0.0:65535",   "255.255.255.255:8466", "33.18.164.66:8466",
		"[2001:db8::1]:2", "[fe80::1]:51820", "[::1]:3478",	      "[ff02::1]:1",
	};
	static const enum mesh_stun_type types[] = {MESH_STUN_MAPPED_ADDRESS,
						    MESH_STUN_XOR_MAPPED_ADDRESS};

	for (size_t i = 0; i < TT_ARRAY_LEN(text); i++) {
		struct tt_endpoint e;

		tt_assert(tt_endpoint_parse(text[i], &e) == 0);
		for (size_t t = 0; t < 2; t++) {
			begin();
			mesh_stun_write_address(&w, types[t], &e);
			CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
			CU_ASSERT_TRUE(address_is(types[t], text[i]));
			CU_ASSERT_FALSE(mesh_stun_get_address(&m, types[!t], &e));
		}
	}
}

/* IPv4 that comes in an IPv6 form is IPv4. */
static void mapped_address(void)
{
	uint8_t value[20] = {0, 2, 0x12, 0x34, [14] = 0xff, 0xff, 127, 0, 0, 1};

	begin();
	mesh_stun_write_attr(&w, MESH_STUN_MAPPED_ADDRESS, value, sizeof(value));
	CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
	CU_ASSERT_TRUE(address_is(MESH_STUN_MAPPED_ADDRESS, "127.0.0.1:4660"));
}

static void random_round_trips(void)
{
	struct tt_rng_seeded seeded;
	struct tt_rng rng = tt_rng_seeded_init(&seeded, 24);
	uint8_t r[600];

	for (int round = 0; round < 2000; round++) {
		uint16_t type[12], len[12];
		unsigned count;

		tt_rng_fill(&rng, r, sizeof(r));
		count = r[0] % 12;
		begin();
		for (unsigned i = 0; i < count; i++) {
			type[i] = 0x8200 | r[1 + i];
			len[i] = r[20 + i] % 100;
			mesh_stun_write_attr(&w, type[i], r + 40 + i, len[i]);
		}
		if (r[13] & 1)
			mesh_stun_write_sha1(&w, r, 20);
		if (r[13] & 2)
			mesh_stun_write_sha256(&w, r, 32);
		if (r[13] & 4)
			mesh_stun_write_fingerprint(&w);
		CU_ASSERT_EQUAL(parse(buf, mesh_stun_write_end(&w)), OK);
		CU_ASSERT_EQUAL(m.attr_count, count);
		for (unsigned i = 0; i < count; i++) {
			CU_ASSERT(m.attr[i].type == type[i] && m.attr[i].len == len[i]);
			CU_ASSERT_EQUAL(memcmp(m.attr[i].value, r + 40 + i, len[i]), 0);
			for (size_t p = len[i]; p % 4 != 0; p++)
				CU_ASSERT_EQUAL(m.attr[i].value[p], 0);
		}
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA1, r, 20) == OK,
				(r[13] & 1) != 0);
		CU_ASSERT_EQUAL(mesh_stun_check_integrity(&m, CRYPTO_HMAC_SHA256, r, 32) == OK,
				(r[13] & 2) != 0);
	}
}

TT_TESTS("mesh/stun", {"case_24 vectors of RFC 5769 and 8489", case_24_vectors},
	 {"case_24 what the vectors contain", case_24_vector_contents},
	 {"vectors rewritten", vectors_rewritten},
	 {"case_24 every truncation", case_24_every_truncation},
	 {"case_24 every bit flipped", case_24_every_bit_flipped},
	 {"case_24 attribute past the end", case_24_attribute_past_the_end},
	 {"case_24 lengths not a multiple of four", case_24_lengths_not_a_multiple},
	 {"lengths by type", lengths_by_type}, {"values by type", values_by_type},
	 {"too many attributes", too_many_attributes}, {"behind an integrity", behind_integrity},
	 {"SHA-1 behind SHA-256", sha1_behind_sha256}, {"fingerprint is last", fingerprint_is_last},
	 {"truncated SHA-256", truncated_sha256},
	 {"case_24 unknown required attributes", case_24_unknown_required},
	 {"first of a type", first_of_a_type}, {"told apart by the first bytes", told_apart},
	 {"classes and methods", classes_and_methods}, {"no room", no_room},
	 {"as long as it gets", as_long_as_it_gets}, {"addresses", addresses},
	 {"mapped address", mapped_address}, {"random round trips", random_round_trips})

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "mesh/relay.h"

static struct tt_rng_seeded seed;
static struct tt_rng rng;
static uint8_t key[MESH_RELAY_KEY_LEN], cookie[MESH_RELAY_COOKIE_LEN];
static struct mesh_relay_message m;

static void set_up(void)
{
	rng = tt_rng_seeded_init(&seed, 11);
	tt_rng_fill(&rng, key, sizeof(key));
	tt_rng_fill(&rng, cookie, sizeof(cookie));
}

/* One of each type, as large as its type is. */
static size_t write_type(enum mesh_relay_type type, uint8_t *out, uint32_t tag)
{
	struct mesh_relay_message answer = {
		.type = MESH_RELAY_BIND_ANSWER, .tag = tag, .cookie = cookie};

	switch (type) {
	case MESH_RELAY_DATA:
		mesh_relay_data_write(out, tag);
		memset(out + MESH_RELAY_HEADER, 4, 32);
		return MESH_RELAY_HEADER + 32;
	case MESH_RELAY_PROBE:
		mesh_relay_probe_write(out, tag);
		memset(out + MESH_RELAY_HEADER, 4, 32);
		return MESH_RELAY_HEADER + 32;
	case MESH_RELAY_BIND_REQUEST:
		mesh_relay_request_write(out, tag);
		return MESH_RELAY_REQUEST_LEN;
	case MESH_RELAY_BIND_CHALLENGE:
		mesh_relay_challenge_write(out, tag, cookie);
		return MESH_RELAY_CHALLENGE_LEN;
	case MESH_RELAY_BIND_ANSWER:
		mesh_relay_answer_write(out, tag, cookie, key);
		return MESH_RELAY_ANSWER_LEN;
	case MESH_RELAY_BOUND:
		mesh_relay_bound_write(out, &answer, 300, key);
		return MESH_RELAY_BOUND_LEN;
	case MESH_RELAY_KEEPALIVE:
		mesh_relay_keepalive_write(out, tag, UINT64_C(0x0102030405060708), key);
		return MESH_RELAY_KEEPALIVE_LEN;
	}
	return 0;
}

static bool has_inner(enum mesh_relay_type type)
{
	return type == MESH_RELAY_DATA || type == MESH_RELAY_PROBE;
}

static void layout(void)
{
	static const uint8_t data[] = {0xa7, 0, 0, 0, 0x11, 0x22, 0x33, 0x44};
	static const uint8_t probe[] = {0xa7, 6, 0, 0, 0x11, 0x22, 0x33, 0x44};
	static const uint8_t keepalive[] = {0xa7, 5, 0, 0, 0x11, 0x22, 0x33, 0x44,
					    1,	  2, 3, 4, 5,	 6,    7,    8};
	static const uint8_t bound[] = {0xa7, 4, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 1, 0x2c};
	uint8_t b[64];

	set_up();
	write_type(MESH_RELAY_DATA, b, 0x11223344);
	CU_ASSERT(memcmp(b, data, sizeof(data)) == 0);
	write_type(MESH_RELAY_PROBE, b, 0x11223344);
	CU_ASSERT(memcmp(b, probe, sizeof(probe)) == 0);
	write_type(MESH_RELAY_KEEPALIVE, b, 0x11223344);
	CU_ASSERT(memcmp(b, keepalive, sizeof(keepalive)) == 0);
	write_type(MESH_RELAY_BOUND, b, 0x11223344);
	CU_ASSERT(memcmp(b, bound, sizeof(bound)) == 0);
	write_type(MESH_RELAY_BIND_ANSWER, b, 0x11223344);
	CU_ASSERT(b[1] == 3 && memcmp(b + 8, cookie, 16) == 0);
}

static void fields(void)
{
	uint8_t b[64];

	set_up();
	for (int i = MESH_RELAY_DATA; i <= MESH_RELAY_PROBE; i++) {
		enum mesh_relay_type type = (enum mesh_relay_type)i;
		size_t len = write_type(type, b, 0xfffffffe);

		CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_OK);
		CU_ASSERT(m.type == type && m.tag == 0xfffffffe && m.start == b);
		CU_ASSERT_EQUAL(m.inner, has_inner(type) ? b + 8 : NULL);
		CU_ASSERT_EQUAL(m.inner_len, has_inner(type) ? 32 : 0);
		CU_ASSERT_EQUAL(m.cookie != NULL, type == MESH_RELAY_BIND_CHALLENGE ||
							  type == MESH_RELAY_BIND_ANSWER);
		CU_ASSERT_EQUAL(m.mac != NULL, type >= MESH_RELAY_BIND_ANSWER && !has_inner(type));
		CU_ASSERT_EQUAL(m.expires_s, type == MESH_RELAY_BOUND ? 300 : 0);
		CU_ASSERT_EQUAL(m.sequence, type == MESH_RELAY_KEEPALIVE ? 0x0102030405060708 : 0);
	}
}

/* Every length but the right one, and every bad byte of the header. */
static void refusals(void)
{
	uint8_t b[128];

	set_up();
	for (int i = MESH_RELAY_DATA; i <= MESH_RELAY_PROBE; i++) {
		memset(b, 1, sizeof(b));
		size_t right = write_type((enum mesh_relay_type)i, b, 9);
		for (size_t len = 0; len <= sizeof(b); len++) {
			enum mesh_relay_verdict v = mesh_relay_parse(&m, b, len);
			bool fits = has_inner((enum mesh_relay_type)i) ? len >= 28 : len == right;

			CU_ASSERT_EQUAL(v, len < 8 ? MESH_RELAY_TOO_SHORT
					   : fits  ? MESH_RELAY_OK
						   : MESH_RELAY_BAD_LENGTH);
		}
	}
	size_t len = write_type(MESH_RELAY_DATA, b, 9);
	for (int type = 7; type < 256; type++) {
		b[1] = (uint8_t)type;
		CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_TYPE);
	}
	write_type(MESH_RELAY_DATA, b, 0);
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_TAG);
	write_type(MESH_RELAY_DATA, b, 9);
	b[3] = 1;
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_RESERVED);
	b[3] = 0;
	b[0] = 4;
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_MAGIC);
	write_type(MESH_RELAY_DATA, b, 9);
	b[8] = MESH_RELAY_MAGIC;
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_INNER);
	write_type(MESH_RELAY_PROBE, b, 9);
	b[8] = MESH_RELAY_MAGIC;
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_INNER);
	len = write_type(MESH_RELAY_BIND_REQUEST, b, 9);
	b[len - 1] = 1;
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_BAD_INNER);
}

static bool checks(const uint8_t *b, size_t len, const uint8_t *k)
{
	if (mesh_relay_parse(&m, b, len) != MESH_RELAY_OK)
		return false;
	return m.type == MESH_RELAY_BOUND ? mesh_relay_bound_check(&m, k, cookie, 0)
					  : mesh_relay_mac_check(&m, k);
}

/* A MAC is for all of its datagram, its key and its type. */
static void macs(void)
{
	uint8_t b[64], wrong[MESH_RELAY_KEY_LEN];

	set_up();
	memcpy(wrong, key, sizeof(key));
	wrong[31] ^= 1;
	for (int i = MESH_RELAY_BIND_ANSWER; i <= MESH_RELAY_KEEPALIVE; i++) {
		size_t len = write_type((enum mesh_relay_type)i, b, 77);

		CU_ASSERT(checks(b, len, key));
		CU_ASSERT_FALSE(checks(b, len, wrong));
		for (size_t at = 0; at < len; at++) {
			for (int bit = 0; bit < 8; bit++) {
				b[at] ^= (uint8_t)(1 << bit);
				CU_ASSERT_FALSE(checks(b, len, key));
				b[at] ^= (uint8_t)(1 << bit);
			}
		}
	}
	for (int i = MESH_RELAY_DATA; i <= MESH_RELAY_BIND_CHALLENGE; i++) {
		size_t len = write_type((enum mesh_relay_type)i, b, 77);

		CU_ASSERT_FALSE(checks(b, len, key));
		CU_ASSERT_FALSE(mesh_relay_bound_check(&m, key, cookie, 0));
	}
}

/* A BOUND answers one message only. */
static void echoes(void)
{
	uint8_t b[64], k[64], other[MESH_RELAY_COOKIE_LEN] = {1};
	struct mesh_relay_message keepalive;

	set_up();
	size_t len = write_type(MESH_RELAY_BOUND, b, 5);
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, len), MESH_RELAY_OK);
	CU_ASSERT(mesh_relay_bound_check(&m, key, cookie, 0));
	CU_ASSERT(mesh_relay_bound_check(&m, key, cookie, 9));
	CU_ASSERT_FALSE(mesh_relay_bound_check(&m, key, other, 0));
	CU_ASSERT_FALSE(mesh_relay_bound_check(&m, key, NULL, 0));
	CU_ASSERT_FALSE(mesh_relay_mac_check(&m, key));

	len = write_type(MESH_RELAY_KEEPALIVE, k, 5);
	CU_ASSERT_EQUAL(mesh_relay_parse(&keepalive, k, len), MESH_RELAY_OK);
	mesh_relay_bound_write(b, &keepalive, 60, key);
	CU_ASSERT_EQUAL(mesh_relay_parse(&m, b, MESH_RELAY_BOUND_LEN), MESH_RELAY_OK);
	CU_ASSERT(mesh_relay_bound_check(&m, key, NULL, keepalive.sequence));
	CU_ASSERT_FALSE(mesh_relay_bound_check(&m, key, NULL, keepalive.sequence + 1));
	CU_ASSERT_FALSE(mesh_relay_bound_check(&m, key, cookie, keepalive.sequence));
}

static struct tt_mono at(uint64_t s)
{
	return (struct tt_mono){s * TT_NS_PER_SEC};
}

static void cookies(void)
{
	struct mesh_relay_cookies c = {0};
	struct tt_endpoint a, b, v6;
	uint8_t one[MESH_RELAY_COOKIE_LEN], two[MESH_RELAY_COOKIE_LEN];

	set_up();
	tt_endpoint_parse("192.0.2.1:5000", &a);
	tt_endpoint_parse("192.0.2.1:5001", &b);
	tt_endpoint_parse("[2001:db8::1]:5000", &v6);
	mesh_relay_cookies_refresh(&c, at(1000), &rng);
	mesh_relay_cookie_make(&c, one, &a, 1);
	CU_ASSERT(mesh_relay_cookie_check(&c, one, &a, 1));
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, one, &a, 2));
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, one, &b, 1));
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, one, &v6, 1));
	one[3] ^= 1;
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, one, &a, 1));
	one[3] ^= 1;

	mesh_relay_cookies_refresh(&c, at(1119), &rng);
	mesh_relay_cookie_make(&c, two, &a, 1);
	CU_ASSERT(memcmp(one, two, sizeof(one)) == 0);
	mesh_relay_cookies_refresh(&c, at(1120), &rng);
	mesh_relay_cookie_make(&c, two, &a, 1);
	CU_ASSERT(memcmp(one, two, sizeof(one)) != 0);
	CU_ASSERT(mesh_relay_cookie_check(&c, one, &a, 1));
	CU_ASSERT(mesh_relay_cookie_check(&c, two, &a, 1));
	mesh_relay_cookies_refresh(&c, at(1240), &rng);
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, one, &a, 1));
	CU_ASSERT(mesh_relay_cookie_check(&c, two, &a, 1));
	/* nobody asked for long: neither is good */
	mesh_relay_cookies_refresh(&c, at(1480), &rng);
	CU_ASSERT_FALSE(mesh_relay_cookie_check(&c, two, &a, 1));
	mesh_relay_cookies_wipe(&c);
	CU_ASSERT_FALSE(tt_mono_is_set(c.born));
}

static void names(void)
{
	CU_ASSERT_STRING_EQUAL(mesh_relay_verdict_name(MESH_RELAY_BAD_TAG), "bad_tag");
	for (int i = MESH_RELAY_OK; i <= MESH_RELAY_BAD_INNER; i++)
		CU_ASSERT(strcmp(mesh_relay_verdict_name((enum mesh_relay_verdict)i), "unknown"));
}

TT_TESTS("relay", {"layout", layout}, {"fields", fields}, {"refusals", refusals}, {"macs", macs},
	 {"echoes", echoes}, {"cookies", cookies}, {"names", names})

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "crypto/mem.h"
#include "mesh/token.h"

/* Bytes 0.., 32.. and 64..; written by another base64 (Python's urlsafe_b64encode). */
#define ID	    "AAECAwQFBgcICQoL"
#define SECRET	    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define FINGERPRINT "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8"
#define PARTS	    "/" ID "." SECRET "." FINGERPRINT

static struct mesh_token t;

static enum mesh_token_outcome parse(const char *text)
{
	enum mesh_token_outcome o = mesh_token_parse(text, strlen(text), &t);

	if (o != MESH_TOKEN_OK)
		CU_ASSERT(crypto_is_zero(&t, sizeof(t)));
	return o;
}

static void known(void)
{
	const char *line = "taltun://hub.example.com:443" PARTS;
	char text[MESH_TOKEN_TEXT_MAX];

	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_OK);
	CU_ASSERT_STRING_EQUAL(t.host, "hub.example.com");
	CU_ASSERT_EQUAL(t.tcp_port, 443);
	for (uint8_t i = 0; i < 32; i++) {
		CU_ASSERT(i >= MESH_TOKEN_ID_LEN || t.id[i] == i);
		CU_ASSERT(t.secret[i] == 32 + i && t.ca_fingerprint[i] == 64 + i);
	}
	CU_ASSERT_EQUAL(mesh_token_format(&t, text), MESH_TOKEN_OK);
	CU_ASSERT_STRING_EQUAL(text, line);
}

static void hosts_and_ports(void)
{
	static const struct {
		const char *authority;
		enum mesh_token_outcome o;
	} table[] = {
		{"a:1", MESH_TOKEN_OK},
		{"a-b_c.d:65535", MESH_TOKEN_OK},
		{"192.0.2.1:443", MESH_TOKEN_OK},
		{"[2001:db8::1]:443", MESH_TOKEN_OK},
		{"1a.2:443", MESH_TOKEN_OK},
		{"2001:db8::1:443", MESH_TOKEN_BAD_HOST},
		{"[192.0.2.1]:443", MESH_TOKEN_BAD_HOST},
		{"[2001:db8::1:443", MESH_TOKEN_BAD_HOST},
		{"[]:443", MESH_TOKEN_BAD_HOST},
		{"[:443", MESH_TOKEN_BAD_HOST},
		{":443", MESH_TOKEN_BAD_HOST},
		{"a b:443", MESH_TOKEN_BAD_HOST},
		{"a..b:443", MESH_TOKEN_BAD_HOST},
		{".a:443", MESH_TOKEN_BAD_HOST},
		{"a.:443", MESH_TOKEN_BAD_HOST},
		{"-a:443", MESH_TOKEN_BAD_HOST},
		{"a-:443", MESH_TOKEN_BAD_HOST},
		{"a-.b:443", MESH_TOKEN_BAD_HOST},
		{"300.1.1.1:443", MESH_TOKEN_BAD_HOST},
		{"user@a:443", MESH_TOKEN_BAD_HOST},
		{"a\xc3\xa4:443", MESH_TOKEN_BAD_HOST},
		{"a", MESH_TOKEN_BAD_PORT},
		{"", MESH_TOKEN_BAD_PORT},
		{"a:", MESH_TOKEN_BAD_PORT},
		{"a:0", MESH_TOKEN_BAD_PORT},
		{"a:0443", MESH_TOKEN_BAD_PORT},
		{"a:65536", MESH_TOKEN_BAD_PORT},
		{"a:4294967739", MESH_TOKEN_BAD_PORT},
		{"a:+1", MESH_TOKEN_BAD_PORT},
		{"a:1 ", MESH_TOKEN_BAD_PORT},
	};
	char line[MESH_TOKEN_TEXT_MAX * 2], back[MESH_TOKEN_TEXT_MAX];

	for (size_t i = 0; i < TT_ARRAY_LEN(table); i++) {
		snprintf(line, sizeof(line), "taltun://%s%s", table[i].authority, PARTS);
		CU_ASSERT_EQUAL(parse(line), table[i].o);
		if (table[i].o != MESH_TOKEN_OK)
			continue;
		CU_ASSERT_EQUAL(mesh_token_format(&t, back), MESH_TOKEN_OK);
		CU_ASSERT_STRING_EQUAL(line, back);
	}
}

static void lengths(void)
{
	char line[600], label[260] = "", back[MESH_TOKEN_TEXT_MAX];

	for (int i = 0; i < 126; i++)
		strcat(label, "a.");
	strcat(label, "b"); /* 253 characters */
	snprintf(line, sizeof(line), "taltun://%s:65535%s", label, PARTS);
	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_OK);
	CU_ASSERT_EQUAL(mesh_token_format(&t, back), MESH_TOKEN_OK);
	CU_ASSERT_STRING_EQUAL(line, back);
	strcat(label, "b");
	snprintf(line, sizeof(line), "taltun://%s:1%s", label, PARTS);
	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_BAD_HOST);
	snprintf(line, sizeof(line), "taltun://%s%s:1%s", label, label, PARTS);
	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_TOO_LONG);
	memset(label, 'c', 64);
	label[64] = 0;
	snprintf(line, sizeof(line), "taltun://%s:1%s", label, PARTS);
	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_BAD_HOST);
	label[63] = 0;
	snprintf(line, sizeof(line), "taltun://%s:1%s", label, PARTS);
	CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_OK);
}

/* Each way to damage the line is named by the part that is damaged. */
static void damaged(void)
{
	const char *whole = "taltun://a:1" PARTS;
	char line[MESH_TOKEN_TEXT_MAX];

	for (size_t len = 0; len < strlen(whole); len++) {
		CU_ASSERT(mesh_token_parse(whole, len, &t) != MESH_TOKEN_OK);
		CU_ASSERT(crypto_is_zero(&t, sizeof(t)));
	}
	CU_ASSERT_EQUAL(parse("http://a:1" PARTS), MESH_TOKEN_BAD_SCHEME);
	CU_ASSERT_EQUAL(parse("TALTUN://a:1" PARTS), MESH_TOKEN_BAD_SCHEME);
	CU_ASSERT_EQUAL(parse("taltun://a:1"), MESH_TOKEN_BAD_ID);
	CU_ASSERT_EQUAL(parse("taltun://a:1/" ID), MESH_TOKEN_BAD_ID);
	CU_ASSERT_EQUAL(parse("taltun://a:1/" ID "." SECRET), MESH_TOKEN_BAD_SECRET);
	CU_ASSERT_EQUAL(parse("taltun://a:1" PARTS "A"), MESH_TOKEN_BAD_FINGERPRINT);
	CU_ASSERT_EQUAL(parse("taltun://a:1" PARTS "="), MESH_TOKEN_BAD_FINGERPRINT);
	CU_ASSERT_EQUAL(parse("taltun://a:1" PARTS "\n"), MESH_TOKEN_BAD_FINGERPRINT);
	/* every other byte in every place of the three parts */
	for (size_t at = strlen("taltun://a:1/"); at < strlen(whole); at++) {
		for (int c = 0; c < 256; c++) {
			strcpy(line, whole);
			line[at] = (char)c;
			enum mesh_token_outcome o = mesh_token_parse(line, strlen(whole), &t);
			bool digit =
				c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
					    "yz0123456789-_",
					    c);
			if (line[at] == whole[at])
				CU_ASSERT_EQUAL(o, MESH_TOKEN_OK);
			if (!digit && line[at] != whole[at])
				CU_ASSERT(o >= MESH_TOKEN_BAD_ID);
		}
	}
	/* the two spare bits of 43 characters */
	CU_ASSERT_EQUAL(parse("taltun://a:1/" ID "." SECRET
			      ".QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9"),
			MESH_TOKEN_BAD_FINGERPRINT);
}

static void any_bytes_come_back(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 1);
	char line[MESH_TOKEN_TEXT_MAX], id[MESH_TOKEN_ID_TEXT_MAX];
	uint8_t bytes[MESH_TOKEN_ID_LEN];

	for (int i = 0; i < 2000; i++) {
		struct mesh_token in = {.host = "hub", .tcp_port = (uint16_t)(i + 1)};

		tt_rng_fill(&rng, in.id, sizeof(in.id));
		tt_rng_fill(&rng, in.secret, sizeof(in.secret));
		tt_rng_fill(&rng, in.ca_fingerprint, sizeof(in.ca_fingerprint));
		CU_ASSERT_EQUAL(mesh_token_format(&in, line), MESH_TOKEN_OK);
		CU_ASSERT_EQUAL(parse(line), MESH_TOKEN_OK);
		CU_ASSERT(memcmp(&in, &t, sizeof(t)) == 0);
		mesh_token_id_format(in.id, id);
		CU_ASSERT(strstr(line, id) != NULL);
		CU_ASSERT(mesh_token_id_parse(id, strlen(id), bytes));
		CU_ASSERT(memcmp(bytes, in.id, sizeof(bytes)) == 0);
	}
	CU_ASSERT_FALSE(mesh_token_id_parse("AAECAwQFBgcICQo", 15, bytes));
	t.tcp_port = 0;
	CU_ASSERT_EQUAL(mesh_token_format(&t, line), MESH_TOKEN_BAD_PORT);
	strcpy(t.host, "/");
	CU_ASSERT_EQUAL(mesh_token_format(&t, line), MESH_TOKEN_BAD_HOST);
	CU_ASSERT_STRING_EQUAL(line, "");
}

/* What the proof is: computed with Python's hmac for secret 00.., nonce 20.., and so on. */
static void proof(void)
{
	static const uint8_t right[] = {0x87, 0x01, 0x83, 0x1a, 0xf5, 0x7c, 0xa2, 0x93,
					0x87, 0xaf, 0xb7, 0xed, 0x8a, 0xf4, 0xce, 0xe2,
					0x27, 0x55, 0xb6, 0x41, 0x46, 0x24, 0xb4, 0x2a,
					0x81, 0xdf, 0x1b, 0xe5, 0xb1, 0xa3, 0x6a, 0x20};
	uint8_t b[5 * 32], p[MESH_TOKEN_PROOF_LEN];
	struct mesh_token_claim claim = {b + 32, b + 64, b + 96, b + 128};

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)i;
	mesh_token_proof(p, b, &claim);
	CU_ASSERT(memcmp(p, right, sizeof(p)) == 0);
	CU_ASSERT(mesh_token_proof_check(p, b, &claim));
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] ^= 0x10;
		CU_ASSERT_FALSE(mesh_token_proof_check(p, b, &claim));
		b[i] ^= 0x10;
	}
	for (size_t i = 0; i < sizeof(p); i++) {
		p[i] ^= 1;
		CU_ASSERT_FALSE(mesh_token_proof_check(p, b, &claim));
		p[i] ^= 1;
	}
}

static void texts(void)
{
	for (int i = MESH_TOKEN_OK; i <= MESH_TOKEN_BAD_FINGERPRINT; i++)
		CU_ASSERT(strstr(mesh_token_outcome_text((enum mesh_token_outcome)i), "token") !=
			  NULL);
}

TT_TESTS("token", {"known", known}, {"hosts and ports", hosts_and_ports}, {"lengths", lengths},
	 {"damaged", damaged}, {"any bytes", any_bytes_come_back}, {"proof", proof},
	 {"texts", texts})

/* SPDX-License-Identifier: MIT */
#include "base/b64.h"

#include "base/rng.h"
#include "tt_test.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void known(void)
{
	static const uint8_t key[32] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
					0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
					0xdf, 0x4c, 0x2f, 0x92, 0xeb, 0xc0, 0x99, 0xf0,
					0xfb, 0xff, 0xfe, 0x3e, 0x3f, 0x00, 0x01, 0xff};
	char text[TT_KEY_HEX_LEN + 1];
	uint8_t back[32];

	tt_key_to_b64(key, text);
	CU_ASSERT_STRING_EQUAL(text, "dwdtCnMYpX08FsFyUbJmRd9ML5LrwJnw+//+Pj8AAf8=");
	CU_ASSERT_EQUAL(tt_key_from_b64(text, TT_KEY_B64_LEN, back), 0);
	CU_ASSERT_EQUAL(memcmp(key, back, 32), 0);
	tt_key_to_hex(key, text);
	CU_ASSERT_STRING_EQUAL(text,
			       "77076d0a7318a57d3c16c17251b26645df4c2f92ebc099f0fbfffe3e3f0001ff");
	text[1] = '7';
	CU_ASSERT_EQUAL(tt_key_from_hex(text, TT_KEY_HEX_LEN, back), 0);
	for (char *c = text; *c; c++)
		*c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
	uint8_t upper[32];
	CU_ASSERT_EQUAL(tt_key_from_hex(text, TT_KEY_HEX_LEN, upper), 0);
	CU_ASSERT_EQUAL(memcmp(back, upper, 32), 0);
}

static void round_trip(void)
{
	struct tt_rng_seeded state;
	struct tt_rng rng = tt_rng_seeded_init(&state, 4);

	for (int i = 0; i < 2000; i++) {
		uint8_t key[32], back[32];
		char text[TT_KEY_HEX_LEN + 1];

		tt_rng_fill(&rng, key, 32);
		tt_key_to_b64(key, text);
		CU_ASSERT_EQUAL(strlen(text), TT_KEY_B64_LEN);
		CU_ASSERT_EQUAL(tt_key_from_b64(text, TT_KEY_B64_LEN, back), 0);
		CU_ASSERT_EQUAL(memcmp(key, back, 32), 0);
		tt_key_to_hex(key, text);
		CU_ASSERT_EQUAL(strlen(text), TT_KEY_HEX_LEN);
		CU_ASSERT_EQUAL(tt_key_from_hex(text, TT_KEY_HEX_LEN, back), 0);
		CU_ASSERT_EQUAL(memcmp(key, back, 32), 0);
	}
}

/* Every byte value at every place: accepted exactly where the alphabet and the last bits allow it.
 */
static void canonical_only(void)
{
	char text[TT_KEY_B64_LEN + 1], hex[TT_KEY_HEX_LEN + 1];
	uint8_t key[32] = {0};

	for (int at = 0; at < TT_KEY_B64_LEN; at++) {
		for (int c = 0; c < 256; c++) {
			const char *found = c ? strchr(alphabet, c) : NULL;
			bool want = found != NULL;

			/* the 43rd character carries four bits of the key and two that are zero */
			if (at == 42)
				want = found && (found - alphabet) % 4 == 0;
			if (at == 43)
				want = c == '=';
			memset(text, 'A', 43);
			text[43] = '=';
			text[at] = (char)c;
			CU_ASSERT_EQUAL(tt_key_from_b64(text, TT_KEY_B64_LEN, key) == 0, want);
		}
	}
	for (int at = 0; at < TT_KEY_HEX_LEN; at++) {
		for (int c = 0; c < 256; c++) {
			memset(hex, '0', TT_KEY_HEX_LEN);
			hex[at] = (char)c;
			CU_ASSERT_EQUAL(tt_key_from_hex(hex, TT_KEY_HEX_LEN, key) == 0,
					c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL);
		}
	}
}

static void lengths(void)
{
	char text[80];
	uint8_t key[32];

	memset(text, '0', sizeof(text));
	text[43] = '=';
	for (size_t len = 0; len < sizeof(text); len++) {
		CU_ASSERT_EQUAL(tt_key_from_b64(text, len, key) == 0, len == TT_KEY_B64_LEN);
	}
	text[43] = '0';
	for (size_t len = 0; len < sizeof(text); len++)
		CU_ASSERT_EQUAL(tt_key_from_hex(text, len, key) == 0, len == TT_KEY_HEX_LEN);
}

TT_TESTS("base/b64", {"known", known}, {"round trip", round_trip},
	 {"canonical only", canonical_only}, {"lengths", lengths})

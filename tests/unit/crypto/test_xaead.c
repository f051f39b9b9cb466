/* SPDX-License-Identifier: MIT */
#include "crypto/xaead.h"

#include "crypto/mem.h"
#include "vectors.h"

static size_t odd_nonces;

static void wycheproof_case(const json_t *group, const json_t *test)
{
	uint8_t key[32], nonce[24], aad[1024], msg[1024], sealed[1040], want[1040], out[1024];

	if (json_integer_value(json_object_get(group, "ivSize")) != 192) {
		/* a nonce of another length cannot be passed; nothing but that is wrong with it */
		CU_ASSERT_STRING_EQUAL(vec_str(test, "result"), "invalid");
		odd_nonces++;
		return;
	}
	bool valid = strcmp(vec_str(test, "result"), "valid") == 0;
	vec_field(test, "key", key, sizeof(key));
	vec_field(test, "iv", nonce, sizeof(nonce));
	size_t aad_len = vec_field(test, "aad", aad, sizeof(aad));
	size_t len = vec_field(test, "msg", msg, sizeof(msg));
	vec_field(test, "ct", want, 1024);
	vec_field(test, "tag", want + len, 16);
	if (valid) {
		crypto_xaead_seal(key, nonce, aad, aad_len, msg, len, sealed);
		CU_ASSERT_EQUAL(memcmp(sealed, want, len + 16), 0);
		memcpy(sealed, msg, len);
		crypto_xaead_seal(key, nonce, aad, aad_len, sealed, len, sealed);
		CU_ASSERT_EQUAL(memcmp(sealed, want, len + 16), 0);
	}
	memset(out, 0xff, sizeof(out));
	CU_ASSERT_EQUAL(crypto_xaead_open(key, nonce, aad, aad_len, want, len, out), valid);
	CU_ASSERT_TRUE(valid ? memcmp(out, msg, len) == 0 : crypto_is_zero(out, len));
}

static void wycheproof(void)
{
	size_t n = vec_wycheproof("xchacha20_poly1305_test.json", wycheproof_case);

	CU_ASSERT(n == 0 || n - odd_nonces > 200);
}

/* draft-irtf-cfrg-xchacha, A.3.1 */
static void draft_vector(void)
{
	static const char msg[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				  "only one tip for the future, sunscreen would be it.";
	uint8_t key[32], nonce[24], aad[12], sealed[sizeof(msg) - 1 + 16];

	vec_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key, 32);
	vec_hex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce, 24);
	vec_hex("50515253c0c1c2c3c4c5c6c7", aad, 12);
	crypto_xaead_seal(key, nonce, aad, 12, (const uint8_t *)msg, sizeof(msg) - 1, sealed);
	CU_ASSERT_TRUE(vec_equal(sealed, "bd6d179d3e83d43b9576579493c0e939"));
	CU_ASSERT_TRUE(vec_equal(sealed + sizeof(msg) - 1, "c0875924c1c7987947deafd8780acf49"));
}

/* The shape of a cookie reply: 16 bytes, mac1 as associated data. */
static void every_bit_counts(void)
{
	uint8_t key[32] = {1}, nonce[24] = {2}, aad[16] = {3}, sealed[32], out[16];
	const uint8_t cookie[16] = {4};

	crypto_xaead_seal(key, nonce, aad, 16, cookie, 16, sealed);
	CU_ASSERT_TRUE(crypto_xaead_open(key, nonce, aad, 16, sealed, 16, out));
	CU_ASSERT_EQUAL(memcmp(out, cookie, 16), 0);
	struct {
		uint8_t *p;
		size_t len;
	} parts[] = {{key, 32}, {nonce, 24}, {aad, 16}, {sealed, 32}};
	for (size_t i = 0; i < TT_ARRAY_LEN(parts); i++) {
		for (size_t bit = 0; bit < 8 * parts[i].len; bit++) {
			parts[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(crypto_xaead_open(key, nonce, aad, 16, sealed, 16, out));
			parts[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	CU_ASSERT_FALSE(crypto_xaead_open(key, nonce, aad, 15, sealed, 16, out));
	CU_ASSERT_FALSE(crypto_xaead_open(key, nonce, NULL, 0, sealed, 16, out));
}

TT_TESTS("crypto/xaead", {"wycheproof", wycheproof}, {"draft vector", draft_vector},
	 {"every bit counts", every_bit_counts})

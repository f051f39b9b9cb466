/* SPDX-License-Identifier: MIT
 *
 * The published vectors of RFC 2202 (SHA-1) and RFC 4231 (SHA-256), Wycheproof's, and RFC 5869 for
 * the key derivation on top.
 */
#include "crypto/hkdf.h"
#include "crypto/hmac.h"

#include "vectors.h"

struct rfc_case {
	uint8_t key_byte; /* 0: the text of `key` */
	size_t key_len;
	const char *key;
	uint8_t data_byte; /* 0: the text of `data` */
	size_t data_len;
	const char *data;
	const char *tag;
};

static const char larger_key[] = "Test Using Larger Than Block-Size Key - Hash Key First";

static const struct rfc_case rfc2202_cases[] = {
	{0x0b, 20, NULL, 0, 0, "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
	{0, 4, "Jefe", 0, 0, "what do ya want for nothing?",
	 "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	{0xaa, 20, NULL, 0xdd, 50, NULL, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
	{0x0c, 20, NULL, 0, 0, "Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
	{0xaa, 80, NULL, 0, 0, larger_key, "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
	{0xaa, 80, NULL, 0, 0,
	 "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
	 "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
};

static const struct rfc_case rfc4231_cases[] = {
	{0x0b, 20, NULL, 0, 0, "Hi There",
	 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{0, 4, "Jefe", 0, 0, "what do ya want for nothing?",
	 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	{0xaa, 20, NULL, 0xdd, 50, NULL,
	 "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
	{0x0c, 20, NULL, 0, 0, "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
	{0xaa, 131, NULL, 0, 0, larger_key,
	 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	{0xaa, 131, NULL, 0, 0,
	 "This is a test using a larger than block-size key and a larger than block-size data. "
	 "The key needs to be hashed before being used by the HMAC algorithm.",
	 "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static size_t fill(uint8_t *out, uint8_t byte, size_t len, const char *text)
{
	if (!byte) {
		len = strlen(text);
		memcpy(out, text, len);
	} else {
		memset(out, byte, len);
	}
	return len;
}

static void rfc_case(enum crypto_hmac_hash hash, const struct rfc_case *c)
{
	uint8_t key[256], data[256], tag[32], out[CRYPTO_HMAC_MAX_LEN];
	size_t key_len = fill(key, c->key_byte, c->key_len, c->key);
	size_t len = fill(data, c->data_byte, c->data_len, c->data);
	size_t tag_len = vec_hex(c->tag, tag, sizeof(tag));

	/* in two parts, cut anywhere: the same */
	for (size_t cut = 0; cut <= len; cut++) {
		struct crypto_part parts[] = {{data, cut}, {data + cut, len - cut}};

		crypto_hmac(hash, out, key, key_len, parts, 2);
		CU_ASSERT_TRUE(vec_equal(out, c->tag));
		CU_ASSERT_TRUE(crypto_hmac_check(hash, tag, tag_len, key, key_len, parts, 2));
	}
}

static void rfc2202(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(rfc2202_cases); i++)
		rfc_case(CRYPTO_HMAC_SHA1, &rfc2202_cases[i]);
}

static void rfc4231(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(rfc4231_cases); i++)
		rfc_case(CRYPTO_HMAC_SHA256, &rfc4231_cases[i]);
}

/* Case 4 of both: a key that counts, and bytes that do not end where a string would. */
static void rfc_counting_key(void)
{
	uint8_t key[25], data[50], out[CRYPTO_HMAC_MAX_LEN];
	struct crypto_part part = {data, sizeof(data)};

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i + 1);
	memset(data, 0xcd, sizeof(data));
	crypto_hmac(CRYPTO_HMAC_SHA1, out, key, sizeof(key), &part, 1);
	CU_ASSERT_TRUE(vec_equal(out, "4c9007f4026250c6bc8414f9bf50c86c2d7235da"));
	crypto_hmac(CRYPTO_HMAC_SHA256, out, key, sizeof(key), &part, 1);
	CU_ASSERT_TRUE(
		vec_equal(out, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"));
}

static void wycheproof_case(const json_t *group, const json_t *test)
{
	static uint8_t key[1024], msg[4096], tag[64];
	size_t key_len = vec_field(test, "key", key, sizeof(key));
	size_t tag_len = vec_field(test, "tag", tag, sizeof(tag));
	struct crypto_part part = {msg, vec_field(test, "msg", msg, sizeof(msg))};

	(void)group;
	bool valid = strcmp(vec_str(test, "result"), "valid") == 0;
	CU_ASSERT_EQUAL(crypto_hmac_check(CRYPTO_HMAC_SHA256, tag, tag_len, key, key_len, &part, 1),
			valid);
}

static void wycheproof(void)
{
	vec_wycheproof("hmac_sha256_test.json", wycheproof_case);
}

static void check_refuses(void)
{
	uint8_t tag[CRYPTO_HMAC_MAX_LEN + 1] = {0};
	struct crypto_part part = {"data", 4};

	crypto_hmac(CRYPTO_HMAC_SHA256, tag, "key", 3, &part, 1);
	for (size_t len = 0; len <= sizeof(tag); len++)
		CU_ASSERT_EQUAL(crypto_hmac_check(CRYPTO_HMAC_SHA256, tag, len, "key", 3, &part, 1),
				len >= 1 && len <= 32);
	for (size_t bit = 0; bit < 256; bit++) {
		tag[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		CU_ASSERT_FALSE(crypto_hmac_check(CRYPTO_HMAC_SHA256, tag, 32, "key", 3, &part, 1));
		tag[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	CU_ASSERT_FALSE(crypto_hmac_check(CRYPTO_HMAC_SHA256, tag, 32, "kex", 3, &part, 1));
	CU_ASSERT_FALSE(crypto_hmac_check(CRYPTO_HMAC_SHA1, tag, 21, "key", 3, &part, 1));
}

static void empty_key_and_data(void)
{
	uint8_t out[CRYPTO_HMAC_MAX_LEN];

	crypto_hmac(CRYPTO_HMAC_SHA256, out, NULL, 0, NULL, 0);
	CU_ASSERT_TRUE(
		vec_equal(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
	crypto_hmac(CRYPTO_HMAC_SHA1, out, NULL, 0, NULL, 0);
	CU_ASSERT_TRUE(vec_equal(out, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"));
}

/* --- HKDF ---------------------------------------------------------------------------------- */

static void count_from(uint8_t *out, size_t len, uint8_t first)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(first + i);
}

static void rfc5869_short(void)
{
	uint8_t secret[22], salt[13], info[10], prk[CRYPTO_HKDF_PRK_LEN], out[42];
	struct crypto_part parts[] = {{secret, 5}, {secret + 5, 17}};

	memset(secret, 0x0b, sizeof(secret));
	count_from(salt, sizeof(salt), 0);
	count_from(info, sizeof(info), 0xf0);
	crypto_hkdf_extract(prk, salt, sizeof(salt), parts, 2);
	CU_ASSERT_TRUE(
		vec_equal(prk, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
	crypto_hkdf_expand(out, sizeof(out), prk, info, sizeof(info));
	CU_ASSERT_TRUE(vec_equal(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4"
				      "c5bf34007208d5b887185865"));
	crypto_hkdf(out, sizeof(out), NULL, 0, secret, sizeof(secret), NULL, 0);
	CU_ASSERT_TRUE(vec_equal(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c73"
				      "8d2d9d201395faa4b61a96c8"));
}

static void rfc5869_long(void)
{
	uint8_t secret[80], salt[80], info[80], out[82];

	count_from(secret, sizeof(secret), 0);
	count_from(salt, sizeof(salt), 0x60);
	count_from(info, sizeof(info), 0xb0);
	crypto_hkdf(out, sizeof(out), salt, sizeof(salt), secret, sizeof(secret), info,
		    sizeof(info));
	CU_ASSERT_TRUE(vec_equal(out, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19af"
				      "a97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9"
				      "aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"));
}

/* Shorter output is the start of longer output, up to the most that there is. */
static void hkdf_lengths(void)
{
	static uint8_t all[CRYPTO_HKDF_OUT_MAX], out[CRYPTO_HKDF_OUT_MAX];
	static const size_t lens[] = {1, 31, 32, 33, 64, 65, 8159, 8160};

	crypto_hkdf(all, sizeof(all), "salt", 4, "secret", 6, "info", 4);
	for (size_t i = 0; i < TT_ARRAY_LEN(lens); i++) {
		memset(out, 0x5a, sizeof(out));
		crypto_hkdf(out, lens[i], "salt", 4, "secret", 6, "info", 4);
		CU_ASSERT_EQUAL(memcmp(out, all, lens[i]), 0);
		CU_ASSERT(lens[i] == sizeof(out) || out[lens[i]] == 0x5a);
	}
}

TT_TESTS("crypto/hmac", {"rfc 2202", rfc2202}, {"rfc 4231", rfc4231},
	 {"rfc 2202 and 4231, case 4", rfc_counting_key}, {"wycheproof", wycheproof},
	 {"check refuses", check_refuses}, {"empty key and data", empty_key_and_data},
	 {"rfc 5869, short", rfc5869_short}, {"rfc 5869, long", rfc5869_long},
	 {"hkdf lengths", hkdf_lengths})

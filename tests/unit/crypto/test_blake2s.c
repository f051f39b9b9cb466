/* SPDX-License-Identifier: MIT
 *
 * The digests named "all of ..." are BLAKE2s over many results and were computed with Python's
 * hashlib and hmac.
 */
#include "crypto/blake2s.h"

#include "base/rng.h"
#include "vectors.h"

static void pattern(uint8_t *p, size_t n, unsigned mul, unsigned add)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * mul + add);
}

static void abc(void)
{
	uint8_t out[32];

	crypto_blake2s(out, 32, NULL, 0, "abc", 3);
	CU_ASSERT_TRUE(
		vec_equal(out, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
}

/* RFC 7693, appendix E: keys and data from a small generator, one digest over all results. */
static void rfc7693_sequence(uint8_t *out, size_t len, uint32_t seed)
{
	uint32_t a = 0xDEAD4BAD * seed, b = 1;

	for (size_t i = 0; i < len; i++) {
		uint32_t t = a + b;

		a = b;
		b = t;
		out[i] = (uint8_t)(t >> 24);
	}
}

static void rfc7693(void)
{
	static const size_t out_lens[] = {16, 20, 28, 32}, lens[] = {0, 3, 64, 65, 255, 1024};
	uint8_t in[1024], md[32], key[32];
	struct crypto_blake2s all;

	crypto_blake2s_init(&all, 32, NULL, 0);
	for (size_t i = 0; i < TT_ARRAY_LEN(out_lens); i++) {
		size_t out_len = out_lens[i];

		for (size_t j = 0; j < TT_ARRAY_LEN(lens); j++) {
			rfc7693_sequence(in, lens[j], (uint32_t)lens[j]);
			crypto_blake2s(md, out_len, NULL, 0, in, lens[j]);
			crypto_blake2s_update(&all, md, out_len);
			rfc7693_sequence(key, out_len, (uint32_t)out_len);
			crypto_blake2s(md, out_len, key, out_len, in, lens[j]);
			crypto_blake2s_update(&all, md, out_len);
		}
	}
	crypto_blake2s_final(&all, md);
	CU_ASSERT_TRUE(
		vec_equal(md, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe"));
}

static void every_length(void)
{
	static const size_t key_lens[] = {0, 1, 16, 31, 32};
	static const size_t lens[] = {0, 1, 63, 64, 65, 127, 128, 129, 256, 1000};
	uint8_t data[1000], key[32], out[32];
	struct crypto_blake2s all;

	pattern(data, sizeof(data), 7, 3);
	pattern(key, sizeof(key), 5, 1);
	crypto_blake2s_init(&all, 32, NULL, 0);
	for (size_t out_len = 1; out_len <= 32; out_len++) {
		for (size_t k = 0; k < TT_ARRAY_LEN(key_lens); k++) {
			for (size_t l = 0; l < TT_ARRAY_LEN(lens); l++) {
				crypto_blake2s(out, out_len, key, key_lens[k], data, lens[l]);
				crypto_blake2s_update(&all, out, out_len);
			}
		}
	}
	crypto_blake2s_final(&all, out);
	CU_ASSERT_TRUE(
		vec_equal(out, "336c883f51ac7312417e3baa6e88697cf5252ba0a1d7cdb4e1d7c3817c5ca018"));
}

static void pieces_equal_the_whole(void)
{
	struct tt_rng_seeded state;
	struct tt_rng rng = tt_rng_seeded_init(&state, 2);
	uint8_t data[700], whole[32], parts[32];

	tt_rng_fill(&rng, data, sizeof(data));
	for (int round = 0; round < 2000; round++) {
		size_t len = tt_rng_below(&rng, sizeof(data) + 1), done = 0;
		size_t key_len = tt_rng_below(&rng, 33);
		struct crypto_blake2s s;

		crypto_blake2s(whole, 32, data, key_len, data, len);
		crypto_blake2s_init(&s, 32, data, key_len);
		while (done < len) {
			size_t n = tt_rng_below(&rng, 150);

			n = TT_MIN(n, len - done);
			crypto_blake2s_update(&s, data + done, n);
			done += n;
		}
		crypto_blake2s_final(&s, parts);
		CU_ASSERT_EQUAL(memcmp(whole, parts, 32), 0);
	}
}

static void final_wipes(void)
{
	static const struct crypto_blake2s zero;
	struct crypto_blake2s s;
	uint8_t out[32];

	crypto_blake2s_init(&s, 32, "key", 3);
	crypto_blake2s_update(&s, "secret", 6);
	crypto_blake2s_final(&s, out);
	CU_ASSERT_EQUAL(memcmp(&s, &zero, sizeof(s)), 0);
}

static void hmac(void)
{
	static const size_t key_lens[] = {0, 1, 32, 63, 64, 65, 200};
	static const size_t lens[] = {0, 1, 33, 64, 65, 500};
	uint8_t data[500], key[200], out[32];
	struct crypto_blake2s all;

	pattern(data, sizeof(data), 7, 3);
	pattern(key, sizeof(key), 5, 1);
	crypto_blake2s_init(&all, 32, NULL, 0);
	for (size_t k = 0; k < TT_ARRAY_LEN(key_lens); k++) {
		for (size_t l = 0; l < TT_ARRAY_LEN(lens); l++) {
			crypto_blake2s_hmac(out, key, key_lens[k], data, lens[l]);
			crypto_blake2s_update(&all, out, 32);
		}
	}
	crypto_blake2s_final(&all, out);
	CU_ASSERT_TRUE(
		vec_equal(out, "cec6b82b224c446752614220550006ffee375a60ed287c074bbe5d2d9ee74544"));
}

static void kdf(void)
{
	static const char *const want[] = {
		"091c999ce0e33a08969b73ff5b59821f2efa9c142af34412c73d0cf6f4998d01",
		"7ad05fd929ab4d6a2dfe79dc470bc2e28d1786153b6d6a413967c12d24b162c6",
		"d5d901096560671f37c56d206b5ee88453047b2ffc3be6f77307602d66eb38d4",
	};
	uint8_t ck[32], input[48], a[32], b[32], c[32];

	pattern(ck, sizeof(ck), 11, 5);
	pattern(input, sizeof(input), 7, 3);
	crypto_blake2s_kdf1(a, ck, input, sizeof(input));
	CU_ASSERT_TRUE(vec_equal(a, want[0]));
	crypto_blake2s_kdf2(a, b, ck, input, sizeof(input));
	CU_ASSERT_TRUE(vec_equal(a, want[0]));
	CU_ASSERT_TRUE(vec_equal(b, want[1]));
	/* outputs over both inputs, as the handshake uses it */
	crypto_blake2s_kdf3(ck, input, c, ck, input, sizeof(input));
	CU_ASSERT_TRUE(vec_equal(ck, want[0]));
	CU_ASSERT_TRUE(vec_equal(input, want[1]));
	CU_ASSERT_TRUE(vec_equal(c, want[2]));
}

TT_TESTS("crypto/blake2s", {"abc", abc}, {"rfc 7693 self-test", rfc7693},
	 {"all of keys, lengths and outputs", every_length},
	 {"pieces equal the whole", pieces_equal_the_whole}, {"final wipes", final_wipes},
	 {"hmac", hmac}, {"kdf", kdf})

/* SPDX-License-Identifier: MIT */
#include "crypto/x25519.h"

#include "base/rng.h"
#include "crypto/mem.h"
#include "vectors.h"

static void rfc7748(void)
{
	uint8_t a[32], b[32], shared[32];

	/* section 6.1: Alice's public key, Bob's secret and public key, what they share */
	vec_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", a, 32);
	vec_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b, 32);
	crypto_x25519_base(shared, b);
	CU_ASSERT_TRUE(vec_equal(
		shared, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
	CU_ASSERT_TRUE(crypto_x25519(shared, b, a));
	CU_ASSERT_TRUE(vec_equal(
		shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));

	/* section 5.2, the first function vector, with the top bit of the point set and ignored */
	vec_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", a, 32);
	vec_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", b, 32);
	for (int top = 0; top < 2; top++, b[31] |= 0x80) {
		CU_ASSERT_TRUE(crypto_x25519(shared, a, b));
		CU_ASSERT_TRUE(vec_equal(
			shared,
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
	}
}

static void rfc7748_iterated(void)
{
	uint8_t k[32] = {9}, u[32] = {9}, next[32];

	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_TRUE(crypto_x25519(next, k, u));
		memcpy(u, k, 32);
		memcpy(k, next, 32);
		if (i == 0)
			CU_ASSERT_TRUE(vec_equal(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b"
						    "783c60e80311ae3079"));
	}
	CU_ASSERT_TRUE(
		vec_equal(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

static void clamp(void)
{
	struct tt_rng_seeded state;
	struct tt_rng rng = tt_rng_seeded_init(&state, 1);

	for (int i = 0; i < 50; i++) {
		uint8_t secret[32], clamped[32], p[32], q[32];

		tt_rng_fill(&rng, secret, 32);
		memcpy(clamped, secret, 32);
		crypto_x25519_clamp(clamped);
		CU_ASSERT_EQUAL(clamped[0] & 7, 0);
		CU_ASSERT_EQUAL(clamped[31] & 0xc0, 0x40);
		crypto_x25519_base(p, secret);
		crypto_x25519_base(q, clamped);
		CU_ASSERT_EQUAL(memcmp(p, q, 32), 0);
	}
}

static size_t low_order;

static void wycheproof_case(const json_t *group, const json_t *test)
{
	uint8_t secret[32], point[32], want[32], out[32];

	(void)group;
	vec_field(test, "private", secret, 32);
	vec_field(test, "public", point, 32);
	vec_field(test, "shared", want, 32);
	bool refuse =
		vec_has_flag(test, "ZeroSharedSecret") || vec_has_flag(test, "LowOrderPublic");
	CU_ASSERT_EQUAL(crypto_x25519(out, secret, point), !refuse);
	CU_ASSERT_EQUAL(memcmp(out, want, 32), 0);
	low_order += refuse;
}

static void wycheproof(void)
{
	if (vec_wycheproof("x25519_test.json", wycheproof_case) > 0)
		CU_ASSERT(low_order > 20);
}

TT_TESTS("crypto/x25519", {"rfc 7748", rfc7748}, {"rfc 7748 iterated", rfc7748_iterated},
	 {"clamp", clamp}, {"case 09: wycheproof", wycheproof})

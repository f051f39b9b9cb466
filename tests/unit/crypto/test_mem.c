/* SPDX-License-Identifier: MIT */
#include "crypto/mem.h"
#include "tt_test.h"

static void equal_sees_every_bit(void)
{
	uint8_t a[67], b[67];

	for (size_t len = 0; len <= sizeof(a); len++) {
		memset(a, 0x5a, sizeof(a));
		memset(b, 0x5a, sizeof(b));
		CU_ASSERT_TRUE(crypto_equal(a, b, len));
		for (size_t bit = 0; bit < 8 * len; bit++) {
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(crypto_equal(a, b, len));
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		if (len < sizeof(a)) {
			b[len] ^= 1;
			CU_ASSERT_TRUE(crypto_equal(a, b, len));
		}
	}
}

static void zero_sees_every_bit(void)
{
	uint8_t a[40] = {0};

	CU_ASSERT_TRUE(crypto_is_zero(a, 0));
	CU_ASSERT_TRUE(crypto_is_zero(a, sizeof(a)));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		a[bit / 8] = (uint8_t)(1 << bit % 8);
		CU_ASSERT_FALSE(crypto_is_zero(a, sizeof(a)));
		CU_ASSERT_TRUE(crypto_is_zero(a, bit / 8));
		a[bit / 8] = 0;
	}
}

static void wipe_wipes_exactly(void)
{
	uint8_t a[10];

	memset(a, 0xff, sizeof(a));
	crypto_wipe(a + 2, 5);
	CU_ASSERT_TRUE(crypto_is_zero(a + 2, 5));
	CU_ASSERT_EQUAL(a[1], 0xff);
	CU_ASSERT_EQUAL(a[7], 0xff);
	crypto_wipe(NULL, 0);
}

TT_TESTS("crypto/mem", {"equal sees every bit", equal_sees_every_bit},
	 {"zero sees every bit", zero_sees_every_bit}, {"wipe wipes exactly", wipe_wipes_exactly})

/* SPDX-License-Identifier: MIT
 *
 * Known answers that a backend gives before it is trusted with a packet. They were computed with
 * OpenSSL 3.0: key 0x80..0x9f, plaintext byte i = 7i + 3, counter of answer j = FIRST_COUNTER + j.
 * A tag covers the whole ciphertext; a ciphertext that differs from the one it covers fails to
 * open.
 */
#include "crypto/aead_backend.h"

#include "crypto/mem.h"

#define FIRST_COUNTER UINT64_C(0x4746454443424140)
#define ONE_SHOT_JOB  99
#define ONE_SHOT_LEN  114
#define ANSWERS	      14
#define PLAIN_MAX     1424
#define SEALED_MAX    (PLAIN_MAX + CRYPTO_AEAD_TAG_LEN)

struct answer {
	uint32_t len;
	uint8_t tag[CRYPTO_AEAD_TAG_LEN];
};

/* with the associated data one_shot_aad */
static const uint8_t one_shot_tag[CRYPTO_AEAD_TAG_LEN] = {0xe7, 0x24, 0x92, 0x49, 0x10, 0xec,
							  0xdf, 0x31, 0x3c, 0x83, 0x76, 0xf9,
							  0x88, 0x40, 0xa9, 0x6e};
static const char one_shot_aad[] = "aad of the self-test";

static const struct answer answers[ANSWERS] = {
	{0,
	 {0x5a, 0x70, 0x0f, 0x88, 0xe7, 0x87, 0xfe, 0x1c, 0x1e, 0xf6, 0x64, 0xe6, 0x01, 0xba, 0x93,
	  0x5f}},
	{1,
	 {0x22, 0x10, 0xa9, 0xd7, 0xac, 0xe3, 0x29, 0x59, 0x18, 0x10, 0x02, 0x2b, 0x8e, 0x71, 0x4d,
	  0xc1}},
	{15,
	 {0xb6, 0xf8, 0xeb, 0x8c, 0x88, 0xab, 0x49, 0xf8, 0x68, 0xdb, 0xfd, 0xc5, 0xca, 0xc5, 0x99,
	  0xc7}},
	{16,
	 {0x16, 0x6a, 0x19, 0x2e, 0x44, 0x6e, 0x59, 0x62, 0x2f, 0x28, 0x1c, 0xbc, 0xa3, 0x23, 0x3e,
	  0x38}},
	{63,
	 {0x2b, 0x23, 0x8b, 0x4d, 0x4d, 0x4a, 0x8b, 0x56, 0x12, 0x13, 0x31, 0x2d, 0xf8, 0x4b, 0x84,
	  0x97}},
	{64,
	 {0x38, 0x54, 0x18, 0x60, 0x8a, 0x20, 0xd1, 0xb1, 0x32, 0x7a, 0x1c, 0x47, 0xe4, 0xdb, 0xa3,
	  0x28}},
	{65,
	 {0x4a, 0x11, 0x36, 0x9c, 0x3e, 0xda, 0xea, 0x5e, 0xb5, 0x2c, 0x78, 0x10, 0xac, 0xe0, 0x04,
	  0x3c}},
	{255,
	 {0x20, 0x25, 0xfc, 0xc5, 0x7b, 0x76, 0xcb, 0x80, 0xcc, 0xfc, 0x80, 0x0f, 0x19, 0xed, 0xdf,
	  0xd8}},
	{256,
	 {0x39, 0xf5, 0xc8, 0x02, 0xe6, 0x8b, 0x48, 0xa8, 0x9a, 0x4d, 0x2b, 0x24, 0x9d, 0xa5, 0x66,
	  0xde}},
	{257,
	 {0x12, 0x60, 0x04, 0xf1, 0x71, 0x6e, 0x02, 0x40, 0x58, 0x2a, 0x01, 0xff, 0xc0, 0xb0, 0x8a,
	  0xcb}},
	{512,
	 {0xe2, 0xa7, 0xda, 0xfe, 0x6c, 0x20, 0xd2, 0x5e, 0x32, 0x4c, 0x8a, 0x13, 0x49, 0x2b, 0xff,
	  0xef}},
	{1024,
	 {0x39, 0x15, 0x2c, 0x21, 0xe7, 0x0f, 0x5c, 0x41, 0x22, 0xdf, 0x67, 0xd7, 0x76, 0xef, 0xc9,
	  0xe5}},
	{1420,
	 {0x36, 0x29, 0xf3, 0x7a, 0x02, 0x02, 0x59, 0x9f, 0x8b, 0x8f, 0x1e, 0x28, 0xed, 0x1a, 0x15,
	  0xc3}},
	{1424,
	 {0x04, 0x07, 0x3c, 0x0b, 0x1c, 0xb6, 0xe8, 0xa3, 0x98, 0xa4, 0xca, 0xf7, 0xad, 0x35, 0xd1,
	  0x11}},
};

/* Some 60 KiB, at start only: all packets of a burst lie side by side, out of place as well. */
struct scratch {
	struct crypto_aead_key key;
	uint8_t plain[PLAIN_MAX];
	uint8_t a[ANSWERS][SEALED_MAX];
	uint8_t b[ANSWERS][SEALED_MAX];
};

static void make_jobs(struct crypto_aead_job jobs[ANSWERS], uint8_t (*src)[SEALED_MAX],
		      uint8_t (*dst)[SEALED_MAX])
{
	for (size_t i = 0; i < ANSWERS; i++)
		jobs[i] =
			(struct crypto_aead_job){src[i], dst[i], FIRST_COUNTER + i, answers[i].len};
}

static bool sealed_right(uint8_t (*sealed)[SEALED_MAX])
{
	for (size_t i = 0; i < ANSWERS; i++)
		if (!crypto_equal(sealed[i] + answers[i].len, answers[i].tag, CRYPTO_AEAD_TAG_LEN))
			return false;
	return true;
}

static bool opened_right(const struct scratch *t, uint8_t (*opened)[SEALED_MAX], uint64_t ok)
{
	static const uint8_t zeros[PLAIN_MAX];

	for (size_t i = 0; i < ANSWERS; i++)
		if (!crypto_equal(opened[i], ok >> i & 1 ? t->plain : zeros, answers[i].len))
			return false;
	return true;
}

/* Seals a to b; then opens b to a, or in place. `forged`: the jobs whose tag is damaged first. */
static bool round_trip(const struct crypto_aead_backend *backend, void *state, struct scratch *t,
		       bool in_place, uint64_t forged)
{
	const uint64_t all = (UINT64_C(1) << ANSWERS) - 1;
	struct crypto_aead_job jobs[ANSWERS];
	uint8_t(*sealed)[SEALED_MAX] = in_place ? t->a : t->b;

	for (size_t i = 0; i < ANSWERS; i++)
		memcpy(t->a[i], t->plain, answers[i].len);
	make_jobs(jobs, t->a, sealed);
	backend->seal_burst(state, &t->key, jobs, ANSWERS);
	if (!sealed_right(sealed))
		return false;
	for (size_t i = 0; i < ANSWERS; i++)
		if (forged >> i & 1)
			sealed[i][answers[i].len + i] ^= (uint8_t)(1 << i % 8);
	make_jobs(jobs, sealed, t->a);
	return backend->open_burst(state, &t->key, jobs, ANSWERS) == (all & ~forged) &&
	       opened_right(t, t->a, all & ~forged);
}

static bool one_shot(struct scratch *t)
{
	const uint64_t counter = FIRST_COUNTER + ONE_SHOT_JOB;
	const size_t aad_len = sizeof(one_shot_aad) - 1;
	uint8_t *sealed = t->a[0], *opened = t->b[0];

	_Static_assert(ONE_SHOT_LEN + CRYPTO_AEAD_TAG_LEN <= SEALED_MAX, "fits one slot");
	crypto_aead_seal(&t->key, counter, one_shot_aad, aad_len, t->plain, ONE_SHOT_LEN, sealed);
	if (!crypto_equal(sealed + ONE_SHOT_LEN, one_shot_tag, sizeof(one_shot_tag)) ||
	    !crypto_aead_open(&t->key, counter, one_shot_aad, aad_len, sealed, ONE_SHOT_LEN,
			      opened) ||
	    !crypto_equal(opened, t->plain, ONE_SHOT_LEN))
		return false;
	return !crypto_aead_open(&t->key, counter, one_shot_aad, aad_len - 1, sealed, ONE_SHOT_LEN,
				 opened) &&
	       crypto_is_zero(opened, ONE_SHOT_LEN);
}

bool crypto_aead_self_test(const struct crypto_aead_backend *backend, void *state)
{
	struct scratch t;
	uint64_t some = 0x2aaa, none = 0, all = (UINT64_C(1) << ANSWERS) - 1;

	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < sizeof(t.key.bytes); i++)
		t.key.bytes[i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < sizeof(t.plain); i++)
		t.plain[i] = (uint8_t)(i * 7 + 3);
	return one_shot(&t) && round_trip(backend, state, &t, true, none) &&
	       round_trip(backend, state, &t, false, none) &&
	       round_trip(backend, state, &t, true, some) &&
	       round_trip(backend, state, &t, false, some) &&
	       round_trip(backend, state, &t, true, all);
}

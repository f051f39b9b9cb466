/* SPDX-License-Identifier: MIT */
#include "crypto/blake2s.h"

#include "crypto/mem.h"

static const uint32_t iv[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t sigma[10][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint32_t rotr(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

#define G(a, b, c, d, x, y)          \
	do {                         \
		a += b + (x);        \
		d = rotr(d ^ a, 16); \
		c += d;              \
		b = rotr(b ^ c, 12); \
		a += b + (y);        \
		d = rotr(d ^ a, 8);  \
		c += d;              \
		b = rotr(b ^ c, 7);  \
	} while (0)

/* One block; count is the number of bytes hashed with it. */
static void compress(uint32_t h[8], const uint8_t *block, uint64_t count, bool last)
{
	uint32_t m[16], v[16];

	memcpy(m, block, sizeof(m));
	memcpy(v, h, 32);
	memcpy(v + 8, iv, 32);
	v[12] ^= (uint32_t)count;
	v[13] ^= (uint32_t)(count >> 32);
	v[14] ^= last ? UINT32_MAX : 0;
	/* unrolled: sigma folds into addresses and v stays in registers, twice as fast */
#pragma GCC unroll 10
	for (int r = 0; r < 10; r++) {
		const uint8_t *s = sigma[r];

		G(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
		G(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
		G(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
		G(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
		G(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
		G(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
		G(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
		G(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
	}
	for (int i = 0; i < 8; i++)
		h[i] ^= v[i] ^ v[i + 8];
	crypto_wipe(m, sizeof(m));
	crypto_wipe(v, sizeof(v));
}

void crypto_blake2s_init(struct crypto_blake2s *s, size_t out_len, const void *key, size_t key_len)
{
	tt_assert(out_len >= 1 && out_len <= CRYPTO_BLAKE2S_LEN && key_len <= 32);
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= 0x01010000 ^ (uint32_t)key_len << 8 ^ (uint32_t)out_len;
	s->count = 0;
	s->block_len = 0;
	s->out_len = (uint32_t)out_len;
	if (key_len > 0) {
		/* the key is a block of its own, padded with zeros */
		memset(s->block, 0, sizeof(s->block));
		memcpy(s->block, key, key_len);
		s->block_len = CRYPTO_BLAKE2S_BLOCK;
	}
}

void crypto_blake2s_update(struct crypto_blake2s *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		/* a full block waits for the byte after it: the last one is compressed by final */
		if (s->block_len == CRYPTO_BLAKE2S_BLOCK) {
			s->count += CRYPTO_BLAKE2S_BLOCK;
			compress(s->h, s->block, s->count, false);
			s->block_len = 0;
		}
		for (; s->block_len == 0 && len > CRYPTO_BLAKE2S_BLOCK;
		     len -= CRYPTO_BLAKE2S_BLOCK, p += CRYPTO_BLAKE2S_BLOCK) {
			s->count += CRYPTO_BLAKE2S_BLOCK;
			compress(s->h, p, s->count, false);
		}
		size_t n = TT_MIN(len, (size_t)CRYPTO_BLAKE2S_BLOCK - s->block_len);

		memcpy(s->block + s->block_len, p, n);
		s->block_len += (uint32_t)n;
		p += n;
		len -= n;
	}
}

void crypto_blake2s_final(struct crypto_blake2s *s, uint8_t *out)
{
	memset(s->block + s->block_len, 0, CRYPTO_BLAKE2S_BLOCK - s->block_len);
	compress(s->h, s->block, s->count + s->block_len, true);
	memcpy(out, s->h, s->out_len);
	crypto_wipe(s, sizeof(*s));
}

void crypto_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *data,
		    size_t len)
{
	struct crypto_blake2s s;

	crypto_blake2s_init(&s, out_len, key, key_len);
	crypto_blake2s_update(&s, data, len);
	crypto_blake2s_final(&s, out);
}

void crypto_blake2s_hmac(uint8_t out[CRYPTO_BLAKE2S_LEN], const void *key, size_t key_len,
			 const void *data, size_t len)
{
	struct crypto_blake2s s;
	uint8_t pad[CRYPTO_BLAKE2S_BLOCK] = {0}, inner[CRYPTO_BLAKE2S_LEN];

	if (key_len > sizeof(pad))
		crypto_blake2s(pad, CRYPTO_BLAKE2S_LEN, NULL, 0, key, key_len);
	else if (key_len > 0)
		memcpy(pad, key, key_len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	crypto_blake2s_init(&s, CRYPTO_BLAKE2S_LEN, NULL, 0);
	crypto_blake2s_update(&s, pad, sizeof(pad));
	crypto_blake2s_update(&s, data, len);
	crypto_blake2s_final(&s, inner);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	crypto_blake2s_init(&s, CRYPTO_BLAKE2S_LEN, NULL, 0);
	crypto_blake2s_update(&s, pad, sizeof(pad));
	crypto_blake2s_update(&s, inner, sizeof(inner));
	crypto_blake2s_final(&s, out);
	crypto_wipe(pad, sizeof(pad));
	crypto_wipe(inner, sizeof(inner));
}

/* HKDF-Expand with empty info: T(i) = HMAC(secret, T(i-1) | i). */
static void kdf(uint8_t *const out[], size_t n, const uint8_t *chaining_key, const void *input,
		size_t len)
{
	uint8_t secret[CRYPTO_BLAKE2S_LEN], t[CRYPTO_BLAKE2S_LEN + 1];

	crypto_blake2s_hmac(secret, chaining_key, CRYPTO_BLAKE2S_LEN, input, len);
	for (size_t i = 0; i < n; i++) {
		size_t t_len = i == 0 ? 0 : CRYPTO_BLAKE2S_LEN;

		t[t_len] = (uint8_t)(i + 1);
		crypto_blake2s_hmac(t, secret, sizeof(secret), t, t_len + 1);
		memcpy(out[i], t, CRYPTO_BLAKE2S_LEN);
	}
	crypto_wipe(secret, sizeof(secret));
	crypto_wipe(t, sizeof(t));
}

void crypto_blake2s_kdf1(uint8_t out1[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len)
{
	kdf((uint8_t *const[]){out1}, 1, chaining_key, input, len);
}

void crypto_blake2s_kdf2(uint8_t out1[CRYPTO_BLAKE2S_LEN], uint8_t out2[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len)
{
	kdf((uint8_t *const[]){out1, out2}, 2, chaining_key, input, len);
}

void crypto_blake2s_kdf3(uint8_t out1[CRYPTO_BLAKE2S_LEN], uint8_t out2[CRYPTO_BLAKE2S_LEN],
			 uint8_t out3[CRYPTO_BLAKE2S_LEN],
			 const uint8_t chaining_key[CRYPTO_BLAKE2S_LEN], const void *input,
			 size_t len)
{
	kdf((uint8_t *const[]){out1, out2, out3}, 3, chaining_key, input, len);
}

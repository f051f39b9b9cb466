/* SPDX-License-Identifier: MIT
 *
 * ChaCha20-Poly1305 in as little code as it goes, for a short packet that comes alone. Its
 * neighbours were milliseconds ago, so nothing is in any cache: fetching the unrolled code of the
 * fast backends from memory takes some 10 us then, and their work a fiftieth of that. Constant
 * time: no branch and no address depends on a secret.
 */
#include "crypto/aead_backend.h"
#include "crypto/mem.h"

#define BLOCK	    64
#define MAC_BLOCK   16
#define MASK44	    UINT64_C(0xfffffffffff)
#define MASK42	    UINT64_C(0x3ffffffffff)
#define DOUBLE_RUNS 10

typedef unsigned __int128 u128;
typedef uint32_t row __attribute__((vector_size(16)));

/* --- ChaCha20 -------------------------------------------------------------------------------- */

static inline row rotate(row x, int n)
{
	return x << n | x >> (32 - n);
}

/* The four columns, or after a turn of the rows the four diagonals. */
static inline void quarters(row r[4])
{
	r[0] += r[1];
	r[3] = rotate(r[3] ^ r[0], 16);
	r[2] += r[3];
	r[1] = rotate(r[1] ^ r[2], 12);
	r[0] += r[1];
	r[3] = rotate(r[3] ^ r[0], 8);
	r[2] += r[3];
	r[1] = rotate(r[1] ^ r[2], 7);
}

struct chacha {
	row in[4];
	row out[4]; /* the block, in words of the host */
};

static row load_row(const uint8_t *p)
{
	return (row){tt_load_le32(p), tt_load_le32(p + 4), tt_load_le32(p + 8),
		     tt_load_le32(p + 12)};
}

static void chacha_init(struct chacha *c, const struct crypto_aead_key *key, uint64_t counter)
{
	c->in[0] = (row){0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	c->in[1] = load_row(key->bytes);
	c->in[2] = load_row(key->bytes + 16);
	c->in[3] = (row){0, 0, (uint32_t)counter, (uint32_t)(counter >> 32)};
}

/* The next block. */
static void chacha_next(struct chacha *c)
{
	row r[4] = {c->in[0], c->in[1], c->in[2], c->in[3]};

	for (int i = 0; i < DOUBLE_RUNS; i++) {
		quarters(r);
		r[1] = __builtin_shufflevector(r[1], r[1], 1, 2, 3, 0);
		r[2] = __builtin_shufflevector(r[2], r[2], 2, 3, 0, 1);
		r[3] = __builtin_shufflevector(r[3], r[3], 3, 0, 1, 2);
		quarters(r);
		r[1] = __builtin_shufflevector(r[1], r[1], 3, 0, 1, 2);
		r[2] = __builtin_shufflevector(r[2], r[2], 2, 3, 0, 1);
		r[3] = __builtin_shufflevector(r[3], r[3], 1, 2, 3, 0);
	}
	for (int i = 0; i < 4; i++)
		c->out[i] = r[i] + c->in[i];
	c->in[3][0]++;
}

static void chacha_bytes(const struct chacha *c, uint8_t bytes[BLOCK])
{
	for (unsigned i = 0; i < BLOCK / 4; i++)
		tt_store_le32(bytes + 4 * i, c->out[i / 4][i % 4]);
}

static void chacha_xor(struct chacha *c, const uint8_t *src, uint8_t *dst, size_t len)
{
	uint8_t stream[BLOCK];

	for (size_t at = 0; at < len; at += BLOCK) {
		size_t n = TT_MIN(len - at, (size_t)BLOCK);

		chacha_next(c);
		chacha_bytes(c, stream);
		for (size_t i = 0; i < n; i++)
			dst[at + i] = src[at + i] ^ stream[i];
	}
	crypto_wipe(stream, sizeof(stream));
}

/* --- Poly1305, limbs of 44, 44 and 42 bits ---------------------------------------------------- */

struct poly {
	uint64_t r[3], h[3], pad[2];
};

static void poly_init(struct poly *p, const uint8_t key[32])
{
	uint64_t lo = tt_load_le64(key), hi = tt_load_le64(key + 8);

	*p = (struct poly){
		.r = {lo & UINT64_C(0xffc0fffffff), (lo >> 44 | hi << 20) & UINT64_C(0xfffffc0ffff),
		      hi >> 24 & UINT64_C(0x00ffffffc0f)},
		.pad = {tt_load_le64(key + 16), tt_load_le64(key + 24)},
	};
}

static void poly_block(struct poly *p, uint64_t lo, uint64_t hi)
{
	const uint64_t *r = p->r;
	uint64_t *h = p->h, s1 = r[1] * 20, s2 = r[2] * 20;

	h[0] += lo & MASK44;
	h[1] += (lo >> 44 | hi << 20) & MASK44;
	h[2] += hi >> 24 | UINT64_C(1) << 40;
	u128 d0 = (u128)h[0] * r[0] + (u128)h[1] * s2 + (u128)h[2] * s1;
	u128 d1 = (u128)h[0] * r[1] + (u128)h[1] * r[0] + (u128)h[2] * s2;
	u128 d2 = (u128)h[0] * r[2] + (u128)h[1] * r[1] + (u128)h[2] * r[0];

	d1 += (uint64_t)(d0 >> 44);
	d2 += (uint64_t)(d1 >> 44);
	h[0] = ((uint64_t)d0 & MASK44) + (uint64_t)(d2 >> 42) * 5;
	h[1] = ((uint64_t)d1 & MASK44) + (h[0] >> 44);
	h[0] &= MASK44;
	h[2] = (uint64_t)d2 & MASK42;
}

static void poly_finish(struct poly *p, uint8_t tag[CRYPTO_AEAD_TAG_LEN])
{
	uint64_t *h = p->h, g[3], c;

	for (int i = 0; i < 2; i++) {
		h[2] += h[1] >> 44;
		h[1] &= MASK44;
		h[0] += (h[2] >> 42) * 5;
		h[2] &= MASK42;
		h[1] += h[0] >> 44;
		h[0] &= MASK44;
	}
	h[2] += h[1] >> 44;
	h[1] &= MASK44;
	/* minus the prime, where that is not negative */
	g[0] = h[0] + 5;
	g[1] = h[1] + (g[0] >> 44);
	g[2] = h[2] + (g[1] >> 44) - (UINT64_C(1) << 42);
	c = (g[2] >> 63) - 1;
	for (int i = 0; i < 3; i++)
		h[i] = (h[i] & ~c) | (g[i] & (i < 2 ? MASK44 : MASK42) & c);
	u128 t = (u128)(h[0] | h[1] << 44) + p->pad[0];

	tt_store_le64(tag, (uint64_t)t);
	tt_store_le64(tag + 8, (h[1] >> 20 | h[2] << 24) + p->pad[1] + (uint64_t)(t >> 64));
}

/* --- AEAD ------------------------------------------------------------------------------------ */

/* As RFC 8439 2.8 has it, without associated data: padded text, then both lengths. */
static void mac(struct poly *p, const uint8_t *text, size_t len, uint8_t tag[CRYPTO_AEAD_TAG_LEN])
{
	uint8_t last[MAC_BLOCK] = {0};
	size_t at = 0;

	for (; at + MAC_BLOCK <= len; at += MAC_BLOCK)
		poly_block(p, tt_load_le64(text + at), tt_load_le64(text + at + 8));
	if (at < len) {
		memcpy(last, text + at, len - at);
		poly_block(p, tt_load_le64(last), tt_load_le64(last + 8));
	}
	poly_block(p, 0, len);
	poly_finish(p, tag);
}

/* The keystream at its first block of text, and the one-time key of the tag. */
static void begin(struct chacha *c, struct poly *p, const struct crypto_aead_key *key,
		  uint64_t counter)
{
	uint8_t first[BLOCK];

	chacha_init(c, key, counter);
	chacha_next(c);
	chacha_bytes(c, first);
	poly_init(p, first);
	crypto_wipe(first, sizeof(first));
}

static void end(struct chacha *c, struct poly *p)
{
	crypto_wipe(c, sizeof(*c));
	crypto_wipe(p, sizeof(*p));
}

static void seal_burst(void *state, const struct crypto_aead_key *key,
		       const struct crypto_aead_job *jobs, size_t n)
{
	struct chacha c;
	struct poly p;

	(void)state;
	for (const struct crypto_aead_job *j = jobs; j < jobs + n; j++) {
		begin(&c, &p, key, j->counter);
		chacha_xor(&c, j->src, j->dst, j->len);
		mac(&p, j->dst, j->len, j->dst + j->len);
	}
	end(&c, &p);
}

static uint64_t open_burst(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n)
{
	uint8_t tag[CRYPTO_AEAD_TAG_LEN];
	struct chacha c;
	struct poly p;
	uint64_t ok = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct crypto_aead_job *j = &jobs[i];

		begin(&c, &p, key, j->counter);
		mac(&p, j->src, j->len, tag);
		if (crypto_equal(tag, j->src + j->len, sizeof(tag))) {
			chacha_xor(&c, j->src, j->dst, j->len);
			ok |= UINT64_C(1) << i;
		} else {
			memset(j->dst, 0, j->len);
		}
	}
	end(&c, &p);
	crypto_wipe(tag, sizeof(tag));
	return ok;
}

void crypto_aead_compact_mac(const uint8_t *text, size_t len, const uint8_t key[32],
			     uint8_t tag[CRYPTO_AEAD_TAG_LEN])
{
	struct poly p;

	poly_init(&p, key);
	mac(&p, text, len, tag);
	crypto_wipe(&p, sizeof(p));
}

static enum crypto_aead_choice probe(void)
{
	return crypto_aead_self_test(&crypto_aead_backend_compact, NULL) ? CRYPTO_AEAD_CHOSEN
									 : CRYPTO_AEAD_BROKEN;
}

static size_t state_size(void)
{
	return 0;
}

static bool state_init(void *state)
{
	(void)state;
	return true;
}

const struct crypto_aead_backend crypto_aead_backend_compact = {
	.name = "compact",
	.probe = probe,
	.state_size = state_size,
	.state_init = state_init,
	.seal_burst = seal_burst,
	.open_burst = open_burst,
};

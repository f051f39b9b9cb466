/* SPDX-License-Identifier: MIT
 *
 * ChaCha20-Poly1305 (RFC 8439) for bursts on CPUs with AVX-512 and IFMA.
 *
 * The libraries take one packet after the other, and a packet of 1,424 bytes is 22 1/4 blocks of
 * ChaCha20, where a vector computes 16 at once: more than a quarter of their work is thrown away.
 * Here a burst is one heap of blocks, whichever packet they belong to, and Poly1305 runs over
 * packets side by side, one per lane, so nothing has to be multiplied by powers of r. Both work on
 * two vectors in turns, because an instruction's result is late by two to four others.
 *
 * No branch and no address depends on a key, a plaintext or a tag; lengths are public.
 */
#if defined(__x86_64__)
#include "crypto/aead_backend.h"

#include <immintrin.h>
#include "crypto/mem.h"

#define AVX512	    __attribute__((target("avx512f,avx512bw,avx512vl,avx512ifma")))
#define AVX512_PART AVX512 inline __attribute__((always_inline))
/* Filled before they are read; zeroing them each time is not free. */
#define UNINITIALIZED __attribute__((uninitialized))
#define LANES	      32 /* ChaCha20 blocks in one go */
#define BLOCK	      64
#define MACS	      8 /* packets under one Poly1305 vector */
#define POLY_KEY_LEN  32

/* --- ChaCha20 -------------------------------------------------------------------------------- */

/* Blocks of any packets, one per lane, that wait until all lanes are taken. */
struct chacha {
	__m512i word[12]; /* constants and key, the same in every lane */
	unsigned waiting;
	_Alignas(64) uint32_t block[LANES], nonce_lo[LANES], nonce_hi[LANES];
	const uint8_t *src[LANES];
	uint8_t *dst[LANES];
	uint32_t len[LANES];
	__m512i stream[LANES]; /* keystream, one block per lane */
};

/*
 * In assembly, because two states of 16 words need all 32 registers, which compilers, left to
 * themselves, spill; and because four or eight quarter rounds side by side, step by step, keep the
 * units busy while each waits for its own results. Word i of the first state lives in zmm i, of the
 * second in zmm 16 + i.
 */
#define ADD(a, b)  "vpaddd %%zmm" #b ", %%zmm" #a ", %%zmm" #a "\n\t"
#define XOR(a, b)  "vpxord %%zmm" #b ", %%zmm" #a ", %%zmm" #a "\n\t"
#define ROL(a, by) "vprold $" #by ", %%zmm" #a ", %%zmm" #a "\n\t"

/* clang-format off */
/* One step of four quarter rounds. */
#define ADDS(a0, a1, a2, a3, b0, b1, b2, b3) ADD(a0, b0) ADD(a1, b1) ADD(a2, b2) ADD(a3, b3)
#define XORS(a0, a1, a2, a3, b0, b1, b2, b3) XOR(a0, b0) XOR(a1, b1) XOR(a2, b2) XOR(a3, b3)
#define ROLS(by, a0, a1, a2, a3)	     ROL(a0, by) ROL(a1, by) ROL(a2, by) ROL(a3, by)

/* The rows of the states, and the rows turned for the diagonals. */
#define A1 0, 1, 2, 3
#define B1 4, 5, 6, 7
#define C1 8, 9, 10, 11
#define D1 12, 13, 14, 15
#define B2 5, 6, 7, 4
#define C2 10, 11, 8, 9
#define D2 15, 12, 13, 14
#define E1 16, 17, 18, 19
#define F1 20, 21, 22, 23
#define G1 24, 25, 26, 27
#define H1 28, 29, 30, 31
#define F2 21, 22, 23, 20
#define G2 26, 27, 24, 25
#define H2 31, 28, 29, 30

/* A row is passed in parentheses, and unpacked where it is used. */
#define ROW(...)     __VA_ARGS__
#define CALL(f, ...) f(__VA_ARGS__)
#define HALF_16(a, b, c, d, by1, by2)                                                \
	CALL(ADDS, ROW a, ROW b) CALL(XORS, ROW d, ROW a) CALL(ROLS, by1, ROW d)     \
	CALL(ADDS, ROW c, ROW d) CALL(XORS, ROW b, ROW c) CALL(ROLS, by2, ROW b)
#define HALF_32(a, b, c, d, e, f, g, h, by1, by2)                                    \
	CALL(ADDS, ROW a, ROW b) CALL(ADDS, ROW e, ROW f)                            \
	CALL(XORS, ROW d, ROW a) CALL(XORS, ROW h, ROW e)                            \
	CALL(ROLS, by1, ROW d) CALL(ROLS, by1, ROW h)                                \
	CALL(ADDS, ROW c, ROW d) CALL(ADDS, ROW g, ROW h)                            \
	CALL(XORS, ROW b, ROW c) CALL(XORS, ROW f, ROW g)                            \
	CALL(ROLS, by2, ROW b) CALL(ROLS, by2, ROW f)

#define LOAD(i)  "vmovdqa64 64*" #i "(%[state]), %%zmm" #i "\n\t"
#define STORE(i) "vmovdqa64 %%zmm" #i ", 64*" #i "(%[state])\n\t"
#define EACH_FIRST(f)                                                                \
	f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)                                      \
	f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define EACH_SECOND(f)                                                               \
	f(16) f(17) f(18) f(19) f(20) f(21) f(22) f(23)                              \
	f(24) f(25) f(26) f(27) f(28) f(29) f(30) f(31)
/* clang-format on */

/* 20 rounds over 16 lanes. */
static AVX512 void chacha_rounds_16(__m512i state[16])
{
	int rounds = 10;

	__asm__ volatile(EACH_FIRST(LOAD) "1:\n\t" HALF_16((A1), (B1), (C1), (D1), 16, 12)
				 HALF_16((A1), (B1), (C1), (D1), 8, 7) HALF_16((A1), (B2), (C2),
									       (D2), 16, 12)
					 HALF_16((A1), (B2), (C2), (D2), 8,
						 7) "dec %[rounds]\n\tjnz 1b\n\t" EACH_FIRST(STORE)
			 : [rounds] "+r"(rounds)
			 : [state] "r"(state)
			 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15");
}

/* 20 rounds over 32 lanes: less than twice the time. */
static AVX512 void chacha_rounds_32(__m512i state[32])
{
	int rounds = 10;

	__asm__ volatile(
		EACH_FIRST(LOAD) EACH_SECOND(LOAD) "1:\n\t" HALF_32((A1), (B1), (C1), (D1), (E1),
								    (F1), (G1), (H1), 16, 12)
			HALF_32((A1), (B1), (C1), (D1), (E1), (F1), (G1), (H1), 8, 7)
				HALF_32((A1), (B2), (C2), (D2), (E1), (F2), (G2), (H2), 16, 12)
					HALF_32((A1), (B2), (C2), (D2), (E1), (F2), (G2), (H2), 8,
						7) "dec %[rounds]\n\tjnz 1b\n\t" EACH_FIRST(STORE)
						EACH_SECOND(STORE)
		: [rounds] "+r"(rounds)
		: [state] "r"(state)
		: "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
		  "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
		  "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

/* The input of 16 lanes from lane `first` on. */
static AVX512_PART void chacha_input(const struct chacha *c, unsigned first, __m512i in[16])
{
	for (unsigned i = 0; i < 12; i++)
		in[i] = c->word[i];
	in[12] = _mm512_load_si512(c->block + first);
	in[13] = _mm512_setzero_si512();
	in[14] = _mm512_load_si512(c->nonce_lo + first);
	in[15] = _mm512_load_si512(c->nonce_hi + first);
}

/* Word i of 16 lanes in s[i] becomes block i in s[i], the input added: a transposition. */
static AVX512_PART void chacha_finish(const struct chacha *c, unsigned first, __m512i s[16])
{
	__m512i in[16] UNINITIALIZED, t[16] UNINITIALIZED;

	chacha_input(c, first, in);
	for (unsigned i = 0; i < 16; i += 4) {
		__m512i a = _mm512_add_epi32(s[i], in[i]);
		__m512i b = _mm512_add_epi32(s[i + 1], in[i + 1]);
		__m512i e = _mm512_add_epi32(s[i + 2], in[i + 2]);
		__m512i d = _mm512_add_epi32(s[i + 3], in[i + 3]);
		__m512i ab_lo = _mm512_unpacklo_epi32(a, b), ab_hi = _mm512_unpackhi_epi32(a, b);
		__m512i ed_lo = _mm512_unpacklo_epi32(e, d), ed_hi = _mm512_unpackhi_epi32(e, d);

		t[i] = _mm512_unpacklo_epi64(ab_lo, ed_lo);
		t[i + 1] = _mm512_unpackhi_epi64(ab_lo, ed_lo);
		t[i + 2] = _mm512_unpacklo_epi64(ab_hi, ed_hi);
		t[i + 3] = _mm512_unpackhi_epi64(ab_hi, ed_hi);
	}
	for (unsigned q = 0; q < 4; q++) {
		__m512i ab_lo = _mm512_shuffle_i32x4(t[q], t[4 + q], 0x44);
		__m512i ab_hi = _mm512_shuffle_i32x4(t[q], t[4 + q], 0xee);
		__m512i ed_lo = _mm512_shuffle_i32x4(t[8 + q], t[12 + q], 0x44);
		__m512i ed_hi = _mm512_shuffle_i32x4(t[8 + q], t[12 + q], 0xee);

		s[q] = _mm512_shuffle_i32x4(ab_lo, ed_lo, 0x88);
		s[q + 4] = _mm512_shuffle_i32x4(ab_lo, ed_lo, 0xdd);
		s[q + 8] = _mm512_shuffle_i32x4(ab_hi, ed_hi, 0x88);
		s[q + 12] = _mm512_shuffle_i32x4(ab_hi, ed_hi, 0xdd);
	}
}

/* Keystream of the lanes that wait. */
static AVX512 void chacha_stream(struct chacha *c)
{
	chacha_input(c, 0, c->stream);
	if (c->waiting <= LANES / 2) {
		chacha_rounds_16(c->stream);
		chacha_finish(c, 0, c->stream);
		return;
	}
	chacha_input(c, 16, c->stream + 16);
	chacha_rounds_32(c->stream);
	chacha_finish(c, 0, c->stream);
	chacha_finish(c, 16, c->stream + 16);
}

static AVX512 void chacha_init(struct chacha *c, const struct crypto_aead_key *key)
{
	static const char sigma[] = "expand 32-byte k";

	for (unsigned i = 0; i < 4; i++)
		c->word[i] = _mm512_set1_epi32((int)tt_load_le32(sigma + 4 * i));
	for (unsigned i = 0; i < 8; i++)
		c->word[4 + i] = _mm512_set1_epi32((int)tt_load_le32(key->bytes + 4 * i));
	c->waiting = 0;
}

/* Computes the blocks that wait, and adds them to their texts. */
static AVX512 void chacha_flush(struct chacha *c)
{
	if (!c->waiting)
		return;
	chacha_stream(c);
	for (unsigned i = 0; i < c->waiting; i++) {
		if (c->len[i] == BLOCK) {
			__m512i text = _mm512_loadu_si512(c->src[i]);

			_mm512_storeu_si512(c->dst[i], _mm512_xor_si512(text, c->stream[i]));
			continue;
		}
		__mmask64 m = UINT64_MAX >> (BLOCK - c->len[i]);
		__m512i text = _mm512_maskz_loadu_epi8(m, c->src[i]);

		_mm512_mask_storeu_epi8(c->dst[i], m, _mm512_xor_si512(text, c->stream[i]));
	}
	c->waiting = 0;
}

static inline void chacha_wait(struct chacha *c, uint32_t block, uint64_t counter,
			       const uint8_t *src, uint8_t *dst, uint32_t len)
{
	unsigned i = c->waiting++;

	c->block[i] = block;
	c->nonce_lo[i] = (uint32_t)counter;
	c->nonce_hi[i] = (uint32_t)(counter >> 32);
	c->src[i] = src;
	c->dst[i] = dst;
	c->len[i] = len;
	if (c->waiting == LANES)
		chacha_flush(c);
}

static void chacha_text(struct chacha *c, const struct crypto_aead_job *job)
{
	uint32_t block = 1; /* block 0 is Poly1305's */

	for (uint32_t at = 0; at < job->len; at += BLOCK, block++)
		chacha_wait(c, block, job->counter, job->src + at, job->dst + at,
			    TT_MIN(job->len - at, (uint32_t)BLOCK));
}

/* The one-time keys of n packets, from their blocks 0. */
static void poly_keys(struct chacha *c, const struct crypto_aead_job *jobs, size_t n,
		      uint8_t (*key)[POLY_KEY_LEN])
{
	static const uint8_t zeros[POLY_KEY_LEN];

	for (size_t i = 0; i < n; i++)
		chacha_wait(c, 0, jobs[i].counter, zeros, key[i], POLY_KEY_LEN);
	chacha_flush(c);
}

/* --- Poly1305 -------------------------------------------------------------------------------- */

/*
 * Numbers modulo 2^130 - 5 in limbs of 44, 44 and 42 bits, one packet per lane. IFMA multiplies 52
 * by 52 bits into a low and a high half; the halves' weights differ from the limbs' by 2^8, and by
 * 2^10 after the last limb. A product that passes 2^132 comes back times 20 (2^132 = 4 * 5 mod p),
 * hence the limbs r1 * 20 and r2 * 20, which fit 52 bits because r is clamped.
 */
struct poly {
	__m512i h0, h1, h2;
	__m512i r0, r1, r2, s1, s2;
};

#define MASK44 UINT64_C(0xfffffffffff)
#define MASK42 UINT64_C(0x3ffffffffff)

static AVX512_PART __m512i all64(uint64_t v)
{
	return _mm512_set1_epi64((long long)v);
}

static AVX512 void poly_init(struct poly *p, const uint8_t *const key[MACS])
{
	_Alignas(64) uint64_t r[3][MACS];

	for (unsigned i = 0; i < MACS; i++) {
		uint64_t lo = tt_load_le64(key[i]), hi = tt_load_le64(key[i] + 8);

		r[0][i] = lo & UINT64_C(0xffc0fffffff);
		r[1][i] = (lo >> 44 | hi << 20) & UINT64_C(0xfffffc0ffff);
		r[2][i] = hi >> 24 & UINT64_C(0x00ffffffc0f);
	}
	p->r0 = _mm512_load_si512(r[0]);
	p->r1 = _mm512_load_si512(r[1]);
	p->r2 = _mm512_load_si512(r[2]);
	/* times 20 */
	p->s1 = _mm512_slli_epi64(_mm512_add_epi64(p->r1, _mm512_slli_epi64(p->r1, 2)), 2);
	p->s2 = _mm512_slli_epi64(_mm512_add_epi64(p->r2, _mm512_slli_epi64(p->r2, 2)), 2);
	p->h0 = p->h1 = p->h2 = _mm512_setzero_si512();
	crypto_wipe(r, sizeof(r));
}

/* h = (h + block) * r, where a block is 16 bytes (lo, hi) and the bit behind them. */
static AVX512_PART void poly_block(struct poly *p, __m512i lo, __m512i hi)
{
	const __m512i zero = _mm512_setzero_si512(), m44 = all64(MASK44), m42 = all64(MASK42);
	__m512i mid = _mm512_or_si512(_mm512_srli_epi64(lo, 44), _mm512_slli_epi64(hi, 20));
	__m512i h0 = _mm512_add_epi64(p->h0, _mm512_and_si512(lo, m44));
	__m512i h1 = _mm512_add_epi64(p->h1, _mm512_and_si512(mid, m44));
	__m512i h2 = _mm512_add_epi64(p->h2, _mm512_or_si512(_mm512_srli_epi64(hi, 24),
							     all64(UINT64_C(1) << 40)));

	__m512i l0 = _mm512_madd52lo_epu64(zero, h0, p->r0);
	__m512i l1 = _mm512_madd52lo_epu64(zero, h0, p->r1);
	__m512i l2 = _mm512_madd52lo_epu64(zero, h0, p->r2);
	__m512i u0 = _mm512_madd52hi_epu64(zero, h0, p->r0);
	__m512i u1 = _mm512_madd52hi_epu64(zero, h0, p->r1);
	__m512i u2 = _mm512_madd52hi_epu64(zero, h0, p->r2);

	l0 = _mm512_madd52lo_epu64(l0, h1, p->s2);
	l1 = _mm512_madd52lo_epu64(l1, h1, p->r0);
	l2 = _mm512_madd52lo_epu64(l2, h1, p->r1);
	u0 = _mm512_madd52hi_epu64(u0, h1, p->s2);
	u1 = _mm512_madd52hi_epu64(u1, h1, p->r0);
	u2 = _mm512_madd52hi_epu64(u2, h1, p->r1);
	l0 = _mm512_madd52lo_epu64(l0, h2, p->s1);
	l1 = _mm512_madd52lo_epu64(l1, h2, p->s2);
	l2 = _mm512_madd52lo_epu64(l2, h2, p->r0);
	u0 = _mm512_madd52hi_epu64(u0, h2, p->s1);
	u1 = _mm512_madd52hi_epu64(u1, h2, p->s2);
	u2 = _mm512_madd52hi_epu64(u2, h2, p->r0);
	u0 = _mm512_slli_epi64(u0, 8);
	l1 = _mm512_add_epi64(l1, u0);
	u1 = _mm512_slli_epi64(u1, 8);
	l2 = _mm512_add_epi64(l2, u1);
	u2 = _mm512_slli_epi64(u2, 10);

	/*
	 * Each limb hands its overflow to the next in parallel; what lies beyond 2^130 comes back
	 * times 5. That leaves h0 below 2^49, h1 and h2 a bit above their size: enough for IFMA.
	 */
	__m512i over = _mm512_add_epi64(_mm512_srli_epi64(l2, 42), u2);

	over = _mm512_add_epi64(over, _mm512_slli_epi64(over, 2));
	p->h0 = _mm512_add_epi64(_mm512_and_si512(l0, m44), over);
	p->h1 = _mm512_add_epi64(_mm512_and_si512(l1, m44), _mm512_srli_epi64(l0, 44));
	p->h2 = _mm512_add_epi64(_mm512_and_si512(l2, m42), _mm512_srli_epi64(l1, 44));
}

/* 64 bytes of eight packets to four blocks of all: low halves in out[0..3], high in out[4..7]. */
static AVX512_PART void poly_load(const uint8_t *const text[MACS], uint32_t at, __m512i out[8])
{
	__m512i t0, t1, t2, t3, t4, t5, t6, t7;

	/* low and high halves of blocks 0 to 3, of two packets each */
#define PAIR(lo, hi, i)                                             \
	do {                                                        \
		__m512i a = _mm512_loadu_si512(text[i] + at);       \
		__m512i b = _mm512_loadu_si512(text[(i) + 1] + at); \
		lo = _mm512_unpacklo_epi64(a, b);                   \
		hi = _mm512_unpackhi_epi64(a, b);                   \
	} while (0)
	PAIR(t0, t4, 0);
	PAIR(t1, t5, 2);
	PAIR(t2, t6, 4);
	PAIR(t3, t7, 6);
#undef PAIR
#define GATHER(a, b, c, d, o)                                      \
	do {                                                       \
		__m512i ab_lo = _mm512_shuffle_i32x4(a, b, 0x44);  \
		__m512i ab_hi = _mm512_shuffle_i32x4(a, b, 0xee);  \
		__m512i cd_lo = _mm512_shuffle_i32x4(c, d, 0x44);  \
		__m512i cd_hi = _mm512_shuffle_i32x4(c, d, 0xee);  \
		(o)[0] = _mm512_shuffle_i32x4(ab_lo, cd_lo, 0x88); \
		(o)[1] = _mm512_shuffle_i32x4(ab_lo, cd_lo, 0xdd); \
		(o)[2] = _mm512_shuffle_i32x4(ab_hi, cd_hi, 0x88); \
		(o)[3] = _mm512_shuffle_i32x4(ab_hi, cd_hi, 0xdd); \
	} while (0)
	GATHER(t0, t1, t2, t3, out);
	GATHER(t4, t5, t6, t7, out + 4);
#undef GATHER
}

/* As many whole 64 bytes as the shortest of 16 packets has. Returns how far it came. */
static AVX512 uint32_t poly_bulk(struct poly *first, struct poly *second,
				 const uint8_t *const text[2 * MACS], uint32_t shortest)
{
	struct poly p = *first, q = *second;
	uint32_t at = 0;

	for (; shortest - at >= BLOCK; at += BLOCK) {
		__m512i a[8] UNINITIALIZED, b[8] UNINITIALIZED;

		poly_load(text, at, a);
		poly_load(text + MACS, at, b);
		poly_block(&p, a[0], a[4]);
		poly_block(&q, b[0], b[4]);
		poly_block(&p, a[1], a[5]);
		poly_block(&q, b[1], b[5]);
		poly_block(&p, a[2], a[6]);
		poly_block(&q, b[2], b[6]);
		poly_block(&p, a[3], a[7]);
		poly_block(&q, b[3], b[7]);
	}
	*first = p;
	*second = q;
	crypto_wipe(&p, sizeof(p));
	crypto_wipe(&q, sizeof(q));
	return at;
}

/* Block `at`/16 of a packet as RFC 8439 2.8 lays it out: text, zeros, then the length. */
static AVX512_PART __m128i mac_block(const uint8_t *text, uint32_t len, uint32_t at)
{
	if (at >= len)
		return _mm_set_epi64x(len, 0);
	return _mm_maskz_loadu_epi8((__mmask16)(0xffffu >> (16 - TT_MIN(len - at, 16u))),
				    text + at);
}

/* One block of each packet that has one left; the others' sums stay as they are. */
static AVX512 void poly_last_block(struct poly *p, const uint8_t *const text[MACS],
				   const uint32_t len[MACS], uint32_t at)
{
	_Alignas(64) uint64_t lo[MACS], hi[MACS];
	struct poly before = *p;
	__mmask8 has = 0;

	for (unsigned i = 0; i < MACS; i++) {
		__m128i block = mac_block(text[i], len[i], at);

		lo[i] = (uint64_t)_mm_cvtsi128_si64(block);
		hi[i] = (uint64_t)_mm_extract_epi64(block, 1);
		has |= (__mmask8)((at < TT_ALIGN_UP(len[i], 16u) + 16u) << i);
	}
	poly_block(p, _mm512_load_si512(lo), _mm512_load_si512(hi));
	p->h0 = _mm512_mask_mov_epi64(before.h0, has, p->h0);
	p->h1 = _mm512_mask_mov_epi64(before.h1, has, p->h1);
	p->h2 = _mm512_mask_mov_epi64(before.h2, has, p->h2);
}

/* One lane: reduced modulo 2^130 - 5, plus the second half of its key. */
static void poly_tag(uint64_t h0, uint64_t h1, uint64_t h2, const uint8_t *key, uint8_t *tag)
{
	for (unsigned round = 0; round < 2; round++) {
		h1 += h0 >> 44;
		h0 &= MASK44;
		h2 += h1 >> 44;
		h1 &= MASK44;
		h0 += (h2 >> 42) * 5;
		h2 &= MASK42;
	}
	h1 += h0 >> 44;
	h0 &= MASK44;

	/* h - p, taken where it is not negative */
	uint64_t g0 = h0 + 5, g1 = h1 + (g0 >> 44), g2 = h2 + (g1 >> 44);
	uint64_t take = (uint64_t)0 - (g2 >> 42);

	h0 = (h0 & ~take) | (g0 & MASK44 & take);
	h1 = (h1 & ~take) | (g1 & MASK44 & take);
	h2 = (h2 & ~take) | (g2 & MASK42 & take);

	unsigned __int128 sum = (unsigned __int128)(h1 >> 20 | h2 << 24) << 64 | (h0 | h1 << 44);

	sum += (unsigned __int128)tt_load_le64(key + 24) << 64 | tt_load_le64(key + 16);
	tt_store_le64(tag, (uint64_t)sum);
	tt_store_le64(tag + 8, (uint64_t)(sum >> 64));
}

static AVX512 void poly_tags(const struct poly *p, const uint8_t *const *key, size_t n,
			     uint8_t (*tags)[16])
{
	_Alignas(64) uint64_t h[3][MACS];

	_mm512_store_si512(h[0], p->h0);
	_mm512_store_si512(h[1], p->h1);
	_mm512_store_si512(h[2], p->h2);
	for (size_t i = 0; i < n; i++)
		poly_tag(h[0][i], h[1][i], h[2][i], key[i], tags[i]);
	crypto_wipe(h, sizeof(h));
}

/* Lanes without a packet repeat the first. */
void crypto_aead_avx512_macs(const uint8_t *const *texts, const uint32_t *lens, size_t n,
			     const uint8_t (*keys)[POLY_KEY_LEN], uint8_t (*tags)[16])
{
	const uint8_t *text[2 * MACS], *key[2 * MACS];
	uint32_t len[2 * MACS], shortest = UINT32_MAX, longest = 0;
	struct poly p, q;

	for (size_t i = 0; i < 2 * MACS; i++) {
		size_t from = i < n ? i : 0;

		text[i] = texts[from];
		len[i] = lens[from];
		key[i] = keys[from];
		shortest = TT_MIN(shortest, len[i]);
		longest = TT_MAX(longest, len[i]);
	}
	poly_init(&p, key);
	poly_init(&q, key + MACS);
	uint32_t at = poly_bulk(&p, &q, text, shortest);

	for (; at < TT_ALIGN_UP(longest, 16u) + 16; at += 16) {
		poly_last_block(&p, text, len, at);
		if (n > MACS)
			poly_last_block(&q, text + MACS, len + MACS, at);
	}
	poly_tags(&p, key, TT_MIN(n, (size_t)MACS), tags);
	if (n > MACS)
		poly_tags(&q, key + MACS, n - MACS, tags + MACS);
	crypto_wipe(&p, sizeof(p));
	crypto_wipe(&q, sizeof(q));
}

/* --- the backend ------------------------------------------------------------------------------ */

/* Of one thread; holds keys only while a call runs. */
struct avx512_state {
	struct chacha chacha;
	uint8_t key[CRYPTO_AEAD_BURST_MAX][POLY_KEY_LEN];
	uint8_t tag[CRYPTO_AEAD_BURST_MAX][CRYPTO_AEAD_TAG_LEN];
	const uint8_t *text[CRYPTO_AEAD_BURST_MAX];
	uint32_t len[CRYPTO_AEAD_BURST_MAX];
	_Alignas(CRYPTO_AEAD_CTX_ALIGN) uint8_t few[]; /* of the backend for few packets */
};

/*
 * A lane takes as long for one packet as for sixteen, so few packets are better off where each has
 * all lanes. Set at start, before other threads; NULL: there is no such backend.
 */
static const struct crypto_aead_backend *for_few;

static inline bool are_few(const struct crypto_aead_job *jobs, size_t n)
{
	return for_few && (n < 3 || (n < 7 && jobs[0].len >= 512));
}

static void all_macs(struct avx512_state *s, size_t n)
{
	for (size_t i = 0; i < n; i += 2 * MACS)
		crypto_aead_avx512_macs(s->text + i, s->len + i, TT_MIN(n - i, (size_t)(2 * MACS)),
					(const uint8_t(*)[POLY_KEY_LEN])s->key + i, s->tag + i);
}

static void forget(struct avx512_state *s, size_t n)
{
	crypto_wipe(s->chacha.word, sizeof(s->chacha.word));
	crypto_wipe(s->chacha.stream, sizeof(s->chacha.stream));
	crypto_wipe(s->key, n * sizeof(s->key[0]));
	crypto_wipe(s->tag, n * sizeof(s->tag[0]));
}

static void seal_burst(void *state, const struct crypto_aead_key *key,
		       const struct crypto_aead_job *jobs, size_t n)
{
	struct avx512_state *s = state;

	if (are_few(jobs, n)) {
		for_few->seal_burst(s->few, key, jobs, n);
		return;
	}
	chacha_init(&s->chacha, key);
	poly_keys(&s->chacha, jobs, n, s->key);
	for (size_t i = 0; i < n; i++) {
		chacha_text(&s->chacha, &jobs[i]);
		s->text[i] = jobs[i].dst;
		s->len[i] = jobs[i].len;
	}
	chacha_flush(&s->chacha);
	all_macs(s, n);
	for (size_t i = 0; i < n; i++)
		memcpy(jobs[i].dst + jobs[i].len, s->tag[i], CRYPTO_AEAD_TAG_LEN);
	forget(s, n);
}

static uint64_t open_burst(void *state, const struct crypto_aead_key *key,
			   const struct crypto_aead_job *jobs, size_t n)
{
	struct avx512_state *s = state;
	uint64_t ok = 0;

	if (are_few(jobs, n))
		return for_few->open_burst(s->few, key, jobs, n);
	chacha_init(&s->chacha, key);
	poly_keys(&s->chacha, jobs, n, s->key);
	for (size_t i = 0; i < n; i++) {
		s->text[i] = jobs[i].src;
		s->len[i] = jobs[i].len;
	}
	all_macs(s, n);
	/* judged before anything is decrypted: in place that leaves nothing to judge */
	for (size_t i = 0; i < n; i++)
		ok |= (uint64_t)crypto_equal(s->tag[i], jobs[i].src + jobs[i].len,
					     CRYPTO_AEAD_TAG_LEN)
		      << i;
	for (size_t i = 0; i < n; i++) {
		if (ok >> i & 1)
			chacha_text(&s->chacha, &jobs[i]);
		else
			crypto_wipe(jobs[i].dst, jobs[i].len);
	}
	chacha_flush(&s->chacha);
	forget(s, n);
	return ok;
}

static bool supported(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
}

static enum crypto_aead_choice probe(void)
{
	static struct avx512_state s; /* at start there is one thread */

	for_few = NULL;
	if (!supported())
		return CRYPTO_AEAD_UNAVAILABLE;
	if (!crypto_aead_self_test(&crypto_aead_backend_avx512, &s))
		return CRYPTO_AEAD_BROKEN;
#ifdef TT_HAVE_IPSEC_MB
	if (crypto_aead_backend_ipsec_mb.probe() == CRYPTO_AEAD_CHOSEN)
		for_few = &crypto_aead_backend_ipsec_mb;
#endif
	return CRYPTO_AEAD_CHOSEN;
}

static size_t state_size(void)
{
#ifdef TT_HAVE_IPSEC_MB
	return sizeof(struct avx512_state) + crypto_aead_backend_ipsec_mb.state_size();
#else
	return sizeof(struct avx512_state);
#endif
}

static bool state_init(void *state)
{
	struct avx512_state *s = state;

	return supported() && (!for_few || for_few->state_init(s->few));
}

const struct crypto_aead_backend crypto_aead_backend_avx512 = {
	.name = "avx512",
	.probe = probe,
	.state_size = state_size,
	.state_init = state_init,
	.seal_burst = seal_burst,
	.open_burst = open_burst,
};
#endif

/* SPDX-License-Identifier: MIT */
#include "datapath/csum.h"

#include <errno.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/*
 * All implementations add the 32-bit words of the data into 64-bit lanes, which cannot overflow
 * below 2^32 additions, and fold once at the end: 2^32 = 1 (mod 2^16 - 1). Each is written once,
 * for copying and for reading only; a NULL dst is known at compile time.
 */
struct csum_impl {
	const char *name;
	uint32_t (*partial)(const void *data, size_t len, uint32_t seed);
	uint32_t (*copy)(void *dst, const void *src, size_t len, uint32_t seed);
};

ALWAYS_INLINE uint32_t fold64(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	return (uint32_t)sum;
}

/* Up to 8 bytes, as a little-endian number; bytes that are not there count as zero. */
ALWAYS_INLINE uint64_t tail_word(uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t word = 0;
	unsigned at = 0;
	if (len & 4) {
		uint32_t v;
		memcpy(&v, src, sizeof(v));
		if (dst)
			memcpy(dst, &v, sizeof(v));
		word = v;
		at = 4;
	}
	if (len & 2) {
		uint16_t v;
		memcpy(&v, src + at, sizeof(v));
		if (dst)
			memcpy(dst + at, &v, sizeof(v));
		word |= (uint64_t)v << (8 * at);
		at += 2;
	}
	if (len & 1) {
		if (dst)
			dst[at] = src[at];
		word |= (uint64_t)src[at] << (8 * at);
	}
	return word;
}

ALWAYS_INLINE uint64_t halves(uint64_t word)
{
	return (word & UINT32_MAX) + (word >> 32);
}

ALWAYS_INLINE uint64_t run_portable(uint8_t *dst, const uint8_t *src, size_t len, uint64_t sum)
{
	for (; len >= 32; src += 32, len -= 32) {
		uint64_t w[4];
		memcpy(w, src, sizeof(w));
		if (dst) {
			memcpy(dst, w, sizeof(w));
			dst += 32;
		}
		sum += halves(w[0]) + halves(w[1]) + halves(w[2]) + halves(w[3]);
	}
	for (; len >= 8; src += 8, len -= 8) {
		uint64_t w;
		memcpy(&w, src, sizeof(w));
		if (dst) {
			memcpy(dst, &w, sizeof(w));
			dst += 8;
		}
		sum += halves(w);
	}
	return sum + halves(tail_word(dst, src, len));
}

static uint32_t partial_portable(const void *data, size_t len, uint32_t seed)
{
	return fold64(run_portable(NULL, data, len, seed));
}

static uint32_t copy_portable(void *dst, const void *src, size_t len, uint32_t seed)
{
	return fold64(run_portable(dst, src, len, seed));
}

static const struct csum_impl portable = {"portable", partial_portable, copy_portable};

#if defined(__x86_64__)

#define AVX2   __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw")))

AVX2 ALWAYS_INLINE __m256i step_avx2(__m256i acc, uint8_t *dst, const uint8_t *src)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
	__m256i v = _mm256_loadu_si256((const __m256i *)src);
	if (dst)
		_mm256_storeu_si256((__m256i *)dst, v);
	acc = _mm256_add_epi64(acc, _mm256_and_si256(v, low));
	return _mm256_add_epi64(acc, _mm256_srli_epi64(v, 32));
}

AVX2 ALWAYS_INLINE uint64_t run_avx2(uint8_t *dst, const uint8_t *src, size_t len, uint64_t sum)
{
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
	for (; len >= 128; src += 128, len -= 128) {
		a = step_avx2(a, dst, src);
		b = step_avx2(b, dst ? dst + 32 : NULL, src + 32);
		c = step_avx2(c, dst ? dst + 64 : NULL, src + 64);
		d = step_avx2(d, dst ? dst + 96 : NULL, src + 96);
		if (dst)
			dst += 128;
	}
	for (; len >= 32; src += 32, len -= 32) {
		a = step_avx2(a, dst, src);
		if (dst)
			dst += 32;
	}
	a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
	uint64_t lane[4];
	_mm256_storeu_si256((__m256i *)lane, a);
	sum += halves(lane[0]) + halves(lane[1]) + halves(lane[2]) + halves(lane[3]);
	return run_portable(dst, src, len, sum);
}

AVX2 static uint32_t partial_avx2(const void *data, size_t len, uint32_t seed)
{
	return fold64(run_avx2(NULL, data, len, seed));
}

AVX2 static uint32_t copy_avx2(void *dst, const void *src, size_t len, uint32_t seed)
{
	return fold64(run_avx2(dst, src, len, seed));
}

AVX512 ALWAYS_INLINE __m512i add_avx512(__m512i acc, __m512i v)
{
	const __m512i low = _mm512_set1_epi64(UINT32_MAX);
	acc = _mm512_add_epi64(acc, _mm512_and_si512(v, low));
	return _mm512_add_epi64(acc, _mm512_srli_epi64(v, 32));
}

AVX512 ALWAYS_INLINE __m512i step_avx512(__m512i acc, uint8_t *dst, const uint8_t *src)
{
	__m512i v = _mm512_loadu_si512(src);
	if (dst)
		_mm512_storeu_si512(dst, v);
	return add_avx512(acc, v);
}

/* The last 0 to 63 bytes by a mask: no scalar tail, nothing outside is read or written. */
AVX512 ALWAYS_INLINE __m512i tail_avx512(__m512i acc, uint8_t *dst, const uint8_t *src, size_t len)
{
	__mmask64 mask = (UINT64_C(1) << len) - 1;
	__m512i v = _mm512_maskz_loadu_epi8(mask, src);
	if (dst)
		_mm512_mask_storeu_epi8(dst, mask, v);
	return add_avx512(acc, v);
}

AVX512 ALWAYS_INLINE uint64_t run_avx512(uint8_t *dst, const uint8_t *src, size_t len, uint64_t sum)
{
	__m512i a = _mm512_setzero_si512(), b = a;
	for (; len >= 128; src += 128, len -= 128) {
		a = step_avx512(a, dst, src);
		b = step_avx512(b, dst ? dst + 64 : NULL, src + 64);
		if (dst)
			dst += 128;
	}
	if (len >= 64) {
		a = step_avx512(a, dst, src);
		src += 64;
		len -= 64;
		if (dst)
			dst += 64;
	}
	if (len)
		b = tail_avx512(b, dst, src, len);
	return sum + (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b));
}

AVX512 static uint32_t partial_avx512(const void *data, size_t len, uint32_t seed)
{
	return fold64(run_avx512(NULL, data, len, seed));
}

AVX512 static uint32_t copy_avx512(void *dst, const void *src, size_t len, uint32_t seed)
{
	return fold64(run_avx512(dst, src, len, seed));
}

static const struct csum_impl avx2 = {"avx2", partial_avx2, copy_avx2};
static const struct csum_impl avx512 = {"avx512", partial_avx512, copy_avx512};

static const struct csum_impl *const impls[] = {&avx512, &avx2, &portable};

static bool cpu_has(const struct csum_impl *impl)
{
	if (impl == &avx512)
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
	if (impl == &avx2)
		return __builtin_cpu_supports("avx2");
	return true;
}

#else

static const struct csum_impl *const impls[] = {&portable};

static bool cpu_has(const struct csum_impl *impl)
{
	return impl == &portable;
}

#endif

static const struct csum_impl *chosen = &portable;

const char *dp_csum_init(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(impls); i++) {
		if (!cpu_has(impls[i]))
			continue;
		chosen = impls[i];
		break;
	}
	return chosen->name;
}

int dp_csum_select(const char *name)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(impls); i++) {
		if (strcmp(impls[i]->name, name) != 0)
			continue;
		if (!cpu_has(impls[i]))
			return -ENOTSUP;
		chosen = impls[i];
		return 0;
	}
	return -EINVAL;
}

uint32_t dp_csum_partial(const void *data, size_t len, uint32_t seed)
{
	return chosen->partial(data, len, seed);
}

uint32_t dp_csum_copy(void *dst, const void *src, size_t len, uint32_t seed)
{
	return chosen->copy(dst, src, len, seed);
}

/* Pseudo headers are too short for a vector to pay. */
uint32_t dp_csum_pseudo_v4(const uint8_t src[4], const uint8_t dst[4], uint8_t proto,
			   uint16_t l4_len)
{
	uint64_t sum = (uint64_t)tt_load_le32(src) + tt_load_le32(dst);
	return fold64(sum + dp_csum_be16(proto) + dp_csum_be16(l4_len));
}

uint32_t dp_csum_pseudo_v6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
			   uint32_t l4_len)
{
	uint64_t sum = halves(tt_load_le64(src)) + halves(tt_load_le64(src + 8)) +
		       halves(tt_load_le64(dst)) + halves(tt_load_le64(dst + 8));
	return fold64(sum + dp_csum_be16(proto) + __builtin_bswap32(l4_len));
}

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <errno.h>
#include <sys/mman.h>

#include "datapath/csum.h"
#include "packets.h"

#define PAGE  4096u
#define AREA  (20 * PAGE)
#define ALIGN 64

static const char *const names[] = {"portable", "avx2", "avx512"};

/* Memory whose end is followed by nothing: reading or writing past it ends the test. */
static uint8_t *guarded_end(void)
{
	uint8_t *p =
		mmap(NULL, AREA + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(p != MAP_FAILED);
	CU_ASSERT_FATAL(mprotect(p + AREA, PAGE, PROT_NONE) == 0);
	return p + AREA;
}

/* 0 and 0xffff are the same number; which of the two comes out is not part of the contract. */
static bool same_sum(uint32_t sum, uint64_t naive)
{
	uint16_t got = __builtin_bswap16(dp_csum_fold_plain(sum)), want = pk_naive_fold(naive);
	return got == want || (got % 0xffff == 0 && want % 0xffff == 0);
}

static void check_one(const uint8_t *src_end, uint8_t *dst_end, size_t len, size_t dst_back,
		      uint32_t seed)
{
	const uint8_t *src = src_end - len;
	uint8_t *dst = dst_end - dst_back - len;
	uint64_t seed_be = __builtin_bswap16((uint16_t)seed) +
			   (uint64_t)__builtin_bswap16((uint16_t)(seed >> 16));
	uint64_t want = pk_naive_sum(src, len, seed_be);
	bool ok = same_sum(dp_csum_partial(src, len, seed), want);
	dst[-1] = 0xa5;
	if (dst_back)
		dst[len] = 0x5a;
	ok = ok && same_sum(dp_csum_copy(dst, src, len, seed), want);
	ok = ok && memcmp(dst, src, len) == 0 && dst[-1] == 0xa5;
	ok = ok && (!dst_back || dst[len] == 0x5a);
	CU_ASSERT(ok);
}

static void sweep(void)
{
	struct pk_rng rng = {7};
	uint8_t *src = guarded_end(), *dst = guarded_end();
	pk_fill(&rng, src - AREA, AREA);
	for (size_t back = 0; back < ALIGN; back++)
		for (size_t len = 0; len < 400; len++)
			check_one(src - back * (len & 1), dst, len, back, pk_rand(&rng));
	for (unsigned i = 0; i < 300; i++)
		check_one(src - pk_rand(&rng) % ALIGN, dst, pk_rand(&rng) % 66000,
			  pk_rand(&rng) % ALIGN, pk_rand(&rng));
	memset(src - AREA, 0xff, AREA); /* every carry there can be */
	for (size_t len = 65000; len < 65600; len += 7)
		check_one(src, dst, len, 0, UINT32_MAX);
	munmap(src - AREA, AREA + PAGE);
	munmap(dst - AREA, AREA + PAGE);
}

static void every_implementation(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(names); i++) {
		int rc = dp_csum_select(names[i]);
		if (rc == -ENOTSUP || (rc == -EINVAL && i > 0)) {
			tt_test_skip(1, names[i]);
			continue;
		}
		CU_ASSERT_EQUAL(rc, 0);
		sweep();
	}
	CU_ASSERT_EQUAL(dp_csum_select("none"), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(dp_csum_init());
}

static void pieces_add_up(void)
{
	struct pk_rng rng = {8};
	uint8_t data[512];
	pk_fill(&rng, data, sizeof(data));
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		uint32_t a = dp_csum_partial(data, cut, 0);
		uint32_t b = dp_csum_partial(data + cut, sizeof(data) - cut, 0);
		if (cut & 1)
			b = dp_csum_shift(b);
		uint32_t sum = dp_csum_add(a, b);
		CU_ASSERT(same_sum(sum, pk_naive_sum(data, sizeof(data), 0)));
		CU_ASSERT_EQUAL(dp_csum_fold(dp_csum_sub(sum, a)) % 0xffff,
				dp_csum_fold(b) % 0xffff);
	}
}

static void pseudo_headers(void)
{
	uint8_t pkt[64];
	struct pk_rng rng = {9};
	for (unsigned i = 0; i < 1000; i++) {
		pk_fill(&rng, pkt, sizeof(pkt));
		uint16_t len = (uint16_t)pk_rand(&rng);
		pkt[0] = 0x45;
		CU_ASSERT(same_sum(dp_csum_pseudo_v4(pkt + 12, pkt + 16, 6, len),
				   pk_pseudo(pkt, 6, len)));
		pkt[0] = 0x60;
		CU_ASSERT(same_sum(dp_csum_pseudo_v6(pkt + 8, pkt + 24, 17, len + 65536u),
				   pk_pseudo(pkt, 17, len + 65536u)));
	}
}

static void patch_equals_recompute(void)
{
	struct pk_rng rng = {10};
	struct pk k = pk_tcp(false);
	uint8_t pkt[40];
	for (unsigned i = 0; i < 20000; i++) {
		k.tos = (uint8_t)pk_rand(&rng);
		k.id = (uint16_t)pk_rand(&rng);
		pk_build(pkt, &k, "", 0, false);
		uint16_t old_word, new_word = (uint16_t)pk_rand(&rng);
		memcpy(&old_word, pkt + 4, 2);
		memcpy(pkt + 4, &new_word, 2);
		dp_csum_patch(pkt + 10, old_word, new_word);
		CU_ASSERT(pk_naive_fold(pk_naive_sum(pkt, 20, 0)) == 0xffff);
	}
}

TT_TESTS("csum", {"all lengths and alignments, every implementation", every_implementation},
	 {"pieces add up", pieces_add_up}, {"pseudo headers", pseudo_headers},
	 {"patch equals recompute", patch_equals_recompute})

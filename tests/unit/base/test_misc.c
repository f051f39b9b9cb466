/* SPDX-License-Identifier: MIT
 *
 * The small ones of base: random numbers, cursor, clocks and byte order, names of drops, asserts.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/cursor.h"
#include "base/drop.h"
#include "base/rng.h"
#include "base/suggest.h"
#include "base/text.h"
#include "tt_test.h"

static void rng_is_deterministic(void)
{
	struct tt_rng_seeded sa, sb, sc;
	struct tt_rng a = tt_rng_seeded_init(&sa, 7), b = tt_rng_seeded_init(&sb, 7);
	struct tt_rng c = tt_rng_seeded_init(&sc, 8);
	uint8_t x[37], y[37], z[37];

	tt_rng_fill(&a, x, sizeof(x));
	tt_rng_fill(&b, y, sizeof(y));
	tt_rng_fill(&c, z, sizeof(z));
	CU_ASSERT_EQUAL(memcmp(x, y, sizeof(x)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(x, z, sizeof(x)), 0);
	tt_rng_fill(&a, NULL, 0);
}

static void rng_below_is_uniform(void)
{
	static const uint32_t bounds[] = {1, 2, 3, 10, 255, 1u << 31, (1u << 31) + 1, UINT32_MAX};
	struct tt_rng_seeded state;
	struct tt_rng rng = tt_rng_seeded_init(&state, 9);
	uint32_t seen[10] = {0};

	for (size_t i = 0; i < TT_ARRAY_LEN(bounds); i++)
		for (int k = 0; k < 1000; k++)
			CU_ASSERT(tt_rng_below(&rng, bounds[i]) < bounds[i]);
	for (int k = 0; k < 100000; k++)
		seen[tt_rng_below(&rng, 10)]++;
	for (int i = 0; i < 10; i++)
		CU_ASSERT(seen[i] > 9500 && seen[i] < 10500);
}

/* The generator's first words are those on which Lemire's method must reject. */
static void scripted_fill(void *ctx, void *buf, size_t len)
{
	const uint32_t **next = ctx;

	tt_assert(len == 4);
	memcpy(buf, *next, 4);
	++*next;
}

static void rng_below_rejects(void)
{
	/* 2^32 mod 3 = 1: a low half of 0 would make the first value likelier */
	static const uint32_t words[] = {0, 0x80000000};
	const uint32_t *next = words;
	struct tt_rng rng = {scripted_fill, &next};

	CU_ASSERT_EQUAL(tt_rng_below(&rng, 3), 1);
	CU_ASSERT_PTR_EQUAL(next, words + 2);
}

static void cursor(void)
{
	const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct tt_cursor c = tt_cursor_over(data, sizeof(data));

	CU_ASSERT_EQUAL(tt_cursor_u8(&c), 1);
	CU_ASSERT_EQUAL(tt_cursor_be16(&c), 0x0203);
	CU_ASSERT_EQUAL(tt_cursor_be32(&c), 0x04050607);
	CU_ASSERT_EQUAL(tt_cursor_left(&c), 1);
	CU_ASSERT_TRUE(tt_cursor_ok(&c));
	CU_ASSERT_EQUAL(tt_cursor_be16(&c), 0);
	CU_ASSERT_FALSE(tt_cursor_ok(&c));
	/* bad stays bad, even for what would still fit */
	CU_ASSERT_EQUAL(tt_cursor_left(&c), 0);
	CU_ASSERT_EQUAL(tt_cursor_u8(&c), 0);
	CU_ASSERT_PTR_NULL(tt_cursor_take(&c, 1));
	c = tt_cursor_over(data, sizeof(data));
	CU_ASSERT_PTR_NULL(tt_cursor_take(&c, SIZE_MAX));
	c = tt_cursor_over(data, 0);
	CU_ASSERT_PTR_NOT_NULL(tt_cursor_take(&c, 0));
	CU_ASSERT_TRUE(tt_cursor_ok(&c));
}

static void bytes_and_clocks(void)
{
	uint8_t b[8];

	tt_store_be32(b, 0x01020304);
	CU_ASSERT_EQUAL(b[0], 1);
	CU_ASSERT_EQUAL(tt_load_be16(b), 0x0102);
	tt_store_le64(b, UINT64_C(0x0807060504030201));
	CU_ASSERT_EQUAL(b[0], 1);
	CU_ASSERT_EQUAL(tt_load_be64(b), UINT64_C(0x0102030405060708));
	CU_ASSERT_EQUAL(be16_to(be16_from(0x1234)), 0x1234);
	CU_ASSERT_EQUAL(be32_to(be32_from(0x12345678)), 0x12345678);
	struct tt_mono early = {5}, late = {9};
	CU_ASSERT_EQUAL(tt_mono_since(late, early), 4);
	CU_ASSERT_EQUAL(tt_mono_since(early, late), 0);
	CU_ASSERT_TRUE(tt_mono_before(early, late));
	CU_ASSERT_EQUAL(TT_ALIGN_UP(65u, 64u), 128);
}

static void drop_names(void)
{
	for (int i = 0; i < TT_DROP_COUNT; i++) {
		const char *name = tt_drop_name((enum tt_drop)i);

		CU_ASSERT(name && *name);
		for (int k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(name, tt_drop_name((enum tt_drop)k));
	}
	CU_ASSERT_STRING_EQUAL(tt_drop_name(TT_DROP_HS_BAD_MAC1), "hs_bad_mac1");
	CU_ASSERT_STRING_EQUAL(tt_drop_name(TT_DROP_COUNT), "unknown");
	CU_ASSERT_STRING_EQUAL(tt_drop_name((enum tt_drop) - 1), "unknown");
}

static void assert_says_where_and_aborts(void)
{
	int fd[2], status;
	char buf[600] = "";

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], STDERR_FILENO);
		tt_assert_failed("1 == 2", "some/file.c", 42);
	}
	close(fd[1]);
	CU_ASSERT(read(fd[0], buf, sizeof(buf) - 1) > 0);
	close(fd[0]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf, "some/file.c:42: assertion failed: 1 == 2\n"));
}

/* By the definition: decode, encode again. */
static size_t utf8_by_decoding(const uint8_t *s, size_t left)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);

	if (len == 0 || len > left || s[0] == 0 || s[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	size_t shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	return shortest == len && c <= 0x10ffff && c >> 11 != 0xd800 >> 11 ? len : 0;
}

static void utf8(void)
{
	static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	unsigned wrong = 0;

	for (uint32_t i = 0; i < 1u << 16; i++)
		for (unsigned k = 0; k < TT_ARRAY_LEN(edges) * TT_ARRAY_LEN(edges); k++) {
			const uint8_t s[] = {(uint8_t)i, (uint8_t)(i >> 8),
					     edges[k % TT_ARRAY_LEN(edges)],
					     edges[k / TT_ARRAY_LEN(edges)]};
			for (size_t left = 1; left <= sizeof(s); left++)
				wrong += tt_utf8_len(s, left) != utf8_by_decoding(s, left);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void suggest(void)
{
	static const char *const words[] = {"listen", "user", "keepalive", "mtu", NULL};
	static const struct {
		const char *name, *want;
	} cases[] = {
		{"listen", "listen"},
		{"lisen", "listen"},
		{"LISTEN", "listen"},
		{"listne", "listen"},
		{"usr", "user"},
		{"uses", "user"},
		{"us", NULL}, /* a third of the word's letters, and no more */
		{"mut", NULL},
		{"mtv", "mtu"},
		{"persistent_keepalive", "keepalive"},
		{"the_mtu", NULL}, /* words below five letters are in too many others */
		{"", NULL},
		{"keepalive_keepalive_keepalive_keepalive_x", "keepalive"},
		{"somethingwithoutanylikeness_of_forty_one", NULL},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		const char *got = tt_suggest(cases[i].name, words);
		if (!cases[i].want)
			CU_ASSERT_PTR_NULL(got)
		else
			CU_ASSERT_STRING_EQUAL(got ? got : "(none)", cases[i].want);
	}
}

TT_TESTS("base/misc", {"rng is deterministic", rng_is_deterministic},
	 {"rng below is uniform", rng_below_is_uniform}, {"rng below rejects", rng_below_rejects},
	 {"utf8", utf8}, {"suggest", suggest}, {"cursor", cursor},
	 {"bytes and clocks", bytes_and_clocks}, {"drop names", drop_names},
	 {"assert says where and aborts", assert_says_where_and_aborts})

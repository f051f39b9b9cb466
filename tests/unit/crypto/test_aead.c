/* SPDX-License-Identifier: MIT */
#include "crypto/aead.h"

#include <sodium/crypto_onetimeauth_poly1305.h>
#include "base/rng.h"
#include "crypto/aead_backend.h"
#include "crypto/mem.h"
#include "vectors.h"

#define LEN_MAX 65536

static struct tt_rng_seeded rng_state;
static struct tt_rng rng;

/* --- one-shot ------------------------------------------------------------------------------- */

static size_t odd_nonces, wg_nonces;

static void wycheproof_case(const json_t *group, const json_t *test)
{
	static uint8_t aad[1024], msg[1024], sealed[1040], want[1040], out[1024];
	struct crypto_aead_key key = {{0}, CRYPTO_AEAD_CHACHA20_POLY1305, {0}};
	uint8_t nonce[12];

	if (json_integer_value(json_object_get(group, "ivSize")) != 96) {
		/* a nonce of another length cannot be passed; nothing but that is wrong with it */
		CU_ASSERT_STRING_EQUAL(vec_str(test, "result"), "invalid");
		odd_nonces++;
		return;
	}
	bool valid = strcmp(vec_str(test, "result"), "valid") == 0;
	vec_field(test, "key", key.bytes, sizeof(key.bytes));
	vec_field(test, "iv", nonce, sizeof(nonce));
	size_t aad_len = vec_field(test, "aad", aad, sizeof(aad));
	size_t len = vec_field(test, "msg", msg, sizeof(msg));
	vec_field(test, "ct", want, 1024);
	vec_field(test, "tag", want + len, 16);
	if (valid) {
		crypto_aead_seal_nonce(&key, nonce, aad, aad_len, msg, len, sealed);
		CU_ASSERT_EQUAL(memcmp(sealed, want, len + 16), 0);
	}
	memset(out, 0xff, sizeof(out));
	CU_ASSERT_EQUAL(crypto_aead_open_nonce(&key, nonce, aad, aad_len, want, len, out), valid);
	CU_ASSERT_TRUE(valid ? memcmp(out, msg, len) == 0 : crypto_is_zero(out, len));
	if (tt_load_le32(nonce) == 0) {
		uint64_t counter = tt_load_le64(nonce + 4);

		CU_ASSERT_EQUAL(crypto_aead_open(&key, counter, aad, aad_len, want, len, out),
				valid);
		wg_nonces++;
	}
}

static void wycheproof(void)
{
	size_t n = vec_wycheproof("chacha20_poly1305_test.json", wycheproof_case);

	CU_ASSERT(n == 0 || (n - odd_nonces > 300 && wg_nonces > 0));
}

/* RFC 8439, 2.8.2 */
static void rfc8439(void)
{
	static const char msg[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				  "only one tip for the future, sunscreen would be it.";
	struct crypto_aead_key key = {{0}, CRYPTO_AEAD_CHACHA20_POLY1305, {0}};
	uint8_t nonce[12], aad[12], sealed[sizeof(msg) - 1 + 16];

	vec_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key.bytes, 32);
	vec_hex("070000004041424344454647", nonce, 12);
	vec_hex("50515253c0c1c2c3c4c5c6c7", aad, 12);
	crypto_aead_seal_nonce(&key, nonce, aad, 12, (const uint8_t *)msg, sizeof(msg) - 1, sealed);
	CU_ASSERT_TRUE(vec_equal(sealed, "d31a8d34648e60db7b86afbc53ef7ec2"));
	CU_ASSERT_TRUE(vec_equal(sealed + sizeof(msg) - 1, "1ae10b594f09e26a7e902ecbd0600691"));
}

static void every_bit_counts(void)
{
	struct crypto_aead_key key = {{1}, CRYPTO_AEAD_CHACHA20_POLY1305, {0}};
	uint8_t aad[32] = {2}, msg[28] = {3}, sealed[44], out[28];

	crypto_aead_seal(&key, 5, aad, 32, msg, 28, sealed);
	CU_ASSERT_TRUE(crypto_aead_open(&key, 5, aad, 32, sealed, 28, out));
	CU_ASSERT_EQUAL(memcmp(out, msg, 28), 0);
	struct {
		uint8_t *p;
		size_t len;
	} parts[] = {{key.bytes, 32}, {aad, 32}, {sealed, 44}};
	for (size_t i = 0; i < TT_ARRAY_LEN(parts); i++) {
		for (size_t bit = 0; bit < 8 * parts[i].len; bit++) {
			parts[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(crypto_aead_open(&key, 5, aad, 32, sealed, 28, out));
			CU_ASSERT_TRUE(crypto_is_zero(out, 28));
			parts[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	for (unsigned bit = 0; bit < 64; bit++)
		CU_ASSERT_FALSE(
			crypto_aead_open(&key, 5 ^ UINT64_C(1) << bit, aad, 32, sealed, 28, out));
	/* the empty field of a handshake response */
	crypto_aead_seal(&key, 0, aad, 32, NULL, 0, sealed);
	CU_ASSERT_TRUE(crypto_aead_open(&key, 0, aad, 32, sealed, 0, NULL));
	sealed[3] ^= 1;
	CU_ASSERT_FALSE(crypto_aead_open(&key, 0, aad, 32, sealed, 0, NULL));
}

/* --- bursts, for every backend ---------------------------------------------------------------- */

static struct crypto_aead_ctx *ctx;
static struct crypto_aead_key key;

struct arena {
	uint8_t plain[CRYPTO_AEAD_BURST_MAX][2048];
	uint8_t want[CRYPTO_AEAD_BURST_MAX][2048 + 16];
	uint8_t a[CRYPTO_AEAD_BURST_MAX][2048 + 32];
	uint8_t b[CRYPTO_AEAD_BURST_MAX][2048 + 32];
	struct crypto_aead_job jobs[CRYPTO_AEAD_BURST_MAX];
	uint32_t len[CRYPTO_AEAD_BURST_MAX];
	uint64_t counter[CRYPTO_AEAD_BURST_MAX];
	unsigned shift[CRYPTO_AEAD_BURST_MAX]; /* so that nothing is aligned */
};
static struct arena ar;

static void fill_arena(size_t n, uint32_t len_max)
{
	tt_rng_fill(&rng, key.bytes, sizeof(key.bytes));
	for (size_t i = 0; i < n; i++) {
		ar.len[i] = tt_rng_below(&rng, len_max + 1);
		ar.shift[i] = tt_rng_below(&rng, 16);
		tt_rng_fill(&rng, &ar.counter[i], sizeof(ar.counter[i]));
		tt_rng_fill(&rng, ar.plain[i], ar.len[i]);
		crypto_aead_seal(&key, ar.counter[i], NULL, 0, ar.plain[i], ar.len[i], ar.want[i]);
		memset(ar.a[i], 0xa5, sizeof(ar.a[i]));
		memset(ar.b[i], 0xa5, sizeof(ar.b[i]));
		memcpy(ar.a[i] + ar.shift[i], ar.plain[i], ar.len[i]);
	}
}

static void set_jobs(size_t n, bool a_to_a, bool b_to_a)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *a = ar.a[i] + ar.shift[i], *b = ar.b[i] + ar.shift[i];

		ar.jobs[i] = (struct crypto_aead_job){b_to_a ? b : a, a_to_a || b_to_a ? a : b,
						      ar.counter[i], ar.len[i]};
	}
}

/* The byte before and the byte behind a packet's place are as fill_arena() left them. */
static bool untouched_around(const uint8_t *slot, size_t i, size_t len)
{
	size_t end = ar.shift[i] + len;

	return (ar.shift[i] == 0 || slot[ar.shift[i] - 1] == 0xa5) &&
	       (end >= 2048 + 32 || slot[end] == 0xa5);
}

static void burst_round_trip(size_t n, uint32_t len_max, bool in_place)
{
	uint8_t(*sealed)[2048 + 32] = in_place ? ar.a : ar.b;
	const uint64_t all = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
	uint64_t forged;

	fill_arena(n, len_max);
	set_jobs(n, in_place, false);
	crypto_aead_seal_burst(ctx, &key, ar.jobs, n);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(memcmp(sealed[i] + ar.shift[i], ar.want[i], ar.len[i] + 16), 0);
		CU_ASSERT_TRUE(untouched_around(sealed[i], i, ar.len[i] + 16));
	}
	tt_rng_fill(&rng, &forged, sizeof(forged));
	forged &= tt_rng_below(&rng, 2) ? all : 0;
	for (size_t i = 0; i < n; i++)
		if (forged >> i & 1)
			sealed[i][ar.shift[i] + tt_rng_below(&rng, ar.len[i] + 16)] ^= 0x10;
	set_jobs(n, in_place, !in_place);
	uint64_t ok = crypto_aead_open_burst(ctx, &key, ar.jobs, n);
	CU_ASSERT_EQUAL(ok, all & ~forged);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *out = ar.a[i] + ar.shift[i];

		CU_ASSERT_TRUE(ok >> i & 1 ? memcmp(out, ar.plain[i], ar.len[i]) == 0
					   : crypto_is_zero(out, ar.len[i]));
	}
}

static void random_bursts(void)
{
	for (int round = 0; round < 300; round++) {
		size_t n = 1 + tt_rng_below(&rng, CRYPTO_AEAD_BURST_MAX);

		burst_round_trip(n, round % 3 ? 2000 : 80, round & 1);
	}
	burst_round_trip(CRYPTO_AEAD_BURST_MAX, 2000, true);
	burst_round_trip(CRYPTO_AEAD_BURST_MAX, 2000, false);
	burst_round_trip(0, 1, true);
}

/* Every length once, alone and as its neighbours' neighbour, in both directions. */
static void every_length(void)
{
	for (uint32_t from = 0; from <= 2000; from += 40) {
		tt_rng_fill(&rng, key.bytes, sizeof(key.bytes));
		for (uint32_t i = 0; i < 40; i++) {
			uint32_t len = from + i;

			ar.len[i] = len;
			tt_rng_fill(&rng, ar.a[i], len);
			memcpy(ar.plain[i], ar.a[i], len);
			crypto_aead_seal(&key, len, NULL, 0, ar.plain[i], len, ar.want[i]);
			ar.jobs[i] = (struct crypto_aead_job){ar.a[i], ar.a[i], len, len};
		}
		crypto_aead_seal_burst(ctx, &key, ar.jobs, 40);
		for (uint32_t i = 0; i < 40; i++)
			CU_ASSERT_EQUAL(memcmp(ar.a[i], ar.want[i], ar.len[i] + 16), 0);
		CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, ar.jobs, 40),
				(UINT64_C(1) << 40) - 1);
		for (uint32_t i = 0; i < 40; i++)
			CU_ASSERT_EQUAL(memcmp(ar.a[i], ar.plain[i], ar.len[i]), 0);
	}
}

static void large_packets(void)
{
	static const uint32_t lens[] = {4096, 9000, 16384, 65475, 65495, LEN_MAX};
	static uint8_t plain[LEN_MAX], want[LEN_MAX + 16], got[LEN_MAX + 16];

	tt_rng_fill(&rng, plain, sizeof(plain));
	for (size_t i = 0; i < TT_ARRAY_LEN(lens); i++) {
		uint64_t counter = UINT64_MAX - i;
		struct crypto_aead_job job = {plain, got, counter, lens[i]};

		crypto_aead_seal(&key, counter, NULL, 0, plain, lens[i], want);
		crypto_aead_seal_burst(ctx, &key, &job, 1);
		CU_ASSERT_EQUAL(memcmp(got, want, lens[i] + 16), 0);
		job.src = got;
		CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, &job, 1), 1);
		CU_ASSERT_EQUAL(memcmp(got, plain, lens[i]), 0);
		memcpy(got, want, lens[i] + 16);
		got[lens[i] + 15] ^= 0x80;
		CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, &job, 1), 0);
		CU_ASSERT_TRUE(crypto_is_zero(got, lens[i]));
	}
}

/* One packet of a burst at a time has one wrong bit, in the tag or in the text. */
static void every_tag_bit(void)
{
	const size_t n = 8;
	const uint32_t len = 61;

	for (unsigned bit = 0; bit < (len + 16) * 8; bit++) {
		size_t bad = bit % n;

		for (size_t i = 0; i < n; i++) {
			ar.jobs[i] = (struct crypto_aead_job){ar.a[i], ar.a[i], 1000 + i, len};
			memset(ar.a[i], (int)i, len);
		}
		crypto_aead_seal_burst(ctx, &key, ar.jobs, n);
		ar.a[bad][bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, ar.jobs, n),
				0xff ^ UINT64_C(1) << bad);
		for (size_t i = 0; i < n; i++)
			CU_ASSERT_EQUAL(ar.a[i][len - 1], i == bad ? 0 : i);
	}
}

/* The other key, the other counter, tags swapped between two packets. */
static void mix_ups(void)
{
	struct crypto_aead_key other = key;
	struct crypto_aead_job jobs[2] = {{ar.a[0], ar.a[0], 1, 100}, {ar.a[1], ar.a[1], 2, 100}};
	uint8_t keep[2][116];

	memset(ar.a[0], 1, 100);
	memset(ar.a[1], 2, 100);
	crypto_aead_seal_burst(ctx, &key, jobs, 2);
	memcpy(keep[0], ar.a[0], 116);
	memcpy(keep[1], ar.a[1], 116);
	other.bytes[31] ^= 1;
	CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &other, jobs, 2), 0);
	memcpy(ar.a[0], keep[0], 116);
	memcpy(ar.a[1], keep[1], 116);
	jobs[0].counter = 2;
	CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, jobs, 2), 2);
	memcpy(ar.a[0], keep[0], 100);
	memcpy(ar.a[0] + 100, keep[1] + 100, 16);
	jobs[0].counter = 1;
	CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, jobs, 1), 0);
}

/* It is nobody's choice, but works for each of them. */
static const struct crypto_aead_backend *const compact_only[] = {&crypto_aead_backend_compact,
								 NULL};

static void with_backend(const char *name, void (*fn)(void))
{
	const char *chosen = NULL;
	enum crypto_aead_choice choice =
		strcmp(name, "compact") == 0 ? crypto_aead_select_from(compact_only, name, &chosen)
					     : crypto_aead_select(name, &chosen);

	if (choice == CRYPTO_AEAD_UNAVAILABLE) {
		printf("  %s: ", name);
		tt_test_skip(1, "this backend is not usable on this machine");
		return;
	}
	CU_ASSERT_EQUAL(choice, CRYPTO_AEAD_CHOSEN);
	CU_ASSERT_STRING_EQUAL(chosen, name);
	void *memory = aligned_alloc(CRYPTO_AEAD_CTX_ALIGN, crypto_aead_ctx_size());
	tt_assert(memory);
	ctx = crypto_aead_ctx_init(memory);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ctx);
	CU_ASSERT_STRING_EQUAL(crypto_aead_ctx_backend(ctx), name);
	rng = tt_rng_seeded_init(&rng_state, 42);
	tt_rng_fill(&rng, key.bytes, sizeof(key.bytes));
	fn();
	free(memory);
}

#define FOR_EACH(fn)                           \
	static void fn##_libsodium(void)       \
	{                                      \
		with_backend("libsodium", fn); \
	}                                      \
	static void fn##_ipsec_mb(void)        \
	{                                      \
		with_backend("ipsec-mb", fn);  \
	}                                      \
	static void fn##_avx512(void)          \
	{                                      \
		with_backend("avx512", fn);    \
	}                                      \
	static void fn##_compact(void)         \
	{                                      \
		with_backend("compact", fn);   \
	}
FOR_EACH(random_bursts)
FOR_EACH(every_length)
FOR_EACH(large_packets)
FOR_EACH(every_tag_bit)
FOR_EACH(mix_ups)

static void extreme_fill(uint8_t *p, size_t len, uint32_t kind)
{
	tt_rng_fill(&rng, p, len);
	for (size_t i = 0; i < len; i++) {
		if (kind == 0)
			p[i] = 0xff;
		else if (kind == 1)
			p[i] = i % 16 ? 0xff
				      : 0xfb; /* 2^128 - 5, just below the prime's low part */
		else if (kind == 2)
			p[i] = p[i] & 1 ? 0xff : 0;
		else if (kind == 3)
			p[i] = 0;
	}
}

static void reference_mac(const uint8_t *text, uint32_t len, const uint8_t one_time[32],
			  uint8_t tag[16])
{
	crypto_onetimeauth_poly1305_state st;
	uint8_t zeros[16] = {0}, lengths[16] = {0};

	tt_store_le32(lengths + 8, len);
	crypto_onetimeauth_poly1305_init(&st, one_time);
	crypto_onetimeauth_poly1305_update(&st, text, len);
	crypto_onetimeauth_poly1305_update(&st, zeros, (16 - len % 16) % 16);
	crypto_onetimeauth_poly1305_update(&st, lengths, 16);
	crypto_onetimeauth_poly1305_final(&st, tag);
}

static void compact_macs(const uint8_t *const *texts, const uint32_t *lens, size_t n,
			 const uint8_t (*keys)[32], uint8_t (*tags)[16])
{
	for (size_t i = 0; i < n; i++)
		crypto_aead_compact_mac(texts[i], lens[i], keys[i], tags[i]);
}

static void avx512_macs(const uint8_t *const *texts, const uint32_t *lens, size_t n,
			const uint8_t (*keys)[32], uint8_t (*tags)[16])
{
#ifdef __x86_64__
	crypto_aead_avx512_macs(texts, lens, n, keys, tags);
#else
	compact_macs(texts, lens, n, keys, tags);
#endif
}

/* Carries that random keys and texts never reach. */
static void extreme_macs(void (*macs)(const uint8_t *const *texts, const uint32_t *lens, size_t n,
				      const uint8_t (*keys)[32], uint8_t (*tags)[16]))
{
	static uint8_t text[16][600], one_time[16][32], tag[16][16];
	const uint8_t *texts[16];
	uint32_t lens[16], wrong = 0;

	for (int round = 0; round < 3000; round++) {
		uint32_t n = 1 + tt_rng_below(&rng, 16);

		for (uint32_t i = 0; i < n; i++) {
			texts[i] = text[i];
			lens[i] = round & 1 ? (uint32_t)round % 600 : tt_rng_below(&rng, 600);
			extreme_fill(text[i], lens[i], tt_rng_below(&rng, 5));
			extreme_fill(one_time[i], 16, tt_rng_below(&rng, 5));
			extreme_fill(one_time[i] + 16, 16, tt_rng_below(&rng, 5));
		}
		macs(texts, lens, n, (const uint8_t(*)[32])one_time, tag);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t want[16];

			reference_mac(text[i], lens[i], one_time[i], want);
			wrong += memcmp(want, tag[i], 16) != 0;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void with_avx512_macs(void)
{
	extreme_macs(avx512_macs);
}

static void with_compact_macs(void)
{
	extreme_macs(compact_macs);
}

static void extreme_macs_avx512(void)
{
	with_backend("avx512", with_avx512_macs);
}

static void extreme_macs_compact(void)
{
	with_backend("compact", with_compact_macs);
}

/* --- choice and self-test --------------------------------------------------------------------- */

/* What a broken backend does wrong to an otherwise right libsodium one. */
static enum {
	BREAK_NOTHING,
	BREAK_CIPHERTEXT,
	BREAK_TAG,
	BREAK_PLAINTEXT,
	ACCEPT_ALL,
	REFUSE_ALL,
	KEEP_PLAINTEXT,
	BREAK_KINDS
} breakage;

static void broken_seal(void *state, const struct crypto_aead_key *k,
			const struct crypto_aead_job *jobs, size_t n)
{
	crypto_aead_backend_libsodium.seal_burst(state, k, jobs, n);
	const struct crypto_aead_job *last = &jobs[n - 1];
	if (breakage == BREAK_CIPHERTEXT)
		last->dst[last->len - 1] ^= 1;
	if (breakage == BREAK_TAG)
		last->dst[last->len + 15] ^= 1;
}

static uint64_t broken_open(void *state, const struct crypto_aead_key *k,
			    const struct crypto_aead_job *jobs, size_t n)
{
	const uint64_t all = (UINT64_C(1) << n) - 1;
	uint64_t ok = crypto_aead_backend_libsodium.open_burst(state, k, jobs, n);
	const struct crypto_aead_job *last = &jobs[n - 1];

	if (breakage == BREAK_PLAINTEXT)
		last->dst[0] ^= 1;
	if (breakage == KEEP_PLAINTEXT && !(ok >> (n - 1) & 1))
		last->dst[0] = 3;
	if (breakage == ACCEPT_ALL)
		return all;
	return breakage == REFUSE_ALL ? 0 : ok;
}

static enum crypto_aead_choice broken_probe(void);
static size_t broken_state_size(void)
{
	return 0;
}
static bool broken_state_init(void *state)
{
	(void)state;
	return true;
}
static const struct crypto_aead_backend broken = {
	"broken", broken_probe, broken_state_size, broken_state_init, broken_seal, broken_open};

static enum crypto_aead_choice broken_probe(void)
{
	return crypto_aead_self_test(&broken, NULL) ? CRYPTO_AEAD_CHOSEN : CRYPTO_AEAD_BROKEN;
}

static void broken_backends_are_refused(void)
{
	static const struct crypto_aead_backend *const candidates[] = {
		&broken, &crypto_aead_backend_libsodium, NULL};
	const char *chosen;

	for (int kind = BREAK_NOTHING; kind < BREAK_KINDS; kind++) {
		bool right = kind == BREAK_NOTHING;

		breakage = kind;
		CU_ASSERT_EQUAL(crypto_aead_select_from(candidates, "broken", &chosen),
				right ? CRYPTO_AEAD_CHOSEN : CRYPTO_AEAD_BROKEN);
		CU_ASSERT_STRING_EQUAL(chosen, "broken");
		CU_ASSERT_EQUAL(crypto_aead_select_from(candidates, NULL, &chosen),
				CRYPTO_AEAD_CHOSEN);
		CU_ASSERT_STRING_EQUAL(chosen, right ? "broken" : "libsodium");
		CU_ASSERT_TRUE(right ? crypto_aead_refused() == NULL
				     : strcmp(crypto_aead_refused(), "broken") == 0);
	}
	static const struct crypto_aead_backend *const only[] = {&broken, NULL};
	CU_ASSERT_EQUAL(crypto_aead_select_from(only, "auto", &chosen), CRYPTO_AEAD_BROKEN);
	CU_ASSERT_STRING_EQUAL(chosen, "broken");
}

/* The first of the list that this machine (or a valgrind without AVX-512) can run. */
static const char *first_usable(void)
{
	const char *chosen;

	for (const char *const *name = crypto_aead_backends(); *name; name++)
		if (crypto_aead_select(*name, &chosen) == CRYPTO_AEAD_CHOSEN)
			return *name;
	return "none";
}

static void choice(void)
{
	const char *chosen, *first = first_usable();

	CU_ASSERT_EQUAL(crypto_aead_select("rot13", &chosen), CRYPTO_AEAD_UNKNOWN);
	CU_ASSERT_STRING_EQUAL(chosen, "rot13");
	CU_ASSERT_EQUAL(crypto_aead_select("", &chosen), CRYPTO_AEAD_UNKNOWN);
	CU_ASSERT_EQUAL(crypto_aead_select(NULL, &chosen), CRYPTO_AEAD_CHOSEN);
	CU_ASSERT_STRING_EQUAL(chosen, first);
	CU_ASSERT_PTR_NULL(crypto_aead_refused());
	CU_ASSERT_EQUAL(crypto_aead_select("auto", &chosen), CRYPTO_AEAD_CHOSEN);
	CU_ASSERT_EQUAL(crypto_aead_ctx_size() % CRYPTO_AEAD_CTX_ALIGN, 0);
}

/* Benchmark builds have "null" and nothing else; every other build refuses to know it. */
static void null_backend(void)
{
	const char *chosen;
	uint8_t packet[32 + 16] = {7}, memory[256] __attribute__((aligned(CRYPTO_AEAD_CTX_ALIGN)));
	struct crypto_aead_job job = {packet, packet, 1, 32};
	bool benchmark_build = strcmp(crypto_aead_backends()[0], "null") == 0;

	CU_ASSERT_EQUAL(crypto_aead_select("null", &chosen),
			benchmark_build ? CRYPTO_AEAD_CHOSEN : CRYPTO_AEAD_UNKNOWN);
	if (!benchmark_build)
		return;
	CU_ASSERT_FATAL(crypto_aead_ctx_size() <= sizeof(memory));
	ctx = crypto_aead_ctx_init(memory);
	crypto_aead_seal_burst(ctx, &key, &job, 1);
	CU_ASSERT_EQUAL(packet[0], 7);
	packet[40] ^= 1;
	CU_ASSERT_EQUAL(crypto_aead_open_burst(ctx, &key, &job, 1), 1);
}

TT_TESTS("crypto/aead", {"wycheproof", wycheproof}, {"rfc 8439", rfc8439},
	 {"every bit counts", every_bit_counts},
	 {"random bursts, libsodium", random_bursts_libsodium},
	 {"random bursts, ipsec-mb", random_bursts_ipsec_mb},
	 {"random bursts, avx512", random_bursts_avx512},
	 {"every length, libsodium", every_length_libsodium},
	 {"every length, ipsec-mb", every_length_ipsec_mb},
	 {"every length, avx512", every_length_avx512},
	 {"large packets, libsodium", large_packets_libsodium},
	 {"large packets, ipsec-mb", large_packets_ipsec_mb},
	 {"large packets, avx512", large_packets_avx512},
	 {"every tag bit, libsodium", every_tag_bit_libsodium},
	 {"every tag bit, ipsec-mb", every_tag_bit_ipsec_mb},
	 {"every tag bit, avx512", every_tag_bit_avx512}, {"mix-ups, libsodium", mix_ups_libsodium},
	 {"mix-ups, ipsec-mb", mix_ups_ipsec_mb}, {"mix-ups, avx512", mix_ups_avx512},
	 {"extreme macs, avx512", extreme_macs_avx512},
	 {"random bursts, compact", random_bursts_compact},
	 {"every length, compact", every_length_compact},
	 {"large packets, compact", large_packets_compact},
	 {"every tag bit, compact", every_tag_bit_compact}, {"mix-ups, compact", mix_ups_compact},
	 {"extreme macs, compact", extreme_macs_compact},
	 {"broken backends are refused", broken_backends_are_refused}, {"choice", choice},
	 {"null backend", null_backend})

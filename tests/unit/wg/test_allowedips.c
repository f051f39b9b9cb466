/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <time.h>
#include "base/rng.h"
#include "wg/allowedips.h"

#define PEERS 50

/* The naive model: a list, searched from end to end. */
struct model_entry {
	struct tt_cidr prefix;
	tt_peer_id peer;
	uint64_t order;
};
static struct model_entry model[4096];
static uint32_t model_count;
static uint64_t model_clock;

static struct wg_allowedips t;
static uint32_t cap;

static void set_up(uint32_t capacity, uint32_t peers)
{
	cap = capacity;
	wg_allowedips_init(&t, calloc(capacity, sizeof(struct wg_allowedips_entry)),
			   calloc(capacity, sizeof(uint32_t)), capacity,
			   calloc(peers, sizeof(struct wg_allowedips_peer)), peers);
	model_count = 0;
}

static void tear_down(void)
{
	free(t.entries);
	free(t.buckets);
	free(t.peers);
}

static void grow(void)
{
	cap *= 2;
	free(t.buckets);
	t.entries = realloc(t.entries, cap * sizeof(*t.entries));
	wg_allowedips_grow(&t, t.entries, malloc(cap * sizeof(uint32_t)), cap, t.peers,
			   t.peer_capacity);
}

static struct tt_cidr cidr(const char *text)
{
	struct tt_cidr c;

	CU_ASSERT_EQUAL_FATAL(tt_cidr_parse(text, &c), 0);
	return c;
}

static struct wg_lpm *build(void)
{
	void *mem = aligned_alloc(64, wg_lpm_size(&t));

	return wg_lpm_build(&t, mem);
}

static tt_peer_id look(const struct wg_lpm *l, const char *addr)
{
	struct tt_cidr c = cidr(addr);

	return c.ip.family == TT_FAMILY_V4 ? wg_lpm_lookup4(l, c.ip.b) : wg_lpm_lookup6(l, c.ip.b);
}

static void insert(const char *prefix, tt_peer_id peer, enum wg_allowedips_outcome expect)
{
	struct tt_cidr c = cidr(prefix);

	CU_ASSERT_EQUAL(wg_allowedips_insert(&t, &c, peer), expect);
}

static void longest_match(void)
{
	set_up(64, PEERS);
	insert("0.0.0.0/0", 1, WG_AIP_ADDED);
	insert("10.0.0.0/8", 2, WG_AIP_ADDED);
	insert("10.1.0.0/16", 3, WG_AIP_ADDED);
	insert("10.1.2.3/32", 4, WG_AIP_ADDED);
	insert("255.255.255.255/32", 5, WG_AIP_ADDED);
	insert("10.1.2.99/16", 3, WG_AIP_PRESENT); /* host bits do not matter */
	insert("10.255.255.0/24", 6, WG_AIP_ADDED);
	insert("fd00::/8", 7, WG_AIP_ADDED);
	insert("fd00:1::/32", 8, WG_AIP_ADDED);
	insert("fd00:1::1/128", 9, WG_AIP_ADDED);
	insert("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 10, WG_AIP_ADDED);
	insert("fd00:1:0:0:8000::/65", 11, WG_AIP_ADDED);
	struct wg_lpm *l = build();
	CU_ASSERT_EQUAL(look(l, "0.0.0.0"), 1);
	CU_ASSERT_EQUAL(look(l, "9.255.255.255"), 1);
	CU_ASSERT_EQUAL(look(l, "10.0.0.0"), 2);
	CU_ASSERT_EQUAL(look(l, "10.1.2.2"), 3);
	CU_ASSERT_EQUAL(look(l, "10.1.2.3"), 4);
	CU_ASSERT_EQUAL(look(l, "10.1.2.4"), 3);
	CU_ASSERT_EQUAL(look(l, "10.255.255.255"), 6);
	CU_ASSERT_EQUAL(look(l, "11.0.0.0"), 1);
	CU_ASSERT_EQUAL(look(l, "255.255.255.255"), 5);
	CU_ASSERT_EQUAL(look(l, "255.255.255.254"), 1);
	CU_ASSERT_EQUAL(look(l, "::1"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "fcff::"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "fd00::"), 7);
	CU_ASSERT_EQUAL(look(l, "fdff:ffff::"), 7);
	CU_ASSERT_EQUAL(look(l, "fe00::"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "fd00:1::"), 8);
	CU_ASSERT_EQUAL(look(l, "fd00:1::1"), 9);
	CU_ASSERT_EQUAL(look(l, "fd00:1::2"), 8);
	CU_ASSERT_EQUAL(look(l, "fd00:1:0:0:8000::9"), 11);
	CU_ASSERT_EQUAL(look(l, "fd00:1:0:1::"), 8);
	CU_ASSERT_EQUAL(look(l, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 10);
	CU_ASSERT_EQUAL(look(l, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), TT_PEER_NONE);
	free(l);
	tear_down();
}

static tt_peer_id look_specific(const struct wg_lpm *l, const char *addr)
{
	struct tt_cidr c = cidr(addr);

	return c.ip.family == TT_FAMILY_V4 ? wg_lpm_specific4(l, c.ip.b)
					   : wg_lpm_specific6(l, c.ip.b);
}

/* A default route says nothing about whose an address is, not even where its peer has a part too.
 */
static void defaults_are_not_specific(void)
{
	set_up(64, PEERS);
	insert("0.0.0.0/0", 1, WG_AIP_ADDED);
	insert("128.0.0.0/1", 2, WG_AIP_ADDED);
	insert("10.0.0.0/8", 1, WG_AIP_ADDED);
	insert("64.0.0.0/2", 3, WG_AIP_ADDED);
	insert("::/0", 4, WG_AIP_ADDED);
	insert("fd00::/8", 4, WG_AIP_ADDED);
	struct wg_lpm *l = build();
	CU_ASSERT_EQUAL(look(l, "9.0.0.1"), 1);
	CU_ASSERT_EQUAL(look_specific(l, "9.0.0.1"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look_specific(l, "10.0.0.1"), 1);
	CU_ASSERT_EQUAL(look_specific(l, "11.0.0.0"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look_specific(l, "64.0.0.1"), 3);
	CU_ASSERT_EQUAL(look(l, "200.0.0.1"), 2);
	CU_ASSERT_EQUAL(look_specific(l, "200.0.0.1"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "2001:db8::1"), 4);
	CU_ASSERT_EQUAL(look_specific(l, "2001:db8::1"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look_specific(l, "fd77::1"), 4);
	free(l);
	tear_down();
}

static void empty_set(void)
{
	set_up(1, 1);
	struct wg_lpm *l = build();
	CU_ASSERT_EQUAL(look(l, "0.0.0.0"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "255.255.255.255"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "::"), TT_PEER_NONE);
	free(l);
	insert("::/0", 0, WG_AIP_ADDED);
	insert("0.0.0.0/0", 0, WG_AIP_FULL);
	l = build();
	CU_ASSERT_EQUAL(look(l, "0.0.0.0"), TT_PEER_NONE);
	CU_ASSERT_EQUAL(look(l, "ffff::"), 0);
	free(l);
	tear_down();
}

/* Later wins; a move goes to the end of the new peer's order. */
static void moves_and_order(void)
{
	struct tt_cidr c;
	char text[TT_CIDR_TEXT_MAX];
	uint32_t cursor = 0;

	set_up(8, PEERS);
	insert("10.0.0.0/24", 1, WG_AIP_ADDED);
	insert("10.0.1.0/24", 2, WG_AIP_ADDED);
	insert("10.0.2.0/24", 2, WG_AIP_ADDED);
	insert("10.0.0.0/24", 2, WG_AIP_MOVED);
	CU_ASSERT_FALSE(wg_allowedips_next(&t, 1, &cursor, &c));
	static const char *const want[] = {"10.0.1.0/24", "10.0.2.0/24", "10.0.0.0/24"};
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_FATAL(wg_allowedips_next(&t, 2, &cursor, &c));
		CU_ASSERT_STRING_EQUAL(tt_cidr_format(&c, text), want[i]);
	}
	CU_ASSERT_FALSE(wg_allowedips_next(&t, 2, &cursor, &c));
	CU_ASSERT_FALSE(wg_allowedips_next(&t, 2, &cursor, &c));
	c = cidr("10.0.1.0/24");
	CU_ASSERT_EQUAL(wg_allowedips_remove(&t, &c, 1), WG_AIP_ABSENT);
	CU_ASSERT_EQUAL(wg_allowedips_remove(&t, &c, 2), WG_AIP_REMOVED);
	CU_ASSERT_EQUAL(wg_allowedips_remove(&t, &c, 2), WG_AIP_ABSENT);
	wg_allowedips_remove_peer(&t, 2);
	CU_ASSERT_EQUAL(t.count, 0);
	CU_ASSERT_EQUAL(t.peers[2].count, 0);
	tear_down();
}

/* --- random operations against the model ----------------------------------------------------- */

static struct tt_rng_seeded seed;
static struct tt_rng rng;

static struct tt_ip random_ip(bool v4)
{
	struct tt_ip ip = {.family = v4 ? TT_FAMILY_V4 : TT_FAMILY_V6};

	/* Few values in few bytes, so that prefixes nest and collide. */
	for (int i = 0; i < (v4 ? 4 : 16); i++) {
		static const uint8_t some[] = {0, 0, 0, 1, 2, 0x7f, 0x80, 0xff};
		ip.b[i] = i < 2 || i > 13 || v4 ? some[tt_rng_below(&rng, 8)]
						: (uint8_t) - (tt_rng_below(&rng, 40) == 0);
	}
	return ip;
}

static struct tt_cidr random_prefix(void)
{
	bool v4 = tt_rng_below(&rng, 2);
	struct tt_cidr c = {.ip = random_ip(v4)};

	c.bits = (uint8_t)(v4 ? tt_rng_below(&rng, 33) : tt_rng_below(&rng, 129));
	if (!v4 && tt_rng_below(&rng, 3) == 0)
		c.bits = (uint8_t)(60 + tt_rng_below(&rng, 8));
	tt_cidr_mask(&c);
	return c;
}

static struct model_entry *model_find(const struct tt_cidr *c)
{
	for (uint32_t i = 0; i < model_count; i++)
		if (memcmp(&model[i].prefix, c, sizeof(*c)) == 0)
			return &model[i];
	return NULL;
}

static tt_peer_id model_lookup(const struct tt_ip *ip, bool specific)
{
	tt_peer_id best = TT_PEER_NONE;
	int bits = -1;

	for (uint32_t i = 0; i < model_count; i++)
		if (model[i].prefix.bits > bits && tt_cidr_contains(&model[i].prefix, ip)) {
			bits = model[i].prefix.bits;
			best = model[i].peer;
		}
	return specific && bits <= 1 ? TT_PEER_NONE : best;
}

static uint32_t step_insert(void)
{
	struct tt_cidr c = random_prefix();
	tt_peer_id peer = tt_rng_below(&rng, PEERS);
	struct model_entry *m = model_find(&c);
	enum wg_allowedips_outcome expect = WG_AIP_ADDED, got;

	if (m)
		expect = m->peer == peer ? WG_AIP_PRESENT : WG_AIP_MOVED;
	got = wg_allowedips_insert(&t, &c, peer);
	if (got == WG_AIP_FULL) {
		grow();
		got = wg_allowedips_insert(&t, &c, peer);
	}
	if (!m)
		m = &model[model_count++];
	if (expect != WG_AIP_PRESENT)
		*m = (struct model_entry){c, peer, ++model_clock};
	return got != expect;
}

static uint32_t step_remove(void)
{
	struct tt_cidr c = model_count && tt_rng_below(&rng, 4)
				   ? model[tt_rng_below(&rng, model_count)].prefix
				   : random_prefix();
	struct model_entry *m = model_find(&c);
	tt_peer_id peer = m && tt_rng_below(&rng, 4) ? m->peer : tt_rng_below(&rng, PEERS);
	bool hit = m && m->peer == peer;

	if (hit)
		*m = model[--model_count];
	return wg_allowedips_remove(&t, &c, peer) != (hit ? WG_AIP_REMOVED : WG_AIP_ABSENT);
}

static void step_remove_peer(void)
{
	tt_peer_id peer = tt_rng_below(&rng, PEERS);

	wg_allowedips_remove_peer(&t, peer);
	for (uint32_t i = 0; i < model_count;)
		if (model[i].peer == peer)
			model[i] = model[--model_count];
		else
			i++;
}

static uint32_t compare_lookups(uint32_t n)
{
	struct wg_lpm *l = build();
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct tt_ip ip = random_ip(i & 1);
		if (model_count && tt_rng_below(&rng, 2)) {
			/* the addresses at and next to a prefix's beginning and end */
			const struct tt_cidr *c = &model[tt_rng_below(&rng, model_count)].prefix;
			ip = c->ip;
			unsigned len = ip.family == TT_FAMILY_V4 ? 32 : 128;
			if (tt_rng_below(&rng, 2))
				for (unsigned b = c->bits; b < len; b++)
					ip.b[b / 8] |= (uint8_t)(0x80 >> b % 8);
			uint8_t carry = tt_rng_below(&rng, 2) ? 1 : 0;
			for (unsigned b = len / 8; carry && b-- > 0;)
				carry = ++ip.b[b] == 0;
		}
		tt_peer_id got = ip.family == TT_FAMILY_V4 ? wg_lpm_lookup4(l, ip.b)
							   : wg_lpm_lookup6(l, ip.b);
		wrong += got != model_lookup(&ip, false);
		got = ip.family == TT_FAMILY_V4 ? wg_lpm_specific4(l, ip.b)
						: wg_lpm_specific6(l, ip.b);
		wrong += got != model_lookup(&ip, true);
	}
	free(l);
	return wrong;
}

/* Every peer's list is exactly the model's, in the order of insertion. */
static uint32_t compare_lists(void)
{
	uint32_t wrong = 0, total = 0;

	for (tt_peer_id p = 0; p < PEERS; p++) {
		uint32_t cursor = 0;
		uint64_t last = 0;
		struct tt_cidr c;
		while (wg_allowedips_next(&t, p, &cursor, &c)) {
			struct model_entry *m = model_find(&c);
			wrong += !m || m->peer != p || m->order <= last;
			last = m ? m->order : last;
			total++;
		}
	}
	return wrong + (total != model_count) + (t.count != model_count);
}

static void random_operations(void)
{
	uint32_t wrong = 0;

	rng = tt_rng_seeded_init(&seed, 131);
	set_up(4, PEERS);
	for (uint32_t i = 0; i < 100000; i++) {
		bool room = model_count < 600;
		if (tt_rng_below(&rng, 500) == 0)
			step_remove_peer();
		else if (room && tt_rng_below(&rng, 5) < 3)
			wrong += step_insert();
		else
			wrong += step_remove();
		if (i % 500 == 0)
			wrong += compare_lookups(200) + compare_lists();
	}
	CU_ASSERT_EQUAL(wrong, 0);
	tear_down();
}

/* Of the processor: how long the machine lets us wait says nothing. */
static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fill(uint32_t n, bool scattered)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t b[16] = {0x20, 1, 0xd, 0xb8};
		struct tt_cidr c;
		uint32_t v = scattered ? i * UINT32_C(2654435761) : i;
		if (i & 1) {
			tt_store_be32(b + 8, v);
			c = (struct tt_cidr){.ip = tt_ip_v6(b), .bits = scattered ? 96 : 128};
			tt_store_be32(c.ip.b + 4, v);
		} else {
			c = (struct tt_cidr){.ip = tt_ip_v4_host(0x0a000000 + v), .bits = 32};
		}
		CU_ASSERT_FATAL(wg_allowedips_insert(&t, &c, i % PEERS) == WG_AIP_ADDED);
	}
}

/* Prints how long it takes; only absurd times fail, of a sanitizer's build too. */
static void large_tables(void)
{
	for (int scattered = 0; scattered < 2; scattered++) {
		double a = seconds();
		set_up(131072, PEERS);
		fill(131000, scattered);
		double b = seconds();
		struct wg_lpm *l = build();
		double c = seconds();
		uint32_t found = 0;
		for (uint32_t i = 0; i < 1000000; i++) {
			uint8_t addr[4];
			tt_store_be32(addr,
				      0x0a000000 + (i & 0xfffe) * (scattered ? 2654435761u : 1));
			found += wg_lpm_lookup4(l, addr) != TT_PEER_NONE;
		}
		double d = seconds();
		CU_ASSERT_EQUAL(found, 1000000);
		printf("  131000 %s prefixes: insert %.1f ms, build %.1f ms (%zu KiB), look-up "
		       "%.0f ns\n",
		       scattered ? "scattered" : "dense", (b - a) * 1e3, (c - b) * 1e3,
		       wg_lpm_size(&t) / 1024, (d - c) * 1e3);
		CU_ASSERT(c - b < 2.0);
		free(l);
		tear_down();
	}
}

TT_TESTS("allowedips", {"case 17: overlapping prefixes, longest match", longest_match},
	 {"defaults are not specific", defaults_are_not_specific}, {"empty set", empty_set},
	 {"later wins; order of insertion", moves_and_order},
	 {"100,000 random operations against a list", random_operations},
	 {"131,000 prefixes", large_tables})

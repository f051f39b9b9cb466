/* SPDX-License-Identifier: MIT */
#include "datapath/fragment.h"

#include "packets.h"
#include "tt_test.h"

static uint8_t pkt[65536], whole[65536], frag[65536];

/* An IPv4 packet without DF, its options in front of the UDP header. */
static size_t build(const uint8_t *opts, uint8_t opts_len, size_t payload)
{
	static uint8_t bytes[65536];
	struct pk k = pk_udp(false);
	struct pk_rng r = {payload + 1};

	k.df = false;
	k.id = 0xbeef;
	pk_fill(&r, bytes, payload);
	size_t len = pk_build(pkt, &k, bytes, payload, false);

	memmove(pkt + 20 + opts_len, pkt + 20, len - 20);
	if (opts_len)
		memcpy(pkt + 20, opts, opts_len);
	pkt[0] = (uint8_t)(0x45 + opts_len / 4);
	len += opts_len;
	tt_store_be16(pkt + 2, (uint16_t)len);
	tt_store_be16(pkt + 10, 0);
	tt_store_be16(pkt + 10, (uint16_t)~pk_naive_fold(pk_naive_sum(pkt, 20u + opts_len, 0)));
	return len;
}

static struct dp_inner parse(const uint8_t *p, size_t len)
{
	struct dp_inner in;

	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(p, len, &in), TT_DROP_NONE);
	return in;
}

/* What a receiver knows of the packet: its payload so far, and how long it will be. */
struct reassembly {
	uint32_t bytes, total;
};

static void take_fragment(struct reassembly *r, const uint8_t *p, uint32_t len, uint32_t mtu)
{
	struct dp_inner in = parse(p, len);
	uint16_t word = tt_load_be16(p + 6);
	uint32_t at = (word & 0x1fffu) * 8;

	CU_ASSERT_EQUAL(in.total_len, len);
	CU_ASSERT(len <= mtu);
	CU_ASSERT_EQUAL(tt_load_be16(p + 4), 0xbeef);
	CU_ASSERT_EQUAL(pk_naive_fold(pk_naive_sum(p, in.l3_len, 0)), 0xffff);
	CU_ASSERT_EQUAL(at, r->bytes);
	memcpy(whole + at, p + in.l3_len, len - in.l3_len);
	r->bytes += len - in.l3_len;
	CU_ASSERT(!(word & 0x2000) || (len - in.l3_len) % 8 == 0);
	if (!(word & 0x2000))
		r->total = r->bytes;
}

/* Cut, and put together again: every byte of the payload, and of the first header. */
static void there_and_back(const uint8_t *opts, uint8_t opts_len, size_t payload, uint32_t mtu)
{
	size_t len = build(opts, opts_len, payload);
	struct dp_inner in = parse(pkt, len);
	struct dp_fragmenter f;
	struct reassembly r = {0};
	unsigned n = 0;

	memset(whole, 0, sizeof(whole));
	CU_ASSERT_FATAL(dp_fragmenter_init(&f, pkt, &in, mtu));
	while (f.left) {
		uint32_t want = dp_fragmenter_len(&f);

		memset(frag, 0xaa, want + 8);
		CU_ASSERT_EQUAL(dp_fragmenter_next(&f, frag), want);
		CU_ASSERT_EQUAL(frag[want], 0xaa);
		if (n++ == 0)
			CU_ASSERT_EQUAL(memcmp(frag + 12, pkt + 12, in.l3_len - 12u), 0);
		take_fragment(&r, frag, want, mtu);
	}
	CU_ASSERT_EQUAL(r.total, len - in.l3_len);
	CU_ASSERT_EQUAL(memcmp(whole, pkt + in.l3_len, r.total), 0);
	/* as few as there can be */
	CU_ASSERT(n <= r.total / ((mtu - in.l3_len) & ~7u) + 1);
}

static void byte_for_byte(void)
{
	for (size_t payload = 0; payload < 3000; payload += payload < 64 ? 1 : 61)
		for (uint32_t mtu = 68; mtu < 1500; mtu += mtu < 90 ? 1 : 83)
			there_and_back(NULL, 0, payload, mtu);
	there_and_back(NULL, 0, 65507, 1280);
	there_and_back(NULL, 0, 65507, 68);
}

/* Record route (not copied), router alert (copied), NOP, stream id (copied). */
static const uint8_t many_options[] = {7, 7, 4, 0, 0,	 0,    0, 0x94, 4, 0,
				       0, 1, 1, 1, 0x88, 0x04, 7, 7,	0, 0};

static void options(void)
{
	const uint8_t later[] = {0x94, 4, 0, 0, 0x88, 4, 7, 7};

	for (size_t payload = 0; payload < 2500; payload += 37)
		for (uint32_t mtu = 68; mtu < 1400; mtu += 131)
			there_and_back(many_options, sizeof(many_options), payload, mtu);
	size_t len = build(many_options, sizeof(many_options), 1000);
	struct dp_inner in = parse(pkt, len);
	struct dp_fragmenter f;

	CU_ASSERT_FATAL(dp_fragmenter_init(&f, pkt, &in, 576));
	dp_fragmenter_next(&f, frag);
	CU_ASSERT_EQUAL(frag[0], 0x4a);
	CU_ASSERT_EQUAL(memcmp(frag + 20, many_options, sizeof(many_options)), 0);
	dp_fragmenter_next(&f, frag);
	CU_ASSERT_EQUAL(frag[0], 0x47);
	CU_ASSERT_EQUAL(memcmp(frag + 20, later, sizeof(later)), 0);
}

/* Options that lie about their length are not passed on, and not followed. */
static void odd_options(void)
{
	const uint8_t lies[][4] = {{0x94, 0, 0, 0},
				   {0x94, 1, 0, 0},
				   {0x94, 99, 0, 0},
				   {1, 1, 1, 0x94},
				   {0, 0x94, 4, 0}};
	const uint8_t three[] = {0x94, 3, 9, 0};

	for (unsigned i = 0; i < TT_ARRAY_LEN(lies); i++)
		there_and_back(lies[i], 4, 500, 200);
	size_t len = build(three, 4, 500);
	struct dp_inner in = parse(pkt, len);
	struct dp_fragmenter f;

	CU_ASSERT_FATAL(dp_fragmenter_init(&f, pkt, &in, 300));
	dp_fragmenter_next(&f, frag);
	dp_fragmenter_next(&f, frag);
	CU_ASSERT_EQUAL(frag[0], 0x46); /* filled up to a word */
	CU_ASSERT_EQUAL(memcmp(frag + 20, three, 4), 0);
}

/* A fragment on a smaller path: its offset and its "more" go on. */
static void fragments_again(void)
{
	size_t len = build(NULL, 0, 4000);
	struct dp_inner in = parse(pkt, len);
	struct dp_fragmenter f, g;
	struct reassembly r = {0};
	static uint8_t outer[2000];

	CU_ASSERT_FATAL(dp_fragmenter_init(&f, pkt, &in, 1500));
	while (f.left) {
		uint32_t n = dp_fragmenter_next(&f, outer);
		struct dp_inner part = parse(outer, n);

		CU_ASSERT_FATAL(dp_fragmenter_init(&g, outer, &part, 576));
		while (g.left) {
			uint32_t m = dp_fragmenter_next(&g, frag);

			take_fragment(&r, frag, m, 576);
		}
	}
	CU_ASSERT_EQUAL(r.total, len - 20);
	CU_ASSERT_EQUAL(memcmp(whole, pkt + 20, r.total), 0);
}

static void refused(void)
{
	struct dp_fragmenter f;
	size_t len = build(NULL, 0, 1000);
	struct dp_inner in = parse(pkt, len);

	CU_ASSERT_FALSE(dp_fragmenter_init(&f, pkt, &in, 27));
	CU_ASSERT(dp_fragmenter_init(&f, pkt, &in, 28));
	pkt[6] = 0x40;
	in = parse(pkt, len);
	CU_ASSERT_FALSE(dp_fragmenter_init(&f, pkt, &in, 576));
	/* offsets that would run out of their field */
	tt_store_be16(pkt + 6, 0x1fff - 100);
	in = parse(pkt, len);
	CU_ASSERT_FALSE(dp_fragmenter_init(&f, pkt, &in, 576));
	struct pk k = pk_udp(true);

	len = pk_build(pkt, &k, "", 0, false);
	in = parse(pkt, len);
	CU_ASSERT_FALSE(dp_fragmenter_init(&f, pkt, &in, 1280));
}

TT_TESTS("fragment", {"byte for byte", byte_for_byte}, {"options", options},
	 {"odd options", odd_options}, {"fragments again", fragments_again}, {"refused", refused})

/* SPDX-License-Identifier: MIT */
#include "datapath/mss.h"

#include "datapath/segment.h"
#include "packets.h"
#include "tt_test.h"

static uint8_t pkt[256];

/* A SYN with these options; its length. */
static size_t syn(bool v6, const uint8_t *opts, uint8_t len, bool open_csum)
{
	struct pk k = pk_tcp(v6);

	k.tcp_flags = PK_SYN;
	k.opts_len = len;
	memcpy(k.opts, opts, len);
	return pk_build(pkt, &k, "", 0, open_csum);
}

static struct dp_inner parse(size_t len)
{
	struct dp_inner in;

	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(pkt, len, &in), TT_DROP_NONE);
	return in;
}

/* The value, in `at` of the options, is lowered to what mtu carries, and every sum is right. */
static void lowered(bool v6, const uint8_t *opts, uint8_t opts_len, unsigned at)
{
	for (uint32_t mtu = 300; mtu < 1500; mtu += 7) {
		uint16_t want = (uint16_t)(mtu - (v6 ? 60 : 40));
		size_t len = syn(v6, opts, opts_len, false);
		struct dp_inner in = parse(len);
		bool lower = want < 1460;

		CU_ASSERT(dp_mss_is_syn(pkt, &in));
		CU_ASSERT_EQUAL(dp_mss_clamp(pkt, &in, mtu, false), lower);
		CU_ASSERT_EQUAL(tt_load_be16(pkt + in.l4_off + 20 + at), lower ? want : 1460);
		CU_ASSERT(pk_intact(pkt, len, in.l4_off, DP_PROTO_TCP));
		CU_ASSERT_FALSE(dp_mss_clamp(pkt, &in, mtu, false)); /* once is enough */
	}
}

static void options(void)
{
	const uint8_t alone[] = {2, 4, 0x05, 0xb4};
	const uint8_t odd[] = {1, 2, 4, 0x05, 0xb4, 1, 0, 0};
	const uint8_t usual[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
	const uint8_t last[] = {8, 10, 9, 9, 9, 9, 9, 9, 9, 9, 3, 3, 7, 4, 2, 1, 2, 4, 0x05, 0xb4};

	for (unsigned v6 = 0; v6 < 2; v6++) {
		lowered(v6, alone, sizeof(alone), 2);
		lowered(v6, odd, sizeof(odd), 3);
		lowered(v6, usual, sizeof(usual), 2);
		lowered(v6, last, sizeof(last), 18);
	}
}

/* The kernel has summed the pseudo header only; it is completed when the packet is sent. */
static void open_checksum(void)
{
	const uint8_t opts[] = {1, 2, 4, 0x05, 0xb4, 1, 0, 0};

	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t len = syn(v6, opts, sizeof(opts), true);
		struct dp_inner in = parse(len);
		struct plat_vnet_hdr vnet = {.flags = PLAT_VNET_F_NEEDS_CSUM,
					     .csum_start = in.l4_off,
					     .csum_offset = 16};

		CU_ASSERT(dp_mss_clamp(pkt, &in, 1280, true));
		CU_ASSERT_EQUAL(dp_segment_complete_csum(&vnet, pkt, &in), TT_DROP_NONE);
		CU_ASSERT(pk_intact(pkt, len, in.l4_off, DP_PROTO_TCP));
	}
}

static void left_alone(const uint8_t *opts, uint8_t opts_len)
{
	uint8_t was[sizeof(pkt)];
	size_t len = syn(false, opts, opts_len, false);
	struct dp_inner in = parse(len);

	memcpy(was, pkt, len);
	CU_ASSERT_FALSE(dp_mss_clamp(pkt, &in, 600, false));
	CU_ASSERT_EQUAL(memcmp(was, pkt, len), 0);
}

static void odd_options(void)
{
	left_alone((const uint8_t[]){0}, 0);
	left_alone((const uint8_t[]){2, 4, 2, 0}, 4);			 /* lower already */
	left_alone((const uint8_t[]){0, 2, 4, 0x05, 0xb4, 0, 0, 0}, 8);	 /* behind the end */
	left_alone((const uint8_t[]){2, 3, 0x05, 0xb4}, 4);		 /* of another length */
	left_alone((const uint8_t[]){2, 0, 0x05, 0xb4}, 4);		 /* of none */
	left_alone((const uint8_t[]){1, 1, 1, 2}, 4);			 /* cut off */
	left_alone((const uint8_t[]){1, 1, 2, 4}, 4);			 /* cut off */
	left_alone((const uint8_t[]){3, 1, 2, 4, 0x05, 0xb4, 1, 1}, 8);	 /* behind nonsense */
	left_alone((const uint8_t[]){3, 99, 2, 4, 0x05, 0xb4, 1, 1}, 8); /* behind a lie */
}

static void other_packets(void)
{
	struct pk k = pk_tcp(false);
	size_t len = pk_build(pkt, &k, "x", 1, false);
	struct dp_inner in = parse(len);

	CU_ASSERT_FALSE(dp_mss_is_syn(pkt, &in));
	pkt[6] |= 0x20; /* a first fragment has its header; a later one has not */
	pkt[33] = PK_SYN;
	in = parse(len);
	CU_ASSERT(dp_mss_is_syn(pkt, &in));
	pkt[7] = 1;
	in = parse(len);
	CU_ASSERT_FALSE(dp_mss_is_syn(pkt, &in));
	k = pk_udp(false);
	len = pk_build(pkt, &k, "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2", 17, false);
	in = parse(len);
	CU_ASSERT_FALSE(dp_mss_is_syn(pkt, &in));
	/* an unknown MTU, and one that no tunnel has */
	len = syn(false, (const uint8_t[]){2, 4, 0x05, 0xb4}, 4, false);
	in = parse(len);
	CU_ASSERT_FALSE(dp_mss_clamp(pkt, &in, 0, false));
	CU_ASSERT_FALSE(dp_mss_clamp(pkt, &in, 100000, false));
	CU_ASSERT(dp_mss_clamp(pkt, &in, 40, false));
	CU_ASSERT_EQUAL(tt_load_be16(pkt + 42), 88);
	CU_ASSERT(pk_intact(pkt, len, 20, DP_PROTO_TCP));
}

/* Every string of options is looked at within its bounds: the sanitizers see the rest. */
static void random_options(void)
{
	struct pk_rng r = {42};

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t opts[40], len = (uint8_t)(pk_rand(&r) % 11 * 4);

		for (unsigned at = 0; at < len; at++)
			opts[at] = (uint8_t)(pk_rand(&r) % (at & 1 ? 12 : 4));
		size_t n = syn(i & 1, opts, len, false);
		uint8_t *exact = malloc(n);
		struct dp_inner in;

		CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
		memcpy(exact, pkt, n);
		CU_ASSERT_EQUAL(dp_inner_parse(exact, n, &in), TT_DROP_NONE);
		dp_mss_clamp(exact, &in, 200 + i % 1300, false);
		CU_ASSERT(pk_intact(exact, n, in.l4_off, DP_PROTO_TCP));
		free(exact);
	}
}

TT_TESTS("mss", {"options", options}, {"open checksum", open_checksum},
	 {"odd options", odd_options}, {"other packets", other_packets},
	 {"random options", random_options})

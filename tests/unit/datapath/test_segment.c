/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "datapath/csum.h"
#include "datapath/segment.h"
#include "packets.h"

static uint8_t stream[65536], super[65600], slot[65600], want[65600];

static struct plat_vnet_hdr vnet_for(const struct pk *k, uint16_t gso_size)
{
	return (struct plat_vnet_hdr){
		.flags = PLAT_VNET_F_NEEDS_CSUM,
		.gso_type = k->proto == 17 ? PLAT_VNET_GSO_UDP_L4
			    : k->v6	   ? PLAT_VNET_GSO_TCPV6
					   : PLAT_VNET_GSO_TCPV4,
		.hdr_len = 0xffff, /* a hint that nobody may trust */
		.gso_size = gso_size,
		.csum_start = (uint16_t)pk_l3_len(k),
		.csum_offset = k->proto == 17 ? 6 : 16,
	};
}

/* What the sender's own stack would have put on a wire as packet number i. */
static struct pk nth(const struct pk *k, uint32_t i, uint32_t count, uint32_t gso_size)
{
	struct pk n = *k;
	n.id = (uint16_t)(k->id + i);
	n.seq += i * gso_size;
	if (i)
		n.tcp_flags &= (uint8_t)~PK_CWR;
	if (i + 1 < count)
		n.tcp_flags &= (uint8_t) ~(PK_FIN | PK_PSH);
	return n;
}

static void cut(const struct pk *k, uint16_t gso_size, uint32_t payload)
{
	struct dp_segmenter sg;
	struct dp_inner in;
	struct plat_vnet_hdr vnet = vnet_for(k, gso_size);
	size_t len = pk_build(super, k, stream, payload, true);
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_NONE);
	uint32_t count = payload ? (payload + gso_size - 1) / gso_size : 1, off = 0;
	CU_ASSERT_EQUAL(sg.count, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t piece = TT_MIN(payload - off, (uint32_t)gso_size);
		struct pk n = nth(k, i, count, gso_size);
		size_t expect = pk_build(want, &n, stream + off, piece, false);
		CU_ASSERT_EQUAL(dp_segmenter_len(&sg), expect);
		slot[expect] = 0xa5;
		CU_ASSERT_EQUAL(dp_segmenter_next(&sg, slot), expect);
		CU_ASSERT(memcmp(slot, want, expect) == 0 && slot[expect] == 0xa5);
		CU_ASSERT(pk_intact(slot, expect, pk_l3_len(k), k->proto));
		off += piece;
	}
	CU_ASSERT(off == payload && sg.left == 0 && dp_segmenter_next(&sg, slot) == 0);
}

static struct pk variant(unsigned v, struct pk_rng *rng)
{
	struct pk k = v & 2 ? pk_udp(v & 1) : pk_tcp(v & 1);
	k.opts_len = k.proto == 6 ? (uint8_t)(pk_rand(rng) % 11 * 4) : 0;
	pk_fill(rng, k.opts, sizeof(k.opts));
	k.tos = (uint8_t)pk_rand(rng);
	k.id = (uint16_t)pk_rand(rng);
	k.seq = pk_rand(rng);
	k.df = pk_rand(rng) & 1;
	k.flow_label = pk_rand(rng) & 0xfffff;
	k.tcp_flags = PK_ACK | (pk_rand(rng) & (PK_PSH | PK_FIN | PK_CWR | PK_ECE));
	return k;
}

static void generated(void)
{
	struct pk_rng rng = {11};
	pk_fill(&rng, stream, sizeof(stream));
	for (unsigned i = 0; i < 400; i++) {
		struct pk k = variant(i, &rng);
		uint32_t room = 65535 - (uint32_t)pk_hdr_len(&k);
		uint16_t gso_size = (uint16_t)(8 + pk_rand(&rng) % (i % 5 ? 1460 : 200));
		cut(&k, gso_size, pk_rand(&rng) % (room + 1));
	}
}

static void edges(void)
{
	struct pk_rng rng = {12};
	for (unsigned v = 0; v < 4; v++) {
		struct pk k = variant(v, &rng);
		uint32_t room = 65535 - (uint32_t)pk_hdr_len(&k);
		cut(&k, 1448, room);
		cut(&k, 8, room); /* thousands of segments */
		cut(&k, 1448, 0);
		cut(&k, 1448, 1);
		cut(&k, 1448, 1448);
		cut(&k, 1448, 1449);
		cut(&k, 1448, 2 * 1448);
		cut(&k, 65535, room);
		cut(&k, 536, 536 * 40 + 1);
		cut(&k, 37, 37 * 300 + 1); /* odd sizes: every segment starts elsewhere */
	}
}

static void extension_headers_are_repeated(void)
{
	struct pk k = pk_udp(true);
	struct dp_inner in;
	struct dp_segmenter sg;
	struct plat_vnet_hdr vnet = vnet_for(&k, 100);
	size_t len = pk_build(super, &k, stream, 250, true);
	memmove(super + 48, super + 40, len - 40);
	memcpy(super + 40, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8); /* PadN */
	super[6] = 60;
	tt_store_be16(super + 4, (uint16_t)(len - 40 + 8));
	vnet.csum_start = 48;
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(super, len + 8, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(sg.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t got = dp_segmenter_next(&sg, slot);
		CU_ASSERT_EQUAL(got, 56 + (i < 2 ? 100 : 50));
		CU_ASSERT(memcmp(slot + 40, super + 40, 8) == 0 && slot[6] == 60);
		CU_ASSERT(memcmp(slot + 56, stream + 100 * i, got - 56) == 0);
		CU_ASSERT(pk_intact(slot, got, 48, 17));
	}
}

/* The whole packet or an open checksum: both ways of sending one give the same bytes. */
static void single(const struct pk *k, size_t payload)
{
	struct dp_inner in;
	struct dp_segmenter sg;
	struct plat_vnet_hdr vnet = vnet_for(k, 0);
	vnet.gso_type = PLAT_VNET_GSO_NONE;
	size_t len = pk_build(super, k, stream, payload, true);
	pk_build(want, k, stream, payload, false);
	CU_ASSERT_EQUAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_NONE);
	CU_ASSERT(sg.count == 1 && dp_segmenter_len(&sg) == len);
	CU_ASSERT_EQUAL(dp_segmenter_next(&sg, slot), len);
	CU_ASSERT_EQUAL(memcmp(slot, want, len), 0);
	CU_ASSERT_EQUAL(dp_segment_complete_csum(&vnet, super, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(memcmp(super, want, len), 0);
	/* now whole: nothing is touched */
	vnet.flags = PLAT_VNET_F_DATA_VALID;
	CU_ASSERT_EQUAL(dp_segment_complete_csum(&vnet, super, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_next(&sg, slot), len);
	CU_ASSERT(memcmp(super, want, len) == 0 && memcmp(slot, want, len) == 0);
}

static void singles(void)
{
	struct pk_rng rng = {13};
	for (unsigned i = 0; i < 400; i++) {
		struct pk k = variant(i, &rng);
		single(&k, i < 8 ? i / 4 : pk_rand(&rng) % 2000);
	}
	struct pk big = pk_udp(true);
	single(&big, 65535 - 48);
}

static void udp_checksum_zero_is_sent_as_ones(void)
{
	struct pk k = pk_udp(false);
	uint8_t payload[2] = {0, 0};
	pk_build(super, &k, payload, 2, false);
	memcpy(payload, super + 26, 2); /* makes the sum come out as 0xffff, its complement as 0 */
	memcpy(stream, payload, 2);
	single(&k, 2);
	CU_ASSERT(slot[26] == 0xff && slot[27] == 0xff);
}

struct hostile {
	const char *what;
	struct plat_vnet_hdr vnet;
};

/* All against one IPv4 TCP packet of 20 + 20 + 60 bytes. */
static const struct hostile hostile[] = {
	{"unknown flag", {4, 0, 40, 0, 20, 16}},
	{"all flags", {255, 1, 40, 10, 20, 16}},
	{"unknown kind", {1, 2, 40, 10, 20, 16}},
	{"UFO", {1, 3, 40, 10, 20, 16}},
	{"kind 6", {1, 6, 40, 10, 20, 16}},
	{"kind 0x7f", {1, 0x7f, 40, 10, 20, 16}},
	{"ECN alone", {1, 0x80, 40, 10, 20, 16}},
	{"ECN with UDP", {1, 0x85, 40, 10, 20, 6}},
	{"TCPv6 over IPv4", {1, 4, 40, 10, 20, 16}},
	{"UDP over TCP", {1, 5, 40, 10, 20, 6}},
	{"gso_size 0", {1, 1, 40, 0, 20, 16}},
	{"gso csum_start in the IP header", {1, 1, 40, 10, 0, 16}},
	{"gso csum_start elsewhere", {1, 1, 40, 10, 24, 16}},
	{"gso csum_start far outside", {1, 1, 40, 10, 65535, 16}},
	{"gso csum_offset of UDP", {1, 1, 40, 10, 20, 6}},
	{"gso csum_offset far outside", {1, 1, 40, 10, 20, 65534}},
	{"csum_start in the IP header", {1, 0, 0, 0, 10, 0}},
	{"csum_start one before L4", {1, 0, 0, 0, 19, 16}},
	{"csum_start at the end", {1, 0, 0, 0, 100, 0}},
	{"csum_start past the end", {1, 0, 0, 0, 101, 0}},
	{"field half outside", {1, 0, 0, 0, 20, 79}},
	{"field past the end", {1, 0, 0, 0, 20, 80}},
	{"sum of both overflows 16 bits", {1, 0, 0, 0, 65535, 65534}},
	{"odd csum_offset", {1, 0, 0, 0, 20, 15}},
};

static void hostile_headers(void)
{
	struct pk k = pk_tcp(false);
	struct dp_inner in;
	struct dp_segmenter sg;
	size_t len = pk_build(super, &k, stream, 60, true);
	uint8_t *exact = malloc(len);
	memcpy(exact, super, len);
	CU_ASSERT_EQUAL(dp_inner_parse(exact, len, &in), TT_DROP_NONE);
	for (size_t i = 0; i < TT_ARRAY_LEN(hostile); i++) {
		const struct hostile *h = &hostile[i];
		enum tt_drop a = dp_segmenter_init(&sg, &h->vnet, exact, &in);
		enum tt_drop b = dp_segment_complete_csum(&h->vnet, exact, &in);
		if (a != TT_DROP_TUN_BAD_VNET_HDR || b != TT_DROP_TUN_BAD_VNET_HDR)
			printf("accepted: %s\n", h->what);
		CU_ASSERT_EQUAL(a, TT_DROP_TUN_BAD_VNET_HDR);
		CU_ASSERT_EQUAL(b, TT_DROP_TUN_BAD_VNET_HDR);
		CU_ASSERT_EQUAL(memcmp(exact, super, len), 0);
	}
	free(exact);
}

/* One byte of the field outside, where the packet's length is odd. */
static void field_at_an_odd_end(void)
{
	struct pk k = pk_udp(false);
	struct dp_inner in;
	struct plat_vnet_hdr vnet = {.flags = 1, .csum_start = 20};
	size_t len = pk_build(super, &k, stream, 73, true);
	CU_ASSERT_EQUAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	vnet.csum_offset = (uint16_t)(len - 20 - 1);
	CU_ASSERT_EQUAL(dp_segment_complete_csum(&vnet, super, &in), TT_DROP_TUN_BAD_VNET_HDR);
	vnet.csum_offset = (uint16_t)(len - 20 - 3);
	CU_ASSERT_EQUAL(dp_segment_complete_csum(&vnet, super, &in), TT_DROP_NONE);
}

static void super_of_the_wrong_packet(void)
{
	struct dp_inner in;
	struct dp_segmenter sg;
	struct pk k = pk_udp(false);
	struct plat_vnet_hdr vnet = vnet_for(&k, 100);
	size_t len = pk_build(super, &k, stream, 500, true);
	tt_store_be16(super + 6, 0x2000); /* a first fragment */
	CU_ASSERT_EQUAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_TUN_BAD_VNET_HDR);
	tt_store_be16(super + 6, 0x4000);
	tt_store_be16(super + 2, 27); /* no whole UDP header */
	CU_ASSERT_EQUAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_TUN_BAD_VNET_HDR);
	pk_build(super, &k, stream, 40000, true);
	vnet.gso_size = 1; /* more packets than one read may become */
	CU_ASSERT_EQUAL(dp_inner_parse(super, 40028, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_TUN_BAD_VNET_HDR);
}

static void every_implementation(void)
{
	static const char *const names[] = {"portable", "avx2", "avx512"};
	struct pk_rng rng = {14};
	for (size_t i = 0; i < TT_ARRAY_LEN(names); i++) {
		if (dp_csum_select(names[i]) != 0)
			continue;
		for (unsigned v = 0; v < 4; v++) {
			struct pk k = variant(v, &rng);
			cut(&k, 1371, 60001);
		}
	}
	dp_csum_init();
}

TT_TESTS("segment", {"generated super-packets", generated}, {"edges", edges},
	 {"extension headers are repeated", extension_headers_are_repeated},
	 {"single packets, copied and in place", singles},
	 {"UDP checksum zero", udp_checksum_zero_is_sent_as_ones},
	 {"hostile vnet headers", hostile_headers},
	 {"checksum field at an odd end", field_at_an_odd_end},
	 {"super-packets that are none", super_of_the_wrong_packet},
	 {"every checksum implementation", every_implementation})

/* SPDX-License-Identifier: MIT
 *
 * Inner packets that are too long for their peer's path, on memory ports: told so, cut, or sent all
 * the same; and what TCP announces.
 */
#include "plane_fixture.h"

#define ALL_TUN	 (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)
#define PATH_MTU 1000

static struct fx f;
static uint8_t pkt[66000], got[66000], whole[66000];
static struct plat_vnet_hdr vnet;
static uint8_t *in;

static void set_mtu(unsigned peer, uint32_t inner_mtu)
{
	struct dp_route route = {.dest = {.to = f.peer[peer].endpoint}, .inner_mtu = inner_mtu};

	dp_peer_set_path(f.pl, f.peer[peer].p, &route, NULL);
}

static size_t build(bool v6, uint8_t proto, bool df, uint8_t src, uint8_t dst, size_t payload,
		    bool open_csum)
{
	static uint8_t bytes[66000];
	struct pk k = proto == 6 ? pk_tcp(v6) : pk_udp(v6);
	struct pk_rng r = {payload + 1};

	k.df = df;
	k.host_src = src;
	k.host_dst = dst;
	pk_fill(&r, bytes, payload);
	return pk_build(pkt, &k, bytes, payload, open_csum);
}

static struct plat_vnet_hdr super(bool v6, uint8_t proto, uint16_t gso)
{
	return (struct plat_vnet_hdr){
		.flags = PLAT_VNET_F_NEEDS_CSUM,
		.gso_type = proto == 17 ? PLAT_VNET_GSO_UDP_L4
			    : v6	? PLAT_VNET_GSO_TCPV6
					: PLAT_VNET_GSO_TCPV4,
		.gso_size = gso,
		.csum_start = v6 ? 40 : 20,
		.csum_offset = proto == 17 ? 6 : 16,
	};
}

/* The next packet inside is an answer that says "no more than this". */
static void expect_too_big(bool v6, uint32_t mtu)
{
	struct dp_inner parsed;
	int n = fx_inner_take(&f, &vnet, &in);

	CU_ASSERT_FATAL(n > 0);
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(in, (size_t)n, &parsed), TT_DROP_NONE);
	const uint8_t *icmp = in + parsed.l4_off;

	CU_ASSERT_EQUAL(parsed.proto, v6 ? DP_PROTO_ICMPV6 : DP_PROTO_ICMP);
	CU_ASSERT_EQUAL(icmp[0], v6 ? 2 : 3);
	CU_ASSERT_EQUAL(icmp[1], v6 ? 0 : 4);
	CU_ASSERT_EQUAL(v6 ? tt_load_be32(icmp + 4) : tt_load_be16(icmp + 6), mtu);
}

static void too_big(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	set_mtu(0, PATH_MTU);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint32_t mtu = v6 ? 1280 : PATH_MTU;
		size_t fits = mtu - (v6 ? 48 : 28), drops = fx_all_drops(&f);
		size_t len = build(v6, 17, true, FX_SELF, 2, fits, false);

		fx_inner_put(&f, NULL, pkt, len);
		fx_turn(&f);
		CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), (int)mtu); /* never padded beyond */
		CU_ASSERT_EQUAL(memcmp(got, pkt, len), 0);
		CU_ASSERT_EQUAL(fx_all_drops(&f), drops);
		len = build(v6, 17, true, FX_SELF, 2, fits + 1, false);
		fx_inner_put(&f, NULL, pkt, len);
		fx_turn(&f);
		CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
		expect_too_big(v6, mtu);
		CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_TOO_BIG), drops + 1);
	}
	/* the other peers' paths are theirs */
	size_t len = build(false, 17, true, FX_SELF, 3, FX_MTU - 28, false);

	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 1, got), FX_MTU);
	fx_close(&f);
}

/* The kernel cuts anew once it knows; each segment that was lost counts. */
static void super_too_big(bool v6, uint8_t proto)
{
	uint32_t mtu = v6 ? 1280 : PATH_MTU, hdr = (v6 ? 40 : 20) + (proto == 6 ? 20 : 8);
	uint16_t gso = (uint16_t)(mtu - hdr);

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	set_mtu(0, PATH_MTU);
	struct plat_vnet_hdr v = super(v6, proto, gso);
	size_t len = build(v6, proto, true, FX_SELF, 2, gso * 10u + 5, true);

	fx_inner_put(&f, &v, pkt, len);
	fx_turn(&f);
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), (int)mtu);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	v.gso_size++;
	fx_inner_put(&f, &v, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	expect_too_big(v6, mtu);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_TOO_BIG), 10);
	fx_close(&f);
}

static void supers_too_big(void)
{
	super_too_big(false, 6);
	super_too_big(true, 6);
	super_too_big(false, 17);
	super_too_big(true, 17);
}

/* Puts the peer's packets together until one is whole; its length, 0 where one is missing. */
static uint32_t reassemble(uint32_t mtu)
{
	uint32_t at = 0;

	for (;;) {
		struct dp_inner parsed;
		int n = fx_peer_receive(&f, 0, got);

		if (n < 0 || dp_inner_parse(got, (size_t)n, &parsed) != TT_DROP_NONE)
			return 0;
		uint16_t word = tt_load_be16(got + 6);

		CU_ASSERT(n <= (int)mtu);
		CU_ASSERT_EQUAL((word & 0x1fffu) * 8, at);
		memcpy(whole + 20 + at, got + 20, parsed.total_len - 20);
		at += parsed.total_len - 20;
		if (word & 0x2000)
			continue;
		memcpy(whole, got, 20);
		tt_store_be16(whole + 2, (uint16_t)(20 + at));
		tt_store_be16(whole + 6, 0);
		tt_store_be16(whole + 10, 0);
		tt_store_be16(whole + 10, (uint16_t)~pk_naive_fold(pk_naive_sum(whole, 20, 0)));
		return 20 + at;
	}
}

static uint64_t fragmented(void)
{
	struct dp_stats st;

	dp_plane_stats(f.pl, UINT_MAX, &st);
	return st.fragmented_packets;
}

static void fragments(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	for (uint32_t mtu = 68; mtu < 1400; mtu += 101) {
		uint64_t before = fragmented();

		set_mtu(0, mtu);
		for (size_t payload = 0; payload < FX_MTU - 28; payload += 77) {
			size_t len = build(false, 17, false, FX_SELF, 2, payload, false);

			fx_inner_put(&f, NULL, pkt, len);
			fx_turn(&f);
			CU_ASSERT_EQUAL(reassemble(mtu), len);
			CU_ASSERT_EQUAL(memcmp(whole, pkt, len), 0);
			before += len > mtu;
		}
		CU_ASSERT_EQUAL(fragmented(), before);
	}
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

/* The checksum the kernel left open covers the whole packet, not its fragments. */
static void fragments_of_open_checksum(void)
{
	struct plat_vnet_hdr v = {
		.flags = PLAT_VNET_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6};

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	set_mtu(0, 576);
	size_t len = build(false, 17, false, FX_SELF, 2, 1300, true);

	fx_inner_put(&f, &v, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(reassemble(576), len);
	CU_ASSERT(pk_intact(whole, len, 20, DP_PROTO_UDP));
	CU_ASSERT_EQUAL(memcmp(whole + 28, pkt + 28, len - 28), 0);
	fx_close(&f);
}

/* Every datagram of the super-packet comes in two; the last one fits. */
static void fragments_of_super(void)
{
	struct plat_vnet_hdr v = super(false, 17, 1200);

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	set_mtu(0, PATH_MTU);
	size_t len = build(false, 17, false, FX_SELF, 2, 20 * 1200 + 100, true);

	fx_inner_put(&f, &v, pkt, len);
	fx_turn(&f);
	for (unsigned i = 0; i < 21; i++) {
		size_t want = i < 20 ? 1200 : 100;

		CU_ASSERT_EQUAL(reassemble(PATH_MTU), want + 28);
		CU_ASSERT(pk_intact(whole, want + 28, 20, DP_PROTO_UDP));
		CU_ASSERT_EQUAL(memcmp(whole + 28, pkt + 28 + i * 1200, want), 0);
	}
	CU_ASSERT_EQUAL(fragmented(), 20);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

static void forwarded(void)
{
	fx_open(&f, 0, DP_BETWEEN_DIRECT);
	set_mtu(1, 900);
	size_t len = build(false, 17, true, 2, 3, 1000, false);

	/* peer 0 hears that it does not fit the way to peer 1 */
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(got[9], DP_PROTO_ICMP);
	CU_ASSERT_EQUAL(got[20], 3);
	CU_ASSERT_EQUAL(tt_load_be16(got + 26), 900);
	CU_ASSERT_EQUAL(f.outer.out.count, 0);
	/* or it is cut */
	len = build(false, 17, false, 2, 3, 1000, false);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	CU_ASSERT_EQUAL(fragmented(), 1);
	/* IPv6 has its minimum everywhere */
	len = build(true, 17, true, 2, 3, 1232, false);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 1, got), 1280);
	fx_close(&f);
}

/* --- TCP -------------------------------------------------------------------------------------- */

static size_t syn(bool v6, uint8_t src, uint8_t dst)
{
	struct pk k = pk_tcp(v6);

	k.host_src = src;
	k.host_dst = dst;
	k.tcp_flags = PK_SYN;
	k.opts_len = 8;
	memcpy(k.opts, (const uint8_t[]){1, 2, 4, 0xff, 0xf0, 1, 1, 0}, 8);
	return pk_build(pkt, &k, "", 0, false);
}

static void check_mss(const uint8_t *p, bool v6, uint32_t mtu)
{
	size_t l3 = v6 ? 40 : 20;

	CU_ASSERT_EQUAL(tt_load_be16(p + l3 + 23), mtu - l3 - 20);
	CU_ASSERT(pk_intact(p, l3 + 28, l3, DP_PROTO_TCP));
}

static void segment_size(void)
{
	const uint32_t mtu[] = {0, 1300, 1000};
	struct dp_stats st;

	fx_open(&f, 0, DP_BETWEEN_DIRECT);
	for (unsigned i = 0; i < 2 * TT_ARRAY_LEN(mtu); i++) {
		bool v6 = i & 1;
		uint32_t path = mtu[i / 2], want = path ? path : FX_MTU;

		want = v6 ? TT_MAX(want, 1280u) : want;
		set_mtu(0, path);
		size_t len = syn(v6, FX_SELF, 2);

		fx_inner_put(&f, NULL, pkt, len);
		fx_turn(&f);
		CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
		check_mss(got, v6, want);
		len = syn(v6, 2, FX_SELF);
		fx_peer_send(&f, 0, pkt, len);
		fx_turn(&f);
		CU_ASSERT_EQUAL_FATAL(fx_inner_take(&f, &vnet, &in), (int)len);
		check_mss(in, v6, want);
		/* from peer to peer the smaller of two paths holds */
		fx_peer_send(&f, 1, pkt, syn(v6, 3, 2));
		fx_turn(&f);
		CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
		check_mss(got, v6, want);
	}
	dp_plane_stats(f.pl, UINT_MAX, &st);
	/* out, in, and forwarded; the way out lowers it again where its path is the smaller one */
	CU_ASSERT_EQUAL(st.mss_clamped, 6 * 3 + 4);
	fx_close(&f);
}

TT_TESTS("plane_mtu", {"too big", too_big}, {"super-packets too big", supers_too_big},
	 {"fragments", fragments}, {"fragments of an open checksum", fragments_of_open_checksum},
	 {"fragments of a super-packet", fragments_of_super}, {"forwarded", forwarded},
	 {"segment size", segment_size})

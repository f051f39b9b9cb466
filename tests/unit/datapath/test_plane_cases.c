/* SPDX-License-Identifier: MIT
 *
 * The pipelines packet by packet, on memory ports and a virtual clock. Names that start with
 * "case" are the numbered cases of the reliability plan.
 */
#include <errno.h>

#include "datapath/segment.h"
#include "plane_fixture.h"

#define ALL_TUN (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)

static struct fx f;
static uint8_t pkt[66000], got[66000];
static struct plat_vnet_hdr vnet;
static uint8_t *in;

static uint32_t take_facts(unsigned i)
{
	struct dp_roam roam;

	return dp_peer_take_facts(f.peer[i].p, &roam) & ~(uint32_t)DP_FACT_RUNG;
}

static bool nothing_inside(void)
{
	return f.inner.out.count == 0;
}

/* --- through --------------------------------------------------------------------------------- */

static void one_packet_each_way(bool v6, unsigned flags)
{
	fx_open(&f, flags, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, v6, FX_SELF, 2, 1, 100);

	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), (int)TT_ALIGN_UP(len, 16));
	CU_ASSERT_EQUAL(memcmp(got, pkt, len), 0);
	for (size_t i = len; i < TT_ALIGN_UP(len, 16); i++)
		CU_ASSERT_EQUAL(got[i], 0);
	len = fx_udp(pkt, v6, 2, FX_SELF, 2, 101);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), (int)len);
	CU_ASSERT_EQUAL(memcmp(in, pkt, len), 0);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

static void through(void)
{
	one_packet_each_way(false, ALL_TUN);
	one_packet_each_way(true, ALL_TUN);
	one_packet_each_way(false, 0);
	one_packet_each_way(true, 0);
}

static size_t super_packet(bool v6, uint8_t proto, size_t payload, uint16_t gso)
{
	static uint8_t bytes[66000];
	struct pk k = proto == 6 ? pk_tcp(v6) : pk_udp(v6);
	struct pk_rng r = {payload + gso};

	k.host_src = FX_SELF;
	pk_fill(&r, bytes, payload);
	size_t len = pk_build(pkt, &k, bytes, payload, true);

	vnet = (struct plat_vnet_hdr){
		.flags = PLAT_VNET_F_NEEDS_CSUM,
		.gso_type = proto == 17 ? PLAT_VNET_GSO_UDP_L4
			    : v6	? PLAT_VNET_GSO_TCPV6
					: PLAT_VNET_GSO_TCPV4,
		.hdr_len = (uint16_t)pk_hdr_len(&k),
		.gso_size = gso,
		.csum_start = (uint16_t)pk_l3_len(&k),
		.csum_offset = proto == 17 ? 6 : 16,
	};
	return len;
}

/* Sends the segments of the super-packet on from the peer's side, and puts them together. */
static void super_packets(bool v6, uint8_t proto)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	size_t hdr = v6 ? 40 : 20, gso = 1300, payload = 40 * gso + 77, off = 0;

	hdr += proto == 6 ? 20 : 8;
	super_packet(v6, proto, payload, (uint16_t)gso);
	fx_inner_put(&f, &vnet, pkt, hdr + payload);
	fx_turn(&f);
	for (unsigned i = 0; i < 41; i++) {
		struct dp_inner parsed;
		int n = fx_peer_receive(&f, 0, got);

		CU_ASSERT_FATAL(n > 0);
		CU_ASSERT_EQUAL(dp_inner_parse(got, (size_t)n, &parsed), TT_DROP_NONE);
		CU_ASSERT(pk_intact(got, parsed.total_len, parsed.l4_off, proto));
		CU_ASSERT_EQUAL(memcmp(got + hdr, pkt + hdr + off, parsed.total_len - hdr), 0);
		off += parsed.total_len - hdr;
		/* back it comes, from the peer */
		if (v6) {
			uint8_t t = got[23];
			got[23] = got[39];
			got[39] = t;
		} else {
			uint8_t t = got[15];
			got[15] = got[19];
			got[19] = t;
		}
		fx_peer_send(&f, 0, got, parsed.total_len);
	}
	CU_ASSERT_EQUAL(off, payload);
	fx_turn(&f);
	off = 0;
	while (fx_inner_take(&f, &vnet, &in) >= 0) {
		struct dp_inner parsed;

		CU_ASSERT_EQUAL_FATAL(dp_inner_parse(in, 65535, &parsed), TT_DROP_NONE);
		CU_ASSERT_EQUAL(memcmp(in + hdr, pkt + hdr + off, parsed.total_len - hdr), 0);
		off += parsed.total_len - hdr;
	}
	CU_ASSERT_EQUAL(off, payload);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	struct dp_stats st;

	dp_plane_stats(f.pl, 0, &st);
	CU_ASSERT_EQUAL(st.tun_tx_packets, 41);
	CU_ASSERT(st.tun_tx_writes <= 2);
	CU_ASSERT_EQUAL(st.tun_rx_packets, 41);
	fx_close(&f);
}

static void through_super(void)
{
	super_packets(false, 6);
	super_packets(true, 6);
	super_packets(false, 17);
	super_packets(true, 17);
}

static void padding_is_clamped(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	for (size_t payload = FX_MTU - 28 - 20; payload <= FX_MTU - 28; payload++) {
		size_t len = fx_udp(pkt, false, FX_SELF, 2, 1, payload);

		fx_inner_put(&f, NULL, pkt, len);
		fx_turn(&f);
		CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got),
				(int)TT_MIN(TT_ALIGN_UP(len, 16), (size_t)FX_MTU));
	}
	fx_close(&f);
}

static void largest_inner_packet(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	dp_plane_set_mtu(f.pl, 65535);
	size_t len = fx_udp(pkt, false, FX_SELF, 2, 1, WG_INNER_MAX_V4 - 28);

	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), WG_INNER_MAX_V4);
	CU_ASSERT_EQUAL(memcmp(got, pkt, len), 0);
	fx_close(&f);
}

static void ecn_outside_and_in(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	struct pk k = pk_udp(false);

	k.host_src = FX_SELF;
	k.tos = 0xb9; /* EF, ECT(1) */
	fx_inner_put(&f, NULL, pkt, pk_build(pkt, &k, "x", 1, false));
	fx_turn(&f);
	struct dp_mem_message *m = dp_port_mem_outer_sent(&f.outer);

	CU_ASSERT_EQUAL(m->ecn, 1);
	k.host_src = 2;
	k.host_dst = FX_SELF;
	k.tos = 0x02;
	m = fx_peer_send(&f, 0, pkt, pk_build(pkt, &k, "x", 1, false));
	m->ecn = 3;
	fx_turn(&f);
	CU_ASSERT_FATAL(fx_inner_take(&f, &vnet, &in) > 0);
	CU_ASSERT_EQUAL(in[1], 3);
	k.tos = 0;
	m = fx_peer_send(&f, 0, pkt, pk_build(pkt, &k, "x", 1, false));
	m->ecn = 3;
	fx_turn(&f);
	CU_ASSERT(nothing_inside());
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_INNER_ECN), 1);
	fx_close(&f);
}

/* --- cases ----------------------------------------------------------------------------------- */

static void case11_replay(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 10);
	struct dp_mem_message *m = fx_peer_send(&f, 0, pkt, len);
	uint8_t first[200];
	uint32_t wire = m->len;

	memcpy(first, m->bytes, wire);
	fx_put(&f, &f.peer[0].endpoint, first, wire); /* twice in one batch */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_REPLAY), 1);
	fx_put(&f, &f.peer[0].endpoint, first, wire); /* and in another */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_REPLAY), 2);
	atomic_store(&f.peer[0].far.send_counter, 20000);
	fx_peer_send(&f, 0, pkt, len);
	fx_put(&f, &f.peer[0].endpoint, first, wire);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_OLD), 1);
	CU_ASSERT_EQUAL(f.inner.out.count, 2);
	fx_close(&f);
}

static void case12_counter_limits(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, FX_SELF, 2, 1, 10);

	atomic_store(&f.peer[0].near.send_counter, WG_REKEY_AFTER_MESSAGES - 1);
	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT(take_facts(0) & DP_FACT_NEED_HANDSHAKE);
	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(take_facts(0) & DP_FACT_NEED_HANDSHAKE); /* asked once */
	CU_ASSERT_EQUAL(f.outer.flushed, 2);
	while (dp_port_mem_outer_sent(&f.outer))
		;

	/* three slots are left, and five packets want them */
	atomic_store(&f.peer[0].near.send_counter, WG_REJECT_AFTER_MESSAGES - 3);
	for (unsigned i = 0; i < 5; i++)
		fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.outer.flushed, 0);
	CU_ASSERT_EQUAL(f.outer.out.count, 0);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_COUNTER), 5);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].near.send_counter), WG_REJECT_AFTER_MESSAGES - 3);
	CU_ASSERT(take_facts(0) & DP_FACT_NEED_HANDSHAKE);

	atomic_store(&f.peer[0].near.send_counter, WG_REJECT_AFTER_MESSAGES);
	f.now.ns += TT_NS_PER_SEC;
	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.outer.out.count, 0);
	CU_ASSERT(dp_peer_staged(f.peer[0].p));
	fx_close(&f);
}

static void case13_counter_of_an_attacker(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 4);
	uint8_t wire[128] = {0};
	const uint64_t counters[] = {UINT64_MAX, WG_REJECT_AFTER_MESSAGES};

	for (unsigned i = 0; i < 2; i++) {
		wg_data_header_write(wire, f.peer[0].near.local_index, counters[i]);
		crypto_aead_seal(&f.peer[0].far.send_key, counters[i], NULL, 0, pkt, len,
				 wire + 16);
		fx_put(&f, &f.peer[0].endpoint, wire, len + 32);
	}
	/* damaged packets move no window either */
	for (unsigned i = 0; i < 3; i++) {
		atomic_store(&f.peer[0].far.send_counter, 5000 + i);
		struct dp_mem_message *m = fx_peer_send(&f, 0, pkt, len);

		m->bytes[16 + i * 20] ^= 1;
	}
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_COUNTER), 2);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_BAD_AUTH), 3);
	CU_ASSERT_EQUAL(f.peer[0].near.replay.next, 0);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_rx), 0);
	atomic_store(&f.peer[0].far.send_counter, 0);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 1);
	fx_close(&f);
}

static void case14_keepalive(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->unanswered_tx_since), f.now.ns);
	f.now.ns += TT_NS_PER_SEC;
	fx_peer_send(&f, 0, NULL, 0);
	fx_turn(&f);
	CU_ASSERT(nothing_inside());
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_rx), f.now.ns);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_data_rx), 0);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->unanswered_tx_since), 0);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->unanswered_rx_since), 0);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->rx_bytes), 32);
	CU_ASSERT_EQUAL(f.outer.flushed, 1); /* the packet of before, and no answer */
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

static void case15_malformed(void)
{
	static uint8_t junk[65507];
	unsigned expect_auth = 0;

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	const struct tt_endpoint *e = &f.peer[0].endpoint;

	for (size_t len = 0; len < 48; len++) {
		wg_data_header_write(junk, f.peer[0].near.local_index, 7);
		fx_put(&f, e, junk, len);
		expect_auth += len >= 32;
	}
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_TOO_SHORT), 32);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_BAD_AUTH), expect_auth);
	wg_data_header_write(junk, f.peer[0].near.local_index, 7);
	fx_put(&f, e, junk, sizeof(junk));
	wg_data_header_write(junk, f.peer[0].near.local_index ^ 0x01000000, 7); /* same slot */
	fx_put(&f, e, junk, 64);
	wg_data_header_write(junk, f.peer[0].near.local_index + 1000, 7); /* empty slot */
	fx_put(&f, e, junk, 64);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_BAD_AUTH), expect_auth + 1);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_UNKNOWN_INDEX), 2);
	for (unsigned type = 0; type < 256; type++) {
		memset(junk, 0, 200);
		junk[0] = (uint8_t)type;
		junk[1 + type % 3] = type >= 1 && type <= 4 ? 1 : 0;
		fx_put(&f, e, junk, 150);
		if (type == 128)
			fx_turn(&f);
	}
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 256);
	memset(junk, 0, 200);
	junk[0] = 1;
	fx_put(&f, e, junk, 147);
	fx_put(&f, e, junk, 149);
	fx_put(&f, e, junk, 4000);
	fx_put(&f, e, junk, 148); /* right length, but nobody has a key yet */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_HS_BAD_LENGTH), 3);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_HS_NO_KEY), 1);
	CU_ASSERT(nothing_inside());
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_rx), 0);
	fx_close(&f);
}

static void case16_inner_lies(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	const size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 40);
	uint8_t bad[128];
	const struct {
		unsigned at;
		uint8_t value;
	} lies[] = {{0, 0x05}, {0, 0x55}, {0, 0xf5}, {0, 0x44}, {2, 0xff}, {3, 19}, {0, 0x65}};

	for (unsigned i = 0; i < TT_ARRAY_LEN(lies); i++) {
		memcpy(bad, pkt, len);
		bad[lies[i].at] = lies[i].value;
		fx_peer_send(&f, 0, bad, len);
	}
	fx_peer_send(&f, 0, "\x45", 1);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_INNER_INVALID), TT_ARRAY_LEN(lies) + 1);
	CU_ASSERT(nothing_inside());
	/* they were genuine all the same */
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_rx), f.now.ns);
	/* padding goes by the packet's own length */
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), (int)len);
	fx_close(&f);
}

static void case17_inner_source(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	const uint8_t hosts[] = {3, FX_SELF, 200};

	for (unsigned i = 0; i < TT_ARRAY_LEN(hosts); i++)
		for (unsigned v6 = 0; v6 < 2; v6++)
			fx_peer_send(&f, 0, pkt, fx_udp(pkt, v6, hosts[i], FX_SELF, 1, 10));
	/* ::ffff:10.9.8.2, which as IPv4 would be allowed */
	size_t len = fx_udp(pkt, true, 2, FX_SELF, 1, 10);

	memcpy(pkt + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x09\x08\x02", 16);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_INNER_SOURCE), 7);
	CU_ASSERT(nothing_inside());
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->last_rx), f.now.ns);
	/* the longest match decides */
	const char *const prefixes[] = {"10.9.8.0/24 0", "10.9.8.3/32 1"};

	dp_plane_publish_lpm(f.pl, fx_lpm(prefixes, 2));
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 3, FX_SELF, 1, 10));
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 77, FX_SELF, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_INNER_SOURCE), 8);
	CU_ASSERT_EQUAL(f.inner.out.count, 1);
	fx_close(&f);
}

static void case18_roaming(void)
{
	struct dp_roam roam;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 10);
	struct dp_peer *p = f.peer[0].p;
	struct tt_endpoint home = f.peer[0].endpoint, away = home;

	away.udp_port = 1;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);

	f.peer[0].endpoint = away;
	struct dp_mem_message *m = fx_peer_send(&f, 0, pkt, len);

	m->bytes[30] ^= 1; /* invalid */
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);
	atomic_store(&f.peer[0].far.send_counter, 100);
	f.peer[0].endpoint = home;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	f.peer[0].endpoint = away;
	atomic_store(&f.peer[0].far.send_counter, 50); /* valid and new, but older */
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);
	fx_put(&f, &away, f.outer.in.slot[0].bytes, f.outer.in.slot[0].len); /* a duplicate */
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);

	atomic_store(&f.peer[0].far.send_counter, 200);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);
	CU_ASSERT(tt_endpoint_equal(&roam.src, &away));
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f); /* the same news twice is no news */
	CU_ASSERT_FALSE(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);
	/* control follows; then the true address comes back */
	struct plat_udp_dest dest = {.to = away, .from = tt_ip_v4_host(0xc0000201u)};

	dp_peer_set_path(f.pl, p, &dest, NULL);
	f.peer[0].endpoint = home;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(dp_peer_take_facts(p, &roam) & DP_FACT_ROAMED);
	CU_ASSERT(tt_endpoint_equal(&roam.src, &home));
	fx_close(&f);
}

/* --- sessions -------------------------------------------------------------------------------- */

static void expired_session(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 10);
	struct dp_mem_message *m = fx_peer_send(&f, 0, pkt, len);

	(void)m;
	f.now.ns += WG_REJECT_AFTER_TIME_NS;
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_EXPIRED), 1);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.outer.flushed, 0);
	CU_ASSERT(take_facts(0) & DP_FACT_NEED_HANDSHAKE);
	fx_close(&f);
}

static void next_session_confirms(void)
{
	struct wg_session next, far;
	uint8_t wire[64] = {0};

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	fx_session_pair(&next, &far, 0, 60, f.now);
	next.initiator = false;
	dp_session_publish(f.pl, &next);
	wg_data_seal(&far, f.now, NULL, 0, FX_MTU, wire);
	fx_put(&f, &f.peer[0].endpoint, wire, 32);
	fx_turn(&f);
	CU_ASSERT(atomic_load(&next.confirmed));
	CU_ASSERT(take_facts(0) & DP_FACT_CONFIRMED);
	wg_data_seal(&far, f.now, NULL, 0, FX_MTU, wire);
	fx_put(&f, &f.peer[0].endpoint, wire, 32);
	fx_turn(&f);
	CU_ASSERT_FALSE(take_facts(0) & DP_FACT_CONFIRMED);
	dp_session_unpublish(f.pl, &next, fx_nothing, NULL);
	fx_put(&f, &f.peer[0].endpoint, wire, 32);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_UNKNOWN_INDEX), 1);
	fx_close(&f);
}

static void initiator_rekeys_on_receive(void)
{
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	f.now.ns += WG_REKEY_ON_RECV_NS;
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 1, 10));
	fx_turn(&f);
	CU_ASSERT(take_facts(0) & DP_FACT_NEED_HANDSHAKE);
	fx_close(&f);
}

/* --- staging --------------------------------------------------------------------------------- */

static void stage(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, (uint16_t)i, 10 + i));
		fx_turn(&f);
	}
}

static void staging_keeps_the_newest(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	dp_peer_set_session(f.pl, f.peer[0].p, NULL);
	stage(0, 200);
	CU_ASSERT(take_facts(0) & DP_FACT_NEED_HANDSHAKE);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_FULL), 200 - DP_STAGED_MAX);
	CU_ASSERT_EQUAL(dp_staging_count(f.peer[0].p), DP_STAGED_MAX);
	/* others are not touched by it */
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	dp_peer_set_session(f.pl, f.peer[0].p, &f.peer[0].near);
	fx_turn(&f);
	for (unsigned i = 200 - DP_STAGED_MAX; i < 200; i++) {
		CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
		CU_ASSERT_EQUAL(tt_load_be16(got + 20), i);
	}
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	CU_ASSERT_EQUAL(dp_staging_count(f.peer[0].p), 0);
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	CU_ASSERT_EQUAL(f.w->staging.active_count, 0);
	fx_close(&f);
}

static void staging_of_super_packets(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	dp_peer_set_session(f.pl, f.peer[0].p, NULL);
	size_t payload = 40 * 1300;

	for (unsigned i = 0; i < 5; i++) {
		fx_inner_put(&f, &vnet, pkt, super_packet(false, 6, payload, 1300));
		memcpy(f.inner.in.slot[(f.inner.in.head + f.inner.in.count - 1) % DP_MEM_SLOTS]
			       .bytes,
		       &vnet, sizeof(vnet));
	}
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_staging_count(f.peer[0].p), 120);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_FULL), 80);
	dp_peer_set_session(f.pl, f.peer[0].p, &f.peer[0].near);
	fx_turn(&f);
	for (unsigned i = 0; i < 120; i++) {
		int n = fx_peer_receive(&f, 0, got);

		CU_ASSERT_FATAL(n >= 1340);
		CU_ASSERT_EQUAL(memcmp(got + 40, pkt + 40 + i % 40 * 1300, 1300), 0);
	}
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	fx_close(&f);
}

static void staged_is_given_up(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	dp_peer_set_session(f.pl, f.peer[0].p, NULL);
	stage(0, 10);
	dp_peer_drop_staged(f.pl, f.peer[0].p);
	CU_ASSERT_FALSE(dp_peer_staged(f.peer[0].p));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_EXPIRED), 10);
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	stage(10, 15);
	/* its successor under the same id inherits nothing */
	dp_session_unpublish(f.pl, &f.peer[0].near, fx_nothing, NULL);
	dp_peer_remove(f.pl, f.peer[0].p);
	tt_epoch_synchronize(&f.pl->epoch);
	f.peer[0].p = dp_peer_add(f.pl, 0);
	fx_set_path(&f, 0, 10);
	fx_new_session(&f, 0, 70);
	stage(15, 16);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(tt_load_be16(got + 20), 15);
	atomic_store(&f.w->scan_staged, true);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_EXPIRED), 15);
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	fx_close(&f);
}

/* --- nowhere to go --------------------------------------------------------------------------- */

static void unreachable(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		fx_inner_put(&f, NULL, pkt, fx_udp(pkt, v6, FX_SELF, 99, 1, 10));
		fx_turn(&f);
		CU_ASSERT_FATAL(fx_inner_take(&f, &vnet, &in) > 0);
		CU_ASSERT_EQUAL(in[v6 ? 40 : 20], v6 ? 1 : 3);
		CU_ASSERT_EQUAL(in[v6 ? 41 : 21], v6 ? 3 : 1);
	}
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_NO_PEER), 2);
	dp_peer_set_path(f.pl, f.peer[0].p, NULL, NULL);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_NO_ENDPOINT), 1);
	CU_ASSERT(fx_inner_take(&f, &vnet, &in) > 0);
	/* not without end */
	for (unsigned i = 0; i < 200; i++) {
		fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 99, 1, 10));
		fx_turn(&f);
	}
	CU_ASSERT(f.inner.out.count < 60);
	fx_inner_put(&f, NULL, "\x45\0", 2);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_INNER_INVALID), 1);
	fx_close(&f);
}

/* --- from peer to peer ------------------------------------------------------------------------ */

static void between_deny(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_DENY);
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, 3, 1, 10)); /* decap */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_POLICY), 1);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, 2, 3, 1, 10)); /* encap */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_POLICY), 2);
	CU_ASSERT_EQUAL(f.outer.flushed, 0);
	CU_ASSERT(nothing_inside());
	/* a peer with the default route makes no peer of ourselves */
	const char *const prefixes[] = {"0.0.0.0/0 0", "10.9.8.3/32 1"};

	dp_plane_publish_lpm(f.pl, fx_lpm(prefixes, 2));
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	fx_peer_send(&f, 1, pkt, fx_udp(pkt, false, 3, FX_SELF, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 1);
	/* and neither of any other address that we have */
	const struct tt_ip own[] = {tt_ip_v4_host(0x0a090800u + FX_SELF),
				    tt_ip_v4_host(0x0a090800u + 200)};

	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, 200, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_POLICY), 3);
	dp_plane_set_inner_addresses(f.pl, own, 2);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, 200, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_POLICY), 3);
	fx_close(&f);
}

static void between_kernel(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 1);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, 2, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	fx_close(&f);
}

static void between_direct(void)
{
	struct pk k = pk_udp(false);

	fx_open(&f, ALL_TUN, DP_BETWEEN_DIRECT);
	size_t len = fx_udp(pkt, false, 2, 3, 1, 10);

	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(nothing_inside());
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	CU_ASSERT_EQUAL(got[8], 63);
	CU_ASSERT(pk_intact(got, len, 20, 17));
	k.host_src = 2;
	k.host_dst = 3;
	k.ttl = 1;
	fx_peer_send(&f, 0, pkt, pk_build(pkt, &k, "x", 1, false));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TTL_EXCEEDED), 1);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(got[20], 11);
	/* too big: with DF an answer; without, the kernel may cut it */
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, 3, 1, 1500));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_TOO_BIG), 1);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(got[20], 3);
	CU_ASSERT_EQUAL(got[21], 4);
	CU_ASSERT_EQUAL(tt_load_be16(got + 26), FX_MTU);
	k.df = false;
	k.ttl = 64;
	fx_peer_send(&f, 0, pkt, pk_build(pkt, &k, got, 1500, false));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 1);
	dp_peer_set_path(f.pl, f.peer[1].p, NULL, NULL);
	fx_peer_send(&f, 0, pkt, len = fx_udp(pkt, false, 2, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_NO_ENDPOINT), 1);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	struct dp_stats st;

	dp_plane_stats(f.pl, UINT_MAX, &st);
	CU_ASSERT_EQUAL(st.forwarded_packets, 1);
	fx_close(&f);
}

/* --- the inner port refuses ------------------------------------------------------------------- */

static void offload_refused(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 10; i++)
			fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 9, 500));
		f.inner.refuse_super = -EINVAL;
		fx_turn(&f);
		for (unsigned i = 0; i < 10; i++) {
			CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), 528);
			CU_ASSERT_EQUAL(vnet.gso_type, PLAT_VNET_GSO_NONE);
			CU_ASSERT_EQUAL(memcmp(in + 28, pkt + 28, 500), 0);
			CU_ASSERT(pk_intact(in, 528, 20, 17));
		}
	}
	struct dp_stats st;

	dp_plane_stats(f.pl, UINT_MAX, &st);
	CU_ASSERT(st.uso_off);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	f.inner.refuse_all = -EIO;
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 9, 500));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TUN_DOWN), 1);
	fx_close(&f);
}

/* --- to control ------------------------------------------------------------------------------ */

static void timers_fact_is_rung_later(void)
{
	tt_peer_id ids[16];
	bool overflow;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	for (unsigned i = 0; i < 50; i++) { /* to and fro, as TCP does */
		fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, 10));
		fx_turn(&f);
		dp_port_mem_outer_sent(&f.outer);
		fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 1, 10));
		fx_turn(&f);
		f.now.ns += TT_NS_PER_MS;
	}
	CU_ASSERT_EQUAL(dp_plane_doorbell_drain(f.pl, ids, 16, &overflow), 0);
	f.now.ns += DP_RING_DELAY_NS;
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_plane_doorbell_drain(f.pl, ids, 16, &overflow), 1);
	CU_ASSERT_EQUAL(ids[0], 0);
	CU_ASSERT_FALSE(overflow);
	CU_ASSERT_EQUAL(take_facts(0), DP_FACT_TIMERS);
	fx_close(&f);
}

static void handshake_asked_for_sparingly(void)
{
	unsigned asked = 0;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	dp_peer_set_session(f.pl, f.peer[0].p, NULL);
	for (unsigned i = 0; i < 1000;
	     i++) { /* a flood of 10 s, and a control thread that is fast */
		tt_peer_id ids[16];
		bool overflow;

		stage(i, i + 1);
		asked += dp_plane_doorbell_drain(f.pl, ids, 16, &overflow);
		take_facts(0);
		f.now.ns += 10 * TT_NS_PER_MS;
	}
	CU_ASSERT(asked >= 50 && asked <= 110);
	fx_close(&f);
}

static void doorbell_overflow(void)
{
	tt_peer_id ids[64];
	bool overflow;
	unsigned n, sum = 0;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	for (unsigned i = 0; i < DP_DOORBELL_RING + 10; i++)
		CU_ASSERT_EQUAL(dp_doorbell_ring(&f.pl->doorbell, i), i < DP_DOORBELL_RING);
	dp_plane_raise(f.pl, f.peer[0].p, DP_FACT_TIMERS);
	n = dp_plane_doorbell_drain(f.pl, ids, 64, &overflow);
	CU_ASSERT(overflow);
	for (; n; n = dp_plane_doorbell_drain(f.pl, ids, 64, &overflow)) {
		for (unsigned i = 0; i < n; i++)
			CU_ASSERT_EQUAL(ids[i], sum + i);
		CU_ASSERT_FALSE(overflow && sum);
		sum += n;
	}
	CU_ASSERT_EQUAL(sum, DP_DOORBELL_RING);
	/* the peer whose ring was lost can ring again */
	CU_ASSERT_EQUAL(take_facts(0), DP_FACT_TIMERS);
	dp_plane_raise(f.pl, f.peer[0].p, DP_FACT_TIMERS);
	CU_ASSERT_EQUAL(dp_plane_doorbell_drain(f.pl, ids, 64, &overflow), 1);
	fx_close(&f);
}

static void handshake_ring(void)
{
	struct dp_handshake h = {.len = 148, .src = {.udp_port = 7}}, out[8];
	struct wg_cookie_keys keys;
	struct wg_cookie cookie = {0};
	unsigned n = 0;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	wg_cookie_keys_init(&keys, (const uint8_t[32]){9});
	cookie.keys = keys;
	h.bytes[0] = WG_MSG_INITIATION;
	CU_ASSERT_EQUAL(dp_handshake_push(f.pl, &h), TT_DROP_HS_NO_KEY);
	dp_plane_set_mac1_key(f.pl, keys.mac1);
	CU_ASSERT_EQUAL(dp_handshake_push(f.pl, &h), TT_DROP_HS_BAD_MAC1);
	wg_cookie_stamp(&cookie, h.bytes, h.len, f.now);
	for (unsigned i = 0; i < DP_HANDSHAKE_RING; i++) {
		h.ifindex = i;
		CU_ASSERT_EQUAL(dp_handshake_push(f.pl, &h), TT_DROP_NONE);
	}
	CU_ASSERT_EQUAL(dp_handshake_push(f.pl, &h), TT_DROP_HS_QUEUE_FULL);
	CU_ASSERT_EQUAL(dp_handshake_depth(f.pl), DP_HANDSHAKE_RING);
	for (unsigned got_now; (got_now = dp_handshake_pop(f.pl, out, 8)); n += got_now)
		for (unsigned i = 0; i < got_now; i++)
			CU_ASSERT_EQUAL(out[i].ifindex, n + i);
	CU_ASSERT_EQUAL(n, DP_HANDSHAKE_RING);
	CU_ASSERT_EQUAL(dp_handshake_depth(f.pl), 0);
	/* by way of a worker */
	fx_put(&f, &f.peer[2].endpoint, h.bytes, 148);
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_handshake_pop(f.pl, out, 8), 1);
	CU_ASSERT(tt_endpoint_equal(&out[0].src, &f.peer[2].endpoint));
	fx_close(&f);
}

static void mixed_batch(void)
{
	/* three peers in turns, with damage between: each keeps its order, nobody loses another's
	 */
	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	for (unsigned i = 0; i < 150; i++) {
		struct dp_mem_message *m = fx_peer_send(&f, i % 3, pkt,
							fx_udp(pkt, false, (uint8_t)(2 + i % 3),
							       FX_SELF, (uint16_t)i, i));

		if (i % 10 == 9)
			m->bytes[20] ^= 1;
	}
	fx_turn(&f);
	int last[3] = {-1, -1, -1};
	unsigned n = 0;

	for (; fx_inner_take(&f, &vnet, &in) >= 0; n++) {
		int number = tt_load_be16(in + 20);

		CU_ASSERT(last[in[15] - 2] < number);
		last[in[15] - 2] = number;
	}
	CU_ASSERT_EQUAL(n, 135);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_BAD_AUTH), 15);
	fx_close(&f);
}

TT_TESTS("plane_cases", {"packets go through", through},
	 {"super-packets go through", through_super}, {"padding is clamped", padding_is_clamped},
	 {"largest inner packet", largest_inner_packet}, {"ecn outside and in", ecn_outside_and_in},
	 {"case 11 replay", case11_replay}, {"case 12 counter limits", case12_counter_limits},
	 {"case 13 counter of an attacker", case13_counter_of_an_attacker},
	 {"case 14 keepalive", case14_keepalive}, {"case 15 malformed", case15_malformed},
	 {"case 16 inner lies", case16_inner_lies}, {"case 17 inner source", case17_inner_source},
	 {"case 18 roaming", case18_roaming}, {"expired session", expired_session},
	 {"next session confirms", next_session_confirms},
	 {"initiator rekeys on receive", initiator_rekeys_on_receive},
	 {"staging keeps the newest", staging_keeps_the_newest},
	 {"staging of super-packets", staging_of_super_packets},
	 {"staged is given up", staged_is_given_up}, {"unreachable", unreachable},
	 {"between peers: deny", between_deny}, {"between peers: kernel", between_kernel},
	 {"between peers: direct", between_direct}, {"offload refused", offload_refused},
	 {"timers fact is rung later", timers_fact_is_rung_later},
	 {"handshake asked for sparingly", handshake_asked_for_sparingly},
	 {"doorbell overflow", doorbell_overflow}, {"handshake ring", handshake_ring},
	 {"mixed batch", mixed_batch})

/* SPDX-License-Identifier: MIT
 *
 * Where packets go: through, into staging, from peer to peer, or back with an answer; on memory
 * ports and a virtual clock.
 */
#include <errno.h>

#include "datapath/segment.h"
#include "plane_fixture.h"

#define ALL_TUN (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)

static struct fx f;
static uint8_t pkt[66000], got[66000];
static struct plat_vnet_hdr vnet;
static uint8_t *in;

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

/* While the kernel has no room, packets come in all the same, and none is taken to go out. */
static void held(void)
{
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 100);

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	fx_peer_send(&f, 0, pkt, len);
	len = fx_udp(pkt, false, FX_SELF, 2, 1, 100);
	fx_inner_put(&f, NULL, pkt, len);
	f.w->held = true;
	f.w->now = f.now;
	f.w->ready = 1u << DP_SLOT_INNER | 1u << DP_SLOT_LANE0;
	tt_epoch_enter(&f.pl->epoch, 0);
	dp_worker_turn(f.w);
	tt_epoch_leave(&f.pl->epoch, 0);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), 128);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	CU_ASSERT_TRUE(f.w->ready & 1u << DP_SLOT_INNER);
	f.w->held = false;
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), 128);
	fx_close(&f);
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

/* --- staging --------------------------------------------------------------------------------- */

static void staging_keeps_the_newest(void)
{
	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	dp_peer_set_session(f.pl, f.peer[0].p, NULL);
	fx_send_numbered(&f, 0, 200);
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE);
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
	fx_send_numbered(&f, 0, 10);
	dp_peer_drop_staged(f.pl, f.peer[0].p);
	CU_ASSERT_FALSE(dp_peer_staged(f.peer[0].p));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_EXPIRED), 10);
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	fx_send_numbered(&f, 10, 15);
	/* its successor under the same id inherits nothing */
	dp_session_unpublish(f.pl, &f.peer[0].near, fx_nothing, NULL);
	dp_peer_remove(f.pl, f.peer[0].p);
	tt_epoch_synchronize(&f.pl->epoch);
	f.peer[0].p = dp_peer_add(f.pl, 0);
	fx_set_path(&f, 0, 10);
	fx_new_session(&f, 0, 70);
	fx_send_numbered(&f, 15, 16);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(tt_load_be16(got + 20), 15);
	atomic_store(&f.w->scan_staged, true);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_EXPIRED), 15);
	CU_ASSERT_EQUAL(f.w->staging.free_count, DP_STAGING_CHUNKS);
	fx_close(&f);
}

/* --- not yet -------------------------------------------------------------------------------- */

/* Packets that come before their peer has, or its path: they wait, and no longer than that. */
static void awaited(void)
{
	static const char *const nobody[] = {"10.250.0.0/16 1"};

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	dp_plane_publish_lpm(f.pl, fx_lpm(nobody, 1));
	dp_plane_await_peers(f.pl, true);
	fx_send_numbered(&f, 0, 10);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	CU_ASSERT_EQUAL(f.inner.out.count, 0);
	/* a table that does not have it either */
	dp_plane_publish_lpm(f.pl, fx_lpm(nobody, 1));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_peer_receive(&f, 0, got), -1);
	dp_plane_publish_lpm(f.pl, fx_lpm(fx_prefixes, TT_ARRAY_LEN(fx_prefixes)));
	fx_turn(&f);
	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT_FATAL(fx_peer_receive(&f, 0, got) > 0);
		CU_ASSERT_EQUAL(tt_load_be16(got + 20), i);
	}
	/* one without a path */
	dp_peer_set_path(f.pl, f.peer[0].p, NULL, NULL);
	fx_send_numbered(&f, 10, 12);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_set_path(&f, 0, 10);
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	CU_ASSERT_EQUAL(tt_load_be16(got + 20), 10);
	/* as many as of a peer, the newest of them; and then the sender is told */
	for (unsigned i = 0; i < DP_STAGED_MAX + 20; i++) {
		fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 99, 1, 10));
		fx_turn(&f);
	}
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_STAGING_FULL), 20);
	CU_ASSERT_EQUAL(f.inner.out.count, 0);
	dp_plane_await_peers(f.pl, false);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_NO_PEER), DP_STAGED_MAX);
	CU_ASSERT_FATAL(fx_inner_take(&f, &vnet, &in) > 0);
	CU_ASSERT_EQUAL(in[20], 3);
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
	/* and none of hosts behind us, either way */
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, 200, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 1, got) > 0);
	fx_peer_send(&f, 1, pkt, fx_udp(pkt, false, 3, 200, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 2);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_POLICY), 2);
	/* a peer with our network makes none of any other address that we have */
	const char *const network[] = {"10.9.8.0/24 0", "10.9.8.3/32 1"};

	dp_plane_publish_lpm(f.pl, fx_lpm(network, 2));
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

/* What the worker lets others read between two batches: not what has flow control, nor what is not
 * for this host. */
static void datagrams_for_readers(void)
{
	struct pk tcp = pk_tcp(false);

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	for (unsigned i = 0; i < 3; i++)
		fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.w->datagrams, 3);
	tcp.host_src = 2;
	tcp.host_dst = FX_SELF;
	fx_peer_send(&f, 0, pkt, pk_build(pkt, &tcp, "x", 1, false));
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, 200, 1, 10));
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, 3, 1, 10));
	fx_turn(&f);
	CU_ASSERT_EQUAL(f.inner.out.count, 4);
	CU_ASSERT_EQUAL(f.w->datagrams, 3);
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

/* The same for TCP: ten segments of a stream that were put together, one by one and in order. */
static void tso_refused(void)
{
	uint8_t payload[500];

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	f.inner.refuse_super = -EINVAL;
	for (unsigned round = 0; round < 2; round++) {
		struct pk k = pk_tcp(false);

		k.host_src = 2;
		k.host_dst = FX_SELF;
		for (unsigned i = 0; i < 10; i++) {
			memset(payload, (int)i, sizeof(payload));
			fx_peer_send(&f, 0, pkt, pk_build(pkt, &k, payload, 500, false));
			k.seq += 500;
			k.id++;
		}
		fx_turn(&f);
		for (unsigned i = 0; i < 10; i++) {
			CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), 540);
			CU_ASSERT_EQUAL(vnet.gso_type, PLAT_VNET_GSO_NONE);
			CU_ASSERT_EQUAL(in[40], i);
			CU_ASSERT(pk_intact(in, 540, 20, 6));
		}
	}
	struct dp_stats st;

	dp_plane_stats(f.pl, UINT_MAX, &st);
	CU_ASSERT_EQUAL(st.tun_tx_writes, 21); /* one was refused, none after it was tried */
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

TT_TESTS("plane_flow", {"packets go through", through}, {"super-packets go through", through_super},
	 {"held", held}, {"padding is clamped", padding_is_clamped},
	 {"largest inner packet", largest_inner_packet}, {"ecn outside and in", ecn_outside_and_in},
	 {"case 10: staging keeps the newest", staging_keeps_the_newest},
	 {"staging of super-packets", staging_of_super_packets},
	 {"staged is given up", staged_is_given_up}, {"awaited", awaited},
	 {"unreachable", unreachable}, {"between peers: deny", between_deny},
	 {"between peers: kernel", between_kernel},
	 {"datagrams for readers", datagrams_for_readers},
	 {"between peers: direct", between_direct}, {"offload refused", offload_refused},
	 {"tso refused", tso_refused})

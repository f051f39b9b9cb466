/* SPDX-License-Identifier: MIT
 *
 * The numbered cases 11 to 18 of the reliability plan, and sessions, packet by packet on memory
 * ports and a virtual clock.
 */
#include <errno.h>

#include "datapath/segment.h"
#include "plane_fixture.h"

#define ALL_TUN (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)

static struct fx f;
static uint8_t pkt[66000];
static struct plat_vnet_hdr vnet;
static uint8_t *in;

static bool nothing_inside(void)
{
	return f.inner.out.count == 0;
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
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE);
	fx_inner_put(&f, NULL, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE); /* asked once */
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
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE);

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
	/* relay data, from no relay */
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_RELAY_SOURCE), 1);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 255);
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
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 1, 10);
	struct dp_peer *p = f.peer[0].p;
	struct tt_endpoint home = f.peer[0].endpoint, away = home;

	away.udp_port = 1;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);

	f.peer[0].endpoint = away;
	struct dp_mem_message *m = fx_peer_send(&f, 0, pkt, len);

	m->bytes[30] ^= 1; /* invalid */
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);
	atomic_store(&f.peer[0].far.send_counter, 100);
	f.peer[0].endpoint = home;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	f.peer[0].endpoint = away;
	atomic_store(&f.peer[0].far.send_counter, 50); /* valid and new, but older */
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);
	fx_put(&f, &away, f.outer.in.slot[0].bytes, f.outer.in.slot[0].len); /* a duplicate */
	fx_turn(&f);
	CU_ASSERT_FALSE(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);

	atomic_store(&f.peer[0].far.send_counter, 200);
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &away));
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f); /* the same news twice is no news */
	CU_ASSERT_FALSE(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);
	/* control follows; then the true address comes back */
	struct plat_udp_dest dest = {.to = away, .from = tt_ip_v4_host(0xc0000201u)};

	dp_peer_set_path(f.pl, p, &(struct dp_route){.dest = dest}, NULL);
	f.peer[0].endpoint = home;
	fx_peer_send(&f, 0, pkt, len);
	fx_turn(&f);
	CU_ASSERT(dp_peer_take_facts(p, roam, &sources) & DP_FACT_ROAMED);
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &home));
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
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE);
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
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_CONFIRMED);
	wg_data_seal(&far, f.now, NULL, 0, FX_MTU, wire);
	fx_put(&f, &f.peer[0].endpoint, wire, 32);
	fx_turn(&f);
	CU_ASSERT_FALSE(fx_take_facts(&f, 0) & DP_FACT_CONFIRMED);
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
	CU_ASSERT(fx_take_facts(&f, 0) & DP_FACT_NEED_HANDSHAKE);
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

TT_TESTS("plane_cases", {"case 11 replay", case11_replay},
	 {"case 12 counter limits", case12_counter_limits},
	 {"case 13 counter of an attacker", case13_counter_of_an_attacker},
	 {"case 14 keepalive", case14_keepalive}, {"case 15 malformed", case15_malformed},
	 {"case 16 inner lies", case16_inner_lies}, {"case 17 inner source", case17_inner_source},
	 {"case 18 roaming", case18_roaming}, {"expired session", expired_session},
	 {"next session confirms", next_session_confirms},
	 {"initiator rekeys on receive", initiator_rekeys_on_receive}, {"mixed batch", mixed_batch})

/* SPDX-License-Identifier: MIT
 *
 * What the workers tell the control thread, and how often.
 */
#include "plane_fixture.h"

static struct fx f;
static uint8_t pkt[66000];

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
	CU_ASSERT_EQUAL(fx_take_facts(&f, 0), DP_FACT_TIMERS);
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

		fx_send_numbered(&f, i, i + 1);
		asked += dp_plane_doorbell_drain(f.pl, ids, 16, &overflow);
		fx_take_facts(&f, 0);
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
	CU_ASSERT_EQUAL(fx_take_facts(&f, 0), DP_FACT_TIMERS);
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

TT_TESTS("plane_control", {"timers fact is rung later", timers_fact_is_rung_later},
	 {"handshake asked for sparingly", handshake_asked_for_sparingly},
	 {"doorbell overflow", doorbell_overflow}, {"handshake ring", handshake_ring})

/* SPDX-License-Identifier: MIT
 *
 * What a device makes of single datagrams: genuine, forged, replayed, flooded, misdirected.
 */
#include "tt_test.h"

#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "wg_sim.h"

static struct sim sim;
static struct wg_msg_initiation m1;
static struct tt_endpoint elsewhere;

#define A	(sim_peer(&sim, 0))
#define B	(sim_peer(&sim, 1))
#define NODE(i) (&sim.node[i])

static void start(uint64_t seed)
{
	sim_init(&sim, seed);
	tt_endpoint_parse("203.0.113.9:999", &elsewhere);
}

static void finish(void)
{
	CU_ASSERT_EQUAL(sim_end(&sim), 0);
}

static enum tt_drop inject(int node, const void *bytes, size_t len)
{
	return sim_inject(&sim, node, &elsewhere, bytes, len);
}

/* Makes mac1 (and mac2 zero) right again after a change. */
static void fix_mac1(int to, void *msg, size_t len)
{
	struct wg_cookie c = {.keys = NODE(to)->dev.cookie.keys};

	wg_cookie_stamp(&c, msg, len, sim.now);
}

static void new_initiation(void)
{
	A->wg.timers.handshake_sent = (struct tt_mono){0}; /* the 5 s are not what is tested here */
	CU_ASSERT_EQUAL_FATAL(sim_make_initiation(&sim, 0, &m1), WG_INITIATE_OK);
}

/* All that a datagram could change in a node, but counters of drops. */
struct snapshot {
	struct sim_peer peer;
	struct wg_session session[3];
	struct wg_index_entry indices[256];
	uint32_t flight;
};

static void snapshot(struct snapshot *s, int node)
{
	struct sim_node *n = NODE(node);
	struct wg_session *live[] = {n->peer[0].wg.previous, n->peer[0].wg.current,
				     n->peer[0].wg.next};

	memset(s, 0, sizeof(*s));
	s->peer = n->peer[0];
	memcpy(s->indices, n->indices, sizeof(s->indices));
	for (int i = 0; i < 3; i++)
		if (live[i])
			memcpy(&s->session[i], live[i], sizeof(*live[i]));
	for (int i = 0; i < SIM_FLIGHT; i++)
		s->flight += sim.flight[i].due != 0;
}

static bool unchanged(const struct snapshot *before, int node)
{
	static struct snapshot after;

	snapshot(&after, node);
	return memcmp(before, &after, sizeof(after)) == 0;
}

static struct snapshot before;

/* --- lengths and types ------------------------------------------------------------------------ */

static void lengths_and_types(void)
{
	static uint8_t big[65507];
	static const uint8_t types[] = {0, 5, 6, 0xa7, 255};

	start(1);
	CU_ASSERT(sim_connect(&sim));
	snapshot(&before, 1);
	for (size_t len = 0; len < 200; len++) {
		for (uint8_t type = 1; type <= 4; type++) {
			uint8_t *exact = calloc(1, len + (len == 0)); /* for ASan: no byte more */
			if (len)
				exact[0] = type;
			CU_ASSERT_NOT_EQUAL(inject(1, exact, len), TT_DROP_NONE);
			free(exact);
		}
	}
	CU_ASSERT(NODE(1)->rx_drops[TT_DROP_RX_TOO_SHORT] > 0);
	CU_ASSERT(NODE(1)->rx_drops[TT_DROP_HS_BAD_LENGTH] > 500);
	for (size_t i = 0; i < sizeof(types); i++) {
		memset(big, 0, 200);
		big[0] = types[i];
		CU_ASSERT_EQUAL(inject(1, big, 148), TT_DROP_RX_BAD_TYPE);
	}
	for (int at = 1; at < 4; at++) { /* reserved bytes */
		new_initiation();
		((uint8_t *)&m1)[at] = 1;
		fix_mac1(1, &m1, sizeof(m1));
		CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_RX_BAD_TYPE);
	}
	memset(big, 0, sizeof(big));
	big[0] = 1;
	CU_ASSERT_EQUAL(inject(1, big, sizeof(big)), TT_DROP_HS_BAD_LENGTH);
	CU_ASSERT(unchanged(&before, 1));
	finish();
}

/* --- every byte ------------------------------------------------------------------------------- */

static void flipped_initiation(void)
{
	start(2);
	new_initiation();
	wg_peer_static_static(&NODE(1)->dev, &B->wg); /* computed once, at the first handshake */
	snapshot(&before, 1);
	for (size_t at = 0; at < sizeof(m1); at++) {
		struct wg_msg_initiation m = m1;
		((uint8_t *)&m)[at] ^= 1 << (at % 8);
		bool is_mac2 = at >= offsetof(struct wg_msg_initiation, macs.mac2);
		if (!is_mac2)
			CU_ASSERT_NOT_EQUAL(inject(1, &m, sizeof(m)), TT_DROP_NONE);
		/* the sender's index is not authenticated, and means nothing to us */
		if (at >= 4 && at < 8)
			continue;
		if (at >= offsetof(struct wg_msg_initiation, macs))
			continue;
		fix_mac1(1, &m, sizeof(m));
		enum tt_drop d = inject(1, &m, sizeof(m));
		CU_ASSERT(d == TT_DROP_HS_BAD_AUTH || d == TT_DROP_RX_BAD_TYPE ||
			  d == TT_DROP_HS_BAD_LENGTH);
	}
	CU_ASSERT(unchanged(&before, 1));
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_NONE);
	finish();
}

/* Catches the response of node 1 instead of delivering it. */
static bool catch_response(struct sim *s, struct sim_datagram *d)
{
	if (d->bytes[0] != WG_MSG_RESPONSE)
		return true;
	s->kept = *d;
	return false;
}

static void get_response(void)
{
	sim.tap = catch_response;
	sim.kept.len = 0;
	sim_send(&sim, 0);
	sim_run(&sim, 0.5);
	sim.tap = NULL;
	CU_ASSERT_EQUAL_FATAL(sim.kept.len, sizeof(struct wg_msg_response));
}

static void flipped_response(void)
{
	start(3);
	get_response();
	snapshot(&before, 0);
	for (size_t at = 0; at < sizeof(struct wg_msg_response) - WG_MAC_LEN; at++) {
		struct sim_datagram d = sim.kept;
		d.bytes[at] ^= 1 << (at % 8);
		CU_ASSERT_NOT_EQUAL(inject(0, d.bytes, d.len), TT_DROP_NONE);
		bool sender_index = at >= 4 && at < 8;
		if (sender_index || at >= offsetof(struct wg_msg_response, macs))
			continue;
		fix_mac1(0, d.bytes, d.len);
		CU_ASSERT_NOT_EQUAL(inject(0, d.bytes, d.len), TT_DROP_NONE);
	}
	CU_ASSERT(unchanged(&before, 0));
	CU_ASSERT_EQUAL(inject(0, sim.kept.bytes, sim.kept.len), TT_DROP_NONE);
	finish();
}

/* --- floods, cookies -------------------------------------------------------------------------- */

static void flood_with_bad_mac1(void)
{
	start(4);
	CU_ASSERT(sim_connect(&sim));
	snapshot(&before, 1);
	for (int i = 0; i < 20000; i++) {
		tt_rng_fill(&sim.rng, &m1, sizeof(m1));
		tt_store_le32(&m1, WG_MSG_INITIATION);
		elsewhere.ip = tt_ip_v4_host(tt_rng_u32(&sim.rng));
		CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_BAD_MAC1);
	}
	CU_ASSERT(unchanged(&before, 1)); /* nothing sent, nothing kept */
	CU_ASSERT_EQUAL(NODE(1)->dev.drops[TT_DROP_HS_BAD_MAC1], 20000);
	/* nor a cookie under load */
	NODE(1)->under_load = true;
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_BAD_MAC1);
	CU_ASSERT_EQUAL(NODE(1)->dev.cookies_sent, 0);
	finish();
}

static void completes_under_load(void)
{
	start(5);
	NODE(1)->under_load = true;
	sim_send(&sim, 0);
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(NODE(1)->dev.cookies_sent, 1);
	CU_ASSERT_EQUAL(NODE(0)->dev.cookies_received, 1);
	CU_ASSERT_PTR_NULL(A->wg.current);
	CU_ASSERT_PTR_NULL(B->wg.next);
	sim_run(&sim, 5); /* the retry carries mac2: two round trips in all */
	CU_ASSERT_PTR_NOT_NULL(A->wg.current);
	CU_ASSERT_EQUAL(A->initiations, 2);
	CU_ASSERT_EQUAL(NODE(1)->dev.cookies_sent, 1);
	/* sessions are not affected by the load */
	sim_send(&sim, 0);
	sim_run(&sim, 0.1);
	CU_ASSERT(B->data_rx >= 1);
	finish();
}

static void flood_with_valid_mac1(void)
{
	start(6);
	NODE(1)->under_load = true;
	snapshot(&before, 1);
	for (int i = 0; i < 1000; i++) {
		tt_rng_fill(&sim.rng, &m1, sizeof(m1));
		tt_store_le32(&m1, WG_MSG_INITIATION);
		fix_mac1(1, &m1, sizeof(m1));
		memset(sim.flight, 0, sizeof(sim.flight));
		CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_BAD_MAC2);
		CU_ASSERT_EQUAL(NODE(1)->last_outcome, WG_RX_SEND_COOKIE);
		CU_ASSERT_EQUAL(sim.flight[0].len, sizeof(struct wg_msg_cookie));
		CU_ASSERT_EQUAL(tt_load_le32(sim.flight[0].bytes + 4),
				tt_load_le32(m1.sender_index));
	}
	memset(sim.flight, 0, sizeof(sim.flight));
	CU_ASSERT(unchanged(&before, 1));
	/* sticky for a second */
	NODE(1)->under_load = false;
	sim_run(&sim, 0.99);
	CU_ASSERT(wg_device_under_load(&NODE(1)->dev, sim.now));
	sim_run(&sim, 0.02);
	CU_ASSERT_FALSE(wg_device_under_load(&NODE(1)->dev, sim.now));
	finish();
}

/* One source that has a valid cookie, at 1,000 a second. */
static void proved_but_too_fast(void)
{
	struct wg_msg_cookie reply;
	struct wg_cookie c = {.keys = NODE(1)->dev.cookie.keys};
	uint32_t limited = 0, computed = 0;

	start(7);
	c.keys = NODE(1)->dev.cookie.keys;
	NODE(1)->under_load = true;
	tt_rng_fill(&sim.rng, &m1, sizeof(m1));
	tt_store_le32(&m1, WG_MSG_INITIATION);
	wg_cookie_stamp(&c, (uint8_t *)&m1, sizeof(m1), sim.now);
	inject(1, &m1, sizeof(m1));
	memcpy(&reply, sim.flight[0].bytes, sizeof(reply));
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&c, &reply, sim.now), WG_COOKIE_STORED);
	for (int i = 0; i < 10000; i++) {
		tt_rng_fill(&sim.rng, m1.ephemeral, 32);
		wg_cookie_stamp(&c, (uint8_t *)&m1, sizeof(m1), sim.now);
		enum tt_drop d = inject(1, &m1, sizeof(m1));
		limited += d == TT_DROP_HS_RATELIMITED;
		computed += d == TT_DROP_HS_BAD_AUTH;
		sim.now.ns += TT_NS_PER_MS;
	}
	CU_ASSERT_EQUAL(limited + computed, 10000);
	CU_ASSERT(computed >= 200 && computed <= 206);
	finish();
}

static void cookie_moves_nothing(void)
{
	struct wg_msg_cookie reply;

	start(8);
	NODE(1)->under_load = true;
	new_initiation();
	inject(1, &m1, sizeof(m1));
	memcpy(&reply, sim.flight[0].bytes, sizeof(reply));
	memset(sim.flight, 0, sizeof(sim.flight));
	struct tt_endpoint was = A->endpoint;
	/* wrong index, forged, then genuine from a spoofed source, then again */
	struct wg_msg_cookie bad = reply;
	bad.receiver_index[2] ^= 1;
	CU_ASSERT_EQUAL(inject(0, &bad, sizeof(bad)), TT_DROP_HS_UNKNOWN_INDEX);
	bad = reply;
	bad.nonce[0] ^= 1;
	CU_ASSERT_EQUAL(inject(0, &bad, sizeof(bad)), TT_DROP_COOKIE_INVALID);
	CU_ASSERT_EQUAL(inject(0, &reply, sizeof(reply)), TT_DROP_NONE);
	CU_ASSERT_EQUAL(NODE(0)->last_outcome, WG_RX_COOKIE_STORED);
	CU_ASSERT_EQUAL(inject(0, &reply, sizeof(reply)), TT_DROP_COOKIE_UNSOLICITED);
	CU_ASSERT(tt_endpoint_equal(&was, &A->endpoint));
	CU_ASSERT_EQUAL(A->wg.handshake, WG_HANDSHAKE_INITIATED);
	finish();
}

/* --- replayed initiations --------------------------------------------------------------------- */

static void replayed_initiation(void)
{
	start(9);
	new_initiation();
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &NODE(0)->address, (uint8_t *)&m1, sizeof(m1)),
			TT_DROP_NONE);
	sim_run(&sim, 1);
	snapshot(&before, 1);
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_REPLAY);
	CU_ASSERT_EQUAL(NODE(1)->last_outcome, WG_RX_DROP);
	CU_ASSERT(unchanged(&before, 1)); /* no answer, no endpoint */
	/* a restarted responder that kept the greatest stamp refuses it too */
	struct wg_tai64n kept = B->wg.stamp_received;
	CU_ASSERT_EQUAL(sim_end(&sim), 0);
	start(9);
	B->wg.stamp_received = kept;
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_REPLAY);
	finish();
}

static void two_within_20_ms(void)
{
	start(10);
	new_initiation();
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_NONE);
	new_initiation();
	sim.now.ns += 19 * TT_NS_PER_MS;
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_FLOOD);
	sim.now.ns += TT_NS_PER_MS;
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_NONE); /* it was not burned */
	finish();
}

static void far_future(void)
{
	start(11);
	NODE(0)->wall_offset_s = 2400000000; /* about the year 2100 */
	CU_ASSERT(sim_connect(&sim));
	CU_ASSERT_EQUAL(NODE(1)->dev.future_stamps, 1);
	/* the clock is put right, but the stamp counts on: the peer goes on */
	NODE(0)->wall_offset_s = 0;
	sim_run(&sim, 200);
	CU_ASSERT(sim_connect(&sim));
	/* the initiator's state is lost: now it is locked out, until its stamp is reset */
	memset(&A->wg.stamp_sent, 0, sizeof(A->wg.stamp_sent));
	sim_run(&sim, 200);
	uint32_t rx = B->data_rx;
	sim_send(&sim, 0);
	sim_run(&sim, 20);
	CU_ASSERT_EQUAL(B->data_rx, rx);
	CU_ASSERT(NODE(1)->rx_drops[TT_DROP_HS_REPLAY] > 0);
	memset(&B->wg.stamp_received, 0, sizeof(B->wg.stamp_received));
	CU_ASSERT(sim_connect(&sim));
	/* and we ourselves refuse to stamp like that */
	NODE(0)->dev.stamp_limit = (struct tt_wall){3000000000, 0};
	NODE(0)->wall_offset_s = 2400000000;
	sim_run(&sim, 200);
	A->wg.timers.handshake_sent = (struct tt_mono){0};
	CU_ASSERT_EQUAL(sim_make_initiation(&sim, 0, &m1), WG_INITIATE_CLOCK);
	finish();
}

/* --- responses -------------------------------------------------------------------------------- */

static void responses(void)
{
	start(12);
	sim_pair(&sim, 0, 2);
	get_response();
	struct sim_datagram first = sim.kept, d = first;
	/* unknown index */
	snapshot(&before, 0);
	struct wg_msg_response *m = (struct wg_msg_response *)d.bytes;
	m->receiver_index[3] ^= 1;
	fix_mac1(0, d.bytes, d.len);
	CU_ASSERT_EQUAL(inject(0, d.bytes, d.len), TT_DROP_HS_UNKNOWN_INDEX);
	/* what node 1 answered, sent to what node 0 asked node 2: wrong peer */
	NODE(2)->deaf = true;
	sim_send_to(&sim, 0, 1);
	d = first;
	tt_store_le32(m->receiver_index, NODE(0)->peer[1].wg.initiator.local_index);
	fix_mac1(0, d.bytes, d.len);
	struct wg_noise_initiator other = NODE(0)->peer[1].wg.initiator;
	CU_ASSERT_EQUAL(inject(0, d.bytes, d.len), TT_DROP_HS_BAD_AUTH);
	CU_ASSERT(memcmp(&other, &NODE(0)->peer[1].wg.initiator, sizeof(other)) == 0);
	CU_ASSERT_EQUAL(NODE(0)->peer[1].wg.handshake, WG_HANDSHAKE_INITIATED);
	/* the genuine one, and its second copy */
	CU_ASSERT_EQUAL(sim_inject(&sim, 0, &NODE(1)->address, first.bytes, first.len),
			TT_DROP_NONE);
	struct wg_session *s = A->wg.current;
	snapshot(&before, 0);
	CU_ASSERT_EQUAL(inject(0, first.bytes, first.len), TT_DROP_HS_WRONG_STATE);
	CU_ASSERT(s == A->wg.current && unchanged(&before, 0));
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(B->data_rx, 1);
	finish();
}

static void superseded_response(void)
{
	start(13);
	get_response();
	struct sim_datagram late = sim.kept;
	NODE(1)->deaf = true;
	sim_run(&sim, 5.5); /* the retry has replaced the initiation it answers */
	CU_ASSERT_EQUAL(A->initiations, 2);
	snapshot(&before, 0);
	CU_ASSERT_EQUAL(inject(0, late.bytes, late.len), TT_DROP_HS_UNKNOWN_INDEX);
	CU_ASSERT(unchanged(&before, 0));
	NODE(1)->deaf = false;
	sim_run(&sim, 6);
	CU_ASSERT_PTR_NOT_NULL(A->wg.current);
	CU_ASSERT_EQUAL(sim_connect(&sim), true);
	finish();
}

/* --- keys ------------------------------------------------------------------------------------- */

static const uint8_t low_order[7][32] = {
	{0},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
	 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
	 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static void low_order_keys(void)
{
	for (int i = 0; i < 7; i++) {
		struct sim_peer *p;
		tt_peer_id id;
		start(14);
		p = &NODE(0)->peer[1];
		CU_ASSERT_EQUAL(wg_device_add_peer(&NODE(0)->dev, low_order[i], &p->wg, &id),
				WG_ADD_PEER_OK);
		p->used = true;
		p->endpoint = elsewhere;
		sim_send_to(&sim, 0, id);
		sim_run(&sim, 100);
		CU_ASSERT_EQUAL(p->initiations, 0);
		CU_ASSERT_EQUAL(p->give_ups, 1);
		CU_ASSERT_EQUAL(wg_peer_initiate(&NODE(0)->dev, &p->wg, sim.now, sim_wall(NODE(0)),
						 &sim.rng, &m1),
				WG_INITIATE_LOW_ORDER);
		CU_ASSERT_EQUAL(NODE(0)->dev.index.used, 0);
		/* as ephemeral */
		new_initiation();
		memcpy(m1.ephemeral, low_order[i], 32);
		fix_mac1(1, &m1, sizeof(m1));
		CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_LOW_ORDER);
		finish();
	}
}

static void strangers(void)
{
	struct wg_peer stranger = {0};
	tt_peer_id id;

	start(15);
	/* node 2 knows node 1, but not the other way round */
	CU_ASSERT_EQUAL(wg_device_add_peer(&NODE(2)->dev, NODE(1)->dev.self.public_key, &stranger,
					   &id),
			WG_ADD_PEER_OK);
	CU_ASSERT_EQUAL(wg_peer_initiate(&NODE(2)->dev, &stranger, sim.now, sim_wall(NODE(2)),
					 &sim.rng, &m1),
			WG_INITIATE_OK);
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_UNKNOWN_PEER);
	CU_ASSERT_EQUAL(inject(0, &m1, sizeof(m1)), TT_DROP_HS_BAD_MAC1);
	struct wg_displaced none;
	wg_device_remove_peer(&NODE(2)->dev, id, sim.now, &none);
	CU_ASSERT_EQUAL(none.count, 0);
	/* preshared keys differ */
	A->wg.remote.psk[0] ^= 1;
	CU_ASSERT_FALSE(sim_connect(&sim));
	CU_ASSERT(NODE(0)->rx_drops[TT_DROP_HS_BAD_AUTH] > 0);
	finish();
}

static void private_key_changes(void)
{
	uint8_t key[32], same[32];
	struct wg_displaced out;
	bool changed;

	start(16);
	CU_ASSERT(sim_connect(&sim));
	/* the same key, unclamped: nothing changes */
	memcpy(same, NODE(0)->dev.self.private_key, 32);
	same[0] |= 7;
	CU_ASSERT_EQUAL(wg_device_set_private_key(&NODE(0)->dev, same, sim.now, &changed),
			TT_PEER_NONE);
	CU_ASSERT_FALSE(changed);
	/* none: nothing is sent, nothing accepted */
	wg_device_set_private_key(&NODE(0)->dev, NULL, sim.now, &changed);
	CU_ASSERT(changed && !NODE(0)->dev.has_key);
	CU_ASSERT(crypto_is_zero(&NODE(0)->dev.self, sizeof(NODE(0)->dev.self)));
	CU_ASSERT_EQUAL(sim_make_initiation(&sim, 0, &m1), WG_INITIATE_NO_KEY);
	memset(&m1, 0, sizeof(m1));
	m1.type = 1;
	fix_mac1(0, &m1, sizeof(m1));
	CU_ASSERT_EQUAL(inject(0, &m1, sizeof(m1)), TT_DROP_HS_NO_KEY);
	/* the key of a configured peer: that peer is ourselves, and must go */
	memcpy(key, NODE(1)->dev.self.private_key, 32);
	CU_ASSERT_EQUAL(wg_device_set_private_key(&NODE(0)->dev, key, sim.now, &changed), 0);
	CU_ASSERT_EQUAL(wg_device_remove_peer(&NODE(0)->dev, 0, sim.now, &out), &A->wg);
	CU_ASSERT_EQUAL(out.count, 1);
	for (uint32_t i = 0; i < out.count; i++)
		free(out.session[i]);
	NODE(0)->sessions_live -= out.count;
	A->used = false;
	tt_peer_id id;
	CU_ASSERT_EQUAL(wg_device_add_peer(&NODE(0)->dev, NODE(1)->dev.self.public_key, &A->wg,
					   &id),
			WG_ADD_PEER_SELF);
	finish();
}

static void late_key(void)
{
	uint8_t key[32];
	struct wg_displaced out;
	bool changed;

	start(17);
	memcpy(key, NODE(0)->dev.self.private_key, 32);
	wg_device_set_private_key(&NODE(0)->dev, NULL, sim.now, &changed);
	sim_send(&sim, 0);
	sim_run(&sim, 3);
	CU_ASSERT_EQUAL(A->initiations, 0);
	wg_device_set_private_key(&NODE(0)->dev, key, sim.now, &changed);
	wg_peer_expire(&NODE(0)->dev, &A->wg, sim.now, &out);
	wg_timers_restart(&A->wg.timers);
	sim_run(&sim, 0.1);
	CU_ASSERT_EQUAL(B->data_rx, 1);
	finish();
}

/* --- tables ----------------------------------------------------------------------------------- */

static void index_table_full(void)
{
	start(18);
	struct wg_index_table *t = &NODE(1)->dev.index;
	while (wg_index_add(t, sim.now, &sim.rng, WG_INDEX_HANDSHAKE, 0))
		;
	new_initiation();
	CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_HS_NO_INDEX);
	CU_ASSERT_EQUAL(sim_make_initiation(&sim, 1, &m1), WG_INITIATE_NO_INDEX);
	memset(NODE(1)->indices, 0, sizeof(NODE(1)->indices));
	t->used = 0;
	CU_ASSERT(sim_connect(&sim)); /* the stamp was not burned */
	finish();
}

/* A peer that makes one session after the other, used or not, leaves the others their slots. */
static void index_table_is_not_used_up(void)
{
	start(21);
	for (int i = 0; i < 600; i++) {
		sim_run(&sim, 0.03);
		new_initiation();
		CU_ASSERT_EQUAL(inject(1, &m1, sizeof(m1)), TT_DROP_NONE);
	}
	for (int i = 0; i < 600; i++) {
		A->wg.timers.handshake_sent = (struct tt_mono){0};
		wg_timers_want_handshake(&A->wg.timers);
		sim.restarted = true;
		sim_run(&sim, 0.1);
	}
	CU_ASSERT_TRUE(A->ready > 256);
	CU_ASSERT_EQUAL(NODE(0)->rx_drops[TT_DROP_HS_NO_INDEX], 0);
	CU_ASSERT_EQUAL(NODE(1)->rx_drops[TT_DROP_HS_NO_INDEX], 0);
	finish();
}

static void many_peers(void)
{
	enum { N = 1000 };
	static struct wg_peer *slots[N], peers[N];
	static uint32_t buckets[N];
	struct wg_displaced out;
	struct wg_device dev;
	uint8_t keys[N][32];
	tt_peer_id id;

	start(19);
	struct wg_device_memory m = {.peers = slots,
				     .peer_buckets = buckets,
				     .peer_capacity = N,
				     .indices = NODE(2)->indices,
				     .index_capacity = 256,
				     .limits = NODE(2)->limits,
				     .limit_buckets = NODE(2)->limit_buckets,
				     .limit_capacity = 64};
	wg_device_init(&dev, &m, &sim.rng);
	for (uint32_t i = 0; i < N; i++) {
		tt_rng_fill(&sim.rng, keys[i], 32);
		CU_ASSERT_EQUAL(wg_device_add_peer(&dev, keys[i], &peers[i], &id), WG_ADD_PEER_OK);
		CU_ASSERT_EQUAL(id, i);
	}
	uint8_t one_more[32] = {42};
	CU_ASSERT_EQUAL(wg_device_add_peer(&dev, one_more, &peers[0], &id), WG_ADD_PEER_FULL);
	CU_ASSERT_EQUAL(wg_device_add_peer(&dev, keys[7], &peers[0], &id), WG_ADD_PEER_EXISTS);
	CU_ASSERT_EQUAL(id, 7);
	for (uint32_t i = 0; i < N; i += 3)
		CU_ASSERT_EQUAL(wg_device_remove_peer(&dev, i, sim.now, &out), &peers[i]);
	for (uint32_t i = 0; i < N; i++)
		CU_ASSERT_EQUAL(wg_device_find_peer(&dev, keys[i]), i % 3 ? i : TT_PEER_NONE);
	memset(&peers[333], 0, sizeof(peers[0]));
	CU_ASSERT_EQUAL(wg_device_add_peer(&dev, one_more, &peers[333], &id), WG_ADD_PEER_OK);
	CU_ASSERT_EQUAL(id, 0); /* the lowest free one */
	wg_device_wipe(&dev);
	finish();
}

/* The volume after which a session rekeys differs from session to session, by an eighth at most. */
static void volume_is_spread(void)
{
	uint64_t low = UINT64_MAX, high = 0;

	start(20);
	NODE(0)->dev.rekey_after_bytes = 8000000;
	for (int i = 0; i < 200; i++) {
		A->wg.timers.handshake_sent = (struct tt_mono){0};
		wg_timers_want_handshake(&A->wg.timers);
		sim.restarted = true;
		sim_run(&sim, 0.1);
		CU_ASSERT_PTR_NOT_NULL_FATAL(A->wg.current);
		low = TT_MIN(low, A->wg.current->rekey_after_bytes);
		high = TT_MAX(high, A->wg.current->rekey_after_bytes);
	}
	CU_ASSERT(low >= 7000000 && low < 7100000);
	CU_ASSERT(high <= 9000000 && high > 8900000);
	finish();
}

TT_TESTS("wg_device", {"case 15: lengths, types, reserved bytes", lengths_and_types},
	 {"case 15: every byte of message 1 flipped, no state change", flipped_initiation},
	 {"case 15: every byte of message 2 flipped, no state change", flipped_response},
	 {"case 01: flood with bad mac1", flood_with_bad_mac1},
	 {"case 02: completes under load in two round trips", completes_under_load},
	 {"case 02: flood with valid mac1 gets cookies only", flood_with_valid_mac1},
	 {"case 03: proved source, 1,000 a second", proved_but_too_fast},
	 {"case 04: a cookie reply moves nothing", cookie_moves_nothing},
	 {"case 05: replayed initiation", replayed_initiation},
	 {"case 05: two initiations within 20 ms", two_within_20_ms},
	 {"case 07: stamp of the year 2100", far_future},
	 {"case 08: responses to nobody, to another, twice", responses},
	 {"case 08: response that a retry superseded", superseded_response},
	 {"case 09: low-order keys", low_order_keys},
	 {"strangers and wrong preshared keys", strangers},
	 {"private key: same, none, a peer's", private_key_changes},
	 {"private key set late", late_key}, {"index table full", index_table_full},
	 {"fast handshakes do not use up the index table", index_table_is_not_used_up},
	 {"many peers", many_peers}, {"rekey volume is spread", volume_is_spread})

/* SPDX-License-Identifier: MIT
 *
 * Two nodes in memory: what they do to one another over a network that delays, loses, duplicates
 * and reorders, on a virtual clock.
 */
#include "tt_test.h"

#include "wg_sim.h"

static struct sim sim;

#define A (sim_peer(&sim, 0)) /* node 0's view of node 1 */
#define B (sim_peer(&sim, 1))

static void start(uint64_t seed)
{
	sim_init(&sim, seed);
}

static void finish(void)
{
	CU_ASSERT_EQUAL(sim_end(&sim), 0);
	CU_ASSERT_EQUAL(sim.overflow, 0);
}

/* Both send with the two halves of one session. */
static bool one_session(void)
{
	struct wg_session *a = A->wg.current, *b = B->wg.current;

	return a && b && a->local_index == b->remote_index && a->remote_index == b->local_index &&
	       a->initiator != b->initiator;
}

static void handshake(void)
{
	start(1);
	sim_send(&sim, 0);
	CU_ASSERT_EQUAL(A->staged_count, 1);
	sim_run(&sim, 0.019);
	CU_ASSERT_PTR_NULL(A->wg.current);
	CU_ASSERT_PTR_NOT_NULL(B->wg.next);
	CU_ASSERT_PTR_NULL(B->wg.current); /* not before the initiator has proved itself */
	sim_run(&sim, 0.1);
	CU_ASSERT(one_session());
	CU_ASSERT_PTR_NULL(B->wg.next);
	CU_ASSERT_EQUAL(B->data_rx, 1);
	CU_ASSERT_EQUAL(A->keepalives, 0); /* the staged packet was the confirmation */
	sim_send(&sim, 1);
	sim_run(&sim, 0.1);
	CU_ASSERT_EQUAL(A->data_rx, 1);
	CU_ASSERT_EQUAL(A->initiations + B->initiations, 1);
	CU_ASSERT(A->wg.last_handshake.sec && B->wg.last_handshake.sec);
	CU_ASSERT_EQUAL(wg_timers_status(&A->wg.timers, &A->facts, sim.now), WG_PEER_ONLINE);
	finish();
}

static void rekey_by_time(void)
{
	uint32_t sent = 0;

	start(2);
	for (; sent < 600; sent++) {
		sim_send(&sim, 0);
		sim_run(&sim, 0.5);
		sim_send(&sim, 1);
		sim_run(&sim, 0.5);
	}
	CU_ASSERT_EQUAL(B->data_rx, sent);
	CU_ASSERT_EQUAL(A->data_rx, sent);
	/* at 0 and then every 120 s; node 0 began, and stays the one that renews */
	CU_ASSERT_EQUAL(A->initiations + B->initiations, 5);
	CU_ASSERT(one_session());
	finish();
}

/* Nobody answers at the inner level: passive keepalives keep both ends calm, and the initiator
 * renews in time although it only receives. */
static void one_way_traffic(void)
{
	start(3);
	CU_ASSERT(sim_connect(&sim));
	CU_ASSERT(A->wg.current->initiator);
	uint32_t before = A->data_rx, sent = 0;
	for (; sent < 600; sent++) {
		sim_send(&sim, 1);
		sim_run(&sim, 1);
	}
	CU_ASSERT_EQUAL(A->data_rx - before, sent);
	CU_ASSERT(A->keepalives >= 50 && A->keepalives <= 60);
	CU_ASSERT(B->keepalives <= 6);
	finish();
}

static void rekey_by_bytes(void)
{
	start(4);
	sim.node[0].dev.rekey_after_bytes = 64 * 1000;
	sim.node[1].dev.rekey_after_bytes = 0;
	CU_ASSERT(sim_connect(&sim));
	uint32_t before = B->data_rx;
	for (int i = 0; i < 20000; i++) {
		sim_send(&sim, 0);
		sim_run(&sim, 0.003);
	}
	sim_run(&sim, 1);
	/* 60 s at 333 packets a second: due every 3 s, but never sooner than 5 s after the last */
	CU_ASSERT_EQUAL(B->data_rx - before, 20000);
	CU_ASSERT(A->initiations >= 11 && A->initiations <= 13);
	CU_ASSERT_EQUAL(B->initiations, 0);
	CU_ASSERT_EQUAL(sim.node[1].rx_drops[TT_DROP_DATA_UNKNOWN_INDEX], 0);
	finish();
}

/* The responder counts its volume as well. */
static void rekey_by_bytes_of_responder(void)
{
	start(5);
	sim.node[0].dev.rekey_after_bytes = 0;
	sim.node[1].dev.rekey_after_bytes = 6400;
	CU_ASSERT(sim_connect(&sim));
	CU_ASSERT_FALSE(B->wg.current->initiator);
	sim_run(&sim, 6);
	for (int i = 0; i < 200; i++) {
		sim_send(&sim, 1);
		sim_run(&sim, 0.003);
	}
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(B->initiations, 1);
	CU_ASSERT(B->wg.current->initiator && one_session());
	CU_ASSERT_EQUAL(A->data_rx, 201);
	finish();
}

static void rekey_by_messages(void)
{
	start(6);
	CU_ASSERT(sim_connect(&sim));
	struct wg_session *old = A->wg.current;
	sim_run(&sim, 6);
	atomic_store(&old->send_counter, WG_REKEY_AFTER_MESSAGES);
	sim_send(&sim, 0);
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(A->initiations, 2);
	CU_ASSERT(A->wg.current != old && one_session());
	/* both ends refuse a counter at the limit; the sender never reaches past it */
	sim_run(&sim, 6);
	uint32_t before = B->data_rx;
	atomic_store(&A->wg.current->send_counter, WG_REJECT_AFTER_MESSAGES - 1);
	sim_send(&sim, 0);
	sim_run(&sim, 0.015);
	CU_ASSERT_EQUAL(B->data_rx, before + 1);
	sim.node[0].deaf = true; /* so that no new session comes */
	for (int i = 0; i < 50; i++)
		sim_send(&sim, 0);
	CU_ASSERT_EQUAL(A->wg.current->send_counter, WG_REJECT_AFTER_MESSAGES);
	CU_ASSERT_EQUAL(A->staged_count, 50);
	sim.node[0].deaf = false;
	sim_run(&sim, 20);
	CU_ASSERT(one_session());
	finish();
}

/* An authenticated packet whose counter is past the limit: refused before decryption, window and
 * session unharmed. */
static void malicious_counter(void)
{
	uint8_t packet[64], plain[16] = {0};

	start(7);
	CU_ASSERT(sim_connect(&sim));
	struct wg_session *from = A->wg.current, *to = B->wg.current;
	struct wg_replay before = to->replay;
	static const uint64_t counters[] = {UINT64_MAX, UINT64_MAX - 1, WG_REJECT_AFTER_MESSAGES,
					    WG_REJECT_AFTER_MESSAGES + 1};
	for (size_t i = 0; i < TT_ARRAY_LEN(counters); i++) {
		wg_data_header_write(packet, from->remote_index, counters[i]);
		crypto_aead_seal(&from->send_key, counters[i], NULL, 0, plain, 16, packet + 16);
		CU_ASSERT_EQUAL(sim_inject(&sim, 1, &sim.node[0].address, packet, 48),
				TT_DROP_DATA_COUNTER);
		CU_ASSERT(memcmp(&before, &to->replay, sizeof(before)) == 0);
	}
	CU_ASSERT(sim_connect(&sim));
	CU_ASSERT_EQUAL(A->initiations, 1);
	finish();
}

static void lossy_network(void)
{
	start(8);
	sim.loss_pct = 5;
	sim.dup_pct = 5;
	sim.jitter_ns = 30 * TT_NS_PER_MS;
	uint32_t sent = 0;
	for (; sent < 20000; sent++) {
		sim_send(&sim, sent & 1);
		sim_run(&sim, 0.03);
	}
	sim_run(&sim, 1);
	uint32_t got = A->data_rx + B->data_rx;
	printf("  %u of %u delivered, %u duplicates refused\n", got, sent,
	       sim.node[0].rx_drops[TT_DROP_DATA_REPLAY] +
		       sim.node[1].rx_drops[TT_DROP_DATA_REPLAY]);
	CU_ASSERT(got > sent * 93 / 100 && got < sent * 97 / 100);
	CU_ASSERT(sim.node[0].rx_drops[TT_DROP_DATA_REPLAY] > 300);
	CU_ASSERT_EQUAL(A->zeroed + B->zeroed, 0);
	finish();
}

static void crossed_once(uint64_t seed, uint64_t delay_ms, uint64_t jitter_ms, uint32_t loss)
{
	start(seed);
	sim.delay_ns = delay_ms * TT_NS_PER_MS;
	sim.jitter_ns = jitter_ms * TT_NS_PER_MS;
	sim.loss_pct = loss;
	sim_send(&sim, 0);
	sim_run(&sim, (double)(seed % 5) * (double)delay_ms / 4000.0);
	sim_send(&sim, 1);
	sim_run(&sim, 1);
	sim.loss_pct = 0;
	sim_run(&sim, 12);
	/* converged; from here on nothing is lost */
	uint32_t a = A->data_rx, b = B->data_rx;
	for (int i = 0; i < 50; i++) {
		sim_send(&sim, 0);
		sim_send(&sim, 1);
		sim_run(&sim, 0.5);
	}
	CU_ASSERT_EQUAL(A->data_rx - a, loss ? A->data_rx - a : 50);
	CU_ASSERT(A->data_rx - a >= 50 && B->data_rx - b >= 50);
	CU_ASSERT(one_session());
	finish();
}

static void crossed_initiations(void)
{
	uint32_t crossed = 0, runs = tt_test_rounds(300);

	for (uint64_t seed = 100; seed < 100 + runs; seed++) {
		crossed_once(seed, 10 + seed % 7 * 20, seed % 3 * 10, 0);
		crossed += A->ready && B->ready;
	}
	printf("  initiations crossed in %u of %u runs\n", crossed, runs);
	CU_ASSERT(crossed > runs / 3);
}

static void crossed_initiations_with_loss(void)
{
	for (uint64_t seed = 500; seed < 500 + tt_test_rounds(200); seed++)
		crossed_once(seed, 20, 20, 30);
}

static void roaming(void)
{
	uint8_t old[64], plain[16] = {0};
	struct tt_endpoint other, attacker;

	start(10);
	tt_endpoint_parse("198.51.100.7:1234", &other);
	tt_endpoint_parse("203.0.113.1:666", &attacker);
	CU_ASSERT(sim_connect(&sim));
	struct tt_endpoint home = B->endpoint;
	/* one packet is held back; node 0 then appears elsewhere */
	tt_store_le64(plain, sim.next_seq++);
	CU_ASSERT(wg_data_seal(A->wg.current, sim.now, plain, 16, 1420, old) != WG_SESSION_DEAD);
	struct tt_endpoint first_address = sim.node[0].address;
	sim.node[0].address = other;
	sim_send(&sim, 0);
	sim_run(&sim, 0.1);
	CU_ASSERT(tt_endpoint_equal(&B->endpoint, &other));
	/* the old packet, late and from the old address: accepted, but moves nothing */
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &first_address, old, 48), TT_DROP_NONE);
	CU_ASSERT(tt_endpoint_equal(&B->endpoint, &other));
	/* replayed by an attacker */
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &attacker, old, 48), TT_DROP_DATA_REPLAY);
	/* and changed by one */
	tt_store_le64(plain, sim.next_seq++);
	CU_ASSERT(wg_data_seal(A->wg.current, sim.now, plain, 16, 1420, old) != WG_SESSION_DEAD);
	old[20] ^= 1;
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &attacker, old, 48), TT_DROP_DATA_BAD_AUTH);
	CU_ASSERT(tt_endpoint_equal(&B->endpoint, &other));
	/* relayed before the original arrives it moves the endpoint, until the next packet */
	old[20] ^= 1;
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &attacker, old, 48), TT_DROP_NONE);
	CU_ASSERT(tt_endpoint_equal(&B->endpoint, &attacker));
	sim.node[0].address = home;
	sim_send(&sim, 0);
	sim_run(&sim, 0.1);
	CU_ASSERT(tt_endpoint_equal(&B->endpoint, &home));
	finish();
}

static void flipped_data(void)
{
	uint8_t packet[64], plain[16] = {7};

	start(11);
	CU_ASSERT(sim_connect(&sim));
	CU_ASSERT(wg_data_seal(A->wg.current, sim.now, plain, 16, 1420, packet) != WG_SESSION_DEAD);
	struct wg_session before = *B->wg.current;
	struct sim_peer peer_before = *B;
	for (size_t at = 0; at < 48; at++) {
		for (int bit = 0; bit < 8; bit++) {
			packet[at] ^= 1 << bit;
			CU_ASSERT_NOT_EQUAL(sim_inject(&sim, 1, &sim.node[2].address, packet, 48),
					    TT_DROP_NONE);
			packet[at] ^= 1 << bit;
		}
	}
	CU_ASSERT(memcmp(&before, B->wg.current, sizeof(before)) == 0);
	CU_ASSERT(memcmp(&peer_before, B, sizeof(peer_before)) == 0);
	CU_ASSERT_EQUAL(sim_inject(&sim, 1, &sim.node[0].address, packet, 48), TT_DROP_NONE);
	finish();
}

static void keepalives_end(void)
{
	start(12);
	CU_ASSERT(sim_connect(&sim));
	sim_run(&sim, 11);
	uint32_t quiet = A->keepalives + B->keepalives;
	sim_run(&sim, 160);
	CU_ASSERT(quiet <= 2);
	CU_ASSERT_EQUAL(A->keepalives + B->keepalives, quiet);
	/* one lonely packet: one keepalive comes back, and nothing answers that */
	sim_send(&sim, 0);
	sim_run(&sim, 100);
	CU_ASSERT(A->keepalives + B->keepalives <= quiet + 2);
	finish();
}

static void unreachable(void)
{
	start(13);
	sim.node[1].deaf = true;
	sim_send(&sim, 0);
	sim_run(&sim, 4.9);
	CU_ASSERT_EQUAL(A->initiations, 1);
	CU_ASSERT_EQUAL(A->staged_count, 1);
	sim_run(&sim, 85);
	CU_ASSERT(A->initiations >= 17 && A->initiations <= 18);
	CU_ASSERT_EQUAL(A->give_ups, 0);
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(A->give_ups, 1);
	CU_ASSERT_EQUAL(A->unanswered, 1);
	CU_ASSERT_EQUAL(A->wg.handshake, WG_HANDSHAKE_NONE);
	CU_ASSERT_EQUAL(sim.node[0].dev.index.used, 0);
	uint32_t n = A->initiations;
	sim_run(&sim, 1000);
	CU_ASSERT_EQUAL(A->initiations, n);
	/* new outgoing data, and the peer is back */
	sim.node[1].deaf = false;
	sim_send(&sim, 0);
	sim_run(&sim, 1);
	CU_ASSERT(one_session());
	CU_ASSERT_EQUAL(B->data_rx, 1);
	finish();
}

static void peer_dies(void)
{
	start(14);
	CU_ASSERT(sim_connect(&sim));
	sim_run(&sim, 20);
	sim.node[1].deaf = true;
	uint32_t before = A->initiations;
	sim_send(&sim, 0);
	sim_run(&sim, 14.9);
	CU_ASSERT_EQUAL(A->initiations, before);
	sim_run(&sim, 0.5);
	CU_ASSERT_EQUAL(A->initiations, before + 1);
	sim_run(&sim, 6);
	CU_ASSERT_EQUAL(wg_timers_status(&A->wg.timers, &A->facts, sim.now), WG_PEER_OFFLINE);
	CU_ASSERT_PTR_NOT_NULL(A->wg.current); /* live keys stay */
	sim.node[1].deaf = false;
	sim_run(&sim, 6);
	CU_ASSERT(one_session());
	CU_ASSERT_EQUAL(wg_timers_status(&A->wg.timers, &A->facts, sim.now), WG_PEER_ONLINE);
	finish();
}

static void zeroing_and_suspend(void)
{
	start(15);
	CU_ASSERT(sim_connect(&sim));
	sim_run(&sim, 179);
	CU_ASSERT_PTR_NOT_NULL(A->wg.current);
	sim_run(&sim, 2);
	CU_ASSERT_PTR_NULL(wg_peer_sending_session(&A->wg, sim.now)); /* expired at 180 s */
	CU_ASSERT_EQUAL(sim.node[0].sessions_live, 1);
	sim_run(&sim, 362);
	CU_ASSERT_EQUAL(sim.node[0].sessions_live, 0); /* and gone at 540 s */
	CU_ASSERT_EQUAL(sim.node[1].sessions_live, 0);
	CU_ASSERT_EQUAL(A->zeroed, 1);
	CU_ASSERT(sim_connect(&sim));
	/* an hour of suspend: no old key is used, the first packet brings a handshake */
	uint32_t before = A->initiations, rx = B->data_rx;
	sim.now.ns += 3600 * TT_NS_PER_SEC;
	sim_send(&sim, 0);
	CU_ASSERT_EQUAL(A->initiations, before + 1);
	CU_ASSERT_EQUAL(sim.node[0].sessions_live, 0);
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(B->data_rx, rx + 1);
	finish();
}

static void clock_steps(void)
{
	static const int64_t steps[] = {-3600, 10LL * 365 * 86400, -10LL * 365 * 86400, 1, -1};

	start(16);
	CU_ASSERT(sim_connect(&sim));
	for (size_t i = 0; i < TT_ARRAY_LEN(steps); i++) {
		sim.node[0].wall_offset_s += steps[i];
		sim_run(&sim, 200); /* sessions are dead: a handshake is needed */
		uint32_t rx = B->data_rx;
		sim_send(&sim, 0);
		sim_run(&sim, 1);
		CU_ASSERT_EQUAL(B->data_rx, rx + 1);
	}
	CU_ASSERT_EQUAL(sim.node[1].rx_drops[TT_DROP_HS_REPLAY], 0);
	finish();
}

/* The clock steps while the initiation is under way. */
static void clock_step_in_handshake(void)
{
	start(17);
	sim_send(&sim, 0);
	sim.node[0].wall_offset_s -= 86400;
	sim.node[1].wall_offset_s += 86400;
	sim_run(&sim, 1);
	CU_ASSERT(one_session());
	finish();
}

static void thousand_rekeys(void)
{
	uint32_t sent = 0;

	start(18);
	sim.node[0].dev.rekey_after_bytes = sim.node[1].dev.rekey_after_bytes = 3200;
	while (A->initiations + B->initiations < 1000) {
		sim_send(&sim, 0);
		sim_send(&sim, 1);
		sent++;
		sim_run(&sim, 0.1);
	}
	sim_run(&sim, 1);
	CU_ASSERT_EQUAL(A->data_rx, sent);
	CU_ASSERT_EQUAL(B->data_rx, sent);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(sim.node[i].rx_drops[TT_DROP_DATA_UNKNOWN_INDEX], 0);
	printf("  %u packets each way, %u + %u initiations\n", sent, A->initiations,
	       B->initiations);
	finish();
}

TT_TESTS("wg_nodes", {"handshake and data", handshake}, {"rekey by time", rekey_by_time},
	 {"one-way traffic", one_way_traffic}, {"rekey by bytes", rekey_by_bytes},
	 {"rekey by bytes of the responder", rekey_by_bytes_of_responder},
	 {"case 12: rekey by messages, end of counters", rekey_by_messages},
	 {"case 13: counter past the limit from an authentic peer", malicious_counter},
	 {"loss, duplication, reorder", lossy_network},
	 {"case 08: simultaneous initiations converge", crossed_initiations},
	 {"case 08: and with loss", crossed_initiations_with_loss},
	 {"case 18: roaming follows the newest counter only", roaming},
	 {"case 15: every bit of a data packet flipped", flipped_data},
	 {"case 14: keepalives come to an end", keepalives_end},
	 {"case 10: unreachable peer", unreachable}, {"peer dies under traffic", peer_dies},
	 {"case 34: expiry, zeroing, suspend", zeroing_and_suspend},
	 {"case 33: clock steps", clock_steps},
	 {"case 33: clock step during the handshake", clock_step_in_handshake},
	 {"1,000 rekeys without an unknown index", thousand_rekeys})

/* SPDX-License-Identifier: MIT
 *
 * Nodes that are killed and come back, and initiations that cross, in every order of messages: no
 * node may go on sending on a session that the other one has forgotten, and where both sides have
 * two sessions they agree on one.
 */
#include "tt_test.h"

#include <stdlib.h>
#include "wg_sim.h"

static struct sim sim;

#define A (sim_peer(&sim, 0))
#define B (sim_peer(&sim, 1))

/* Who sends all the time: bit 0 node 0, bit 1 node 1. */
static void traffic(unsigned who, double seconds)
{
	for (double t = 0; t < seconds; t += 0.025) {
		for (int i = 0; i < 2; i++)
			if (who >> i & 1)
				sim_send(&sim, i);
		sim_run(&sim, 0.025);
	}
}

/* Everything that is sent for so long arrives. */
static bool lossless(unsigned who, double seconds)
{
	uint32_t tx[2], rx[2];

	sim_run(&sim, 0.5);
	for (int i = 0; i < 2; i++) {
		tx[i] = sim_peer(&sim, i)->data_tx;
		rx[i] = sim_peer(&sim, i)->data_rx;
	}
	traffic(who, seconds);
	sim_run(&sim, 0.5);
	for (int i = 0; i < 2; i++) {
		struct sim_peer *from = sim_peer(&sim, i), *to = sim_peer(&sim, !i);
		if (from->staged_count || to->data_rx - rx[!i] != from->data_tx - tx[i])
			return false;
		if ((who >> i & 1) && from->data_tx == tx[i])
			return false;
	}
	return true;
}

static bool one_session(void)
{
	struct wg_session *a = A->wg.current, *b = B->wg.current;

	return a && b && a->local_index == b->remote_index && a->remote_index == b->local_index;
}

/* --- both are killed, one soon after the other --------------------------------------------------
 */

struct kill {
	unsigned who;
	int first;
	uint32_t between_ms, down_ms, delay_ms;
	bool sockets_stay;
};

static bool kill_both(uint64_t seed, const struct kill *k)
{
	bool good;

	sim_init(&sim, seed);
	sim.delay_ns = k->delay_ms * TT_NS_PER_MS;
	good = sim_connect(&sim);
	traffic(k->who, 1);
	sim_kill(&sim, k->first, k->down_ms / 1000.0, k->sockets_stay);
	traffic(k->who, k->between_ms / 1000.0);
	sim_kill(&sim, !k->first, k->down_ms / 1000.0, k->sockets_stay);
	traffic(k->who, k->down_ms / 1000.0 + 5.0 * k->delay_ms / 1000.0);
	good &= lossless(k->who, 3);
	good &= one_session();
	if (!good)
		printf("  traffic %u, first %d, %u ms between, %u ms down, %u ms delay, sockets "
		       "%d\n",
		       k->who, k->first, k->between_ms, k->down_ms, k->delay_ms, k->sockets_stay);
	return sim_end(&sim) == 0 && good;
}

static void killed_both(void)
{
	static const uint32_t between[] = {0,	10,  20,  40,  70,   100,  150,
					   200, 300, 500, 800, 1000, 1500, 5500};
	static const uint32_t down[] = {25, 60, 250}, delay[] = {1, 20, 150};
	uint32_t runs = 0, bad = 0, step = tt_test_is_light() ? 37 : 1;

	for (uint32_t i = 0; i < TT_ARRAY_LEN(between) * 3 * 3 * 12; i += step, runs++) {
		struct kill k = {.who = 1 + i % 3,
				 .first = i / 3 % 2,
				 .sockets_stay = i / 6 % 2,
				 .down_ms = down[i / 12 % 3],
				 .delay_ms = delay[i / 36 % 3],
				 .between_ms = between[i / 108]};
		bad += !kill_both(1000 + i, &k);
	}
	printf("  %u of %u runs did not recover\n", bad, runs);
	CU_ASSERT_EQUAL(bad, 0);
}

/* --- one is killed, and every message may be late or lost ---------------------------------------
 */

#define FATES 3 /* on time, late, lost */

static uint32_t fates;

static bool take_fate(struct sim *s, struct sim_datagram *d)
{
	uint32_t fate = fates % FATES;

	(void)d;
	fates /= FATES;
	s->delay_ns = (fate == 1 ? 330 : 10) * TT_NS_PER_MS;
	return fate != 2;
}

/* When node 1 is killed: before it has seen the initiation of node 0, after it has answered, after
 * the session is in use; or not at all. */
enum phase { BEFORE, ANSWERED, IN_USE, CROSSED, PHASES };

/* Each 5 s a round of handshake messages can be lost. From five on they may be three rounds, and
 * WireGuard's own 15 s would be over: what recovers then proves nothing. */
static bool too_many_lost(uint32_t which)
{
	uint32_t lost = 0;

	for (; which; which /= FATES)
		lost += which % FATES == 2;
	return lost > 4;
}

static bool fated(uint64_t seed, enum phase phase, uint32_t which, bool sockets_stay)
{
	static const double until_kill[PHASES] = {0.005, 0.015, 0.065, 0};
	bool good;

	sim_init(&sim, seed);
	sim.restarted = true;
	fates = which;
	sim.tap = take_fate;
	sim_send(&sim, 0);
	sim_run(&sim, until_kill[phase]);
	if (phase == CROSSED)
		sim_send(&sim, 1);
	else
		sim_kill(&sim, 1, 0.03, sockets_stay);
	traffic(3, 12); /* a round of lost messages costs 5 s; the 15 s of silence are not over */
	good = lossless(3, 3) && one_session();
	if (!good)
		printf("  seed %u, phase %d, fates %u, sockets %d\n", (unsigned)seed, phase, which,
		       sockets_stay);
	return sim_end(&sim) == 0 && good;
}

/* The first seed that gives the lower public key to this node. */
static uint64_t seed_with_lower(int node)
{
	for (uint64_t seed = 1;; seed++) {
		sim_init(&sim, seed);
		int lower = memcmp(sim.node[0].dev.self.public_key, sim.node[1].dev.self.public_key,
				   WG_KEY_LEN) < 0
				    ? 0
				    : 1;
		sim_end(&sim);
		if (lower == node)
			return seed;
	}
}

static void every_order(enum phase phase)
{
	uint32_t depth = tt_test_is_light() ? 9 : 243, bad = 0, runs = 0;

	for (int lower = 0; lower < 2; lower++) {
		uint64_t seed = seed_with_lower(lower);
		for (uint32_t which = 0; which < depth; which++) {
			for (int stay = 0; stay < 2 && !too_many_lost(which); stay++, runs++)
				bad += !fated(seed, phase, which, stay);
		}
	}
	printf("  %u of %u runs did not recover\n", bad, runs);
	CU_ASSERT_EQUAL(bad, 0);
}

static void killed_before(void)
{
	every_order(BEFORE);
}

static void killed_answered(void)
{
	every_order(ANSWERED);
}

static void killed_in_use(void)
{
	every_order(IN_USE);
}

static void crossed(void)
{
	every_order(CROSSED);
}

TT_TESTS("wg_restart", {"both killed, one soon after the other", killed_both},
	 {"one killed before it answers, every order", killed_before},
	 {"one killed after it answered, every order", killed_answered},
	 {"one killed while the session is in use, every order", killed_in_use},
	 {"case 08: crossed initiations, every order", crossed})

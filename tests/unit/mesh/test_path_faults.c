/* SPDX-License-Identifier: MIT
 *
 * Paths that fall silent, relays that go, networks that change: what the choice of paths makes of
 * it, on a virtual clock.
 */
#include "path_fixture.h"

/* --- silence ---------------------------------------------------------------------------------- */

static void black_hole(void)
{
	for (unsigned i = 0; i < 40; i++) { /* at any phase of the timers */
		direct();
		pass(SEC(3) + MS(50) * i);
		way[5].open = false;
		uint64_t took = until_not(MESH_PATH_DIRECT, SEC(10));
		CU_ASSERT(took >= MS(1000) && took <= MS(1600));
		CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
		CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_SILENT);
		/* and stays there */
		unsigned before = selects;
		pass(SEC(50));
		CU_ASSERT_EQUAL(selects, before);
	}
}

/* Only our direction is dead: the peer, which hears nothing, has left for the relay. */
static void peer_has_left(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0) {
			direct();
			pass(SEC(3));
		} else { /* again, too soon after the first time: asked first */
			way[5].open = data_comes = true;
			until_not(MESH_PATH_RELAY_TCP, SEC(5));
			CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
			pass(SEC(3));
		}
		way[5].open = data_comes = false;
		now.ns += MS(1);
		mesh_paths_heard(&ps, MESH_PATH_RELAY_TCP, NULL, now);
		CU_ASSERT(until_not(MESH_PATH_DIRECT, SEC(10)) <= (i ? MS(250) : MS(5)));
		CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
		CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_LEFT);
	}
}

/* Or it only sends another way than we do: asked once, the path has answered. */
static void peer_prefers_relay(void)
{
	direct();
	unsigned before = selects, c = checks;
	for (unsigned i = 0; i < 100; i++) {
		pass(MS(100));
		mesh_paths_heard(&ps, MESH_PATH_RELAY_TCP, NULL, now);
	}
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
	CU_ASSERT_EQUAL(selects, before);
	CU_ASSERT(checks - c <= 8);
}

/* One that goes on using both is no reason to go to and fro. */
static void peer_uses_both(void)
{
	direct();
	unsigned before = selects;
	for (unsigned i = 0; i < 600; i++) {
		pass(MS(100));
		now.ns += MS(1);
		mesh_paths_heard(&ps, MESH_PATH_RELAY_TCP, NULL, now);
	}
	CU_ASSERT(selects - before <= 2 * 6);
}

/* What comes by the path in doubt says nothing about what goes by it. */
static void only_answers_end_a_doubt(void)
{
	direct();
	pass(MS(500));
	way[5].open = false;
	sending = false;
	mesh_paths_heard(&ps, MESH_PATH_RELAY_TCP, NULL, now);
	for (unsigned i = 0; i < 10; i++) {
		struct tt_endpoint e = address(5);
		pass(MS(25));
		mesh_paths_heard(&ps, MESH_PATH_DIRECT, &e, now);
	}
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
}

/* Its NAT has another mapping for it: that is found out when its next packet comes, and not when
 * somebody has sent in vain. */
static void peer_has_another_port(void)
{
	struct tt_endpoint e = address(6);

	relayed();
	way[5] = way[6] = (struct way){true, MS(20)};
	names(5, 1, MESH_CANDIDATE_REFLEXIVE, false);
	pass(SEC(5));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	sending = false;
	facts.unanswered_tx_since = (struct tt_mono){0};
	pass(SEC(10));
	way[5].open = false;
	mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &e, now);
	pass(MS(300));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	CU_ASSERT_EQUAL(remote(), 6);
}

/* The UDP relay swallows everything although it stands: no way back before it answers. */
static void black_hole_in_relay(void)
{
	relayed();
	way[1] = (struct way){true, MS(30)};
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	pass(SEC(1));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_UDP);
	way[1].open = false;
	CU_ASSERT(until_not(MESH_PATH_RELAY_UDP, SEC(10)) <= MS(1600));
	unsigned before = selects;
	pass(SEC(55));
	CU_ASSERT_EQUAL(selects, before);
	way[1].open = true;
	pass(SEC(10));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_UDP);
}

static void one_way_traffic(void)
{
	direct();
	data_comes = false; /* but the peer answers checks */
	unsigned before = selects, c = checks;
	pass(SEC(60));
	CU_ASSERT_EQUAL(selects, before);
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
	CU_ASSERT(checks - c <= 70);
}

static void satellite(void)
{
	relayed();
	way[5] = (struct way){true, MS(700)};
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(SEC(3));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
	data_comes = false;
	unsigned before = selects;
	pass(SEC(60));
	CU_ASSERT_EQUAL(selects, before);
	/* a black hole is found all the same: 1.5 s and a round trip at most */
	way[5].open = false;
	CU_ASSERT(until_not(MESH_PATH_DIRECT, SEC(10)) <= MS(1500 + 2 * 700 + 60));
}

/* The run that should have asked comes five seconds late. */
static void late_run(void)
{
	direct();
	pass(SEC(3));
	facts.last_data_tx = facts.unanswered_tx_since = tt_mono_add_ns(now, MS(10));
	sending = false;
	now.ns += SEC(5);
	unsigned before = selects;
	pass(SEC(3));
	CU_ASSERT_EQUAL(selects, before);
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

static void flapping(void)
{
	direct();
	pass(SEC(3));
	way[5].open = false;
	until_not(MESH_PATH_DIRECT, SEC(10));
	pass(MS(250));
	/* one answer is not enough */
	way[5].open = true;
	while (checks && ps.path[SLOT_ADDRESS].proofs == 2)
		pass(MS(5));
	way[5].open = false;
	pass(SEC(3));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	/* two are */
	way[5].open = true;
	pass(SEC(4));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

/* Nobody answers anywhere: a few checks now and then, and the first answer brings it back. */
static void peer_is_gone(void)
{
	direct();
	way[0].open = way[5].open = false;
	pass(SEC(10));
	unsigned before = selects, c = checks, x = exchanges;
	pass(SEC(120));
	CU_ASSERT_EQUAL(selects, before);
	CU_ASSERT(checks - c <= 140);
	CU_ASSERT(exchanges - x <= 12);
	way[5].open = true;
	names(5, 1, MESH_CANDIDATE_HOST, true); /* it is back, and says so */
	pass(SEC(2));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

/* --- relays and networks ---------------------------------------------------------------------- */

static void relay_gone(void)
{
	relayed();
	way[1] = (struct way){true, MS(30)};
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	pass(SEC(1));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_UDP);
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, false, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_RELAY_GONE);
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_NONE);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_NONE_LEFT);
	/* another allocation of the same kind has to be told */
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	run();
	unsigned before = selects;
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	run();
	CU_ASSERT_EQUAL(selects, before + 1);
}

/* Direct paths outlive the hub. */
static void hub_gone(void)
{
	direct();
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
	unsigned before = selects;
	pass(SEC(120));
	CU_ASSERT_EQUAL(selects, before);
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

static void network_changed(void)
{
	direct();
	way[6] = (struct way){true, MS(25)};
	names(5, 2, MESH_CANDIDATE_HOST, false);
	pass(SEC(1));
	way[5].open = way[6].open = false;
	unsigned x = exchanges;
	mesh_paths_network_changed(&ps, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT); /* until it has had its chance */
	CU_ASSERT_EQUAL(exchanges, x + 1);
	CU_ASSERT(until_not(MESH_PATH_DIRECT, SEC(5)) <= MS(650));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_NETWORK);
	/* where nothing is lost nothing changes */
	direct();
	mesh_paths_network_changed(&ps, now);
	unsigned before = selects;
	pass(SEC(5));
	CU_ASSERT_EQUAL(selects, before);
}

static void reprobes(void)
{
	relayed();
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(SEC(20));
	unsigned x = exchanges, c = checks;
	way[5] = (struct way){true, MS(20)};
	pass(SEC(39));
	CU_ASSERT(exchanges == x && checks <= c + 3);
	pass(SEC(2));
	CU_ASSERT_EQUAL(exchanges, x + 1);
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
	/* and no more after that */
	x = exchanges;
	pass(SEC(170));
	CU_ASSERT_EQUAL(exchanges, x);
}

TT_TESTS("path_faults", {"black hole", black_hole}, {"black hole in a relay", black_hole_in_relay},
	 {"peer has left", peer_has_left}, {"peer prefers relay", peer_prefers_relay},
	 {"peer uses both", peer_uses_both}, {"only answers end a doubt", only_answers_end_a_doubt},
	 {"peer has another port", peer_has_another_port}, {"one-way traffic", one_way_traffic},
	 {"satellite", satellite}, {"late run", late_run}, {"flapping", flapping},
	 {"peer is gone", peer_is_gone}, {"relay gone", relay_gone}, {"hub gone", hub_gone},
	 {"network changed", network_changed}, {"re-probes", reprobes})

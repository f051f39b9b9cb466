/* SPDX-License-Identifier: MIT
 *
 * The choice of paths, rule by rule, on a virtual clock. What happens when paths fail is in
 * test_path_faults.c.
 */
#include "path_fixture.h"

/* --- beginning -------------------------------------------------------------------------------- */

static void starts_on_relay_tcp(void)
{
	set_up();
	CU_ASSERT_EQUAL(run(), 0);
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	mesh_paths_wanted(&ps, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_FIRST);
	CU_ASSERT(selects == 1 && exchanges == 1 && opens == 1 && checks == 1);
	CU_ASSERT_EQUAL(run(), 0);
}

static void everything_in_parallel(void)
{
	relayed();
	way[1] = (struct way){true, MS(30)};
	way[5] = (struct way){true, MS(20)};
	way[6] = (struct way){true, MS(10)};
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	names(5, 1, MESH_CANDIDATE_HOST, true);
	names(6, 1, MESH_CANDIDATE_REFLEXIVE, true);
	pass(0);
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	pass(MS(10));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_BETTER_KIND);
	pass(MS(10));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT); /* slower, but of a better kind */
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps), "");
	pass(SEC(10));
	CU_ASSERT_EQUAL(selects, 3);
	CU_ASSERT_EQUAL(answers, 1);
}

/* The peer's end of the UDP relay may not stand yet. */
static void relay_udp_is_proved(void)
{
	relayed();
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	pass(SEC(2));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	way[1] = (struct way){true, MS(30)};
	pass(SEC(3));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_UDP);
	/* without anything else it is used as it is */
	set_up();
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_UDP);
}

static void silent_candidates_fail(void)
{
	relayed();
	names(2, 14, MESH_CANDIDATE_HOST, false);
	pass(SEC(10));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(selects, 1);
	CU_ASSERT(checks <= 14 * 9 + 3);
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		CU_ASSERT_EQUAL(ps.path[i].state, MESH_PATH_FAILED);
	unsigned before = checks;
	pass(SEC(40));
	CU_ASSERT(checks <= before + 4); /* the relay's round trip, every 15 s */
}

static void forbidden_candidates(void)
{
	static const char *const bad[] = {"127.0.0.1:7",   "0.0.0.0:7",	       "224.0.0.1:7",
					  "169.254.0.1:7", "[::1]:7",	       "[fe80::1]:7",
					  "[ff02::1]:7",   "255.255.255.255:7"};

	relayed();
	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++) {
		struct mesh_candidate c = {.kind = MESH_CANDIDATE_HOST};
		tt_endpoint_parse(bad[i], &c.at);
		mesh_paths_exchange(&ps, &c, 1, false, now);
		mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &c.at, now);
		mesh_paths_check_came(&ps, MESH_PATH_PUNCHED, &c.at, now);
		mesh_paths_hint(&ps, &c.at);
	}
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		CU_ASSERT_EQUAL(ps.path[i].state, MESH_PATH_UNUSED);
}

/* --- what carries too little --------------------------------------------------------------------
 */

static void too_narrow(void)
{
	direct();
	CU_ASSERT(mesh_paths_too_narrow(&ps, now));
	CU_ASSERT(!mesh_paths_too_narrow(&ps, now)); /* known */
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_NARROW);
	CU_ASSERT(!mesh_paths_too_narrow(&ps, now)); /* not of that kind */
	selects = 0;
	sending = data_comes = true;
	pass(SEC(600));
	CU_ASSERT_EQUAL(selects, 0); /* however often it answers */
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps),
			       "the direct path carries too little for IPv6");
	/* another direct one is taken */
	way[6] = (struct way){true, MS(10)};
	names(5, 2, MESH_CANDIDATE_HOST, false);
	pass(SEC(2));
	CU_ASSERT_EQUAL(remote(), 6);
	/* where nothing else is left, it has to do */
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
	way[6].open = false;
	pass(SEC(10));
	CU_ASSERT_EQUAL(remote(), 5);
	/* another network: it is looked at with fresh eyes */
	mesh_paths_network_changed(&ps, now);
	CU_ASSERT(mesh_paths_too_narrow(&ps, now));
}

/* --- within a kind ---------------------------------------------------------------------------- */

/* Path 5 with one round trip is in use, then 6 with another is proved. */
static bool changes(uint64_t rtt5, uint64_t rtt6)
{
	relayed();
	way[5] = (struct way){true, rtt5};
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(SEC(2));
	CU_ASSERT_EQUAL(remote(), 5);
	way[6] = (struct way){true, rtt6};
	names(5, 2, MESH_CANDIDATE_HOST, false);
	pass(SEC(2));
	if (remote() == 6)
		CU_ASSERT_EQUAL(ps.cause, MESH_CAUSE_FASTER);
	return remote() == 6;
}

static void hysteresis(void)
{
	CU_ASSERT(changes(MS(100), MS(80)));
	CU_ASSERT(!changes(MS(100), MS(81))); /* 19 % */
	CU_ASSERT(changes(MS(50), MS(40)));
	CU_ASSERT(!changes(MS(40), MS(31))); /* 22 %, but 9 ms */
	CU_ASSERT(!changes(MS(20), MS(20)));
	CU_ASSERT(!changes(MS(20), MS(50)));
}

/* --- addresses nobody named ------------------------------------------------------------------- */

static void heard_from_somewhere(void)
{
	struct tt_endpoint e = address(7);

	relayed();
	mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &e, now);
	pass(SEC(1));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP); /* heard is not answered */
	way[7] = (struct way){true, MS(15)};
	pass(SEC(3));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	CU_ASSERT_EQUAL(remote(), 7);
	e = address(8);
	way[8] = (struct way){true, MS(1)};
	mesh_paths_check_came(&ps, MESH_PATH_PUNCHED, &e, now);
	pass(SEC(1));
	CU_ASSERT_EQUAL(remote(), 8);
}

/* Data that comes by a way that does not go back is no reason for a flood. */
static void heard_one_way(void)
{
	struct tt_endpoint e = address(7);

	relayed();
	for (unsigned i = 0; i < 600; i++) {
		mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &e, now);
		pass(MS(100));
	}
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT(checks <= 120);
}

/* A peer that roams through hundreds of addresses, each proved, does not fill the table. */
static void many_addresses(void)
{
	relayed();
	for (unsigned i = 2; i < 300; i++) {
		struct tt_endpoint e = {.ip = tt_ip_v4_host(0xc6330000 + (i << 8) + 9),
					.udp_port = 9};
		way[9] = (struct way){true, MS(10)};
		mesh_paths_check_came(&ps, MESH_PATH_PUNCHED, &e, now);
		pass(SEC(10));
		const struct mesh_path *p = mesh_paths_selected(&ps);
		CU_ASSERT(p && !mesh_path_is_relay(p));
	}
}

static void hints(void)
{
	struct tt_endpoint e = address(9);

	set_up();
	mesh_paths_hint(&ps, &e);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_NONE); /* nobody wants the peer */
	mesh_paths_wanted(&ps, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	CU_ASSERT_EQUAL(mesh_paths_selected(&ps)->state, MESH_PATH_HINT);
	/* anything that stands is better */
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	/* the other way round it is not even tried */
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
	run();
	CU_ASSERT_EQUAL(kind(), MESH_PATH_PUNCHED);
	mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &e, now);
	CU_ASSERT_EQUAL(mesh_paths_selected(&ps)->state, MESH_PATH_ALIVE);
	relayed();
	mesh_paths_hint(&ps, &e);
	pass(SEC(70));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(selects, 1);
}

/* Without a hub: the peer is no longer where it was, or a recorded packet came from elsewhere. */
static void hint_is_wrong(void)
{
	struct tt_endpoint before = address(9), other = address(8);

	set_up();
	mesh_paths_hint(&ps, &before);
	mesh_paths_wanted(&ps, now);
	run();
	CU_ASSERT_EQUAL(remote(), 9);
	for (unsigned i = 0; i < 2; i++) {
		now.ns += MS(80);
		mesh_paths_heard(&ps, MESH_PATH_PUNCHED, i ? &before : &other, now);
		run();
		CU_ASSERT_EQUAL(remote(), i ? 9 : 8);
		CU_ASSERT_EQUAL(mesh_paths_selected(&ps)->state, MESH_PATH_HINT);
	}
	mesh_paths_heard(&ps, MESH_PATH_PUNCHED, &before, now);
	CU_ASSERT_EQUAL(mesh_paths_selected(&ps)->state, MESH_PATH_ALIVE);
}

/* The peer is started anew: the hub has said that it is gone, and not yet that it is back. Its
 * handshake comes by the path that it had left, and the answer has no other way. */
static void back_before_the_hub_knows(void)
{
	struct tt_endpoint known = address(5), other = address(8);

	for (unsigned i = 0; i < 2; i++) {
		direct();
		pass(SEC(3));
		way[5].open = data_comes = sending = false;
		now.ns += MS(1);
		mesh_paths_heard(&ps, MESH_PATH_RELAY_TCP, NULL, now);
		run();
		CU_ASSERT_EQUAL(kind(), MESH_PATH_RELAY_TCP);
		mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, false, now);
		run();
		CU_ASSERT_EQUAL(kind(), MESH_PATH_NONE); /* not where it was before */
		now.ns += MS(80);
		mesh_paths_heard(&ps, MESH_PATH_PUNCHED, i ? &other : &known, now);
		run();
		CU_ASSERT_EQUAL(kind(), i ? MESH_PATH_PUNCHED : MESH_PATH_DIRECT);
		CU_ASSERT_EQUAL(remote(), i ? 8 : 5);
		mesh_paths_heard(&ps, MESH_PATH_PUNCHED, i ? &other : &known, now);
		mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
		run();
		CU_ASSERT_EQUAL(remote(), i ? 8 : 5);
	}
}

/* --- quiet ------------------------------------------------------------------------------------ */

static void idle_is_silent(void)
{
	direct();
	sending = false;
	facts.unanswered_tx_since = (struct tt_mono){0};
	pass(SEC(190));
	unsigned c = checks, x = exchanges, r = runs;
	CU_ASSERT_EQUAL(mesh_paths_next_deadline(&ps, &facts, now).ns, UINT64_MAX);
	mesh_paths_network_changed(&ps, now);
	mesh_paths_relay(&ps, MESH_PATH_RELAY_UDP, true, now);
	mesh_paths_offer_again(&ps);
	pass(SEC(1000));
	CU_ASSERT(checks == c && exchanges == x && opens <= 5);
	CU_ASSERT(runs - r <= 3);
	/* it wakes up with a look at the path in use */
	mesh_paths_wanted(&ps, now);
	way[5].open = false;
	run();
	CU_ASSERT(checks > c && exchanges == x + 1);
	CU_ASSERT(until_not(MESH_PATH_DIRECT, SEC(3)) <= MS(650));
}

static void exchange_rate(void)
{
	relayed();
	unsigned x = exchanges, a = answers;
	for (unsigned i = 0; i < 1000; i++) {
		names(5, 14, MESH_CANDIDATE_HOST, true);
		mesh_paths_offer_again(&ps);
		mesh_paths_network_changed(&ps, now);
		pass(MS(10));
	}
	CU_ASSERT(exchanges - x <= 10);
	CU_ASSERT(answers - a <= 11);
	/* 32 a second, and what the path in use has for itself */
	CU_ASSERT(checks <= 64 + 10 * 32 + 10 * 10 + 10);
}

static void repeats_exchange(void)
{
	relayed();
	CU_ASSERT_EQUAL(exchanges, 1);
	pass(SEC(30));
	CU_ASSERT_EQUAL(exchanges, 3); /* after 2 s and 4 s */
	relayed();
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(SEC(30));
	CU_ASSERT_EQUAL(exchanges, 1);
}

static void relay_asks(void)
{
	relayed();
	pass(SEC(600));
	CU_ASSERT(opens >= 5 && opens <= 8); /* 0, 10, 30, 70, 150, 310, 470 s */
}

/* A busy path is measured, and follows. */
static void measures(void)
{
	direct();
	way[5].rtt = MS(200);
	pass(SEC(200));
	CU_ASSERT(mesh_paths_selected(&ps)->rtt_us > 100000);
}

/* --- answers and words ------------------------------------------------------------------------ */

static void answers_count_once(void)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];
	struct tt_endpoint e = address(5), other = address(6);
	uint8_t id[MESH_CHECK_ID_LEN] = {0};

	relayed();
	sending = false;
	pass(SEC(1));
	names(5, 2, MESH_CANDIDATE_HOST, false);
	unsigned n = mesh_paths_run(&ps, &facts, now, &rng, a);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT(!mesh_paths_check_answered(&ps, MESH_PATH_PUNCHED, &e, id, now));
	CU_ASSERT(!mesh_paths_check_answered(&ps, MESH_PATH_PUNCHED, &other, a[0].id, now));
	CU_ASSERT(!mesh_paths_check_answered(&ps, MESH_PATH_RELAY_TCP, &e, a[0].id, now));
	CU_ASSERT(mesh_paths_check_answered(&ps, MESH_PATH_PUNCHED, &e, a[0].id, now));
	CU_ASSERT(!mesh_paths_check_answered(&ps, MESH_PATH_PUNCHED, &e, a[0].id, now));
}

static void words(void)
{
	set_up();
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps), "nothing was sent to the peer yet");
	mesh_paths_wanted(&ps, now);
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps), "the hub does not reach the peer");
	relayed();
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps),
			       "the peer has not told its addresses");
	names(5, 0, MESH_CANDIDATE_HOST, false);
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps), "the peer has named no address");
	names(5, 1, MESH_CANDIDATE_HOST, false);
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps), "checks are under way");
	pass(SEC(10));
	CU_ASSERT_STRING_EQUAL(mesh_paths_why_not_direct(&ps),
			       "no check was answered: a firewall or NAT is in the way");
	for (unsigned i = 0; i < 300; i++) {
		CU_ASSERT_PTR_NOT_NULL(mesh_path_kind_name((enum mesh_path_kind)i));
		CU_ASSERT_PTR_NOT_NULL(mesh_path_cause_text((enum mesh_path_cause)i));
	}
	CU_ASSERT_STRING_EQUAL(mesh_path_kind_name(MESH_PATH_RELAY_UDP), "relay_udp");
}

TT_TESTS("path", {"starts on relay_tcp", starts_on_relay_tcp},
	 {"everything in parallel", everything_in_parallel},
	 {"relay_udp is proved", relay_udp_is_proved},
	 {"silent candidates fail", silent_candidates_fail},
	 {"forbidden candidates", forbidden_candidates}, {"too narrow", too_narrow},
	 {"hysteresis", hysteresis}, {"heard from somewhere", heard_from_somewhere},
	 {"heard one way", heard_one_way}, {"many addresses", many_addresses}, {"hints", hints},
	 {"hint is wrong", hint_is_wrong}, {"back before the hub knows", back_before_the_hub_knows},
	 {"idle is silent", idle_is_silent}, {"exchange rate", exchange_rate},
	 {"repeats an exchange", repeats_exchange}, {"relay asks", relay_asks},
	 {"measures", measures}, {"answers count once", answers_count_once}, {"words", words})

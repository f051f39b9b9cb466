/* SPDX-License-Identifier: MIT
 *
 * The choice of paths, rule by rule, on a virtual clock. A small peer answers checks over the ways
 * that a test opens.
 */
#include "tt_test.h"

#include "mesh/path_impl.h"

#define MS(n)	  ((uint64_t)(n)*TT_NS_PER_MS)
#define SEC(n)	  ((uint64_t)(n)*TT_NS_PER_SEC)
#define WAYS	  16
#define FLIGHT	  512
#define CHECKS_1S 106 /* no second has more: a burst, an allowance, the path in use */

static struct mesh_paths ps;
static struct mesh_path_facts facts;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

/* Ways over which the peer answers, by the remote's last byte; relays at 0 and 1. */
struct way {
	bool open;
	uint64_t rtt;
};
static struct way way[WAYS];

struct answer {
	struct tt_mono at;
	uint8_t kind;
	struct tt_endpoint remote;
	uint8_t id[MESH_CHECK_ID_LEN];
};
static struct answer flight[FLIGHT];
static unsigned in_flight;

static unsigned checks, selects, exchanges, answers, opens, runs;
static bool sending; /* data goes out all the time */
static bool data_comes;
static struct tt_mono check_times[1024];

static struct tt_endpoint address(unsigned n)
{
	struct tt_endpoint e = {.ip = tt_ip_v4_host(0xc0000200 + n), .udp_port = 7};

	return e;
}

static void set_up(void)
{
	mesh_paths_init(&ps);
	memset(&facts, 0, sizeof(facts));
	memset(way, 0, sizeof(way));
	in_flight = checks = selects = exchanges = answers = opens = runs = 0;
	memset(check_times, 0, sizeof(check_times));
	sending = data_comes = false;
	rng = tt_rng_seeded_init(&seed, 9);
	now = (struct tt_mono){SEC(1000)};
}

static enum mesh_path_kind kind(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	return p ? (enum mesh_path_kind)p->kind : MESH_PATH_NONE;
}

static unsigned remote(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	return p && !mesh_path_is_relay(p) ? p->remote.ip.b[3] : 0;
}

static struct way *way_of(const struct mesh_path *p)
{
	if (p->kind == MESH_PATH_RELAY_TCP)
		return &way[0];
	return p->kind == MESH_PATH_RELAY_UDP ? &way[1] : &way[p->remote.ip.b[3] % WAYS];
}

static void send_check(const struct mesh_path_action *a)
{
	const struct mesh_path *p = &ps.path[a->index];
	const struct way *w = way_of(p);

	/* no more than the bound in any second */
	struct tt_mono *slot = &check_times[checks % CHECKS_1S];
	CU_ASSERT(slot->ns == 0 || tt_mono_since(now, *slot) >= SEC(1));
	*slot = now;
	checks++;
	CU_ASSERT(mesh_paths_awaits(&ps, (enum mesh_path_kind)p->kind, &p->remote, a->id));
	if (!w->open || in_flight == FLIGHT)
		return;
	struct answer *to = &flight[in_flight++];
	*to = (struct answer){tt_mono_add_ns(now, w->rtt), p->kind, p->remote, {0}};
	memcpy(to->id, a->id, sizeof(to->id));
}

static unsigned run(void)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];
	unsigned n = mesh_paths_run(&ps, &facts, now, &rng, a), selected = 0;

	runs++;
	for (unsigned i = 0; i < n; i++) {
		selected += a[i].act == MESH_ACT_SELECT;
		exchanges += a[i].act == MESH_ACT_EXCHANGE;
		answers += a[i].act == MESH_ACT_ANSWER;
		opens += a[i].act == MESH_ACT_OPEN_RELAY;
		if (a[i].act == MESH_ACT_CHECK)
			send_check(&a[i]);
	}
	CU_ASSERT(selected <= 1);
	selects += selected;
	CU_ASSERT(mesh_paths_next_deadline(&ps, &facts, now).ns > now.ns);
	return n;
}

static void deliver(void)
{
	for (unsigned i = 0; i < in_flight;) {
		struct answer a = flight[i];
		if (tt_mono_before(now, a.at)) {
			i++;
			continue;
		}
		flight[i] = flight[--in_flight];
		mesh_paths_check_answered(&ps, (enum mesh_path_kind)a.kind, &a.remote, a.id, now);
	}
}

/* Data in both directions over the path in use, as far as the test wants it. */
static void traffic(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	if (!sending)
		return;
	facts.last_data_tx = now;
	if (p && data_comes && way_of(p)->open) {
		facts.unanswered_tx_since = (struct tt_mono){0};
		mesh_paths_heard(&ps, (enum mesh_path_kind)p->kind, &p->remote, now);
	} else if (!tt_mono_is_set(facts.unanswered_tx_since)) {
		facts.unanswered_tx_since = now;
	}
}

/* Time passes; runs only at deadlines and where something happens. */
static void pass(uint64_t ns)
{
	struct tt_mono end = tt_mono_add_ns(now, ns);

	run();
	while (tt_mono_before(now, end)) {
		struct tt_mono next = mesh_paths_next_deadline(&ps, &facts, now);

		next.ns = TT_MIN(next.ns, end.ns);
		for (unsigned i = 0; i < in_flight; i++)
			next.ns = TT_MIN(next.ns, TT_MAX(flight[i].at.ns, now.ns + 1));
		if (sending)
			next.ns = TT_MIN(next.ns, now.ns + MS(50));
		CU_ASSERT_FATAL(next.ns > now.ns);
		now = next;
		traffic();
		deliver();
		run();
	}
}

static void names(unsigned from, unsigned n, uint8_t what, bool asks)
{
	struct mesh_candidate c[16];

	for (unsigned i = 0; i < n; i++) {
		c[i].kind = what;
		c[i].at = address(from + i);
	}
	mesh_paths_exchange(&ps, c, n, asks, now);
}

/* Relayed by TCP, with traffic. */
static void relayed(void)
{
	set_up();
	way[0] = (struct way){true, MS(40)};
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	mesh_paths_wanted(&ps, now);
	sending = data_comes = true;
	pass(MS(1));
}

static void direct(void)
{
	relayed();
	way[5] = (struct way){true, MS(20)};
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(MS(500));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

/* Until the path in use is another kind; ns, or the limit. */
static uint64_t until_not(enum mesh_path_kind k, uint64_t limit)
{
	struct tt_mono begin = now;

	while (kind() == k && tt_mono_since(now, begin) < limit)
		pass(MS(5));
	return tt_mono_since(now, begin);
}

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
	 {"hysteresis", hysteresis}, {"black hole", black_hole},
	 {"black hole in a relay", black_hole_in_relay}, {"peer has left", peer_has_left},
	 {"peer prefers relay", peer_prefers_relay}, {"peer uses both", peer_uses_both},
	 {"only answers end a doubt", only_answers_end_a_doubt},
	 {"peer has another port", peer_has_another_port}, {"one-way traffic", one_way_traffic},
	 {"satellite", satellite}, {"late run", late_run}, {"flapping", flapping},
	 {"peer is gone", peer_is_gone}, {"relay gone", relay_gone}, {"hub gone", hub_gone},
	 {"network changed", network_changed}, {"re-probes", reprobes},
	 {"heard from somewhere", heard_from_somewhere}, {"heard one way", heard_one_way},
	 {"many addresses", many_addresses}, {"hints", hints},
	 {"back before the hub knows", back_before_the_hub_knows},
	 {"idle is silent", idle_is_silent}, {"exchange rate", exchange_rate},
	 {"repeats an exchange", repeats_exchange}, {"relay asks", relay_asks},
	 {"measures", measures}, {"answers count once", answers_count_once}, {"words", words})

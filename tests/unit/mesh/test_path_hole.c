/* SPDX-License-Identifier: MIT
 *
 * Two machines that use a direct path, and a hole in it: both ways, or one; whoever sends. Data is
 * back within 1.7 s and a round trip, whenever it happens and whatever phase the timers are in. And
 * a machine whose peer is none: it answers no check and takes nothing from a relay.
 */
#include "tt_test.h"

#include "mesh/path_impl.h"

#define MS(n)	  ((uint64_t)(n)*TT_NS_PER_MS)
#define SEC(n)	  ((uint64_t)(n)*TT_NS_PER_SEC)
#define FLIGHT	  1024
#define REPORT_NS MS(100) /* workers report a source so often, another one at once */
#define LIMIT	  MS(1700)

enum what { CHECK, ANSWER, PING, PONG };

struct node {
	struct mesh_paths ps;
	struct mesh_path_facts facts;
	struct tt_mono reported;
	uint8_t report_kind; /* of the last report; its remote: */
	struct tt_endpoint report_from;
	struct tt_endpoint own[2];
	bool sends; /* pings of its own */
	struct tt_mono ponged;
	uint64_t worst; /* the longest time without a pong */
};

struct packet {
	struct tt_mono at;
	enum what what;
	uint8_t to, kind;
	struct tt_endpoint source;
	uint8_t id[MESH_CHECK_ID_LEN];
};

static struct node node[2];
static bool no_relay; /* what goes by the hub is lost */
static bool plain;    /* node[1] is a WireGuard peer, without a machine */
static struct packet flight[FLIGHT];
static unsigned in_flight;
static bool hole[2];   /* direct packets to this node are lost */
static unsigned holed; /* which of its addresses; 2: all */
static uint64_t every, one_way;
static struct tt_mono now, ping_at;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

static bool is_relay(uint8_t kind)
{
	return kind == MESH_PATH_RELAY_TCP || kind == MESH_PATH_RELAY_UDP;
}

/* From the other one of the pair: by the same family of address. */
static void send(unsigned to, enum what what, uint8_t kind, const struct tt_endpoint *remote,
		 const uint8_t *id)
{
	unsigned which = is_relay(kind) ? 0 : tt_endpoint_equal(remote, &node[to].own[1]);

	if (is_relay(kind) && no_relay)
		return;
	if (!is_relay(kind) && hole[to] && (holed == 2 || holed == which))
		return;
	CU_ASSERT_FATAL(in_flight < FLIGHT);
	struct packet *p = &flight[in_flight++];
	*p = (struct packet){.at = tt_mono_add_ns(now, is_relay(kind) ? 2 * one_way : one_way),
			     .what = what,
			     .to = (uint8_t)to,
			     .kind = kind,
			     .source = node[!to].own[which]};
	if (id)
		memcpy(p->id, id, sizeof(p->id));
}

static void run(unsigned i)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];
	struct node *n = &node[i];

	if (plain && i == 1)
		return;
	unsigned count = mesh_paths_run(&n->ps, &n->facts, now, &rng, a);

	for (unsigned k = 0; k < count; k++)
		if (a[k].act == MESH_ACT_CHECK) {
			const struct mesh_path *p = &n->ps.path[a[k].index];
			send(!i, CHECK, p->kind, &p->remote, a[k].id);
		}
}

static void send_data(unsigned i, enum what what)
{
	struct node *n = &node[i];
	const struct mesh_path *p = mesh_paths_selected(&n->ps);

	if (plain && i == 1) {
		send(0, what, MESH_PATH_DIRECT, &node[0].own[0], NULL);
		return;
	}
	if (!p)
		return;
	send(!i, what, p->kind, &p->remote, NULL);
	n->facts.last_data_tx = now;
	if (!tt_mono_is_set(n->facts.unanswered_tx_since)) {
		/* the doorbell */
		n->facts.unanswered_tx_since = now;
		mesh_paths_wanted(&n->ps, now);
		run(i);
	}
}

static void take_data(unsigned i, const struct packet *p)
{
	struct node *n = &node[i];
	bool same = n->report_kind == p->kind && tt_endpoint_equal(&n->report_from, &p->source);

	n->facts.unanswered_tx_since = (struct tt_mono){0};
	if (!same || tt_mono_since(now, n->reported) >= REPORT_NS) {
		n->reported = now;
		n->report_kind = p->kind;
		n->report_from = p->source;
		mesh_paths_heard(&n->ps, (enum mesh_path_kind)p->kind, &p->source, now);
		run(i);
	}
	if (p->what == PING) {
		send_data(i, PONG);
		return;
	}
	if (tt_mono_is_set(n->ponged))
		n->worst = TT_MAX(n->worst, tt_mono_since(now, n->ponged));
	n->ponged = now;
}

static void take(const struct packet *p)
{
	struct node *n = &node[p->to];

	if (plain && p->to == 1 && (is_relay(p->kind) || p->what == CHECK || p->what == ANSWER))
		return;
	switch (p->what) {
	case CHECK:
		send(!p->to, ANSWER, p->kind, &p->source, p->id);
		mesh_paths_check_came(&n->ps, (enum mesh_path_kind)p->kind, &p->source, now);
		run(p->to);
		break;
	case ANSWER:
		mesh_paths_check_answered(&n->ps, (enum mesh_path_kind)p->kind, &p->source, p->id,
					  now);
		run(p->to);
		break;
	case PING:
	case PONG:
		take_data(p->to, p);
		break;
	}
}

static void pass(uint64_t ns)
{
	struct tt_mono end = tt_mono_add_ns(now, ns);

	while (tt_mono_before(now, end)) {
		struct tt_mono next = {TT_MIN(end.ns, ping_at.ns)};

		for (unsigned i = 0; i < 2; i++)
			next.ns = TT_MIN(
				next.ns,
				mesh_paths_next_deadline(&node[i].ps, &node[i].facts, now).ns);
		for (unsigned i = 0; i < in_flight; i++)
			next.ns = TT_MIN(next.ns, flight[i].at.ns);
		now.ns = TT_MAX(now.ns, next.ns);
		for (unsigned i = 0; i < in_flight;) {
			if (tt_mono_before(now, flight[i].at)) {
				i++;
				continue;
			}
			struct packet p = flight[i];
			flight[i] = flight[--in_flight];
			take(&p);
			i = 0;
		}
		if (!tt_mono_before(now, ping_at)) {
			ping_at = tt_mono_add_ns(now, every);
			for (unsigned i = 0; i < 2; i++)
				if (node[i].sends)
					send_data(i, PING);
		}
		run(0);
		run(1);
	}
}

static uint8_t kind_of(unsigned i)
{
	const struct mesh_path *p = mesh_paths_selected(&node[i].ps);

	return p ? p->kind : MESH_PATH_NONE;
}

/* Two machines with so many addresses each, on their direct path, with traffic. */
static void begin(unsigned addresses, bool both_send, uint64_t gap, uint64_t delay)
{
	memset(node, 0, sizeof(node));
	memset(hole, 0, sizeof(hole));
	holed = 2;
	plain = no_relay = false;
	in_flight = 0;
	every = gap;
	one_way = delay;
	rng = tt_rng_seeded_init(&seed, 3);
	now = ping_at = (struct tt_mono){SEC(1000)};
	for (unsigned i = 0; i < 2; i++) {
		mesh_paths_init(&node[i].ps);
		for (unsigned k = 0; k < 2; k++)
			node[i].own[k] = (struct tt_endpoint){
				.ip = tt_ip_v4_host(0xc6336400 + 2 * i + k), .udp_port = 51820};
		node[i].sends = i == 0 || both_send;
		mesh_paths_relay(&node[i].ps, MESH_PATH_RELAY_TCP, true, now);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct mesh_candidate c[2] = {{MESH_CANDIDATE_HOST, node[!i].own[0]},
					      {MESH_CANDIDATE_HOST, node[!i].own[1]}};
		mesh_paths_exchange(&node[i].ps, c, addresses, false, now);
	}
	pass(SEC(4));
	CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
	CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_DIRECT);
}

static void forget_gaps(void)
{
	node[0].worst = node[1].worst = 0;
}

static void expect_short(uint64_t limit)
{
	for (unsigned i = 0; i < 2; i++)
		if (node[i].sends)
			CU_ASSERT(node[i].worst <= limit);
}

static void no_hole(void)
{
	begin(2, false, MS(50), MS(10));
	forget_gaps();
	pass(SEC(60));
	expect_short(MS(51));
	CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
	CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_DIRECT);
}

/* to: 0, 1, or 2 for both. */
static void try_hole(unsigned to, bool both_send, unsigned phase, uint64_t delay)
{
	begin(1, both_send, MS(50), delay);
	pass(MS(37) * phase);
	forget_gaps();
	hole[0] = to != 1;
	hole[1] = to != 0;
	pass(SEC(6));
	/* relays: there and back, and the next ping */
	expect_short(LIMIT + 8 * delay);
	CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_RELAY_TCP);
	CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_RELAY_TCP);
	hole[0] = hole[1] = false;
	for (unsigned i = 0; i < 2; i++)
		mesh_paths_network_changed(&node[i].ps, now);
	pass(SEC(3));
	CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
	CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_DIRECT);
}

static void holes(void)
{
	for (unsigned to = 0; to < 3; to++)
		for (unsigned both = 0; both < 2; both++)
			for (unsigned phase = 0; phase < 40; phase++) {
				try_hole(to, both, phase, MS(5));
				try_hole(to, both, phase, MS(40));
			}
}

/* The peer follows at once only every so often; otherwise the path is asked first. */
static void holes_in_a_row(void)
{
	begin(1, false, MS(50), MS(10));
	for (unsigned i = 0; i < 6; i++) {
		forget_gaps();
		hole[0] = i != 1;
		hole[1] = i != 0;
		pass(SEC(3));
		expect_short(MS(1950));
		hole[0] = hole[1] = false;
		pass(SEC(3));
	}
}

/* One of two direct paths: the other one is taken. */
static void second_address(void)
{
	for (unsigned to = 0; to < 3; to++)
		for (unsigned phase = 0; phase < 20; phase++) {
			begin(2, false, MS(50), MS(10));
			pass(MS(37) * phase);
			const struct mesh_path *p = mesh_paths_selected(&node[0].ps);
			holed = tt_endpoint_equal(&p->remote, &node[1].own[1]);
			hole[0] = to != 1;
			hole[1] = to != 0;
			forget_gaps();
			pass(SEC(6));
			expect_short(MS(1900));
			CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
			CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_DIRECT);
		}
}

/* The peer is configured by hand over there, and while that was done nothing came of it. */
static void plain_peer(void)
{
	for (unsigned both = 0; both < 2; both++)
		for (unsigned away = 0; away < 20; away++) {
			begin(1, both, MS(50), MS(10));
			plain = true;
			node[1].sends = true;
			hole[0] = hole[1] = true;
			pass(MS(800) * away);
			hole[0] = hole[1] = false;
			/* however long it was away: looked for after 2, 4, 8 s */
			pass(MS(3000) + MS(800) * away);
			CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
			forget_gaps();
			pass(SEC(100));
			CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
			expect_short(MS(80));
			/* and when it is one of the mesh again */
			plain = false;
			mesh_paths_relay(&node[1].ps, MESH_PATH_RELAY_TCP, true, now);
			hole[0] = hole[1] = true;
			pass(SEC(8));
			hole[0] = hole[1] = false;
			pass(SEC(70));
			forget_gaps();
			pass(SEC(5));
			CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_DIRECT);
			expect_short(MS(80));
		}
}

/* All is lost for a while: the direct path was heard last, and is not gone back to for that. */
static void all_lost(void)
{
	for (unsigned both = 0; both < 2; both++)
		for (unsigned phase = 0; phase < 40; phase++) {
			begin(1, both, MS(50), MS(10));
			pass(MS(37) * phase);
			hole[0] = hole[1] = no_relay = true;
			for (unsigned i = 0; i < 40; i++) {
				pass(MS(100));
				CU_ASSERT(i < 20 || kind_of(0) == MESH_PATH_RELAY_TCP);
			}
			no_relay = false;
			pass(MS(200));
			forget_gaps();
			pass(SEC(2));
			expect_short(MS(200));
		}
}

TT_TESTS("path hole", {"no hole", no_hole}, {"holes", holes}, {"holes in a row", holes_in_a_row},
	 {"second address", second_address}, {"a peer without a machine", plain_peer},
	 {"all is lost for a while", all_lost})

/* SPDX-License-Identifier: MIT
 *
 * Two machines behind NATs of every kind, a hub between them, delays and losses: every pair comes
 * to the kind of path that its NATs allow.
 */
#include "tt_test.h"

#include "mesh/path_impl.h"

#define MS(n)  ((uint64_t)(n)*TT_NS_PER_MS)
#define SEC(n) ((uint64_t)(n)*TT_NS_PER_SEC)

enum nat { OPEN, FULL_CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED, SYMMETRIC, BLOCKED, NATS };

#define HOLES  64
#define FLIGHT 4096

/* An outer port of a NAT, and to whom the inside has sent through it. */
struct hole {
	struct tt_endpoint to; /* symmetric: for this one alone */
	uint16_t port;
};

struct node {
	enum nat nat;
	struct mesh_paths ps;
	struct mesh_path_facts facts;
	struct tt_endpoint inner, outer;
	struct hole hole[HOLES]; /* whom it has sent to, and by which port */
	unsigned holes;
	bool has_keys; /* an exchange of the other one has come */
	struct tt_mono exchanged, direct_at;
	unsigned checks;
};

enum what { REQUEST, ANSWER, EXCHANGE, RELAY_UP };

struct packet {
	struct tt_mono at;
	enum what what;
	uint8_t to; /* node */
	uint8_t kind;
	struct tt_endpoint source, dest;
	bool asks;
	uint8_t id[MESH_CHECK_ID_LEN];
};

static struct node node[2];
static struct packet flight[FLIGHT];
static unsigned in_flight, loss;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

static struct tt_endpoint endpoint(uint32_t ip, uint16_t port)
{
	struct tt_endpoint e = {.ip = tt_ip_v4_host(ip), .udp_port = port};

	return e;
}

static struct packet *put(enum what what, unsigned to, uint64_t delay)
{
	CU_ASSERT_FATAL(in_flight < FLIGHT);
	struct packet *p = &flight[in_flight++];
	*p = (struct packet){.at = tt_mono_add_ns(now, delay), .what = what, .to = (uint8_t)to};
	return p;
}

/* --- NATs ------------------------------------------------------------------------------------- */

/* By which of our addresses the packet leaves; unset: by none. */
static struct tt_endpoint leave(struct node *n, const struct tt_endpoint *to)
{
	struct tt_endpoint nothing = {0};

	if (n->nat == BLOCKED)
		return nothing;
	for (unsigned i = 0; i < n->holes; i++)
		if (tt_endpoint_equal(&n->hole[i].to, to))
			return endpoint(n->nat == OPEN ? tt_load_be32(n->inner.ip.b)
						       : tt_load_be32(n->outer.ip.b),
					n->hole[i].port);
	CU_ASSERT_FATAL(n->holes < HOLES);
	struct hole *h = &n->hole[n->holes++];
	h->to = *to;
	h->port = n->nat == SYMMETRIC ? (uint16_t)(20000 + tt_rng_below(&rng, 40000))
				      : n->outer.udp_port;
	return leave(n, to);
}

static bool enters(const struct node *n, const struct tt_endpoint *from,
		   const struct tt_endpoint *to)
{
	if (n->nat == OPEN)
		return tt_endpoint_equal(to, &n->inner);
	if (n->nat == BLOCKED || !tt_ip_equal(&to->ip, &n->outer.ip))
		return false;
	if (n->nat == FULL_CONE)
		return to->udp_port == n->outer.udp_port;
	for (unsigned i = 0; i < n->holes; i++) {
		const struct hole *h = &n->hole[i];
		if (h->port == to->udp_port && tt_ip_equal(&h->to.ip, &from->ip) &&
		    (n->nat == ADDRESS_RESTRICTED || h->to.udp_port == from->udp_port))
			return true;
	}
	return false;
}

static void send_udp(struct node *n, enum what what, const struct tt_endpoint *to,
		     const uint8_t id[MESH_CHECK_ID_LEN])
{
	struct tt_endpoint source = leave(n, to);
	unsigned other = n == &node[0] ? 1 : 0;

	if (!tt_endpoint_is_set(&source) || tt_rng_below(&rng, 100) < loss)
		return;
	struct packet *p = put(what, other, MS(10));
	p->kind = MESH_PATH_PUNCHED;
	p->source = source;
	p->dest = *to;
	memcpy(p->id, id, sizeof(p->id));
}

/* Checks over any kind of path; relays cost twice. */
static void send(struct node *n, enum what what, enum mesh_path_kind kind,
		 const struct tt_endpoint *to, const uint8_t id[MESH_CHECK_ID_LEN])
{
	if (kind != MESH_PATH_RELAY_TCP && kind != MESH_PATH_RELAY_UDP) {
		send_udp(n, what, to, id);
		return;
	}
	struct packet *p = put(what, n == &node[0] ? 1 : 0, MS(20));
	p->kind = (uint8_t)kind;
	memcpy(p->id, id, sizeof(p->id));
}

/* --- machines --------------------------------------------------------------------------------- */

static void act(struct node *n, const struct mesh_path_action *a)
{
	unsigned other = n == &node[0] ? 1 : 0;
	const struct mesh_path *p = a->index == MESH_PATH_NO ? NULL : &n->ps.path[a->index];

	switch (a->act) {
	case MESH_ACT_CHECK:
		n->checks++;
		if (n->has_keys)
			send(n, REQUEST, (enum mesh_path_kind)p->kind, &p->remote, a->id);
		break;
	case MESH_ACT_EXCHANGE:
	case MESH_ACT_ANSWER:
		put(EXCHANGE, other, MS(20))->asks = a->act == MESH_ACT_EXCHANGE;
		break;
	case MESH_ACT_OPEN_RELAY:
		if (n->nat != BLOCKED && node[other].nat != BLOCKED) {
			put(RELAY_UP, 0, MS(60));
			put(RELAY_UP, 1, MS(70));
		}
		break;
	case MESH_ACT_SELECT:
		if (p && !mesh_path_is_relay(p) && !n->direct_at.ns)
			n->direct_at = now;
		break;
	}
}

static void run(struct node *n)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];

	n->facts.last_data_tx = now;
	unsigned count = mesh_paths_run(&n->ps, &n->facts, now, &rng, a);
	for (unsigned i = 0; i < count; i++)
		act(n, &a[i]);
}

static void take_exchange(struct node *n, const struct node *from, bool asks)
{
	struct mesh_candidate c[2] = {{MESH_CANDIDATE_HOST, from->inner},
				      {MESH_CANDIDATE_REFLEXIVE, from->outer}};

	n->has_keys = true;
	if (!n->exchanged.ns)
		n->exchanged = now;
	mesh_paths_exchange(&n->ps, c, from->nat == BLOCKED || from->nat == OPEN ? 1 : 2, asks,
			    now);
}

static void take(const struct packet *p)
{
	struct node *n = &node[p->to], *from = &node[!p->to];

	switch (p->what) {
	case EXCHANGE:
		take_exchange(n, from, p->asks);
		break;
	case RELAY_UP:
		mesh_paths_relay(&n->ps, MESH_PATH_RELAY_UDP, true, now);
		break;
	case REQUEST:
	case ANSWER:
		if (p->kind == MESH_PATH_PUNCHED && !enters(n, &p->source, &p->dest))
			return;
		if (p->what == ANSWER) {
			mesh_paths_check_answered(&n->ps, (enum mesh_path_kind)p->kind, &p->source,
						  p->id, now);
		} else if (n->has_keys) {
			send(n, ANSWER, (enum mesh_path_kind)p->kind, &p->source, p->id);
			mesh_paths_check_came(&n->ps, (enum mesh_path_kind)p->kind, &p->source,
					      now);
		}
		break;
	}
	run(n);
}

static void step(struct tt_mono end)
{
	struct tt_mono next = end;

	for (unsigned i = 0; i < 2; i++)
		next.ns = TT_MIN(next.ns,
				 mesh_paths_next_deadline(&node[i].ps, &node[i].facts, now).ns);
	for (unsigned i = 0; i < in_flight; i++)
		next.ns = TT_MIN(next.ns, flight[i].at.ns);
	CU_ASSERT_FATAL(next.ns >= now.ns);
	now = next;
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
	run(&node[0]);
	run(&node[1]);
}

/* Data flows all the time and is heard wherever the path in use is one that goes both ways. */
static void pass(uint64_t ns)
{
	struct tt_mono end = tt_mono_add_ns(now, ns);

	while (tt_mono_before(now, end))
		step(end);
}

static void begin(enum nat a, enum nat b, unsigned percent, uint64_t s)
{
	memset(node, 0, sizeof(node));
	in_flight = 0;
	loss = percent;
	rng = tt_rng_seeded_init(&seed, s);
	now = (struct tt_mono){SEC(1000)};
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = &node[i];
		n->nat = i ? b : a;
		mesh_paths_init(&n->ps);
		n->inner = n->nat == OPEN ? endpoint(0xc6336400 + 1 + i, 51820)
					  : endpoint(0x0a000000 + (i << 8) + 1, 51820);
		n->outer = n->nat == OPEN ? n->inner : endpoint(0xcb007100 + 1 + i, 40000);
		mesh_paths_relay(&n->ps, MESH_PATH_RELAY_TCP, true, now);
	}
	mesh_paths_wanted(&node[0].ps, now);
	run(&node[0]);
	run(&node[1]);
}

static enum mesh_path_kind kind_of(unsigned i)
{
	const struct mesh_path *p = mesh_paths_selected(&node[i].ps);

	return p ? (enum mesh_path_kind)p->kind : MESH_PATH_NONE;
}

/* Whether packets can go both ways at all. */
static bool possible(enum nat a, enum nat b)
{
	if (a == BLOCKED || b == BLOCKED)
		return false;
	if (a == SYMMETRIC)
		return b <= ADDRESS_RESTRICTED;
	return b != SYMMETRIC || a <= ADDRESS_RESTRICTED;
}

static void every_pair(void)
{
	for (unsigned a = 0; a < NATS; a++)
		for (unsigned b = 0; b < NATS; b++) {
			begin((enum nat)a, (enum nat)b, 0, a * 7 + b);
			CU_ASSERT_EQUAL(kind_of(0), MESH_PATH_RELAY_TCP); /* at once */
			pass(SEC(20));
			bool udp = a != BLOCKED && b != BLOCKED;
			for (unsigned i = 0; i < 2; i++) {
				const struct node *n = &node[i];
				bool direct = kind_of(i) == MESH_PATH_DIRECT ||
					      kind_of(i) == MESH_PATH_PUNCHED;
				CU_ASSERT_EQUAL(direct, possible((enum nat)a, (enum nat)b));
				enum mesh_path_kind relay =
					udp ? MESH_PATH_RELAY_UDP : MESH_PATH_RELAY_TCP;
				uint64_t took = tt_mono_since(n->direct_at, n->exchanged);
				CU_ASSERT(direct ? took <= SEC(1) : kind_of(i) == relay);
				CU_ASSERT(n->checks <= 120);
			}
		}
}

static void with_losses(void)
{
	unsigned late = 0, pairs = 0;

	for (unsigned s = 0; s < 20; s++)
		for (unsigned a = 0; a < NATS; a++)
			for (unsigned b = 0; b < NATS; b++) {
				begin((enum nat)a, (enum nat)b, 20, 1000 + s * 64 + a * 8 + b);
				pass(SEC(10));
				for (unsigned i = 0; i < 2; i++) {
					bool direct = kind_of(i) == MESH_PATH_DIRECT ||
						      kind_of(i) == MESH_PATH_PUNCHED;
					pairs++;
					late += direct != possible((enum nat)a, (enum nat)b);
				}
			}
	/* a path that loses a third of the round trips may be away for a moment */
	CU_ASSERT(late * 20 <= pairs);
}

/* The NAT forgets its mappings in the middle of it: a new one is found. */
static void rebinding(void)
{
	begin(PORT_RESTRICTED, OPEN, 0, 5);
	pass(SEC(5));
	CU_ASSERT_EQUAL(kind_of(1), MESH_PATH_PUNCHED);
	node[0].holes = 0;
	node[0].outer.udp_port = 45000;
	pass(SEC(4));
	CU_ASSERT(kind_of(0) == MESH_PATH_DIRECT || kind_of(0) == MESH_PATH_PUNCHED);
	CU_ASSERT(kind_of(1) == MESH_PATH_DIRECT || kind_of(1) == MESH_PATH_PUNCHED);
}

TT_TESTS("path nat", {"every pair", every_pair}, {"with losses", with_losses},
	 {"rebinding", rebinding})

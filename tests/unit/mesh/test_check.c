/* SPDX-License-Identifier: MIT
 *
 * Checks between two nodes that have exchanged keys, on a virtual clock.
 */
#include "tt_test.h"

#include "mesh/check.h"
#include "mesh/stun_integrity.h"
#include "mesh/stun_write.h"

#define SEC(n) ((n)*TT_NS_PER_SEC)
#define ROOM   9000

static uint8_t dh[32], a_key[32], b_key[32], c_key[32], other_dh[32];
static const struct mesh_pair a_pair = {dh, a_key, b_key}, b_pair = {dh, b_key, a_key};
static struct mesh_check_keys a, b;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct tt_mono now;
static uint8_t request[ROOM], answer[ROOM];
static size_t request_len, answer_len;
static uint8_t id[MESH_CHECK_ID_LEN];
static struct tt_endpoint source;
static uint64_t generation;

static void offer(const struct mesh_check_keys *k, struct mesh_offer *o)
{
	memset(o, 0, sizeof(*o));
	o->generation = ++generation;
	memcpy(o->ufrag, k->local[0].ufrag, sizeof(o->ufrag));
	memcpy(o->key, k->local[0].key, sizeof(o->key));
}

/* Fresh keys of one side, told to the other. */
static void tell(struct mesh_check_keys *from, struct mesh_check_keys *to)
{
	struct mesh_offer o;

	mesh_check_renew(from, &rng);
	offer(from, &o);
	CU_ASSERT(mesh_check_accept(to, &o, now));
}

static void set_up(void)
{
	memset(dh, 1, sizeof(dh));
	memset(other_dh, 2, sizeof(other_dh));
	memset(a_key, 3, sizeof(a_key));
	memset(b_key, 4, sizeof(b_key));
	memset(c_key, 5, sizeof(c_key));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	rng = tt_rng_seeded_init(&seed, 77);
	now = (struct tt_mono){SEC(1000)};
	tt_rng_fill(&rng, id, sizeof(id));
	tt_endpoint_parse("192.0.2.1:1234", &source);
	generation = 100;
}

static void exchange(void)
{
	set_up();
	tell(&a, &b);
	tell(&b, &a);
}

static bool ask(size_t len)
{
	request_len = mesh_check_request(&a, &a_pair, id, len, request, sizeof(request));
	return request_len > 0;
}

static enum tt_drop verify(const uint8_t *bytes, size_t len, const struct mesh_pair *pair)
{
	struct mesh_stun_msg m;
	enum tt_drop drop = mesh_stun_parse(&m, bytes, len);

	return drop == TT_DROP_NONE ? mesh_check_verify_request(&b, pair, &m, now) : drop;
}

/* What b answers to the request. */
static void reply(void)
{
	struct mesh_stun_msg m;

	CU_ASSERT_EQUAL(mesh_stun_parse(&m, request, request_len), TT_DROP_NONE);
	answer_len = mesh_check_answer(&b, &b_pair, &m, &source, answer, sizeof(answer));
	CU_ASSERT(answer_len > 0 && answer_len <= request_len);
}

static enum tt_drop take(const uint8_t *bytes, size_t len, const struct mesh_pair *pair)
{
	struct mesh_stun_msg m;
	enum tt_drop drop = mesh_stun_parse(&m, bytes, len);

	return drop == TT_DROP_NONE ? mesh_check_verify_answer(&a, pair, &m, now) : drop;
}

static bool works(void)
{
	if (!ask(0) || verify(request, request_len, &b_pair) != TT_DROP_NONE)
		return false;
	reply();
	return take(answer, answer_len, &a_pair) == TT_DROP_NONE;
}

static void round_trip(const char *from, size_t len)
{
	struct mesh_stun_msg m;
	struct tt_endpoint seen;

	exchange();
	tt_endpoint_parse(from, &source);
	CU_ASSERT(works());
	CU_ASSERT_EQUAL(answer_len, len);
	CU_ASSERT_EQUAL(mesh_stun_parse(&m, answer, answer_len), TT_DROP_NONE);
	CU_ASSERT_EQUAL(memcmp(m.id.b, id, sizeof(id)), 0);
	CU_ASSERT(mesh_stun_get_address(&m, MESH_STUN_XOR_MAPPED_ADDRESS, &seen));
	CU_ASSERT(tt_endpoint_equal(&seen, &source));
}

static void round_trips(void)
{
	round_trip("192.0.2.1:1234", 20 + 12 + 36);
	round_trip("[2001:db8::7]:65535", 20 + 24 + 36);
	/* by relay there is no source to tell */
	memset(&source, 0, sizeof(source));
	CU_ASSERT(works());
	CU_ASSERT_EQUAL(answer_len, 20 + 36);
}

static void exact_sizes(void)
{
	exchange();
	CU_ASSERT(ask(0));
	CU_ASSERT_EQUAL(request_len, MESH_CHECK_LEN_MIN);
	CU_ASSERT_EQUAL(MESH_CHECK_LEN_MIN, 96);
	for (size_t len = MESH_CHECK_LEN_MIN; len <= 1472; len += 4) {
		CU_ASSERT(ask(len));
		CU_ASSERT_EQUAL(request_len, len);
		CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
		reply();
		CU_ASSERT_EQUAL(take(answer, answer_len, &a_pair), TT_DROP_NONE);
	}
	CU_ASSERT(ask(8972));
	CU_ASSERT_EQUAL(request_len, 8972);
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
	CU_ASSERT(!ask(92));
	CU_ASSERT(!ask(4));
	CU_ASSERT(!ask(97));
	CU_ASSERT(!ask(ROOM + 4));
	for (size_t room = 0; room < MESH_CHECK_LEN_MIN; room++)
		CU_ASSERT_EQUAL(mesh_check_request(&a, &a_pair, id, 0, request, room), 0);
}

/* Whatever padding says is covered, and nothing else that is unknown is passed over. */
static void unknown_attributes(void)
{
	struct mesh_stun_writer w;
	struct mesh_stun_msg m;
	struct mesh_stun_id sid = {{1}};

	exchange();
	ask(0);
	mesh_stun_parse(&m, request, request_len);
	const struct mesh_stun_attr *user = mesh_stun_find(&m, MESH_STUN_USERNAME);
	mesh_stun_write_begin(&w, answer, sizeof(answer), MESH_STUN_REQUEST, MESH_STUN_BINDING,
			      &sid);
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, user->value, user->len);
	mesh_stun_write_attr(&w, 0x0025, NULL, 0);
	mesh_stun_write_sha256(&w, "x", 1);
	CU_ASSERT_EQUAL(verify(answer, mesh_stun_write_end(&w), &b_pair), TT_DROP_STUN_UNEXPECTED);
}

static void damaged_requests(void)
{
	exchange();
	ask(112);
	for (size_t n = 0; n < request_len; n++)
		CU_ASSERT_NOT_EQUAL(verify(request, n, &b_pair), TT_DROP_NONE);
	for (size_t i = 0; i < request_len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			request[i] ^= (uint8_t)(1 << bit);
			CU_ASSERT_NOT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
			request[i] ^= (uint8_t)(1 << bit);
		}
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
}

static void damaged_answers(void)
{
	exchange();
	ask(0);
	reply();
	for (size_t n = 0; n < answer_len; n++)
		CU_ASSERT_NOT_EQUAL(take(answer, n, &a_pair), TT_DROP_NONE);
	for (size_t i = 0; i < answer_len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			answer[i] ^= (uint8_t)(1 << bit);
			CU_ASSERT_NOT_EQUAL(take(answer, answer_len, &a_pair), TT_DROP_NONE);
			answer[i] ^= (uint8_t)(1 << bit);
		}
	CU_ASSERT_EQUAL(take(answer, answer_len, &a_pair), TT_DROP_NONE);
	/* an integrity that was cut short is not one of ours */
	for (unsigned cut = 16; cut < 32; cut += 4) {
		uint8_t b2[ROOM];
		size_t n = answer_len - cut;
		memcpy(b2, answer, n);
		tt_store_be16(b2 + 2, (uint16_t)(n - 20));
		tt_store_be16(b2 + n - (32 - cut) - 2, (uint16_t)(32 - cut));
		CU_ASSERT_NOT_EQUAL(take(b2, n, &a_pair), TT_DROP_NONE);
	}
}

static void wrong_people(void)
{
	const struct mesh_pair c_from_a = {dh, c_key, a_key}, no_dh = {other_dh, b_key, a_key};
	const struct mesh_pair from_c = {dh, a_key, c_key}, no_dh_a = {other_dh, a_key, b_key};

	exchange();
	ask(0);
	CU_ASSERT_EQUAL(verify(request, request_len, &c_from_a), TT_DROP_STUN_INTEGRITY);
	CU_ASSERT_EQUAL(verify(request, request_len, &no_dh), TT_DROP_STUN_INTEGRITY);
	reply();
	CU_ASSERT_EQUAL(take(answer, answer_len, &from_c), TT_DROP_STUN_INTEGRITY);
	CU_ASSERT_EQUAL(take(answer, answer_len, &no_dh_a), TT_DROP_STUN_INTEGRITY);
}

/* A request that comes back to its sender is neither a request nor an answer. */
static void reflected(void)
{
	struct mesh_stun_msg m;

	exchange();
	ask(0);
	mesh_stun_parse(&m, request, request_len);
	CU_ASSERT_EQUAL(mesh_check_verify_request(&a, &a_pair, &m, now), TT_DROP_STUN_UNEXPECTED);
	CU_ASSERT_EQUAL(mesh_check_verify_answer(&a, &a_pair, &m, now), TT_DROP_STUN_UNEXPECTED);
	reply();
	mesh_stun_parse(&m, answer, answer_len);
	CU_ASSERT_EQUAL(mesh_check_verify_request(&b, &b_pair, &m, now), TT_DROP_STUN_UNEXPECTED);
}

static void not_ready(void)
{
	struct mesh_offer o;

	set_up();
	CU_ASSERT(!mesh_check_ready(&a));
	CU_ASSERT(!ask(0));
	mesh_check_renew(&a, &rng);
	CU_ASSERT(!mesh_check_ready(&a) && !ask(0));
	mesh_check_renew(&b, &rng);
	offer(&b, &o);
	CU_ASSERT(mesh_check_accept(&a, &o, now));
	CU_ASSERT(mesh_check_ready(&a) && ask(0));
	/* b has not heard of a's keys: silence, not an error that tells somebody something */
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_STUN_UNEXPECTED);
	/* unset keys are all zero, and so is no name */
	memset(&b, 0, sizeof(b));
	uint8_t zero[MESH_UFRAG_LEN] = {0};
	CU_ASSERT(!mesh_check_knows(&b, zero, now));
}

static void old_generations(void)
{
	struct mesh_offer first, second;

	set_up();
	mesh_check_renew(&b, &rng);
	offer(&b, &first);
	mesh_check_network_changed(&b);
	mesh_check_renew(&b, &rng);
	offer(&b, &second);
	CU_ASSERT(mesh_check_accept(&a, &second, now));
	struct mesh_check_keys before = a;
	CU_ASSERT(!mesh_check_accept(&a, &second, now));
	CU_ASSERT(!mesh_check_accept(&a, &first, now));
	CU_ASSERT_EQUAL(memcmp(&before, &a, sizeof(a)), 0);
	/* the very first one may be any */
	struct mesh_check_keys fresh = {0};
	first.generation = 0;
	CU_ASSERT(mesh_check_accept(&fresh, &first, now));
	CU_ASSERT(!mesh_check_accept(&fresh, &first, now));
}

/* Keys of before the exchange: 60 s from when the peer has shown the new ones, and not one more. */
static void expiry(void)
{
	uint8_t old_ufrag[MESH_UFRAG_LEN], asked[ROOM], answered[ROOM];
	size_t asked_len, answered_len;

	exchange();
	memcpy(old_ufrag, b.local[0].ufrag, sizeof(old_ufrag));
	ask(0);
	now.ns += SEC(500); /* age alone ends nothing */
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
	reply();
	memcpy(asked, request, asked_len = request_len);
	memcpy(answered, answer, answered_len = answer_len);
	CU_ASSERT_EQUAL(take(answered, answered_len, &a_pair), TT_DROP_NONE);
	tell(&b, &a);
	CU_ASSERT_EQUAL(verify(asked, asked_len, &b_pair), TT_DROP_NONE);
	tell(&a, &b);
	CU_ASSERT(works()); /* by the old keys or the new */
	CU_ASSERT(works());
	now.ns += SEC(60) - 1;
	CU_ASSERT_EQUAL(verify(asked, asked_len, &b_pair), TT_DROP_NONE);
	CU_ASSERT_EQUAL(take(answered, answered_len, &a_pair), TT_DROP_NONE);
	CU_ASSERT(mesh_check_knows(&b, old_ufrag, now));
	now.ns += 1;
	CU_ASSERT_EQUAL(verify(asked, asked_len, &b_pair), TT_DROP_STUN_UNEXPECTED);
	CU_ASSERT_EQUAL(take(answered, answered_len, &a_pair), TT_DROP_STUN_INTEGRITY);
	CU_ASSERT(!mesh_check_knows(&b, old_ufrag, now));
	CU_ASSERT(works());
	/* two exchanges later they are gone at once */
	ask(0);
	memcpy(asked, request, asked_len = request_len);
	for (unsigned i = 0; i < 2; i++) {
		tell(&b, &a);
		CU_ASSERT(works());
	}
	CU_ASSERT_EQUAL(verify(asked, asked_len, &b_pair), TT_DROP_STUN_UNEXPECTED);
}

/* Offers that get lost, for however long, cost nothing: what both have goes on. */
static void lost_offers(void)
{
	uint8_t ufrag[MESH_UFRAG_LEN];

	exchange();
	CU_ASSERT(works());
	mesh_check_renew(&a, &rng);
	memcpy(ufrag, a.local[0].ufrag, sizeof(ufrag));
	for (unsigned i = 0; i < 50; i++) {
		mesh_check_renew(&a, &rng);
		mesh_check_renew(&b, &rng);
		now.ns += SEC(64);
	}
	CU_ASSERT_EQUAL(memcmp(ufrag, a.local[0].ufrag, sizeof(ufrag)), 0);
	CU_ASSERT(works() || works());
	/* in another network they are others, and what the peer has is still good */
	mesh_check_network_changed(&a);
	mesh_check_renew(&a, &rng);
	CU_ASSERT_NOT_EQUAL(memcmp(ufrag, a.local[0].ufrag, sizeof(ufrag)), 0);
	CU_ASSERT(works() || works());
	/* the same offer twice */
	tell(&a, &b);
	tell(&a, &b);
	CU_ASSERT(works() || works());
	CU_ASSERT(a.local[0].used);
	CU_ASSERT(works() && works());
}

/* Both sides renew at the same time, and their offers cross: every order of arrival works. */
static void crossing(void)
{
	struct mesh_offer from_a, from_b;

	exchange();
	CU_ASSERT(works());
	mesh_check_renew(&a, &rng);
	mesh_check_renew(&b, &rng);
	offer(&a, &from_a);
	offer(&b, &from_b);
	CU_ASSERT(ask(0)); /* new local, old remote keys: b does not know the new ones yet */
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_STUN_UNEXPECTED);
	CU_ASSERT(mesh_check_accept(&b, &from_a, now));
	CU_ASSERT_EQUAL(verify(request, request_len, &b_pair), TT_DROP_NONE);
	reply();
	CU_ASSERT_EQUAL(take(answer, answer_len, &a_pair), TT_DROP_NONE);
	CU_ASSERT(mesh_check_accept(&a, &from_b, now));
	CU_ASSERT(works());
}

/* Nothing that stays the same from check to check but what STUN itself has. */
static void untraceable(void)
{
	uint8_t other[ROOM];

	exchange();
	ask(0);
	memcpy(other, request, request_len);
	CU_ASSERT(works());
	tell(&a, &b);
	tell(&b, &a);
	tt_rng_fill(&rng, id, sizeof(id));
	ask(0);
	unsigned equal = 0;
	for (size_t i = 8; i < request_len; i++)
		equal += other[i] == request[i];
	/* two attribute headers, the colon, 3 of padding; hex digits meet in one of 16 */
	CU_ASSERT(equal <= 12 + 12);
}

TT_TESTS("check", {"round trips", round_trips}, {"exact sizes", exact_sizes},
	 {"unknown attributes", unknown_attributes}, {"damaged requests", damaged_requests},
	 {"damaged answers", damaged_answers}, {"wrong people", wrong_people},
	 {"reflected", reflected}, {"not ready", not_ready}, {"old generations", old_generations},
	 {"expiry", expiry}, {"lost offers", lost_offers}, {"crossing exchanges", crossing},
	 {"untraceable", untraceable})

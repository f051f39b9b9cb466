/* SPDX-License-Identifier: MIT
 *
 * The node's machine against a small hub on a virtual clock.
 */
#include "tt_test.h"

#include "crypto/mem.h"
#include "mesh/relay_bind.h"

#define MS(n)  ((n)*TT_NS_PER_MS)
#define TAG    0x1234
#define EXPIRY 300

static struct mesh_relay_bind b;
static struct mesh_relay_bind_send out;
static struct mesh_relay_cookies cookies;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static uint8_t key[MESH_RELAY_KEY_LEN];
static struct tt_endpoint relay[2], source, bound, nobody;
static struct tt_mono now, last_sent, last_received;
static uint32_t expiry;
static enum mesh_relay_bind_event event;

static void set_up(void)
{
	rng = tt_rng_seeded_init(&seed, 5);
	tt_rng_fill(&rng, key, sizeof(key));
	now = (struct tt_mono){MS(1000000)};
	last_sent = last_received = (struct tt_mono){0};
	memset(&cookies, 0, sizeof(cookies));
	mesh_relay_cookies_refresh(&cookies, now, &rng);
	tt_endpoint_parse("192.0.2.9:3479", &relay[0]);
	tt_endpoint_parse("[2001:db8::9]:3479", &relay[1]);
	tt_endpoint_parse("198.51.100.1:40000", &source);
	bound = nobody;
	expiry = EXPIRY;
	mesh_relay_bind_stop(&b);
}

static void start(size_t addresses)
{
	set_up();
	CU_ASSERT_EQUAL(mesh_relay_bind_start(&b, TAG, key, relay, addresses, false, now),
			MESH_RELAY_BIND_STARTED);
}

static bool poll(void)
{
	return mesh_relay_bind_poll(&b, now, last_sent, last_received, &out);
}

static enum mesh_relay_bind_event deliver(const uint8_t *bytes, size_t len)
{
	struct mesh_relay_message m;

	CU_ASSERT_EQUAL(mesh_relay_parse(&m, bytes, len), MESH_RELAY_OK);
	return mesh_relay_bind_receive(&b, &m, &relay[b.current], now);
}

static void challenge(void)
{
	uint8_t cookie[MESH_RELAY_COOKIE_LEN], c[MESH_RELAY_CHALLENGE_LEN];

	mesh_relay_cookie_make(&cookies, cookie, &source, TAG);
	mesh_relay_challenge_write(c, TAG, cookie);
	event = deliver(c, sizeof(c));
}

/* What a hub does with what was sent last; sets event. */
static void hub(void)
{
	struct mesh_relay_message m;
	uint8_t answer[MESH_RELAY_BOUND_LEN];

	CU_ASSERT_EQUAL(mesh_relay_parse(&m, out.bytes, out.len), MESH_RELAY_OK);
	CU_ASSERT_EQUAL(m.tag, TAG);
	event = MESH_RELAY_BIND_NOTHING;
	if (m.type == MESH_RELAY_BIND_REQUEST) {
		challenge();
		return;
	}
	CU_ASSERT(mesh_relay_mac_check(&m, key));
	if (m.type == MESH_RELAY_KEEPALIVE && !tt_endpoint_equal(&bound, &source)) {
		challenge();
		return;
	}
	if (m.type == MESH_RELAY_BIND_ANSWER) {
		/* the NAT may have changed since the challenge */
		if (!mesh_relay_cookie_check(&cookies, m.cookie, &source, TAG))
			return;
		bound = source;
	}
	mesh_relay_bound_write(answer, &m, expiry, key);
	event = deliver(answer, sizeof(answer));
}

static void bind_at_once(void)
{
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_PROGRESS);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_DONE);
	CU_ASSERT(mesh_relay_bind_is_usable(&b));
	CU_ASSERT_FALSE(poll());
}

static void normal(void)
{
	start(1);
	CU_ASSERT_FALSE(mesh_relay_bind_is_usable(&b));
	CU_ASSERT_EQUAL(mesh_relay_bind_deadline(&b).ns, now.ns);
	bind_at_once();
	CU_ASSERT(tt_endpoint_equal(mesh_relay_bind_address(&b), &relay[0]));
	mesh_relay_bind_stop(&b);
	CU_ASSERT(crypto_is_zero(&b, sizeof(b)));
	CU_ASSERT_FALSE(poll());
}

/* Counts what is sent until t, and when. */
static unsigned run_until(uint64_t ns, uint64_t *times, unsigned max)
{
	unsigned n = 0;

	for (;;) {
		struct tt_mono due = mesh_relay_bind_deadline(&b);

		if (!tt_mono_is_set(due) || due.ns > ns)
			break;
		now = tt_mono_before(now, due) ? due : now;
		if (poll() && n < max)
			times[n++] = now.ns;
	}
	now = (struct tt_mono){ns};
	return n;
}

static void requests_back_off(void)
{
	static const uint64_t gaps[] = {250, 500, 1000, 2000, 4000, 5000, 5000, 5000};
	uint64_t times[16];

	start(1);
	unsigned n = run_until(now.ns + MS(22750), times, 16);
	CU_ASSERT_EQUAL(n, 9);
	for (unsigned i = 0; i + 1 < n; i++)
		CU_ASSERT_EQUAL(times[i + 1] - times[i], MS(gaps[i]));
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_REQUESTING);
}

static void next_address(void)
{
	uint64_t times[64];

	start(2);
	CU_ASSERT_EQUAL(run_until(now.ns + MS(1749), times, 64), 3);
	CU_ASSERT(tt_endpoint_equal(&out.to, &relay[0]));
	now.ns += MS(1);
	CU_ASSERT(poll());
	CU_ASSERT(tt_endpoint_equal(&out.to, &relay[1]));
	/* a late answer of the first is not taken for one of the second */
	struct mesh_relay_message m;
	uint8_t c[MESH_RELAY_CHALLENGE_LEN] = {0}, cookie[MESH_RELAY_COOKIE_LEN] = {1};
	mesh_relay_challenge_write(c, TAG, cookie);
	mesh_relay_parse(&m, c, sizeof(c));
	CU_ASSERT_EQUAL(mesh_relay_bind_receive(&b, &m, &relay[0], now), MESH_RELAY_BIND_NOTHING);
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_PROGRESS);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_DONE);

	/* nothing answers anywhere: both are tried, ever more slowly */
	start(2);
	CU_ASSERT(run_until(now.ns + MS(60000), times, 64) <= 19);
}

static void lost_answers(void)
{
	uint64_t times[16];

	start(1);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_ANSWERING);
	CU_ASSERT_EQUAL(run_until(now.ns + MS(3749), times, 16), 4);
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_ANSWERING);
	now.ns += MS(1);
	CU_ASSERT(poll());
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_REQUESTING);
	hub();
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_DONE);
}

static void keepalives(void)
{
	start(1);
	bind_at_once();
	uint64_t born = now.ns;
	now.ns = born + MS(24999);
	CU_ASSERT_FALSE(poll());
	now.ns = born + MS(25000);
	CU_ASSERT(poll());
	CU_ASSERT_EQUAL(out.len, MESH_RELAY_KEEPALIVE_LEN);
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_REFRESHING);
	CU_ASSERT(mesh_relay_bind_is_usable(&b));
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_ALIVE);
	/* traffic both ways: none */
	last_sent = last_received = (struct tt_mono){now.ns + MS(24000)};
	now.ns += MS(25000);
	CU_ASSERT_FALSE(poll());
	CU_ASSERT_EQUAL(mesh_relay_bind_deadline(&b).ns, last_sent.ns + MS(25000));
	/* one way only: it is asked whether the other works */
	last_sent.ns = now.ns = last_received.ns + MS(25000);
	CU_ASSERT(poll());
	CU_ASSERT_EQUAL(b.sequence, 2);
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_ALIVE);
}

static void short_expiry(void)
{
	start(1);
	expiry = 8;
	bind_at_once();
	CU_ASSERT_EQUAL(mesh_relay_bind_deadline(&b).ns, now.ns + MS(4000));
	expiry = 0;
	now.ns += MS(4000);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_NOTHING);
}

static void unheard_keepalives(void)
{
	uint64_t times[16];

	start(1);
	bind_at_once();
	now.ns += MS(25000);
	uint64_t from = now.ns;
	CU_ASSERT_EQUAL(run_until(from + MS(3749), times, 16), 4);
	CU_ASSERT(mesh_relay_bind_is_usable(&b));
	now.ns = from + MS(3750);
	CU_ASSERT(poll());
	CU_ASSERT_FALSE(mesh_relay_bind_is_usable(&b));
	CU_ASSERT_EQUAL(out.len, MESH_RELAY_REQUEST_LEN);
}

/* Our NAT gave us another address: the hub asks, and one round trip later knows it. */
static void rebinding(void)
{
	start(1);
	bind_at_once();
	now.ns += MS(2000);
	tt_endpoint_parse("198.51.100.1:50000", &source);
	challenge(); /* its answer to data from an address that it does not know */
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_PROGRESS);
	CU_ASSERT(mesh_relay_bind_is_usable(&b));
	CU_ASSERT(poll());
	CU_ASSERT_EQUAL(out.len, MESH_RELAY_ANSWER_LEN);
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_ALIVE);
	CU_ASSERT(tt_endpoint_equal(&bound, &source));
	/* the same by a keepalive */
	tt_endpoint_parse("198.51.100.1:50001", &source);
	now.ns += MS(25000);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_PROGRESS);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(event, MESH_RELAY_BIND_ALIVE);
	CU_ASSERT(tt_endpoint_equal(&bound, &source));
	/* or because we know it ourselves */
	mesh_relay_bind_again(&b, now);
	CU_ASSERT_FALSE(mesh_relay_bind_is_usable(&b));
	now.ns += MS(250);
	bind_at_once();
}

/* Forged challenges: an answer each 250 ms at most, and the leg stays bound for its four tries. */
static void forged_challenges(void)
{
	uint8_t c[MESH_RELAY_CHALLENGE_LEN], cookie[MESH_RELAY_COOKIE_LEN] = {0};
	unsigned sent = 0;

	start(1);
	bind_at_once();
	now.ns += MS(1000);
	for (unsigned i = 0; i < 1000 && mesh_relay_bind_is_usable(&b); i++) {
		cookie[0]++;
		mesh_relay_challenge_write(c, TAG, cookie);
		deliver(c, sizeof(c));
		while (poll())
			sent++;
		now.ns += MS(1);
	}
	CU_ASSERT(sent >= 4 && sent <= 5);
}

static void strangers(void)
{
	struct mesh_relay_message m, answer;
	uint8_t bytes[64];

	start(1);
	mesh_relay_challenge_write(bytes, TAG + 1, key);
	CU_ASSERT_EQUAL(deliver(bytes, MESH_RELAY_CHALLENGE_LEN), MESH_RELAY_BIND_NOTHING);
	mesh_relay_challenge_write(bytes, TAG, key);
	mesh_relay_parse(&m, bytes, MESH_RELAY_CHALLENGE_LEN);
	CU_ASSERT_EQUAL(mesh_relay_bind_receive(&b, &m, &source, now), MESH_RELAY_BIND_NOTHING);
	/* a BOUND that nothing asked for, or of another key */
	mesh_relay_answer_write(bytes, TAG, key, key);
	mesh_relay_parse(&answer, bytes, MESH_RELAY_ANSWER_LEN);
	uint8_t reply[MESH_RELAY_BOUND_LEN], wrong[MESH_RELAY_KEY_LEN] = {0};
	mesh_relay_bound_write(reply, &answer, 300, key);
	CU_ASSERT_EQUAL(deliver(reply, sizeof(reply)), MESH_RELAY_BIND_NOTHING);
	CU_ASSERT(poll());
	hub();
	CU_ASSERT_EQUAL(deliver(reply, sizeof(reply)), MESH_RELAY_BIND_NOTHING);
	CU_ASSERT(poll());
	mesh_relay_parse(&answer, out.bytes, out.len);
	mesh_relay_bound_write(reply, &answer, 300, wrong);
	CU_ASSERT_EQUAL(deliver(reply, sizeof(reply)), MESH_RELAY_BIND_NOTHING);
	mesh_relay_bound_write(reply, &answer, 300, key);
	CU_ASSERT_EQUAL(deliver(reply, sizeof(reply)), MESH_RELAY_BIND_DONE);
	CU_ASSERT_EQUAL(deliver(reply, sizeof(reply)), MESH_RELAY_BIND_NOTHING);
	/* requests and answers are none of a node's business */
	mesh_relay_request_write(bytes, TAG);
	CU_ASSERT_EQUAL(deliver(bytes, MESH_RELAY_REQUEST_LEN), MESH_RELAY_BIND_NOTHING);
}

static void bad_starts(void)
{
	struct tt_endpoint bad[5];

	set_up();
	tt_endpoint_parse("127.0.0.1:3479", &bad[0]);
	tt_endpoint_parse("[::1]:3479", &bad[1]);
	tt_endpoint_parse("224.0.0.1:3479", &bad[2]);
	tt_endpoint_parse("169.254.1.1:3479", &bad[3]);
	memset(&bad[4], 0, sizeof(bad[4]));
	CU_ASSERT_EQUAL(mesh_relay_bind_start(&b, 0, key, relay, 1, false, now),
			MESH_RELAY_BIND_BAD_TAG);
	CU_ASSERT_EQUAL(mesh_relay_bind_start(&b, TAG, key, bad, 5, false, now),
			MESH_RELAY_BIND_NO_ADDRESS);
	CU_ASSERT_EQUAL(mesh_relay_bind_start(&b, TAG, key, bad, 0, true, now),
			MESH_RELAY_BIND_NO_ADDRESS);
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_IDLE);
	mesh_relay_bind_again(&b, now);
	CU_ASSERT_EQUAL(b.state, MESH_RELAY_BIND_IDLE);
	CU_ASSERT_EQUAL(mesh_relay_bind_start(&b, TAG, key, bad, 5, true, now),
			MESH_RELAY_BIND_STARTED);
	CU_ASSERT_EQUAL(b.count, 4);
	for (int i = 0; i <= MESH_RELAY_BIND_REFRESHING; i++)
		CU_ASSERT(strcmp(mesh_relay_bind_state_name((enum mesh_relay_bind_state)i),
				 "unknown"));
}

/* Random loss, delay and NAT changes: bound again within 20 s of the last trouble, few messages. */
static void random_events(void)
{
	uint64_t times[1];

	for (uint64_t round = 0; round < 200; round++) {
		unsigned sent = 0;

		start(1 + round % 2);
		rng = tt_rng_seeded_init(&seed, round);
		for (unsigned i = 0; i < 500; i++) {
			now.ns += MS(tt_rng_below(&rng, 400));
			if (tt_rng_below(&rng, 100) == 0)
				source.udp_port = (uint16_t)(1 + tt_rng_below(&rng, 60000));
			mesh_relay_cookies_refresh(&cookies, now, &rng);
			for (; poll(); sent++) {
				if (tt_rng_below(&rng, 3))
					hub();
			}
			CU_ASSERT(b.state == MESH_RELAY_BIND_BOUND || b.due.ns > now.ns);
		}
		CU_ASSERT(sent < 300);
		for (unsigned i = 0; i < 8; i++) {
			run_until(now.ns, times, 0);
			now.ns = mesh_relay_bind_deadline(&b).ns;
			while (poll())
				hub();
		}
		CU_ASSERT(mesh_relay_bind_is_usable(&b));
		CU_ASSERT(tt_endpoint_equal(&bound, &source));
	}
}

TT_TESTS("relay_bind", {"normal", normal}, {"requests back off", requests_back_off},
	 {"next address", next_address}, {"lost answers", lost_answers}, {"keepalives", keepalives},
	 {"short expiry", short_expiry}, {"unheard keepalives", unheard_keepalives},
	 {"rebinding", rebinding}, {"forged challenges", forged_challenges},
	 {"strangers", strangers}, {"bad starts", bad_starts}, {"random events", random_events})

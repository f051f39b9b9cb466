/* SPDX-License-Identifier: MIT
 *
 * The relay's thread over loopback sockets: probes, strangers, and full tables.
 */
#include "relay_udp_fixture.h"

/* --- probes ----------------------------------------------------------------------------------- */

static void say_probe(struct node *n, uint32_t tag, const char *text)
{
	uint8_t d[256];
	size_t len = data_write(d, tag, text);

	mesh_relay_probe_write(d, tag);
	say(n, d, len);
}

/* They go on as data, from who is bound to who is bound, and so many a second. */
static void probes(void)
{
	const struct plat_udp_dest nowhere = {0};
	unsigned got = 0;

	if (plat_udp_send_probe(-1, &nowhere, NULL, 0) == -ENOTSUP) {
		tt_test_skip(1, "a datagram cannot be kept whole on this platform");
		return;
	}
	bind_pair();
	say_probe(&a, a.leg.tag, "whole");
	CU_ASSERT(hears_data(&b, b.leg.tag, "whole"));
	say_probe(&b, a.leg.tag, "not mine");
	CU_ASSERT(is_quiet(&a));
	seen(6);
	CU_ASSERT_EQUAL(stats().dropped_source, 1);
	while (hear_within(&b, 0))
		; /* the challenge */
	for (unsigned i = 0; i < 400; i++) {
		say_probe(&a, a.leg.tag, "many");
		while (hear_within(&b, 0))
			got++;
	}
	seen(406);
	while (hear_within(&b, QUIET_MS))
		got++;
	CU_ASSERT(got >= 100 && stats().dropped_rate > 0);
	CU_ASSERT_EQUAL(got + stats().dropped_rate, 400);
	/* data is not held up by that */
	say_data(&a, a.leg.tag, "data");
	CU_ASSERT(hears_data(&b, b.leg.tag, "data"));
	hub_relay_close(relay, 7, 9);
	say_probe(&a, a.leg.tag, "closed");
	CU_ASSERT(is_quiet(&b));
	tear_down();
}

/* --- strangers -------------------------------------------------------------------------------- */

static size_t drain(struct node *n, unsigned *count)
{
	size_t bytes = 0;

	for (*count = 0; hear_within(n, QUIET_MS); ++*count)
		bytes += n->got_len;
	return bytes;
}

/* Every kind of message from who has shown nothing: never more out than in. */
static void no_amplification(void)
{
	uint8_t d[1500];
	struct mesh_relay_message m;
	size_t in = 0, out = 0, messages = 0, answers = 0;

	bind_pair();
	for (unsigned type = 0; type < 8; type++)
		for (size_t len = 1; len < 120; len++) {
			memset(d, 0, sizeof(d));
			tt_store_be32(d, (uint32_t)MESH_RELAY_MAGIC << 24 | type << 16);
			if (len >= 8)
				tt_store_be32(d + 4, a.leg.tag);
			uint64_t before = stats().rx_packets;

			in += len;
			messages++;
			say(&stranger, d, len);
			seen(before + 1);
			/* an answer may come after its message was counted */
			while (hear_within(&stranger, 0)) {
				out += stranger.got_len;
				answers++;
				CU_ASSERT_EQUAL(mesh_relay_parse(&m, stranger.got,
								 stranger.got_len),
						MESH_RELAY_OK);
				CU_ASSERT_EQUAL(m.type, MESH_RELAY_BIND_CHALLENGE);
			}
			CU_ASSERT(out <= in && answers <= messages);
		}
	CU_ASSERT(is_quiet(&b));
	tear_down();
}

/* A flood of requests from one source is answered so often and no more. */
static void challenges_are_limited(void)
{
	enum { N = 2000 };
	unsigned answers;
	size_t out;

	open_pair();
	for (unsigned i = 0; i < N; i++) {
		say_request(&stranger, a.leg.tag);
		if (i % 50 == 49)
			seen(i + 1);
	}
	out = drain(&stranger, &answers);
	CU_ASSERT(answers >= 50 && answers <= 1000);
	CU_ASSERT(out <= (size_t)N * MESH_RELAY_REQUEST_LEN);
	CU_ASSERT_EQUAL(stats().dropped_limit + stats().challenged, N);
	tear_down();
}

/* Without any_source, as in service: loopback is not an address to answer to. */
static void case_23_loopback_is_no_source(void)
{
	open_pair();
	hub_relay_stop(relay);
	options.any_source = false;
	CU_ASSERT_EQUAL_FATAL(hub_relay_start(&options, &relay), 0);
	close(a.fd);
	relay_at.udp_port = hub_relay_udp_port(relay);
	node_open(&a);
	CU_ASSERT(opens(7, 9, &a.leg, &b.leg));
	say_request(&a, a.leg.tag);
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT_EQUAL(stats().dropped_source, 1);
	tear_down();
}

static void random_datagrams(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 11);
	uint8_t d[1500];

	bind_pair();
	uint64_t before = stats().rx_packets;

	for (unsigned i = 0; i < 20000; i++) {
		struct node *n = i % 3 ? &a : &stranger;
		size_t len = tt_rng_below(&rng, i % 5 ? 60 : sizeof(d)) + 1;

		tt_rng_fill(&rng, d, len);
		if (i % 4 && len >= 8) {
			tt_store_be32(d, (uint32_t)MESH_RELAY_MAGIC << 24 | tt_rng_below(&rng, 8)
										    << 16);
			tt_store_be32(d + 4, i % 8 ? a.leg.tag : b.leg.tag);
		}
		say(n, d, len);
		if (i % 64 == 63)
			seen(before + i + 1);
	}
	unsigned count;

	drain(&a, &count);
	drain(&b, &count);
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
	say_data(&a, a.leg.tag, "alive");
	CU_ASSERT(hears_data(&b, b.leg.tag, "alive"));
	tear_down();
}

/* --- many ------------------------------------------------------------------------------------- */

#define MANY 10000

static void many_allocations(void)
{
	static struct hub_leg legs[MANY][2];

	set_up();
	for (uint32_t i = 0; i < MANY; i++)
		CU_ASSERT_FATAL(opens(1, 2 + i, &legs[i][0], &legs[i][1]));
	CU_ASSERT_EQUAL(stats().allocations, MANY);
	for (uint32_t i = 0; i < MANY; i += 997) {
		CU_ASSERT(binds(&a, &legs[i][0]));
		CU_ASSERT(binds(&b, &legs[i][1]));
		say_data(&b, legs[i][1].tag, "from a spoke");
		CU_ASSERT(hears_data(&a, legs[i][0].tag, "from a spoke"));
	}
	hub_relay_close_node(relay, 1);
	CU_ASSERT_EQUAL(stats().allocations, 0);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	tear_down();
}

static void full(void)
{
	struct hub_leg x, y;
	uint32_t n = 0;

	set_up();
	while (n < HUB_RELAY_ALLOCATIONS_MAX + 1 && opens(2 * n + 1, 2 * n + 2, &x, &y))
		n++;
	CU_ASSERT_EQUAL(n, HUB_RELAY_ALLOCATIONS_MAX);
	hub_relay_close_node(relay, 4);
	CU_ASSERT(opens(500000, 500001, &x, &y));
	CU_ASSERT(!opens(500002, 500003, &x, &y));
	tear_down();
}

static void stays_busy(void)
{
	say_data(&a, a.leg.tag, "busy");
	CU_ASSERT(hears_data(&b, b.leg.tag, "busy"));
	say_data(&b, b.leg.tag, "busy");
	CU_ASSERT(hears_data(&a, a.leg.tag, "busy"));
}

/* Those that nobody has bound for long make room; those that are in use stay. */
static void full_of_idle_ones(void)
{
	struct hub_leg x, y;
	uint32_t n = 1;

	/* on a busy machine a second may pass between two datagrams of whoever is in use */
	options.idle_ns = 4 * TT_NS_PER_SEC;
	set_up();
	for (; n < HUB_RELAY_ALLOCATIONS_MAX; n++)
		CU_ASSERT_FATAL(opens(2 * n + 1000, 2 * n + 1001, &x, &y));
	CU_ASSERT_FATAL(opens(7, 9, &a.leg, &b.leg));
	CU_ASSERT(binds(&a, &a.leg) && binds(&b, &b.leg));
	for (unsigned i = 0; i < 41; i++) {
		usleep(100000);
		stays_busy();
	}
	for (n = 0; n < HUB_RELAY_ALLOCATIONS_MAX / 4; n++) {
		CU_ASSERT_FATAL(opens(2 * n + 900000, 2 * n + 900001, &x, &y));
		if (n % 256 == 0)
			stays_busy();
	}
	CU_ASSERT(stats().allocations <= HUB_RELAY_ALLOCATIONS_MAX);
	say_data(&a, a.leg.tag, "still");
	CU_ASSERT(hears_data(&b, b.leg.tag, "still"));
	tear_down();
}

TT_TESTS("relay_udp_hostile", {"probes", probes}, {"no amplification", no_amplification},
	 {"challenges are limited", challenges_are_limited},
	 {"case 23: loopback is no source", case_23_loopback_is_no_source},
	 {"random datagrams", random_datagrams}, {"10,000 allocations", many_allocations},
	 {"full", full}, {"full of idle ones", full_of_idle_ones})

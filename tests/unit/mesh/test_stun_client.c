/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "mesh/stun_client.h"
#include "mesh/stun_server.h"
#include "mesh/stun_write.h"

#define T0	    UINT64_C(1000000000000)
#define UNEXPECTED  TT_DROP_STUN_UNEXPECTED
#define MAPPED_HERE "198.51.100.7:4242"
#define SERVER	    "203.0.113.1:3478"

static const struct mesh_stun_id id = {{42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
static const struct mesh_stun_self nobody;
static struct mesh_stun_client c;
static uint8_t out[MESH_STUN_REQUEST_MAX], answer[256];
static struct mesh_stun_writer w;

static struct tt_mono at_ms(uint64_t ms)
{
	return (struct tt_mono){T0 + ms * TT_NS_PER_MS};
}

static struct tt_endpoint endpoint(const char *text)
{
	struct tt_endpoint e;

	tt_assert(tt_endpoint_parse(text, &e) == 0);
	return e;
}

static bool start(const char *server, const struct mesh_stun_timing *timing)
{
	struct tt_endpoint e = endpoint(server);

	return mesh_stun_client_start(&c, &e, &nobody, &id, timing, at_ms(0));
}

/* Started, and the first request is out. */
static void ask(void)
{
	CU_ASSERT_TRUE(start(SERVER, NULL));
	CU_ASSERT(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(0)) > 0);
}

static enum tt_drop receive(const char *source)
{
	struct tt_endpoint e = endpoint(source);

	return mesh_stun_client_receive(&c, &e, answer, mesh_stun_write_end(&w), at_ms(30));
}

static void begin(enum mesh_stun_class class)
{
	mesh_stun_write_begin(&w, answer, sizeof(answer), class, MESH_STUN_BINDING, &id);
}

static void answer_with(const char *mapped)
{
	struct tt_endpoint e = endpoint(mapped);

	begin(MESH_STUN_SUCCESS);
	mesh_stun_write_address(&w, MESH_STUN_XOR_MAPPED_ADDRESS, &e);
}

static bool failed_with(enum mesh_stun_failure failure)
{
	return c.state == MESH_STUN_CLIENT_FAILED && c.failure == failure &&
	       !tt_mono_is_set(mesh_stun_client_deadline(&c)) &&
	       !tt_endpoint_is_set(&c.reflexive) && *mesh_stun_failure_text(failure);
}

/* --- time ---------------------------------------------------------------------------------- */

/* Runs to the end at its own deadlines; returns how many requests there were, at[] their times. */
static unsigned run_out(uint64_t at[], unsigned max)
{
	unsigned n = 0;

	while (c.state == MESH_STUN_CLIENT_WAITING) {
		struct tt_mono now = mesh_stun_client_deadline(&c);

		if (now.ns > T0)
			CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, out, sizeof(out),
							      (struct tt_mono){now.ns - 1}),
					0);
		size_t len = mesh_stun_client_tick(&c, out, sizeof(out), now);
		at[n] = (now.ns - T0) / TT_NS_PER_MS;
		CU_ASSERT_FATAL(n < max - 1);
		n += len > 0;
	}
	return n;
}

/* The times of RFC 8489 6.2.1. */
static void rfc_timing(void)
{
	static const uint64_t want[] = {0, 500, 1500, 3500, 7500, 15500, 31500, 39500};
	uint64_t at[16];

	CU_ASSERT_TRUE(start(SERVER, NULL));
	CU_ASSERT_EQUAL(run_out(at, 16), 7);
	CU_ASSERT_EQUAL(memcmp(at, want, sizeof(want)), 0);
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_TIMEOUT));
	CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(100000)), 0);
}

static void other_timing(void)
{
	static const uint64_t want[] = {0, 100, 300, 500};
	uint64_t at[16];

	CU_ASSERT_TRUE(start(SERVER, &(struct mesh_stun_timing){100, 3, 2}));
	CU_ASSERT_EQUAL(run_out(at, 16), 3);
	CU_ASSERT_EQUAL(memcmp(at, want, sizeof(want)), 0);
	/* the extremes end as well */
	static uint64_t many[300];
	CU_ASSERT_TRUE(start(SERVER, &(struct mesh_stun_timing){UINT32_MAX, UINT8_MAX, UINT8_MAX}));
	CU_ASSERT_EQUAL(run_out(many, 300), 255);
	CU_ASSERT_TRUE(start(SERVER, &(struct mesh_stun_timing){1, 1, 1}));
	CU_ASSERT_EQUAL(run_out(at, 16), 1);
	CU_ASSERT_EQUAL(at[1], 1);
}

/* A process that slept sends one request, not all that it missed. */
static void late(void)
{
	ask();
	CU_ASSERT(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(60000)) > 0);
	CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(60000)), 0);
	CU_ASSERT_EQUAL(mesh_stun_client_deadline(&c).ns, at_ms(61000).ns);
}

static void request_is_well_formed(void)
{
	struct mesh_stun_msg m;

	CU_ASSERT_TRUE(start(SERVER, NULL));
	size_t len = mesh_stun_client_tick(&c, out, sizeof(out), at_ms(0));
	CU_ASSERT_EQUAL(mesh_stun_parse(&m, out, len), TT_DROP_NONE);
	CU_ASSERT(m.class == MESH_STUN_REQUEST && m.method == MESH_STUN_BINDING);
	CU_ASSERT_TRUE(m.has_fingerprint && mesh_stun_id_equal(&m.id, &id));
	/* and the same each time */
	uint8_t again[MESH_STUN_REQUEST_MAX];
	CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, again, sizeof(again), at_ms(500)), len);
	CU_ASSERT_EQUAL(memcmp(out, again, len), 0);
}

/* --- answers ------------------------------------------------------------------------------- */

static void with_our_server(void)
{
	struct tt_endpoint us = endpoint(MAPPED_HERE);
	size_t len, got;

	CU_ASSERT_TRUE(start(SERVER, NULL));
	len = mesh_stun_client_tick(&c, out, sizeof(out), at_ms(0));
	CU_ASSERT_EQUAL(mesh_stun_serve(answer, &got, out, len, &us), TT_DROP_NONE);
	CU_ASSERT_EQUAL(mesh_stun_client_receive(&c, &c.server, answer, got, at_ms(25)),
			TT_DROP_NONE);
	CU_ASSERT_EQUAL(c.state, MESH_STUN_CLIENT_DONE);
	CU_ASSERT_TRUE(tt_endpoint_equal(&c.reflexive, &us));
	CU_ASSERT_EQUAL(c.rtt_ns, 25 * TT_NS_PER_MS);
	CU_ASSERT_FALSE(tt_mono_is_set(mesh_stun_client_deadline(&c)));
	/* the copy of the network comes too late */
	CU_ASSERT_EQUAL(mesh_stun_client_receive(&c, &c.server, answer, got, at_ms(26)),
			UNEXPECTED);
}

static void ambiguous_rtt(void)
{
	ask();
	mesh_stun_client_tick(&c, out, sizeof(out), at_ms(500));
	answer_with(MAPPED_HERE);
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_EQUAL(c.state, MESH_STUN_CLIENT_DONE);
	CU_ASSERT_EQUAL(c.rtt_ns, 0);
}

/* Case 24: the id alone is not enough, and neither is the server's address. */
static void case_24_only_the_queried_server(void)
{
	static const char *const others[] = {"203.0.113.1:3479", "203.0.113.2:3478",
					     "198.51.100.1:3478", "[2001:db8::1]:3478"};

	ask();
	answer_with(MAPPED_HERE);
	for (size_t i = 0; i < TT_ARRAY_LEN(others); i++)
		CU_ASSERT_EQUAL(receive(others[i]), UNEXPECTED);
	for (size_t i = 0; i < MESH_STUN_ID_LEN; i++) {
		answer[8 + i] ^= 0x80;
		CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
		answer[8 + i] ^= 0x80;
	}
	begin(MESH_STUN_REQUEST);
	CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
	begin(MESH_STUN_INDICATION);
	CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
	mesh_stun_write_begin(&w, answer, sizeof(answer), MESH_STUN_SUCCESS, 3, &id);
	CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
	answer_with(MAPPED_HERE);
	for (size_t n = 0; n < w.len; n++)
		CU_ASSERT_EQUAL(mesh_stun_client_receive(&c, &c.server, answer, n, at_ms(30)),
				TT_DROP_STUN_MALFORMED);
	mesh_stun_write_fingerprint(&w);
	answer[w.len - 1] ^= 1;
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_STUN_FINGERPRINT);
	CU_ASSERT_EQUAL(c.state, MESH_STUN_CLIENT_WAITING);
	answer_with(MAPPED_HERE);
	CU_ASSERT_EQUAL(receive("[::ffff:203.0.113.1]:3478"), TT_DROP_NONE);
	CU_ASSERT_EQUAL(c.state, MESH_STUN_CLIENT_DONE);
}

static void not_before_the_request(void)
{
	struct mesh_stun_client idle = {0};

	CU_ASSERT_TRUE(start(SERVER, NULL));
	answer_with(MAPPED_HERE);
	CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
	CU_ASSERT_EQUAL(mesh_stun_client_receive(&idle, &c.server, answer, w.len, at_ms(0)),
			UNEXPECTED);
}

/* Case 24: an address of an attacker's choice is not taken where it would do harm. */
static void case_24_nonsense_results(void)
{
	static const char *const nonsense[] = {
		"127.0.0.1:51820", "127.9.9.9:1",	"0.0.0.0:51820",   "224.0.0.251:5353",
		"169.254.1.1:9",   "255.255.255.255:9", "[::1]:51820",	   "[::]:51820",
		"[ff02::1]:51820", "[fe80::1]:51820",	"[::127.0.0.1]:9", SERVER};

	for (size_t i = 0; i < TT_ARRAY_LEN(nonsense); i++) {
		ask();
		answer_with(nonsense[i]);
		CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
		CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_RESULT));
	}
	/* without a udp_port; IPv4 in an IPv6 form; no address at all */
	uint8_t no_port[8] = {0, 1, 0, 0, 203, 0, 113, 9};
	uint8_t mapped[20] = {0, 2, 1, 1, [14] = 0xff, 0xff, 127, 0, 0, 1};
	ask();
	begin(MESH_STUN_SUCCESS);
	mesh_stun_write_attr(&w, MESH_STUN_MAPPED_ADDRESS, no_port, sizeof(no_port));
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_RESULT));
	ask();
	begin(MESH_STUN_SUCCESS);
	mesh_stun_write_attr(&w, MESH_STUN_MAPPED_ADDRESS, mapped, sizeof(mapped));
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_RESULT));
	ask();
	begin(MESH_STUN_SUCCESS);
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_RESULT));
}

static void xor_before_plain(void)
{
	struct tt_endpoint here = endpoint(MAPPED_HERE), other = endpoint("192.0.2.9:9");

	ask();
	begin(MESH_STUN_SUCCESS);
	mesh_stun_write_address(&w, MESH_STUN_MAPPED_ADDRESS, &other);
	mesh_stun_write_address(&w, MESH_STUN_XOR_MAPPED_ADDRESS, &here);
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(tt_endpoint_equal(&c.reflexive, &here));
	ask();
	begin(MESH_STUN_SUCCESS);
	mesh_stun_write_address(&w, MESH_STUN_MAPPED_ADDRESS, &other);
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(tt_endpoint_equal(&c.reflexive, &other));
}

static void refusals(void)
{
	static const unsigned codes[] = {300, 400, 401, 420, 438, 500};
	struct tt_endpoint elsewhere = endpoint("192.0.2.77:3478");

	for (size_t i = 0; i < TT_ARRAY_LEN(codes); i++) {
		ask();
		begin(MESH_STUN_ERROR);
		mesh_stun_write_error(&w, codes[i]);
		mesh_stun_write_address(&w, 0x8023,
					&elsewhere); /* ALTERNATE-SERVER: not followed */
		CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
		CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_REFUSED));
		CU_ASSERT_EQUAL(c.error_code, codes[i]);
		CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(9999)), 0);
	}
	ask();
	answer_with(MAPPED_HERE);
	mesh_stun_write_attr(&w, 0x0123, NULL, 0);
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_UNKNOWN));
}

static void a_new_start_forgets(void)
{
	struct tt_endpoint e = endpoint(SERVER);
	struct mesh_stun_id other = {{7}};

	ask();
	CU_ASSERT_TRUE(mesh_stun_client_start(&c, &e, &nobody, &other, NULL, at_ms(10)));
	CU_ASSERT(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(10)) > 0);
	answer_with(MAPPED_HERE);
	CU_ASSERT_EQUAL(receive(SERVER), UNEXPECTED);
}

/* Case 23: whom we must not be made to ask. */
static void case_23_targets(void)
{
	static const char *const targets[] = {
		"127.0.0.1:3478",
		"0.0.0.0:3478",
		"224.0.0.1:3478",
		"169.254.0.1:3478",
		"255.255.255.255:53",
		"[::1]:3478",
		"[::]:3478",
		"[ff02::1]:3478",
		"[fe80::1%2]:3478",
		"[::7f00:1]:3478",
		"[::ffff:127.0.0.1]:3478",
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(targets); i++) {
		CU_ASSERT_FALSE(start(targets[i], NULL));
		CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_SERVER));
		CU_ASSERT_EQUAL(mesh_stun_client_tick(&c, out, sizeof(out), at_ms(0)), 0);
	}
	/* mapped, as plain bytes that were not normalised */
	struct tt_endpoint e = {
		{.family = TT_FAMILY_V6, .b = {[10] = 0xff, 0xff, 127, 0, 0, 1}}, 3478, 0};
	CU_ASSERT_FALSE(mesh_stun_client_start(&c, &e, &nobody, &id, NULL, at_ms(0)));
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_SERVER));
}

static void case_23_ourselves(void)
{
	struct tt_ip own[] = {endpoint("192.0.2.1:1").ip, endpoint("[2001:db8::1]:1").ip};
	struct mesh_stun_self self = {own, 2, 51820};
	struct tt_endpoint us = endpoint("192.0.2.1:51820");
	struct tt_endpoint us_v6 = endpoint("[2001:db8::1]:51820");
	struct tt_endpoint beside = endpoint("192.0.2.1:3478");

	CU_ASSERT_FALSE(mesh_stun_client_start(&c, &us, &self, &id, NULL, at_ms(0)));
	CU_ASSERT_TRUE(failed_with(MESH_STUN_FAILURE_SERVER));
	CU_ASSERT_FALSE(mesh_stun_client_start(&c, &us_v6, &self, &id, NULL, at_ms(0)));
	CU_ASSERT_TRUE(mesh_stun_client_start(&c, &beside, &self, &id, NULL, at_ms(0)));
}

/* Where there is no NAT, the reflexive address is our own, and that is news worth having. */
static void no_nat(void)
{
	struct tt_ip own = endpoint("192.0.2.1:1").ip;
	struct mesh_stun_self self = {&own, 1, 51820};
	struct tt_endpoint server = endpoint(SERVER);

	CU_ASSERT_TRUE(mesh_stun_client_start(&c, &server, &self, &id, NULL, at_ms(0)));
	mesh_stun_client_tick(&c, out, sizeof(out), at_ms(0));
	answer_with("192.0.2.1:51820");
	CU_ASSERT_EQUAL(receive(SERVER), TT_DROP_NONE);
	CU_ASSERT_EQUAL(c.state, MESH_STUN_CLIENT_DONE);
}

TT_TESTS("mesh/stun_client", {"timing of the RFC", rfc_timing}, {"other timing", other_timing},
	 {"late", late}, {"request is well-formed", request_is_well_formed},
	 {"with our server", with_our_server}, {"ambiguous round trip", ambiguous_rtt},
	 {"case_24 only the queried server", case_24_only_the_queried_server},
	 {"not before the request", not_before_the_request},
	 {"case_24 nonsense results", case_24_nonsense_results},
	 {"XOR before plain", xor_before_plain}, {"refusals", refusals},
	 {"a new start forgets", a_new_start_forgets}, {"case_23 targets", case_23_targets},
	 {"case_23 ourselves", case_23_ourselves}, {"no NAT", no_nat})

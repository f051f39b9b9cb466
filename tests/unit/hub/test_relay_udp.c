/* SPDX-License-Identifier: MIT
 *
 * The relay's thread over loopback sockets: what it forwards, and what not. Who means it ill, and
 * numbers, are in test_relay_udp_hostile.c.
 */
#include "relay_udp_fixture.h"

/* --- forwarding ------------------------------------------------------------------------------- */

static void both_ways(void)
{
	bind_pair();
	CU_ASSERT_NOT_EQUAL(a.leg.tag, b.leg.tag);
	CU_ASSERT(memcmp(a.leg.key, b.leg.key, sizeof(a.leg.key)) != 0);
	say_data(&a, a.leg.tag, "to b");
	CU_ASSERT(hears_data(&b, b.leg.tag, "to b"));
	say_data(&b, b.leg.tag, "to a");
	CU_ASSERT(hears_data(&a, a.leg.tag, "to a"));
	CU_ASSERT_EQUAL(stats().allocations, 1);
	tear_down();
}

static bool machine_hears(struct mesh_relay_bind *m, struct node *n, struct tt_mono now)
{
	struct mesh_relay_message in;

	return hear(n) && mesh_relay_parse(&in, n->got, n->got_len) == MESH_RELAY_OK &&
	       mesh_relay_bind_receive(m, &in, &relay_at, now) != MESH_RELAY_BIND_NOTHING;
}

static void machine_polls(struct mesh_relay_bind *m, struct node *n, struct tt_mono now)
{
	struct mesh_relay_bind_send out;

	CU_ASSERT_FATAL(mesh_relay_bind_poll(m, now, now, now, &out));
	say(n, out.bytes, out.len);
}

static void the_nodes_machine(void)
{
	struct mesh_relay_bind m = {0};
	struct tt_mono now = {TT_NS_PER_SEC}, later = {100 * TT_NS_PER_SEC}, none = {0};
	struct mesh_relay_bind_send out;

	open_pair();
	mesh_relay_bind_start(&m, a.leg.tag, a.leg.key, &relay_at, 1, true, now);
	machine_polls(&m, &a, now);
	CU_ASSERT(machine_hears(&m, &a, now));
	machine_polls(&m, &a, now);
	CU_ASSERT(machine_hears(&m, &a, now));
	CU_ASSERT_EQUAL(m.state, MESH_RELAY_BIND_BOUND);
	/* and a keepalive, answered */
	CU_ASSERT_FATAL(mesh_relay_bind_poll(&m, later, none, none, &out));
	say(&a, out.bytes, out.len);
	CU_ASSERT(machine_hears(&m, &a, later));
	CU_ASSERT_EQUAL(m.state, MESH_RELAY_BIND_BOUND);
	tear_down();
}

/* A node that has IPv4 only and one that has IPv6 only; both sockets listen everywhere. */
static void both_families(void)
{
	struct sockaddr_in6 hub = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct node six = {.fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};

	options.listen[0].ip.family = TT_FAMILY_V4;
	options.listen[1].ip.family = TT_FAMILY_V6;
	options.listen_count = 2;
	options.any_source = true;
	CU_ASSERT_EQUAL_FATAL(hub_relay_start(&options, &relay), 0);
	relay_at.udp_port = hub_relay_udp_port(relay);
	node_open(&a);
	node_open(&b);
	node_open(&stranger);
	hub.sin6_port = htons(relay_at.udp_port);
	if (six.fd < 0 || connect(six.fd, (struct sockaddr *)&hub, sizeof(hub)) < 0) {
		tt_test_skip(1, "no IPv6 here");
	} else {
		CU_ASSERT(opens(7, 9, &a.leg, &six.leg));
		CU_ASSERT(binds(&a, &a.leg));
		CU_ASSERT(binds(&six, &six.leg));
		say_data(&a, a.leg.tag, "to the other family");
		CU_ASSERT(hears_data(&six, six.leg.tag, "to the other family"));
		say_data(&six, six.leg.tag, "and back");
		CU_ASSERT(hears_data(&a, a.leg.tag, "and back"));
	}
	close(six.fd);
	tear_down();
}

/* Sizes that a burst mixes arrive as they were sent, in order. */
static void bursts(void)
{
	enum { N = 600 };
	static uint8_t d[N][1400];
	unsigned got = 0;

	bind_pair();
	for (unsigned i = 0; i < N; i++) {
		size_t len = i % 7 == 3 ? 40 + i : i % 50 == 9 ? 1399 : 1400;

		memset(d[i], (int)i, sizeof(d[i]));
		mesh_relay_data_write(d[i], a.leg.tag);
		d[i][8] = 4;
		tt_store_be32(d[i] + 12, i);
		tt_store_be32(d[i] + 16, (uint32_t)len);
		say(&a, d[i], len);
		/* no more under way than the smallest receive buffer takes */
		if (i % 30 == 29)
			for (; got <= i; got++) {
				CU_ASSERT_FATAL(hear(&b));
				CU_ASSERT_EQUAL(tt_load_be32(b.got + 4), b.leg.tag);
				CU_ASSERT_EQUAL(tt_load_be32(b.got + 12), got);
				CU_ASSERT_EQUAL(tt_load_be32(b.got + 16), b.got_len);
				CU_ASSERT_EQUAL(memcmp(b.got + 20, d[got] + 20, b.got_len - 20), 0);
			}
	}
	/* it counts after it has sent */
	for (unsigned i = 0; i < WAIT_MS && stats().tx_packets < N + 4; i++)
		usleep(1000);
	CU_ASSERT_EQUAL(stats().tx_packets, N + 4);
	tear_down();
}

/* --- what is not forwarded -------------------------------------------------------------------- */

static void wrong_source(void)
{
	struct mesh_relay_message m;

	bind_pair();
	say_data(&stranger, a.leg.tag, "from elsewhere");
	CU_ASSERT(hears(&stranger, MESH_RELAY_BIND_CHALLENGE, &m));
	CU_ASSERT(is_quiet(&b));
	CU_ASSERT_EQUAL(stats().dropped_source, 1);
	/* the other's tag is no better: it is bound elsewhere */
	say_data(&a, b.leg.tag, "with b's tag");
	CU_ASSERT(hears(&a, MESH_RELAY_BIND_CHALLENGE, &m));
	CU_ASSERT(is_quiet(&b));
	/* and none of it has moved anything */
	say_data(&a, a.leg.tag, "still");
	CU_ASSERT(hears_data(&b, b.leg.tag, "still"));
	tear_down();
}

static void wrong_tag(void)
{
	bind_pair();
	say_data(&a, a.leg.tag ^ 0x80000000, "no such tag");
	say_data(&a, a.leg.tag + 2, "beyond");
	say_request(&a, b.leg.tag ^ 0x10000000);
	seen(4 + 3);
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT(is_quiet(&b));
	CU_ASSERT_EQUAL(stats().dropped_tag, 3);
	tear_down();
}

static void wrong_mac(void)
{
	uint8_t cookie[MESH_RELAY_COOKIE_LEN];

	open_pair();
	CU_ASSERT(gets_cookie(&a, a.leg.tag, cookie));
	say_answer(&a, a.leg.tag, cookie, b.leg.key);
	CU_ASSERT(is_quiet(&a));
	say_keepalive(&a, 1, &(struct hub_leg){.tag = a.leg.tag});
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT_EQUAL(stats().dropped_mac, 2);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	tear_down();
}

static void cookie_from_another_address(void)
{
	uint8_t cookie[MESH_RELAY_COOKIE_LEN], other[MESH_RELAY_COOKIE_LEN];

	open_pair();
	CU_ASSERT(gets_cookie(&a, a.leg.tag, cookie));
	say_answer(&stranger, a.leg.tag, cookie, a.leg.key);
	CU_ASSERT(is_quiet(&stranger));
	/* nor for another tag */
	CU_ASSERT(gets_cookie(&a, b.leg.tag, other));
	say_answer(&a, a.leg.tag, other, a.leg.key);
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT_EQUAL(stats().dropped_cookie, 2);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	tear_down();
}

static void moving_needs_a_cookie(void)
{
	struct mesh_relay_message m;
	uint8_t cookie[MESH_RELAY_COOKIE_LEN];

	bind_pair();
	/* the right MAC, from elsewhere: a copy would look the same */
	say_keepalive(&stranger, 5, &a.leg);
	CU_ASSERT(hears(&stranger, MESH_RELAY_BIND_CHALLENGE, &m));
	memcpy(cookie, m.cookie, sizeof(cookie));
	say_data(&b, b.leg.tag, "to where a was");
	CU_ASSERT(hears_data(&a, a.leg.tag, "to where a was"));
	/* the node itself, behind a NAT that changed its mind */
	say_answer(&stranger, a.leg.tag, cookie, a.leg.key);
	CU_ASSERT(hears(&stranger, MESH_RELAY_BOUND, &m));
	say_data(&b, b.leg.tag, "to the new place");
	CU_ASSERT(hears_data(&stranger, a.leg.tag, "to the new place"));
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
	tear_down();
}

static void keepalives(void)
{
	struct mesh_relay_message m;

	bind_pair();
	say_keepalive(&a, 5, &a.leg);
	CU_ASSERT(hears(&a, MESH_RELAY_BOUND, &m));
	CU_ASSERT(mesh_relay_bound_check(&m, a.leg.key, NULL, 5));
	say_keepalive(&a, 5, &a.leg); /* sent again: the answer was lost */
	CU_ASSERT(hears(&a, MESH_RELAY_BOUND, &m));
	say_keepalive(&a, 4, &a.leg);
	CU_ASSERT(is_quiet(&a));
	CU_ASSERT_EQUAL(stats().dropped_mac, 1);
	tear_down();
}

static void other_leg_unbound(void)
{
	open_pair();
	CU_ASSERT(binds(&a, &a.leg));
	say_data(&a, a.leg.tag, "nobody there");
	seen(3);
	CU_ASSERT_EQUAL(stats().dropped_unbound, 1);
	CU_ASSERT(binds(&b, &b.leg));
	CU_ASSERT(is_quiet(&b));
	tear_down();
}

static void closed_at_once(void)
{
	bind_pair();
	hub_relay_close(relay, 9, 7);
	say_data(&a, a.leg.tag, "too late");
	CU_ASSERT(is_quiet(&b));
	CU_ASSERT_EQUAL(stats().dropped_tag, 1);
	CU_ASSERT_EQUAL(stats().allocations, 0);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	/* the same place again, with other tags and keys */
	struct hub_leg old = a.leg;

	CU_ASSERT(opens(9, 7, &b.leg, &a.leg));
	CU_ASSERT_NOT_EQUAL(old.tag, a.leg.tag);
	CU_ASSERT(binds(&a, &a.leg));
	CU_ASSERT(binds(&b, &b.leg));
	say_data(&a, a.leg.tag, "again");
	CU_ASSERT(hears_data(&b, b.leg.tag, "again"));
	hub_relay_close_node(relay, 9);
	say_data(&a, a.leg.tag, "too late");
	CU_ASSERT(is_quiet(&b));
	CU_ASSERT(!opens(3, 3, &a.leg, &b.leg));
	tear_down();
}

static bool has_node(void *ctx, uint32_t node_a, uint32_t node_b)
{
	const uint32_t *node = ctx;

	return node_a == *node || node_b == *node;
}

/* What a change of the policy does. */
static void others_closed_at_once(void)
{
	uint32_t seven = 7, nobody = 0;
	struct hub_leg x, y;

	bind_pair();
	for (uint32_t i = 0; i < 300; i++)
		CU_ASSERT(opens(100 + i % 17, 200 + i, &x, &y));
	CU_ASSERT_EQUAL(stats().allocations, 301);
	hub_relay_close_unless(relay, has_node, &seven);
	CU_ASSERT_EQUAL(stats().allocations, 1);
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
	say_data(&a, a.leg.tag, "as before");
	CU_ASSERT(hears_data(&b, b.leg.tag, "as before"));
	CU_ASSERT(opens(100, 200, &x, &y));
	hub_relay_close_unless(relay, has_node, &nobody);
	CU_ASSERT_EQUAL(stats().allocations, 0);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	say_data(&a, a.leg.tag, "too late");
	CU_ASSERT(is_quiet(&b));
	hub_relay_close_unless(relay, has_node, &nobody);
	hub_relay_close_node(relay, 7);
	CU_ASSERT(opens(7, 9, &a.leg, &b.leg));
	CU_ASSERT(binds(&a, &a.leg) && binds(&b, &b.leg));
	say_data(&a, a.leg.tag, "again");
	CU_ASSERT(hears_data(&b, b.leg.tag, "again"));
	tear_down();
}

static void idle_legs_are_unbound(void)
{
	options.idle_ns = 1500 * TT_NS_PER_MS;
	bind_pair();
	uint64_t challenged = stats().challenged;

	/* what is used stays, each leg by itself */
	for (unsigned i = 0; i < 20; i++) {
		say_data(&a, a.leg.tag, "here");
		usleep(100000);
		is_quiet(&b);
		if (stats().bound_legs == 1)
			break;
	}
	CU_ASSERT_EQUAL(stats().bound_legs, 1);
	CU_ASSERT_EQUAL(stats().challenged, challenged);
	for (unsigned i = 0; i < 50 && stats().bound_legs; i++)
		usleep(100000);
	CU_ASSERT_EQUAL(stats().bound_legs, 0);
	CU_ASSERT_EQUAL(stats().allocations, 1);
	while (hear_within(&b, 0))
		; /* what came late */
	/* they come back with the same tag and key */
	CU_ASSERT(binds(&a, &a.leg) && binds(&b, &b.leg));
	say_data(&a, a.leg.tag, "again");
	CU_ASSERT(hears_data(&b, b.leg.tag, "again"));
	tear_down();
}

static void rate(void)
{
	enum { N = 100 };
	uint8_t d[1400] = {0};
	unsigned got = 0;

	options.node_bytes_per_s = 1; /* so little that time makes no difference */
	options.node_burst_bytes = 65536;
	bind_pair();
	mesh_relay_data_write(d, a.leg.tag);
	d[8] = 4;
	for (unsigned i = 0; i < N; i++) {
		say(&a, d, sizeof(d));
		while (hear_within(&b, i % 20 == 19 ? QUIET_MS : 0))
			got++;
	}
	seen(4 + N);
	for (unsigned i = 0; i < WAIT_MS / QUIET_MS && got + stats().dropped_rate < N; i++)
		got += hear_within(&b, QUIET_MS);
	CU_ASSERT_EQUAL(got, 46); /* 65536 bytes */
	CU_ASSERT_EQUAL(stats().dropped_rate, N - got);
	/* and opening again fills nothing */
	CU_ASSERT(opens(7, 9, &a.leg, &b.leg));
	CU_ASSERT(binds(&a, &a.leg) && binds(&b, &b.leg));
	mesh_relay_data_write(d, a.leg.tag);
	say(&a, d, sizeof(d));
	CU_ASSERT(is_quiet(&b));
	CU_ASSERT_EQUAL(stats().dropped_rate, N - got + 1);
	/* the other node has its own */
	say_data(&b, b.leg.tag, "mine");
	CU_ASSERT(hears_data(&a, a.leg.tag, "mine"));
	tear_down();
}

/* --- while allocations change ----------------------------------------------------------------- */

static _Atomic bool done;

static void flood(void *arg)
{
	uint8_t d[64];

	(void)arg;
	memset(d, 4, sizeof(d));
	for (unsigned i = 0; !done; i++) {
		mesh_relay_data_write(d, a.leg.tag);
		(void)!send(a.fd, d, 28 + i % 30, MSG_DONTWAIT);
		mesh_relay_data_write(d, b.leg.tag);
		(void)!send(b.fd, d, 28 + i % 30, MSG_DONTWAIT);
	}
}

/* Traffic on one allocation, while its neighbours and in the end itself come and go. */
static void changes_under_traffic(void)
{
	struct plat_thread t = {0};
	struct hub_leg x, y;

	bind_pair();
	done = false;
	CU_ASSERT_EQUAL_FATAL(plat_thread_start(&t, "flood", flood, NULL), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		CU_ASSERT(opens(100 + i % 17, 200 + i % 23, &x, &y));
		if (i % 5 == 0)
			hub_relay_close_node(relay, 100 + i % 17);
	}
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
	hub_relay_close(relay, 7, 9);
	uint64_t sent = stats().tx_packets;

	usleep(20000);
	CU_ASSERT_EQUAL(stats().tx_packets, sent);
	done = true;
	plat_thread_join(&t);
	tear_down();
}

TT_TESTS("relay_udp", {"both ways", both_ways}, {"the node's machine", the_nodes_machine},
	 {"both families", both_families}, {"bursts of mixed sizes", bursts},
	 {"wrong source", wrong_source}, {"wrong tag", wrong_tag}, {"wrong MAC", wrong_mac},
	 {"a cookie from another address", cookie_from_another_address},
	 {"moving needs a cookie", moving_needs_a_cookie}, {"keepalives", keepalives},
	 {"the other leg is unbound", other_leg_unbound}, {"closed at once", closed_at_once},
	 {"others closed at once", others_closed_at_once},
	 {"idle legs are unbound", idle_legs_are_unbound}, {"a node's rate", rate},
	 {"changes under traffic", changes_under_traffic})

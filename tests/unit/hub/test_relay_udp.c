/* SPDX-License-Identifier: MIT
 *
 * The relay's thread over loopback sockets.
 */
#include "tt_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub/relay_udp.h"
#include "mesh/relay_bind.h"
#include "plat/clock.h"
#include "plat/thread.h"
#include "plat/udp_io.h"

#define WAIT_MS	 10000
#define QUIET_MS 30

struct node {
	int fd;
	struct tt_endpoint at;
	struct hub_leg leg;
	uint8_t got[2048];
	size_t got_len;
};

static struct hub_relay *relay;
static struct tt_endpoint relay_at;
static struct node a, b, stranger;
static struct hub_relay_options options;

static void node_open(struct node *n)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in hub = me;
	socklen_t len = sizeof(me);

	memset(n, 0, sizeof(*n));
	hub.sin_port = htons(relay_at.udp_port);
	n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(n->fd, (struct sockaddr *)&me, sizeof(me)), 0);
	CU_ASSERT_EQUAL_FATAL(connect(n->fd, (struct sockaddr *)&hub, sizeof(hub)), 0);
	getsockname(n->fd, (struct sockaddr *)&me, &len);
	n->at.ip = tt_ip_v4_host(INADDR_LOOPBACK);
	n->at.udp_port = ntohs(me.sin_port);
}

static void set_up(void)
{
	options.listen[0] = (struct tt_endpoint){.ip = tt_ip_v4_host(INADDR_LOOPBACK)};
	options.listen_count = 1;
	options.any_source = true;
	CU_ASSERT_EQUAL_FATAL(hub_relay_start(&options, &relay), 0);
	relay_at = (struct tt_endpoint){.ip = tt_ip_v4_host(INADDR_LOOPBACK),
					.udp_port = hub_relay_udp_port(relay)};
	node_open(&a);
	node_open(&b);
	node_open(&stranger);
}

static void tear_down(void)
{
	hub_relay_stop(relay);
	close(a.fd);
	close(b.fd);
	close(stranger.fd);
	memset(&options, 0, sizeof(options));
}

static bool opens(uint32_t node_a, uint32_t node_b, struct hub_leg *of_a, struct hub_leg *of_b)
{
	return hub_relay_open(relay, node_a, node_b, of_a, of_b) == HUB_RELAY_OPENED;
}

static struct hub_relay_stats stats(void)
{
	struct hub_relay_stats s;

	hub_relay_get_stats(relay, &s);
	return s;
}

/* Waits until the relay has seen so many datagrams. */
static void seen(uint64_t packets)
{
	for (unsigned i = 0; i < WAIT_MS && stats().rx_packets < packets; i++)
		usleep(1000);
	CU_ASSERT_EQUAL(stats().rx_packets, packets);
}

static void say(struct node *n, const void *bytes, size_t len)
{
	CU_ASSERT_EQUAL(send(n->fd, bytes, len, 0), (ssize_t)len);
}

static bool hear_within(struct node *n, int ms)
{
	struct pollfd p = {.fd = n->fd, .events = POLLIN};

	if (poll(&p, 1, ms) != 1)
		return false;
	ssize_t got = recv(n->fd, n->got, sizeof(n->got), 0);

	n->got_len = got < 0 ? 0 : (size_t)got;
	return got >= 0;
}

static bool hear(struct node *n)
{
	return hear_within(n, WAIT_MS);
}

static bool is_quiet(struct node *n)
{
	return !hear_within(n, QUIET_MS);
}

static size_t data_write(uint8_t *out, uint32_t tag, const char *text)
{
	mesh_relay_data_write(out, tag);
	memset(out + MESH_RELAY_HEADER, 4, MESH_RELAY_INNER_MIN);
	memcpy(out + MESH_RELAY_HEADER + 4, text, strlen(text));
	return MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN + strlen(text);
}

static void say_data(struct node *n, uint32_t tag, const char *text)
{
	uint8_t d[256];

	say(n, d, data_write(d, tag, text));
}

static bool hears_data(struct node *n, uint32_t tag, const char *text)
{
	uint8_t want[256];
	size_t len = data_write(want, tag, text);

	return hear(n) && n->got_len == len && memcmp(n->got, want, len) == 0;
}

static bool hears(struct node *n, enum mesh_relay_type type, struct mesh_relay_message *m)
{
	return hear(n) && mesh_relay_parse(m, n->got, n->got_len) == MESH_RELAY_OK &&
	       m->type == type;
}

static void say_request(struct node *n, uint32_t tag)
{
	uint8_t d[MESH_RELAY_REQUEST_LEN];

	mesh_relay_request_write(d, tag);
	say(n, d, sizeof(d));
}

static void say_answer(struct node *n, uint32_t tag, const uint8_t *cookie, const uint8_t *key)
{
	uint8_t d[MESH_RELAY_ANSWER_LEN];

	mesh_relay_answer_write(d, tag, cookie, key);
	say(n, d, sizeof(d));
}

static void say_keepalive(struct node *n, uint64_t sequence, const struct hub_leg *leg)
{
	uint8_t d[MESH_RELAY_KEEPALIVE_LEN];

	mesh_relay_keepalive_write(d, leg->tag, sequence, leg->key);
	say(n, d, sizeof(d));
}

static bool gets_cookie(struct node *n, uint32_t tag, uint8_t cookie[MESH_RELAY_COOKIE_LEN])
{
	struct mesh_relay_message m;

	say_request(n, tag);
	if (!hears(n, MESH_RELAY_BIND_CHALLENGE, &m) || m.tag != tag)
		return false;
	memcpy(cookie, m.cookie, MESH_RELAY_COOKIE_LEN);
	return true;
}

static bool binds(struct node *n, const struct hub_leg *leg)
{
	uint8_t cookie[MESH_RELAY_COOKIE_LEN];
	struct mesh_relay_message m;

	if (!gets_cookie(n, leg->tag, cookie))
		return false;
	say_answer(n, leg->tag, cookie, leg->key);
	return hears(n, MESH_RELAY_BOUND, &m) &&
	       m.expires_s == (options.idle_ns ? options.idle_ns / TT_NS_PER_SEC : 300) &&
	       mesh_relay_bound_check(&m, leg->key, cookie, 0);
}

static void open_pair(void)
{
	set_up();
	CU_ASSERT_FATAL(opens(7, 9, &a.leg, &b.leg));
}

static void bind_pair(void)
{
	open_pair();
	CU_ASSERT(binds(&a, &a.leg));
	CU_ASSERT(binds(&b, &b.leg));
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
}

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
	 {"probes", probes}, {"no amplification", no_amplification},
	 {"challenges are limited", challenges_are_limited},
	 {"case 23: loopback is no source", case_23_loopback_is_no_source},
	 {"random datagrams", random_datagrams}, {"10,000 allocations", many_allocations},
	 {"full", full}, {"full of idle ones", full_of_idle_ones},
	 {"changes under traffic", changes_under_traffic})

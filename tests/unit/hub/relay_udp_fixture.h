/* SPDX-License-Identifier: MIT
 *
 * The relay's thread over loopback sockets, with two nodes and a stranger. Included by one test
 * program at a time.
 */
#ifndef TT_TEST_RELAY_UDP_FIXTURE_H
#define TT_TEST_RELAY_UDP_FIXTURE_H

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

static inline void node_open(struct node *n)
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

static inline void set_up(void)
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

static inline void tear_down(void)
{
	hub_relay_stop(relay);
	close(a.fd);
	close(b.fd);
	close(stranger.fd);
	memset(&options, 0, sizeof(options));
}

static inline bool opens(uint32_t node_a, uint32_t node_b, struct hub_leg *of_a,
			 struct hub_leg *of_b)
{
	return hub_relay_open(relay, node_a, node_b, of_a, of_b) == HUB_RELAY_OPENED;
}

static inline struct hub_relay_stats stats(void)
{
	struct hub_relay_stats s;

	hub_relay_get_stats(relay, &s);
	return s;
}

/* Waits until the relay has seen so many datagrams. */
static inline void seen(uint64_t packets)
{
	for (unsigned i = 0; i < WAIT_MS && stats().rx_packets < packets; i++)
		usleep(1000);
	CU_ASSERT_EQUAL(stats().rx_packets, packets);
}

static inline void say(struct node *n, const void *bytes, size_t len)
{
	CU_ASSERT_EQUAL(send(n->fd, bytes, len, 0), (ssize_t)len);
}

static inline bool hear_within(struct node *n, int ms)
{
	struct pollfd p = {.fd = n->fd, .events = POLLIN};

	if (poll(&p, 1, ms) != 1)
		return false;
	ssize_t got = recv(n->fd, n->got, sizeof(n->got), 0);

	n->got_len = got < 0 ? 0 : (size_t)got;
	return got >= 0;
}

static inline bool hear(struct node *n)
{
	return hear_within(n, WAIT_MS);
}

static inline bool is_quiet(struct node *n)
{
	return !hear_within(n, QUIET_MS);
}

static inline size_t data_write(uint8_t *out, uint32_t tag, const char *text)
{
	mesh_relay_data_write(out, tag);
	memset(out + MESH_RELAY_HEADER, 4, MESH_RELAY_INNER_MIN);
	memcpy(out + MESH_RELAY_HEADER + 4, text, strlen(text));
	return MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN + strlen(text);
}

static inline void say_data(struct node *n, uint32_t tag, const char *text)
{
	uint8_t d[256];

	say(n, d, data_write(d, tag, text));
}

static inline bool hears_data(struct node *n, uint32_t tag, const char *text)
{
	uint8_t want[256];
	size_t len = data_write(want, tag, text);

	return hear(n) && n->got_len == len && memcmp(n->got, want, len) == 0;
}

static inline bool hears(struct node *n, enum mesh_relay_type type, struct mesh_relay_message *m)
{
	return hear(n) && mesh_relay_parse(m, n->got, n->got_len) == MESH_RELAY_OK &&
	       m->type == type;
}

static inline void say_request(struct node *n, uint32_t tag)
{
	uint8_t d[MESH_RELAY_REQUEST_LEN];

	mesh_relay_request_write(d, tag);
	say(n, d, sizeof(d));
}

static inline void say_answer(struct node *n, uint32_t tag, const uint8_t *cookie,
			      const uint8_t *key)
{
	uint8_t d[MESH_RELAY_ANSWER_LEN];

	mesh_relay_answer_write(d, tag, cookie, key);
	say(n, d, sizeof(d));
}

static inline void say_keepalive(struct node *n, uint64_t sequence, const struct hub_leg *leg)
{
	uint8_t d[MESH_RELAY_KEEPALIVE_LEN];

	mesh_relay_keepalive_write(d, leg->tag, sequence, leg->key);
	say(n, d, sizeof(d));
}

static inline bool gets_cookie(struct node *n, uint32_t tag, uint8_t cookie[MESH_RELAY_COOKIE_LEN])
{
	struct mesh_relay_message m;

	say_request(n, tag);
	if (!hears(n, MESH_RELAY_BIND_CHALLENGE, &m) || m.tag != tag)
		return false;
	memcpy(cookie, m.cookie, MESH_RELAY_COOKIE_LEN);
	return true;
}

static inline bool binds(struct node *n, const struct hub_leg *leg)
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

static inline void open_pair(void)
{
	set_up();
	CU_ASSERT_FATAL(opens(7, 9, &a.leg, &b.leg));
}

static inline void bind_pair(void)
{
	open_pair();
	CU_ASSERT(binds(&a, &a.leg));
	CU_ASSERT(binds(&b, &b.leg));
	CU_ASSERT_EQUAL(stats().bound_legs, 2);
}

#endif

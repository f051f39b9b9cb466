/* SPDX-License-Identifier: MIT
 *
 * When a node looks for its hub again: growing pauses with jitter, at once where the network has
 * changed, in its own time where a restart was announced. Nothing here is waited for.
 */
#include "node/hub_link_impl.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub_files.h"

static uv_loop_t loop;
static struct tt_rng_seeded seed;
static struct node_hub_link *l;
static struct node_hub_link_options opt;
static unsigned asked, downs;
static bool closed;

static void on_resolve(void *ctx, const char *host, uint16_t port)
{
	(void)ctx;
	CU_ASSERT_STRING_EQUAL(host, "hub.example.com");
	CU_ASSERT_EQUAL(port, 443);
	asked++;
}

static int on_socket(void *ctx, enum tt_family family)
{
	(void)ctx;
	return socket(family == TT_FAMILY_V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static void on_down(void *ctx, const char *why)
{
	(void)ctx;
	CU_ASSERT(*why != 0);
	downs++;
}

static void set_up(uint64_t s)
{
	static struct hub_files files;

	if (!files.ca.len) {
		hub_files_make_ca(&files.ca, &files.ca_key);
		CU_ASSERT_EQUAL_FATAL(tls_key_generate(&files.node_key), 0);
		hub_files_issue(&files.ca, &files.ca_key, &files.node_key, HUB_FILES_KEY,
				&files.node);
	}
	uv_loop_init(&loop);
	opt = (struct node_hub_link_options){
		.loop = &loop,
		.ca = files.ca,
		.cert = files.node,
		.key = files.node_key,
		.host = "hub.example.com",
		.name = "hub.example.com",
		.tcp_port = 443,
		.rng = tt_rng_seeded_init(&seed, s),
		.on = {.resolve = on_resolve, .socket = on_socket, .down = on_down}};
	asked = downs = 0;
	closed = false;
	CU_ASSERT_EQUAL_FATAL(node_hub_link_create(&opt, &l), 0);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static void tear_down(void)
{
	node_hub_link_destroy(l, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT(closed);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static uint64_t pause_ms(void)
{
	struct node_hub_link_info info;

	node_hub_link_get_info(l, &info);
	CU_ASSERT_EQUAL(info.state, NODE_HUB_WAITING);
	return info.retry_in_ms;
}

/* One attempt that fails; the pause that follows. */
static uint64_t fail(void)
{
	node_hub_link_attempt(l);
	CU_ASSERT_EQUAL(l->state, NODE_HUB_RESOLVING);
	node_hub_link_resolved(l, NULL, 0);
	return pause_ms();
}

static bool within(uint64_t got, uint64_t want)
{
	return got + 2 >= want - want / 8 && got <= want + want / 8 + 2;
}

static void pauses_grow(void)
{
	set_up(1);
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT(within(fail(), TT_MIN(1000u << i, 60000u)));
	CU_ASSERT_EQUAL(asked, 10);
	CU_ASSERT_EQUAL(downs, 0); /* it never was up */
	tear_down();
}

/* Nodes that lost their hub together do not come back together. */
static void with_jitter(void)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint64_t s = 1; s <= 50; s++) {
		set_up(s);
		uint64_t got = fail();
		least = TT_MIN(least, got);
		most = TT_MAX(most, got);
		tear_down();
	}
	CU_ASSERT(most - least > 150);
}

static void at_once_after_a_change(void)
{
	set_up(1);
	for (unsigned i = 0; i < 8; i++)
		fail();
	CU_ASSERT(pause_ms() > 50000);
	node_hub_link_network_changed(l);
	CU_ASSERT(pause_ms() <= 20);
	/* and from the beginning, where that fails as well */
	CU_ASSERT(within(fail(), 1000));
	tear_down();
}

static struct tt_endpoint endpoint(const char *text)
{
	struct tt_endpoint e;

	CU_ASSERT_EQUAL_FATAL(tt_endpoint_parse(text, &e), 0);
	return e;
}

/* A connection to where nothing answers: its packets may have left by a network that is gone. */
static void attempts_are_given_up(void)
{
	int full = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	char text[64];

	CU_ASSERT_EQUAL_FATAL(bind(full, (struct sockaddr *)&at, sizeof(at)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(full, 16), 0); /* nobody accepts */
	CU_ASSERT_EQUAL_FATAL(getsockname(full, (struct sockaddr *)&at, &len), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
	struct tt_endpoint to = endpoint(text);

	set_up(1);
	node_hub_link_attempt(l);
	node_hub_link_resolved(l, &to, 1);
	CU_ASSERT_EQUAL(l->state, NODE_HUB_CONNECTING);
	node_hub_link_network_changed(l); /* it has just begun */
	CU_ASSERT_EQUAL(l->state, NODE_HUB_CONNECTING);
	l->since.ns -= 2 * TT_NS_PER_SEC;
	node_hub_link_network_changed(l);
	CU_ASSERT(pause_ms() <= 20);
	tear_down();
	close(full);
}

static void addresses_of_both_families(void)
{
	struct tt_endpoint found[2] = {endpoint("127.0.0.1:9"), endpoint("[2001:db8::2]:443")}, got;

	set_up(1);
	CU_ASSERT_FALSE(node_hub_link_address(l, TT_FAMILY_V4, &got));
	node_hub_link_attempt(l);
	node_hub_link_resolved(l, found, 2);
	CU_ASSERT_TRUE(node_hub_link_address(l, TT_FAMILY_V4, &got));
	CU_ASSERT_TRUE(tt_endpoint_equal(&got, &found[0]));
	CU_ASSERT_TRUE(node_hub_link_address(l, TT_FAMILY_V6, &got));
	CU_ASSERT_TRUE(tt_endpoint_equal(&got, &found[1]));
	tear_down();
}

TT_TESTS("hub_link", {"pauses grow", pauses_grow}, {"with jitter", with_jitter},
	 {"at once after a change", at_once_after_a_change},
	 {"attempts are given up", attempts_are_given_up},
	 {"addresses of both families", addresses_of_both_families})

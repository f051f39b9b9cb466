/* SPDX-License-Identifier: MIT
 *
 * How many allocations of the relay a node may have opened at a time.
 */
#include "tt_test.h"

#include <unistd.h>

#include "hub/relay_udp.h"

#define MAX	8u
#define IDLE_MS 200u

static struct hub_relay *relay;
static struct hub_leg x, y;

static void set_up(uint64_t idle_ns)
{
	struct hub_relay_options o = {
		.listen = {{.ip = tt_ip_v4_host(0x7f000001)}},
		.listen_count = 1,
		.node_allocations = MAX,
		.idle_ns = idle_ns,
		.any_source = true,
	};

	CU_ASSERT_EQUAL_FATAL(hub_relay_start(&o, &relay), 0);
}

static enum hub_relay_outcome opens(uint32_t asks, uint32_t other)
{
	return hub_relay_open(relay, asks, other, &x, &y);
}

static uint32_t allocations(void)
{
	struct hub_relay_stats s;

	hub_relay_get_stats(relay, &s);
	return s.allocations;
}

static void fill(uint32_t node)
{
	for (uint32_t i = 0; i < MAX; i++)
		CU_ASSERT_EQUAL(opens(node, 100 + i), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(node, 100 + MAX), HUB_RELAY_NODE_FULL);
}

static void bounded(void)
{
	set_up(0);
	fill(7);
	CU_ASSERT_EQUAL(allocations(), MAX);
	/* those that it has are opened anew as often as it likes */
	for (uint32_t i = 0; i < 5 * MAX; i++)
		CU_ASSERT_EQUAL(opens(7, 100 + i % MAX), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(7, 100 + MAX), HUB_RELAY_NODE_FULL);
	hub_relay_close(relay, 7, 100);
	CU_ASSERT_EQUAL(opens(7, 100 + MAX), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(7, 100), HUB_RELAY_NODE_FULL);
	hub_relay_close_node(relay, 7);
	CU_ASSERT_EQUAL(allocations(), 0);
	fill(7);
	hub_relay_stop(relay);
}

/* A gateway is not full of what its laptops have opened, nor a laptop of what a full gateway has:
 * whoever asks is who is charged. */
static void who_asks_is_charged(void)
{
	set_up(0);
	for (uint32_t i = 0; i < 10 * MAX; i++)
		CU_ASSERT_EQUAL(opens(1000 + i, 7), HUB_RELAY_OPENED);
	fill(7);
	CU_ASSERT_EQUAL(opens(100, 7), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(2000, 7), HUB_RELAY_OPENED);
	/* opened anew by the other end it stays whose it was: nobody is refused his own, and nobody
	 * rids himself of it so */
	CU_ASSERT_EQUAL(opens(7, 1000), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(7, 3000), HUB_RELAY_NODE_FULL);
	hub_relay_close(relay, 7, 1000);
	CU_ASSERT_EQUAL(opens(7, 3000), HUB_RELAY_NODE_FULL);
	hub_relay_close(relay, 100, 7);
	CU_ASSERT_EQUAL(opens(7, 3000), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(7, 7), HUB_RELAY_SAME_NODE);
	hub_relay_stop(relay);
}

/* Refused, nothing has changed: the pair that the other end has opened goes on. */
static void refusal_closes_nothing(void)
{
	set_up(0);
	fill(7);
	uint32_t before = allocations();

	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(opens(7, 5000 + i), HUB_RELAY_NODE_FULL);
	CU_ASSERT_EQUAL(allocations(), before);
	hub_relay_stop(relay);
}

/* Those of long ago that nobody has bound make room for the next ones, and others' do not. */
static void idle_ones_make_room(void)
{
	set_up(IDLE_MS * TT_NS_PER_MS);
	CU_ASSERT_EQUAL(opens(900, 7), HUB_RELAY_OPENED);
	fill(7);
	usleep((IDLE_MS + 50) * 1000);
	/* it has looked for some a moment ago */
	CU_ASSERT_EQUAL(opens(7, 900), HUB_RELAY_OPENED);
	usleep(1000000);
	for (uint32_t i = 0; i < MAX; i++)
		CU_ASSERT_EQUAL(opens(7, 200 + i), HUB_RELAY_OPENED);
	CU_ASSERT_EQUAL(opens(7, 300), HUB_RELAY_NODE_FULL);
	CU_ASSERT_EQUAL(allocations(), MAX + 1);
	hub_relay_stop(relay);
}

TT_TESTS("relay_pairs", {"a node opens so many", bounded},
	 {"who asks is charged", who_asks_is_charged},
	 {"a refusal closes nothing", refusal_closes_nothing},
	 {"idle ones make room", idle_ones_make_room})

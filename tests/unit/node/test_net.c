/* SPDX-License-Identifier: MIT
 *
 * What the engine asks the monitor for when the configuration changes; a thread plays the monitor.
 */
#include "node/net.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "node/config_load.h"
#include "node/priv_wire.h"
#include "tt_test.h"

#define ASKED_MAX 64

static struct node_priv_request asked[ASKED_MAX];
static unsigned asked_count;
static int refuse_routes; /* result of every route that is added */
static struct node_priv_client *client;
static struct node_net *net;
static int wire[2];
static pthread_t thread;

static void *monitor(void *arg)
{
	struct node_priv_request req;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned n;

	(void)arg;
	while (node_wire_recv(wire[1], &req, sizeof(req), fds, &n) == sizeof(req)) {
		struct node_priv_reply reply = {.op = req.op, .id = req.id};

		if (req.op == NODE_PRIV_ROUTE && req.u.net.on)
			reply.result = refuse_routes;
		if (asked_count < ASKED_MAX)
			asked[asked_count++] = req;
		node_wire_send(wire[1], &reply, sizeof(reply), NULL, 0);
	}
	return NULL;
}

static void open_net(void)
{
	asked_count = 0;
	refuse_routes = 0;
	CU_ASSERT_EQUAL_FATAL(node_wire_pair(wire, false), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, monitor, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(node_priv_client_create(wire[0], &client), 0);
	CU_ASSERT_EQUAL_FATAL(node_net_create(client, &net), 0);
}

static void close_net(void)
{
	node_net_destroy(net);
	node_priv_client_destroy(client);
	pthread_join(thread, NULL);
	close(wire[1]);
}

static int apply(const char *interface_lines, const char *allowed_ips, uint32_t fwmark)
{
	static struct node_config_error err;
	char text[1024], error[256];
	struct node_config *cfg = NULL;

	snprintf(text, sizeof(text),
		 "[interface]\nname = \"tt0\"\n"
		 "private_key = \"WAtPzEdEsxeCBpHLpQBLzZk6rnGhGfbfWbnHcmSdRmc=\"\n%s"
		 "[[peer]]\npublic_key = \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"\n"
		 "allowed_ips = [%s]\n",
		 interface_lines, allowed_ips);
	struct node_config_source src = {
		.path = "tt0.toml", .text = text, .text_len = strlen(text)};

	CU_ASSERT_EQUAL_FATAL(node_config_load(&src, &err, &cfg), 0);
	asked_count = 0;
	const struct node_net_mark mark = {fwmark, NODE_NET_MARK_FIRST};
	int rc = node_net_apply(net, cfg, 1420, &mark, true, error, sizeof(error));
	node_config_free(cfg);
	return rc;
}

static unsigned count(enum node_priv_op op, bool on, uint32_t table, uint32_t fwmark)
{
	unsigned n = 0;

	for (unsigned i = 0; i < asked_count; i++)
		n += asked[i].op == (uint32_t)op && asked[i].u.net.on == on &&
		     asked[i].u.net.table == table && asked[i].u.net.fwmark == fwmark;
	return n;
}

/* The rules must know the mark that the sockets carry, or our own packets go into the tunnel. */
static void mark_of_default_route(void)
{
	open_net();
	CU_ASSERT_EQUAL(apply("", "\"0.0.0.0/0\", \"10.1.0.0/16\"", 7), 0);
	CU_ASSERT_EQUAL(count(NODE_PRIV_DEFAULT_ROUTE, true, NODE_NET_MARK_FIRST, 7), 1);
	CU_ASSERT_EQUAL(apply("", "\"0.0.0.0/0\", \"10.1.0.0/16\"", 9), 0);
	CU_ASSERT_EQUAL(count(NODE_PRIV_DEFAULT_ROUTE, false, NODE_NET_MARK_FIRST, 7), 1);
	CU_ASSERT_EQUAL(count(NODE_PRIV_DEFAULT_ROUTE, true, NODE_NET_MARK_FIRST, 9), 1);
	CU_ASSERT_EQUAL(count(NODE_PRIV_ROUTE, true, 0, 0), 0); /* the other one stays */
	CU_ASSERT_EQUAL(apply("", "\"0.0.0.0/0\", \"10.1.0.0/16\"", 9), 0);
	CU_ASSERT_EQUAL(asked_count, 1); /* the barrier */
	close_net();
}

static void table_changes(void)
{
	open_net();
	CU_ASSERT_EQUAL(apply("table = 100\n", "\"10.1.0.0/16\"", 0), 0);
	CU_ASSERT_EQUAL(count(NODE_PRIV_ROUTE, true, 100, 0), 1);
	CU_ASSERT_EQUAL(apply("table = 200\n", "\"10.1.0.0/16\"", 0), 0);
	CU_ASSERT_EQUAL(count(NODE_PRIV_ROUTE, false, 100, 0), 1);
	CU_ASSERT_EQUAL(count(NODE_PRIV_ROUTE, true, 200, 0), 1);
	close_net();
}

/* Another interface had the route; when that is gone, a reload brings ours. */
static void failed_route_is_tried_again(void)
{
	open_net();
	refuse_routes = -17;
	CU_ASSERT_NOT_EQUAL(apply("", "\"10.1.0.0/16\"", 0), 0);
	refuse_routes = 0;
	CU_ASSERT_EQUAL(apply("", "\"10.1.0.0/16\"", 0), 0);
	CU_ASSERT_EQUAL(count(NODE_PRIV_ROUTE, true, 0, 0), 1);
	close_net();
}

TT_TESTS("net", {"the mark of a default route", mark_of_default_route},
	 {"the table changes", table_changes},
	 {"a failed route is tried again", failed_route_is_tried_again})

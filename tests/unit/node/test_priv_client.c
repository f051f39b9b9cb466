/* SPDX-License-Identifier: MIT
 *
 * The engine's end of the privilege channel, with a monitor that answers late, out of turn, or
 * never. The test plays it: a socket of the pair is written before anybody reads.
 */
#include "node/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "node/priv_wire.h"
#include "tt_test.h"

static struct node_priv_client *client;
static int wire[2];
static unsigned callbacks;

static void open_client(void)
{
	callbacks = 0;
	CU_ASSERT_EQUAL_FATAL(node_wire_pair(wire, false), 0);
	CU_ASSERT_EQUAL_FATAL(node_priv_client_create(wire[0], &client), 0);
}

static void close_client(void)
{
	node_priv_client_destroy(client);
	close(wire[1]);
}

static void count(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	(void)arg;
	callbacks++;
	node_wire_close(fds, reply->fds);
}

static void answer(uint32_t id, int32_t result, const int *fd)
{
	struct node_priv_reply reply = {.id = id, .result = result, .fds = fd ? 1 : 0};

	CU_ASSERT_EQUAL(node_wire_send(wire[1], &reply, sizeof(reply), fd, reply.fds), 0);
}

static void send_one(struct node_priv_request *req, void *arg)
{
	CU_ASSERT_EQUAL(node_priv_send(client, req, -1, count, arg), 0);
}

static void callbacks_wait_for_the_end_of_a_call(void)
{
	struct node_priv_request first = {.op = NODE_PRIV_ROUTE}, second = first, call = first;
	struct node_priv_reply reply;
	int mine;

	open_client();
	send_one(&first, NULL);
	send_one(&second, &mine);
	answer(first.id, 0, NULL);
	answer(second.id, 0, NULL);
	answer(second.id + 1, -7, NULL);
	CU_ASSERT_EQUAL(node_priv_call(client, &call, -1, &reply, NULL), -7);
	CU_ASSERT_EQUAL(callbacks, 0);
	CU_ASSERT_TRUE(node_priv_has_answers(client));
	node_priv_deliver(client, &mine);
	CU_ASSERT_EQUAL(callbacks, 1);
	CU_ASSERT_EQUAL(node_priv_dispatch(client), 0);
	CU_ASSERT_EQUAL(callbacks, 2);
	CU_ASSERT_FALSE(node_priv_has_answers(client));
	close_client();
}

static void hung_monitor_is_not_waited_for(void)
{
	struct node_priv_request req = {.op = NODE_PRIV_UDP_FWMARK};
	struct node_priv_reply reply;
	int late = open("/dev/null", O_RDONLY);

	open_client();
	CU_ASSERT_EQUAL(node_priv_call(client, &req, -1, &reply, NULL), -ETIMEDOUT);
	CU_ASSERT_NOT_EQUAL(reply.error[0], 0);
	/* its answer comes after all, with something in it */
	answer(req.id, 0, &late);
	CU_ASSERT_EQUAL(node_priv_dispatch(client), 0);
	int next = open("/dev/null", O_RDONLY);
	CU_ASSERT_EQUAL(next, wire[1] + 1); /* no descriptor was left open */
	close(next);
	close(late);
	close_client();
}

/* A send that fails for good wakes nobody by itself: the loop has to be told at its next turn. */
static void broken_while_sending(void)
{
	struct node_priv_request req = {.op = NODE_PRIV_ROUTE};

	open_client();
	CU_ASSERT_FALSE(node_priv_has_answers(client));
	close(wire[1]);
	wire[1] = -1;
	node_priv_send(client, &req, -1, count, NULL);
	CU_ASSERT_TRUE(node_priv_has_answers(client));
	CU_ASSERT_EQUAL(node_priv_dispatch(client), -EPIPE);
	CU_ASSERT_EQUAL(node_priv_send(client, &req, -1, count, NULL), -EPIPE);
	CU_ASSERT_EQUAL(callbacks, 0);
	node_priv_client_destroy(client);
}

static void answers_without_a_question(void)
{
	int fd = open("/dev/null", O_RDONLY);

	open_client();
	answer(77, 0, &fd);
	CU_ASSERT_EQUAL(node_priv_dispatch(client), 0);
	CU_ASSERT_EQUAL(write(wire[1], "x", 1), 1);
	CU_ASSERT_EQUAL(node_priv_dispatch(client), -EPIPE);
	CU_ASSERT_EQUAL(node_priv_send(client, &(struct node_priv_request){0}, -1, NULL, NULL),
			-EPIPE);
	close(fd);
	close_client();
}

/* However many requests wait, a call goes through behind them. */
static void *late_monitor(void *arg)
{
	struct node_priv_request req;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned n;

	(void)arg;
	while (node_wire_recv(wire[1], &req, sizeof(req), fds, &n) == sizeof(req))
		answer(req.id, 0, NULL);
	return NULL;
}

static void call_behind_a_full_queue(void)
{
	struct node_priv_request req = {.op = NODE_PRIV_ROUTE};
	struct node_priv_reply reply;
	unsigned sent = 0;
	pthread_t thread;

	open_client();
	while (node_priv_send(client, &req, -1, count, &sent) == 0)
		sent++;
	CU_ASSERT_EQUAL(sent, 4096);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, late_monitor, NULL), 0);
	CU_ASSERT_EQUAL(node_priv_call(client, &req, -1, &reply, NULL), 0);
	node_priv_deliver(client, &sent);
	CU_ASSERT_EQUAL(callbacks, sent);
	node_priv_client_destroy(client);
	pthread_join(thread, NULL);
	close(wire[1]);
}

TT_TESTS("priv_client",
	 {"callbacks wait for the end of a call", callbacks_wait_for_the_end_of_a_call},
	 {"a hung monitor is not waited for", hung_monitor_is_not_waited_for},
	 {"broken while sending", broken_while_sending},
	 {"answers without a question", answers_without_a_question},
	 {"a call behind a full queue", call_behind_a_full_queue})

/* SPDX-License-Identifier: MIT
 *
 * The engine's end of node/priv.h: requests wait in a bounded list until the socket takes them,
 * then until their reply comes.
 */
#include "node/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "node/priv_wire.h"

#define CLIENT_WAITING_MAX 4096
/* How long a call waits. The loader has 30 s of its own (monitor_job.c), and each of the firewall
 * program's two runs 5 (plat/firewall.h). */
#define CALL_MS		5000
#define CALL_LOAD_MS	40000
#define CALL_GATEWAY_MS 12000
#define CALL_TURN_MS	100

enum client_state { CLIENT_UNSENT, CLIENT_SENT, CLIENT_ANSWERED };

struct client_request {
	struct tt_list node;
	enum client_state state; /* which list it is in */
	struct node_priv_request req;
	int fd; /* to send; -1: none */
	node_priv_done done;
	void *arg;
	struct node_priv_reply reply; /* ANSWERED, with its descriptors */
	int fds[NODE_PRIV_FDS_MAX];
};

struct node_priv_client {
	int fd;
	uint32_t next_id;
	unsigned waiting;	 /* in all lists */
	struct tt_list unsent;	 /* in the order of sending */
	struct tt_list sent;	 /* replies come nearly in this order */
	struct tt_list answered; /* whose callbacks have not run */
	bool broken;
};

int node_priv_client_create(int fd, struct node_priv_client **out)
{
	struct node_priv_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	c->fd = fd;
	c->next_id = 1;
	tt_list_init(&c->unsent);
	tt_list_init(&c->sent);
	tt_list_init(&c->answered);
	*out = c;
	return 0;
}

static void client_forget(struct node_priv_client *c, struct client_request *r)
{
	tt_list_del(&r->node);
	c->waiting--;
	if (r->fd >= 0)
		close(r->fd);
	if (r->state == CLIENT_ANSWERED)
		node_wire_close(r->fds, r->reply.fds);
	free(r);
}

static void client_forget_all(struct node_priv_client *c, struct tt_list *list)
{
	while (!tt_list_empty(list))
		client_forget(c, TT_CONTAINER_OF(list->next, struct client_request, node));
}

void node_priv_client_destroy(struct node_priv_client *c)
{
	if (!c)
		return;
	client_forget_all(c, &c->unsent);
	client_forget_all(c, &c->sent);
	client_forget_all(c, &c->answered);
	close(c->fd);
	free(c);
}

int node_priv_client_fd(const struct node_priv_client *c)
{
	return c->fd;
}

bool node_priv_wants_write(const struct node_priv_client *c)
{
	return !c->broken && !tt_list_empty(&c->unsent);
}

/* 0 where all went or the socket is full; -errno where the channel is broken. */
static int client_flush(struct node_priv_client *c)
{
	while (!tt_list_empty(&c->unsent)) {
		struct client_request *r =
			TT_CONTAINER_OF(c->unsent.next, struct client_request, node);
		int err = node_wire_send(c->fd, &r->req, sizeof(r->req), &r->fd, r->fd >= 0);

		if (err == -EAGAIN)
			return 0;
		if (err) {
			c->broken = true;
			return err;
		}
		if (r->fd >= 0)
			close(r->fd);
		r->fd = -1;
		tt_list_del(&r->node);
		tt_list_add_tail(&c->sent, &r->node);
		r->state = CLIENT_SENT;
	}
	return 0;
}

/* Takes the descriptor. NULL: no memory. */
static struct client_request *client_queue(struct node_priv_client *c,
					   struct node_priv_request *req, int fd_to_send,
					   node_priv_done done, void *arg)
{
	struct client_request *r = calloc(1, sizeof(*r));

	if (!r) {
		if (fd_to_send >= 0)
			close(fd_to_send);
		return NULL;
	}
	req->id = c->next_id++;
	r->req = *req;
	r->fd = fd_to_send;
	r->done = done;
	r->arg = arg;
	tt_list_add_tail(&c->unsent, &r->node);
	c->waiting++;
	/* a broken channel is told by the next dispatch, in one place */
	(void)client_flush(c);
	return r;
}

int node_priv_send(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   node_priv_done done, void *arg)
{
	int err = c->broken ? -EPIPE : c->waiting >= CLIENT_WAITING_MAX ? -ENOBUFS : 0;

	if (!err)
		return client_queue(c, req, fd_to_send, done, arg) ? 0 : -ENOMEM;
	if (fd_to_send >= 0)
		close(fd_to_send);
	return err;
}

static struct client_request *client_find(struct node_priv_client *c, uint32_t id)
{
	struct tt_list *it;

	tt_list_for_each (it, &c->sent) {
		struct client_request *r = TT_CONTAINER_OF(it, struct client_request, node);
		if (r->req.id == id)
			return r;
	}
	return NULL;
}

/* Reads one reply and puts it with its request. 0, -EAGAIN, or -EPIPE. */
static int client_read(struct node_priv_client *c)
{
	struct client_request *r;
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned nfds;
	ssize_t n = node_wire_recv(c->fd, &reply, sizeof(reply), fds, &nfds);

	if (n == -EAGAIN)
		return -EAGAIN;
	r = n == sizeof(reply) ? client_find(c, reply.id) : NULL;
	if (!r) {
		node_wire_close(fds, nfds);
		c->broken |= n != sizeof(reply);
		return n == sizeof(reply) ? 0 : -EPIPE;
	}
	reply.error[sizeof(reply.error) - 1] = 0;
	if (reply.fds != nfds) {
		/* our descriptor table was full */
		node_wire_close(fds, nfds);
		reply.fds = nfds = 0;
		reply.result = -EMFILE;
		strcpy(reply.error, "too many open files");
	}
	r->reply = reply;
	memcpy(r->fds, fds, nfds * sizeof(int));
	tt_list_del(&r->node);
	tt_list_add_tail(&c->answered, &r->node);
	r->state = CLIENT_ANSWERED;
	return 0;
}

/* The request is gone before its callback runs, which may send. */
static void client_deliver(struct node_priv_client *c, struct client_request *r)
{
	struct client_request done = *r;

	if (!done.done) {
		client_forget(c, r);
		return;
	}
	r->reply.fds = 0;
	client_forget(c, r);
	done.done(done.arg, &done.reply, done.fds);
}

int node_priv_dispatch(struct node_priv_client *c)
{
	int err;

	do {
		while (!tt_list_empty(&c->answered))
			client_deliver(c, TT_CONTAINER_OF(c->answered.next, struct client_request,
							  node));
		err = client_read(c);
	} while (!err);
	if (err != -EAGAIN)
		return err;
	return c->broken || client_flush(c) ? -EPIPE : 0;
}

/* A channel that broke while something was sent is an answer, too: nothing else would ever wake the
 * loop for it. */
bool node_priv_has_answers(const struct node_priv_client *c)
{
	return c->broken || !tt_list_empty(&c->answered);
}

static struct client_request *client_find_answered(struct node_priv_client *c, const void *arg)
{
	struct tt_list *it;

	tt_list_for_each (it, &c->answered) {
		struct client_request *r = TT_CONTAINER_OF(it, struct client_request, node);
		if (r->done && r->arg == arg)
			return r;
	}
	return NULL;
}

void node_priv_deliver(struct node_priv_client *c, const void *arg)
{
	struct client_request *r;

	while ((r = client_find_answered(c, arg)))
		client_deliver(c, r);
}

/* --- calls ------------------------------------------------------------------------------------ */

static int client_patience_ms(uint32_t op)
{
	switch (op) {
	case NODE_PRIV_CONFIG_LOAD:
		return CALL_LOAD_MS;
	case NODE_PRIV_GATEWAY:
		return CALL_GATEWAY_MS;
	default:
		return CALL_MS;
	}
}

/*
 * Counts turns of poll instead of looking at a clock: a machine or a process that slept has not
 * waited.
 */
static int client_wait_for(struct node_priv_client *c, const struct client_request *r)
{
	int turns = client_patience_ms(r->req.op) / CALL_TURN_MS;
	int err = c->broken ? -EPIPE : 0;

	while (!err && r->state != CLIENT_ANSWERED) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		if (node_priv_wants_write(c))
			p.events |= POLLOUT;
		if (poll(&p, 1, CALL_TURN_MS) == 0 && turns-- == 0)
			return -ETIMEDOUT;
		err = client_flush(c);
		while (!err && r->state != CLIENT_ANSWERED)
			err = client_read(c);
		if (err == -EAGAIN)
			err = 0;
	}
	return err;
}

int node_priv_call(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   struct node_priv_reply *reply, int *fds)
{
	struct client_request *r = client_queue(c, req, fd_to_send, NULL, NULL);
	int err = r ? client_wait_for(c, r) : -ENOMEM;

	if (!err) {
		*reply = r->reply;
		if (fds) {
			memcpy(fds, r->fds, reply->fds * sizeof(int));
			r->reply.fds = 0;
		}
		client_forget(c, r);
		return reply->result;
	}
	/* a request without callback: what still comes for it is dropped */
	memset(reply, 0, sizeof(*reply));
	reply->result = err;
	snprintf(reply->error, sizeof(reply->error), "the monitor does not answer");
	return err;
}

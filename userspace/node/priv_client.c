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

struct client_request {
	struct tt_list node;
	struct node_priv_request req;
	int fd; /* to send; -1: none */
	node_priv_done done;
	void *arg;
};

struct node_priv_client {
	int fd;
	uint32_t next_id;
	unsigned waiting;      /* in both lists */
	struct tt_list unsent; /* in the order of sending */
	struct tt_list sent;   /* replies come nearly in this order */
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
	*out = c;
	return 0;
}

static void client_forget(struct node_priv_client *c, struct client_request *r)
{
	tt_list_del(&r->node);
	c->waiting--;
	if (r->fd >= 0)
		close(r->fd);
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
	}
	return 0;
}

int node_priv_send(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   node_priv_done done, void *arg)
{
	struct client_request *r = NULL;
	int err = c->broken ? -EPIPE : c->waiting >= CLIENT_WAITING_MAX ? -ENOBUFS : 0;

	if (!err && !(r = calloc(1, sizeof(*r))))
		err = -ENOMEM;
	if (err) {
		if (fd_to_send >= 0)
			close(fd_to_send);
		return err;
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
	return 0;
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

static void client_deliver(struct node_priv_client *c, struct node_priv_reply *reply,
			   const int *fds, unsigned nfds)
{
	struct client_request *r = client_find(c, reply->id);
	node_priv_done done = r ? r->done : NULL;
	void *arg = r ? r->arg : NULL;

	reply->error[sizeof(reply->error) - 1] = 0;
	if (reply->fds != nfds) {
		/* our descriptor table was full */
		node_wire_close(fds, nfds);
		nfds = 0;
		reply->fds = 0;
		reply->result = -EMFILE;
		strcpy(reply->error, "too many open files");
	}
	/* first, because the callback may send */
	if (r)
		client_forget(c, r);
	if (done)
		done(arg, reply, fds);
	else
		node_wire_close(fds, nfds);
}

int node_priv_dispatch(struct node_priv_client *c)
{
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned nfds;

	for (;;) {
		ssize_t n = node_wire_recv(c->fd, &reply, sizeof(reply), fds, &nfds);

		if (n == -EAGAIN)
			break;
		if (n != sizeof(reply)) {
			node_wire_close(fds, nfds);
			c->broken = true;
			return -EPIPE;
		}
		client_deliver(c, &reply, fds, nfds);
	}
	return client_flush(c) ? -EPIPE : 0;
}

struct client_call {
	struct node_priv_reply *reply;
	int *fds;
	bool done;
};

static void client_call_done(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct client_call *call = arg;

	*call->reply = *reply;
	if (call->fds)
		memcpy(call->fds, fds, reply->fds * sizeof(int));
	else
		node_wire_close(fds, reply->fds);
	call->done = true;
}

/* The caller's `call` is gone when this returns: no late reply may find it. */
static void client_abandon(struct node_priv_client *c, uint32_t id)
{
	struct tt_list *lists[] = {&c->unsent, &c->sent}, *it;

	for (unsigned i = 0; i < TT_ARRAY_LEN(lists); i++)
		tt_list_for_each (it, lists[i]) {
			struct client_request *r = TT_CONTAINER_OF(it, struct client_request, node);
			if (r->req.id == id)
				r->done = NULL;
		}
}

int node_priv_call(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   struct node_priv_reply *reply, int *fds)
{
	struct client_call call = {.reply = reply, .fds = fds};
	int err;

	memset(reply, 0, sizeof(*reply));
	err = node_priv_send(c, req, fd_to_send, client_call_done, &call);
	while (!err && !call.done) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		if (node_priv_wants_write(c))
			p.events |= POLLOUT;
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			err = -errno;
		else
			err = node_priv_dispatch(c);
	}
	if (call.done)
		return reply->result;
	client_abandon(c, req->id);
	reply->result = err;
	snprintf(reply->error, sizeof(reply->error), "the monitor does not answer");
	return err;
}

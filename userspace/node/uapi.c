/* SPDX-License-Identifier: MIT
 *
 * The server side of the UAPI socket: clients, bounds, and the flow of bytes.
 */
#include "node/uapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "crypto/mem.h"
#include "plat/secmem.h"
#include "wire/listener.h"

#define PIECE 65536

enum client_state {
	CLIENT_IDLE,  /* between operations */
	CLIENT_SET,   /* lines of a set */
	CLIENT_GET,   /* a get was read; waiting for its empty line */
	CLIENT_REPLY, /* a reply is being written; no more is read until it is out */
};

struct node_uapi {
	uv_loop_t *loop;
	struct wire_listener listener;
	bool listening;
	struct node_device *device;
	void (*changed)(void *ctx);
	void *ctx;
	struct tt_list clients; /* the one that was silent longest comes first */
	unsigned count;
};

/* What a client sends and reads: there are keys in it. */
struct client_buffers {
	char line[NODE_UAPI_LINE_MAX];
	char pending[PIECE];
	char out[PIECE];
};

/* Closed clients keep theirs until the loop has turned, hence twice as many. */
static struct plat_secmem *mem_buffers;

struct client {
	uv_pipe_t pipe;
	uv_timer_t idle;
	uv_write_t write;
	struct node_uapi *server;
	struct tt_list link;
	enum client_state state;
	struct node_uapi_set set;
	struct node_uapi_get get;
	bool get_open; /* pieces of the get are still to come */
	size_t request_bytes;
	unsigned handles; /* open ones; the last that closes frees the client */
	size_t line_len;
	size_t pending_len; /* bytes that were read behind the operation being answered */
	struct client_buffers *b;
};

static void client_take(struct client *c, char *data, size_t len);

/* --- life of a client ------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
	struct client *c = h->data;

	if (--c->handles)
		return;
	plat_secmem_free(mem_buffers, c->b);
	free(c);
}

static void finish_set(struct client *c, int *result)
{
	*result = node_uapi_set_end(&c->set);
	c->state = CLIENT_IDLE;
	c->server->changed(c->server->ctx);
}

static void client_close(struct client *c)
{
	int ignored;

	if (uv_is_closing((uv_handle_t *)&c->pipe))
		return;
	/* what a half-written set has changed is in force: publish it, as if it had ended here */
	if (c->state == CLIENT_SET)
		finish_set(c, &ignored);
	tt_list_del(&c->link);
	c->server->count--;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
	uv_close((uv_handle_t *)&c->idle, on_closed);
}

static void on_idle(uv_timer_t *t)
{
	client_close(t->data);
}

static void touch(struct client *c)
{
	tt_list_del(&c->link);
	tt_list_add_tail(&c->server->clients, &c->link);
	uv_timer_start(&c->idle, on_idle, NODE_UAPI_IDLE_MS, 0);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *w, int status);
static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b);
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b);

static void write_out(struct client *c, size_t len)
{
	uv_buf_t b = uv_buf_init(c->b->out, (unsigned)len);

	c->state = CLIENT_REPLY;
	uv_read_stop((uv_stream_t *)&c->pipe);
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &b, 1, on_written) != 0)
		client_close(c);
}

static void reply_set(struct client *c, int err)
{
	int n = snprintf(c->b->out, sizeof(c->b->out), "errno=%d\n\n", err);
	write_out(c, (size_t)n);
}

/* The next piece of a get, or its last line. */
static void reply_get(struct client *c)
{
	size_t n = node_uapi_get_piece(&c->get, c->b->out, sizeof(c->b->out) - 64);

	if (!n) {
		c->get_open = false;
		n = (size_t)snprintf(c->b->out, sizeof(c->b->out), "errno=0\n\n");
	}
	write_out(c, n);
}

static void on_written(uv_write_t *w, int status)
{
	struct client *c = w->data;

	if (status < 0 || uv_is_closing((uv_handle_t *)&c->pipe)) {
		client_close(c);
		return;
	}
	touch(c);
	if (c->get_open) {
		reply_get(c);
		return;
	}
	crypto_wipe(c->b->out, sizeof(c->b->out));
	c->state = CLIENT_IDLE;
	/* operations that came behind the one just answered */
	size_t len = c->pending_len;
	c->pending_len = 0;
	if (len)
		client_take(c, c->b->pending, len);
	if (c->state != CLIENT_REPLY && !uv_is_closing((uv_handle_t *)&c->pipe))
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void end_of_operation(struct client *c)
{
	int err;

	if (c->state == CLIENT_SET) {
		finish_set(c, &err);
		reply_set(c, err);
	} else if (c->state == CLIENT_GET) {
		node_uapi_get_begin(&c->get, c->server->device);
		c->get_open = true;
		reply_get(c);
	}
}

static void take_line(struct client *c)
{
	c->b->line[c->line_len] = 0;
	if (!c->line_len) {
		end_of_operation(c);
		return;
	}
	if (c->state == CLIENT_SET) {
		node_uapi_set_line(&c->set, c->b->line);
	} else if (c->state == CLIENT_IDLE && strcmp(c->b->line, "set=1") == 0) {
		c->state = CLIENT_SET;
		c->request_bytes = 0;
		node_uapi_set_begin(&c->set, c->server->device);
	} else if (c->state == CLIENT_IDLE && strcmp(c->b->line, "get=1") == 0) {
		c->state = CLIENT_GET;
	} else {
		client_close(c);
	}
	crypto_wipe(c->b->line, c->line_len);
}

/* Bytes from the client; those behind an operation that is being answered wait in `pending`. */
static void client_feed(struct client *c, const char *data, size_t len)
{
	c->request_bytes += len;
	for (size_t i = 0; i < len; i++) {
		if (uv_is_closing((uv_handle_t *)&c->pipe))
			return;
		if (c->state == CLIENT_REPLY) {
			memmove(c->b->pending, data + i, len - i);
			c->pending_len = len - i;
			return;
		}
		if (data[i] == '\n') {
			take_line(c);
			c->line_len = 0;
		} else if (c->line_len + 1 < sizeof(c->b->line)) {
			c->b->line[c->line_len++] = data[i];
		} else {
			client_close(c);
			return;
		}
	}
	if (c->request_bytes > NODE_UAPI_REQUEST_MAX)
		client_close(c);
}

/* The same, and wipes what is not needed any more. data lies in `pending`. */
static void client_take(struct client *c, char *data, size_t len)
{
	client_feed(c, data, len);
	crypto_wipe(c->b->pending + c->pending_len, len - c->pending_len);
}

/* Reading is stopped while an answer is on its way, so the buffer is free whenever it is asked for.
 */
static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	struct client *c = h->data;

	(void)hint;
	*b = uv_buf_init(c->b->pending, sizeof(c->b->pending));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct client *c = s->data;

	if (n < 0) {
		client_close(c);
		return;
	}
	if (!n)
		return;
	touch(c);
	client_take(c, b->base, (size_t)n);
}

/* --- accepting -------------------------------------------------------------------------------- */

static struct client *client_create(struct node_uapi *u)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->b = plat_secmem_alloc(mem_buffers);
	c->server = u;
	c->handles = 2;
	uv_pipe_init(u->loop, &c->pipe, 0);
	uv_timer_init(u->loop, &c->idle);
	c->pipe.data = c->idle.data = c;
	tt_list_add_tail(&u->clients, &c->link);
	u->count++;
	return c;
}

/* A daemon that keeps its connection open for the next question must not keep wg(8) out. */
static void make_room(struct node_uapi *u, const struct client *newcomer)
{
	struct tt_list *l;

	tt_list_for_each (l, &u->clients) {
		struct client *c = TT_CONTAINER_OF(l, struct client, link);

		if (c != newcomer && c->state == CLIENT_IDLE && !c->line_len) {
			client_close(c);
			return;
		}
	}
}

/* Without memory for it, whoever has come is gone again. */
static void on_accepted(void *ctx, int fd)
{
	struct node_uapi *u = ctx;
	struct client *c = client_create(u);

	if (!c) {
		close(fd);
		return;
	}
	bool opened = uv_pipe_open(&c->pipe, fd) == 0;

	if (!opened)
		close(fd);
	if (opened && u->count > NODE_UAPI_CLIENTS_MAX)
		make_room(u, c);
	if (!opened || !c->b || u->count > NODE_UAPI_CLIENTS_MAX) {
		client_close(c);
		return;
	}
	touch(c);
	uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

static void on_server_closed(void *ctx)
{
	free(ctx);
}

int node_uapi_prepare(void)
{
	bool locked = true;
	int err = 0;

	if (!mem_buffers)
		err = plat_secmem_create(sizeof(struct client_buffers), 2 * NODE_UAPI_CLIENTS_MAX,
					 &mem_buffers, &locked);
	if (!locked)
		tt_log(TT_LOG_WARN, "memory.not_locked",
		       TT_F_STR("hint",
				"keys that wg(8) sends may reach the swap: give CAP_IPC_LOCK "
				"or raise RLIMIT_MEMLOCK"));
	return err;
}

int node_uapi_serve(uv_loop_t *loop, int listen_fd, struct node_device *d,
		    void (*changed)(void *ctx), void *ctx, struct node_uapi **out)
{
	struct node_uapi *u = calloc(1, sizeof(*u));
	int err = node_uapi_prepare();

	if (!u || err) {
		free(u);
		return u ? err : -ENOMEM;
	}
	u->device = d;
	u->changed = changed;
	u->ctx = ctx;
	tt_list_init(&u->clients);
	u->loop = loop;
	err = wire_listener_start(&u->listener, loop,
				  &(struct wire_listener_options){
					  .name = "uapi",
					  .fd = listen_fd,
					  .backlog = NODE_UAPI_CLIENTS_MAX,
					  .per_turn = NODE_UAPI_CLIENTS_MAX,
					  .accepted = on_accepted,
					  .closed = on_server_closed,
					  .ctx = u,
				  });
	u->listening = !err;
	*out = u; /* also on error: node_uapi_stop() frees it */
	return err;
}

void node_uapi_stop(struct node_uapi *u)
{
	struct tt_list *l, *next;

	tt_list_for_each_safe (l, next, &u->clients)
		client_close(TT_CONTAINER_OF(l, struct client, link));
	if (u->listening)
		wire_listener_stop(&u->listener);
	else
		free(u);
}

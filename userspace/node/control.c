/* SPDX-License-Identifier: MIT
 *
 * The server side of the control socket: one JSON object per line in, one out.
 */
#include "node/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "node/control_status.h"
#include "node/control_stream.h"
#include "plat/clock.h"
#include "wire/listener.h"

struct node_control {
	uv_loop_t *loop;
	struct wire_listener listener;
	bool listening;
	struct node_control_ops ops;
	struct tt_list clients;
	unsigned count, listeners;
};

struct client {
	uv_pipe_t pipe;
	uv_timer_t idle;
	unsigned handles; /* that are not closed yet */
	struct node_control *server;
	struct tt_list link;
	bool listens;
	bool waiting; /* for a reload: it must not be freed while the answer is to come */
	size_t len;
	char buf[NODE_CONTROL_LINE_MAX];
};

struct answer {
	uv_write_t write;
	struct client *client;
	char *text;
};

/* --- life of a client ------------------------------------------------------------------------- */

static void free_if_done(struct client *c)
{
	if (!c->handles && !c->waiting)
		free(c);
}

static void on_closed(uv_handle_t *h)
{
	struct client *c = h->data;

	c->handles--;
	free_if_done(c);
}

static void client_close(struct client *c)
{
	if (uv_is_closing((uv_handle_t *)&c->pipe))
		return;
	tt_list_del(&c->link);
	c->server->count--;
	c->server->listeners -= c->listens;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
	uv_close((uv_handle_t *)&c->idle, on_closed);
}

/* Says nothing, or does not read: its place is for others. */
static void on_idle(uv_timer_t *t)
{
	struct client *c = t->data;

	if (!c->waiting)
		client_close(c);
}

static void touch(struct client *c)
{
	uv_timer_start(&c->idle, on_idle, NODE_CONTROL_IDLE_MS, NODE_CONTROL_IDLE_MS);
}

static void next_request(struct client *c);

/* --- answers ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *w, int status)
{
	struct answer *a = w->data;

	if (status < 0)
		client_close(a->client);
	else
		next_request(a->client);
	free(a->text);
	free(a);
}

/* Takes the reference. Nothing more is read from the client until it has taken the answer. */
static void answer(struct client *c, json_t *reply)
{
	struct answer *a = calloc(1, sizeof(*a));
	char *text = json_dumps(reply, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(reply);
	if (!a || !text || uv_is_closing((uv_handle_t *)&c->pipe)) {
		free(a);
		free(text);
		client_close(c);
		return;
	}
	text[len] = '\n'; /* in place of the terminating zero */
	*a = (struct answer){.client = c, .text = text};
	a->write.data = a;
	uv_buf_t b = uv_buf_init(text, (unsigned)len + 1);
	uv_read_stop((uv_stream_t *)&c->pipe);
	if (uv_write(&a->write, (uv_stream_t *)&c->pipe, &b, 1, on_written) != 0) {
		free(a->text);
		free(a);
		client_close(c);
	}
}

static void answer_error(struct client *c, enum node_control_kind kind, const char *error)
{
	static const char *const names[NODE_CONTROL_KINDS] = {
		[NODE_CONTROL_REQUEST] = "request",
		[NODE_CONTROL_CONFIG] = "config",
		[NODE_CONTROL_FAILED] = "failed",
	};

	answer(c, json_pack("{s:i,s:b,s:s,s:s}", "v", NODE_CONTROL_VERSION, "ok", 0, "kind",
			    names[kind], "error", error));
}

static void answer_ok(struct client *c)
{
	answer(c, json_pack("{s:i,s:b}", "v", NODE_CONTROL_VERSION, "ok", 1));
}

/* --- operations ------------------------------------------------------------------------------- */

static void op_status(struct client *c, const json_t *request)
{
	const char *without = json_string_value(json_object_get(request, "without"));
	bool allowed_ips = !without || strcmp(without, "allowed_ips") != 0;

	answer(c, json_pack("{s:i,s:b,s:o}", "v", NODE_CONTROL_VERSION, "ok", 1, "status",
			    node_control_status(&c->server->ops, allowed_ips)));
}

static void on_reloaded(void *arg, enum node_control_kind kind, const char *error)
{
	struct client *c = arg;

	c->waiting = false;
	if (!c->handles) {
		free(c);
		return;
	}
	if (error)
		answer_error(c, kind, error);
	else
		answer_ok(c);
}

static void op_reload(struct client *c, const json_t *request)
{
	(void)request;
	c->waiting = true;
	uv_read_stop((uv_stream_t *)&c->pipe);
	c->server->ops.reload(c->server->ops.ctx, on_reloaded, c);
}

static void op_events(struct client *c, const json_t *request)
{
	(void)request;
	if (c->server->listeners == NODE_CONTROL_LISTENERS_MAX) {
		answer_error(c, NODE_CONTROL_FAILED, "too many listen already");
		return;
	}
	c->listens = true;
	c->server->listeners++;
	answer_ok(c);
}

static void op_stop(struct client *c, const json_t *request)
{
	(void)request;
	answer_ok(c);
	c->server->ops.stop(c->server->ops.ctx);
}

static void op_log_level(struct client *c, const json_t *request)
{
	const json_t *wanted = json_object_get(request, "level");
	const char *name = json_string_value(wanted);
	enum tt_log_level level;

	if (wanted && (!name || !tt_log_level_parse(name, &level))) {
		answer_error(c, NODE_CONTROL_REQUEST, "\"level\" is error, warn, info or debug");
		return;
	}
	if (wanted && c->server->ops.log_level(c->server->ops.ctx, level) != 0) {
		answer_error(c, NODE_CONTROL_FAILED, "the monitor does not answer");
		return;
	}
	answer(c, json_pack("{s:i,s:b,s:s}", "v", NODE_CONTROL_VERSION, "ok", 1, "level",
			    tt_log_level_name(tt_log_get_level())));
}

static const struct {
	const char *name;
	void (*run)(struct client *c, const json_t *request);
} operations[] = {{"status", op_status},
		  {"reload", op_reload},
		  {"stop", op_stop},
		  {"events", op_events},
		  {"log-level", op_log_level}};

static void request(struct client *c, const char *line, size_t len)
{
	json_error_t error;
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *op = json_string_value(json_object_get(root, "op"));
	json_t *v = json_object_get(root, "v");
	unsigned i;

	if (!json_is_object(root)) {
		answer_error(c, NODE_CONTROL_REQUEST, "not a JSON object in one line");
	} else if (!json_is_integer(v) || json_integer_value(v) != NODE_CONTROL_VERSION) {
		answer_error(c, NODE_CONTROL_REQUEST,
			     "unknown protocol version; this daemon speaks \"v\":1");
	} else {
		for (i = 0; i < TT_ARRAY_LEN(operations); i++)
			if (op && strcmp(op, operations[i].name) == 0)
				break;
		if (i < TT_ARRAY_LEN(operations))
			operations[i].run(c, root);
		else
			answer_error(
				c, NODE_CONTROL_REQUEST,
				"unknown \"op\"; known: status, reload, stop, events, log-level");
	}
	json_decref(root);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	struct client *c = h->data;

	(void)hint;
	*b = uv_buf_init(c->buf + c->len, (unsigned)(sizeof(c->buf) - c->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct client *c = s->data;

	(void)b;
	if (n < 0) {
		client_close(c);
		return;
	}
	c->len += (size_t)n;
	next_request(c);
}

/* One request at a time: the next comes when its predecessor's answer is out, from the buffer
 * where it is there already. */
static void next_request(struct client *c)
{
	/* whoever listens has nothing more to say; reading shows when it goes */
	if (c->listens) {
		uv_timer_stop(&c->idle);
		c->len = 0;
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
		return;
	}
	char *eol = memchr(c->buf, '\n', c->len);

	touch(c);
	if (!eol && c->len < sizeof(c->buf)) {
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
		return;
	}
	if (!eol) {
		answer_error(c, NODE_CONTROL_REQUEST, "request longer than 4096 bytes");
		c->len = 0;
		return;
	}
	size_t len = (size_t)(eol - c->buf);
	request(c, c->buf, len);
	c->len -= len + 1;
	memmove(c->buf, eol + 1, c->len);
}

/* --- listeners -------------------------------------------------------------------------------- */

/* One line for all who listen. */
struct shared_line {
	unsigned refs;
	size_t len;
	char *text;
};

struct line_write {
	uv_write_t write;
	struct client *client;
	struct shared_line *line;
};

static void release(struct shared_line *line)
{
	if (--line->refs)
		return;
	free(line->text);
	free(line);
}

static void on_line_written(uv_write_t *w, int status)
{
	struct line_write *l = w->data;

	if (status < 0)
		client_close(l->client);
	release(l->line);
	free(l);
}

static void send_line(struct client *c, struct shared_line *line)
{
	struct line_write *l;

	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) > NODE_CONTROL_BEHIND_MAX) {
		tt_log_limited(TT_LOG_INFO, "control.listener_closed", NULL, plat_clock_mono(), 1,
			       TT_F_STR("why", "does not read"));
		client_close(c);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		client_close(c);
		return;
	}
	*l = (struct line_write){.client = c, .line = line};
	l->write.data = l;
	line->refs++;
	uv_buf_t b = uv_buf_init(line->text, (unsigned)line->len);
	if (uv_write(&l->write, (uv_stream_t *)&c->pipe, &b, 1, on_line_written) != 0) {
		release(line);
		free(l);
		client_close(c);
	}
}

unsigned node_control_listeners(const struct node_control *c)
{
	return c->listeners;
}

struct node_device *node_control_device(const struct node_control *c)
{
	return c->ops.device;
}

void node_control_publish(struct node_control *n, json_t *o)
{
	struct shared_line *line = calloc(1, sizeof(*line));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	struct tt_list *l, *next;

	json_decref(o);
	if (!line || !text) {
		free(line);
		free(text);
		return;
	}
	size_t len = strlen(text);
	text[len] = '\n'; /* in place of the terminating zero */
	*line = (struct shared_line){.refs = 1, .len = len + 1, .text = text};
	tt_list_for_each_safe (l, next, &n->clients) {
		struct client *c = TT_CONTAINER_OF(l, struct client, link);
		if (c->listens)
			send_line(c, line);
	}
	release(line);
}

/* --- accepting -------------------------------------------------------------------------------- */

/* Without memory for it, whoever has come is gone again. */
static void on_accepted(void *ctx, int fd)
{
	struct node_control *n = ctx;
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->server = n;
	uv_pipe_init(n->loop, &c->pipe, 0);
	uv_timer_init(n->loop, &c->idle);
	c->pipe.data = c->idle.data = c;
	c->handles = 2;
	tt_list_add_tail(&n->clients, &c->link);
	n->count++;
	bool opened = uv_pipe_open(&c->pipe, fd) == 0;

	if (!opened)
		close(fd);
	if (!opened || n->count > NODE_CONTROL_CLIENTS_MAX) {
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

int node_control_serve(uv_loop_t *loop, int listen_fd, const struct node_control_ops *ops,
		       struct node_control **out)
{
	struct node_control *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->ops = *ops;
	tt_list_init(&n->clients);
	n->loop = loop;
	int err = wire_listener_start(&n->listener, loop,
				      &(struct wire_listener_options){
					      .name = "control",
					      .fd = listen_fd,
					      .backlog = NODE_CONTROL_CLIENTS_MAX,
					      .per_turn = NODE_CONTROL_CLIENTS_MAX,
					      .accepted = on_accepted,
					      .closed = on_server_closed,
					      .ctx = n,
				      });

	n->listening = !err;
	*out = n; /* also on error: node_control_stop() frees it */
	return err;
}

void node_control_stop(struct node_control *n)
{
	struct tt_list *l, *next;

	tt_list_for_each_safe (l, next, &n->clients)
		client_close(TT_CONTAINER_OF(l, struct client, link));
	if (n->listening)
		wire_listener_stop(&n->listener);
	else
		free(n);
}

/* SPDX-License-Identifier: MIT */
#include "hub/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/log.h"
#include "hub/listen.h"
#include "hub/server_impl.h"
#include "wire/listener.h"

#define CLIENT_MS 5000 /* to ask, and to take what it asked for */

struct client {
	struct hub_control *control;
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	char *text;
	unsigned handles;
	size_t len;
	char request[HUB_CONTROL_LINE_MAX];
};

struct hub_control {
	uv_loop_t *loop;
	struct hub_control_sources from;
	struct wire_listener listener;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned clients;
	bool stopping, listener_closed;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* --- what it says ----------------------------------------------------------------------------- */

static void put(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static const char *turned_away_name(unsigned i)
{
	static const char *const name[] = {"full", "source", "rate", "memory", "left"};

	return i < TT_ARRAY_LEN(name) ? name[i] : "unknown";
}

static json_t *conn_stats(const struct hub_conn_stats *c)
{
	json_t *o = json_object(), *away = json_object(), *closed = json_object();
	json_t *tls = json_object();

	put(o, "connections", c->connections);
	put(o, "accepted", c->accepted);
	put(o, "opened", c->opened);
	for (unsigned i = 0; i < HUB_TURNED_AWAY_COUNT; i++)
		put(away, turned_away_name(i), c->turned_away[i]);
	for (unsigned i = 1; i < HUB_CLOSE_COUNT; i++)
		put(closed, hub_close_name((enum hub_close)i), c->closed[i]);
	for (unsigned i = 1; i < TLS_FAIL_COUNT; i++)
		put(tls, tls_failure_name((enum tls_failure)i), c->tls_failed[i]);
	json_object_set_new(o, "turned_away", away);
	json_object_set_new(o, "closed", closed);
	json_object_set_new(o, "tls_failed", tls);
	put(o, "relayed_packets", c->relayed_packets);
	put(o, "relayed_bytes", c->relayed_bytes);
	put(o, "relay_dropped_oldest", c->relay_dropped_oldest);
	put(o, "relay_dropped_memory", c->relay_dropped_memory);
	put(o, "relay_dropped_share", c->relay_dropped_share);
	put(o, "held", c->held);
	put(o, "packet_bytes", c->packet_bytes);
	return o;
}

static json_t *relay_stats(const struct hub_server_stats *st)
{
	const struct hub_relay_stats *r = &st->relay;
	json_t *o = json_object(), *refused = json_object();

	for (unsigned i = 0; i < HUB_RELAY_REFUSAL_COUNT; i++)
		put(refused, hub_relay_refusal_name((enum hub_relay_refusal)i),
		    st->relay_not_opened[i]);
	json_object_set_new(o, "refused", refused);
	put(o, "allocations", r->allocations);
	put(o, "bound_legs", r->bound_legs);
	put(o, "rx_packets", r->rx_packets);
	put(o, "tx_packets", r->tx_packets);
	put(o, "tx_bytes", r->tx_bytes);
	put(o, "dropped_form", r->dropped_form);
	put(o, "dropped_tag", r->dropped_tag);
	put(o, "dropped_source", r->dropped_source);
	put(o, "dropped_mac", r->dropped_mac);
	put(o, "dropped_cookie", r->dropped_cookie);
	put(o, "dropped_unbound", r->dropped_unbound);
	put(o, "dropped_rate", r->dropped_rate);
	put(o, "dropped_socket", r->dropped_socket);
	return o;
}

static json_t *stun_stats(const struct hub_stun *s)
{
	struct hub_stun_stats st;
	json_t *o = json_object();

	hub_stun_get_stats(s, &st);
	put(o, "udp_port", hub_stun_udp_port(s));
	put(o, "answered", st.answered);
	put(o, "dropped_form", st.dropped_form);
	put(o, "dropped_rate", st.dropped_rate);
	put(o, "dropped_socket", st.dropped_socket);
	return o;
}

static void add_online(void *ctx, const struct hub_server_online *n)
{
	char text[TT_ENDPOINT_TEXT_MAX], key[TT_KEY_B64_LEN + 1];
	json_t *o = json_object(), *addresses = json_array();

	tt_key_to_b64(n->node->wg_public_key, key);
	put(o, "id", n->node->id);
	json_object_set_new(o, "name", json_string(n->node->name));
	json_object_set_new(o, "role",
			    json_string(n->node->role == HUB_ROLE_GATEWAY ? "gateway" : "client"));
	for (unsigned i = 0; i < n->node->address_count; i++)
		json_array_append_new(addresses,
				      json_string(tt_ip_format(&n->node->addresses[i], text)));
	json_object_set_new(o, "addresses", addresses);
	json_object_set_new(o, "public_key", json_string(key));
	json_object_set_new(o, "from", json_string(tt_endpoint_format(n->from, text)));
	json_object_set_new(o, "version", json_string(n->version));
	put(o, "since", n->since_s);
	json_array_append_new(ctx, o);
}

static json_t *counters(const struct hub_server_stats *s)
{
	json_t *o = json_object();

	put(o, "enrolled", s->enrolled);
	put(o, "enrol_refused_token", s->enrol_refused_token);
	put(o, "enrol_refused_proof", s->enrol_refused_proof);
	put(o, "enrol_refused_other", s->enrol_refused_other);
	put(o, "renewed", s->renewed);
	put(o, "signals", s->signals);
	put(o, "signals_refused", s->signals_refused);
	put(o, "map_frames", s->map_frames);
	put(o, "relay_refused_policy", s->relay_refused_policy);
	put(o, "relay_refused_rate", s->relay_refused_rate);
	put(o, "limited", s->limited);
	return o;
}

static char *status_text(const struct hub_control_sources *f)
{
	struct hub_server_stats st;
	json_t *o = json_object(), *online = json_array();

	hub_server_get_stats(f->server, &st);
	json_object_set_new(o, "name", json_string(f->name));
	json_object_set_new(o, "version", json_string(TALTUN_VERSION));
	put(o, "pid", (uint64_t)getpid());
	put(o, "started", f->started_s);
	put(o, "now", hub_wall_s());
	put(o, "nodes", st.nodes);
	put(o, "online", st.online);
	json_object_set_new(o, "signer", json_boolean(hub_signer_works(f->signer)));
	json_object_set_new(o, "counters", counters(&st));
	json_object_set_new(o, "connections", conn_stats(&st.conns));
	json_object_set_new(o, "relay", relay_stats(&st));
	if (f->stun)
		json_object_set_new(o, "stun", stun_stats(f->stun));
	hub_server_each_online(f->server, add_online, online);
	json_object_set_new(o, "connected", online);
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static char *error_text(const char *error)
{
	json_t *o = json_pack("{s:b,s:s}", "ok", 0, "error", error);
	char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

static char *log_level_text(const json_t *request)
{
	const json_t *wanted = json_object_get(request, "level");
	const char *name = json_string_value(wanted);
	enum tt_log_level level;

	if (wanted && (!name || !tt_log_level_parse(name, &level)))
		return error_text("\"level\" is error, warn, info or debug");
	if (wanted) {
		tt_log_set_level(level);
		tt_log(TT_LOG_INFO, "log.level", TT_F_STR("is", tt_log_level_name(level)));
	}
	json_t *o = json_pack("{s:b,s:s}", "ok", 1, "level", tt_log_level_name(tt_log_get_level()));
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static char *answer_text(const struct hub_control_sources *from, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *op = json_string_value(json_object_get(request, "op"));
	char *text;

	if (!op)
		text = error_text("not a JSON object with an \"op\" in one line");
	else if (strcmp(op, "status") == 0)
		text = status_text(from);
	else if (strcmp(op, "log-level") == 0)
		text = log_level_text(request);
	else
		text = error_text("unknown \"op\"; known: status, log-level");
	json_decref(request);
	return text;
}

/* --- clients ---------------------------------------------------------------------------------- */

static void maybe_gone(struct hub_control *c)
{
	if (!c->stopping || !c->listener_closed || c->clients)
		return;
	if (c->closed)
		c->closed(c->closed_arg);
	free(c);
}

static void on_client_closed(uv_handle_t *h)
{
	struct client *k = h->data;
	struct hub_control *c = k->control;

	if (--k->handles)
		return;
	free(k->text);
	free(k);
	c->clients--;
	maybe_gone(c);
}

static void client_close(struct client *k)
{
	if (uv_is_closing((uv_handle_t *)&k->pipe))
		return;
	uv_close((uv_handle_t *)&k->pipe, on_client_closed);
	uv_close((uv_handle_t *)&k->timer, on_client_closed);
}

static void on_late(uv_timer_t *t)
{
	client_close(t->data);
}

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	client_close(w->data);
}

static void answer(struct client *k, char *text)
{
	k->text = text;
	uv_read_stop((uv_stream_t *)&k->pipe);
	if (!text) {
		client_close(k);
		return;
	}
	uv_buf_t buf = uv_buf_init(text, (unsigned)strlen(text));
	if (uv_write(&k->write, (uv_stream_t *)&k->pipe, &buf, 1, on_written) != 0)
		client_close(k);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	struct client *k = h->data;

	(void)hint;
	*b = uv_buf_init(k->request + k->len, (unsigned)(sizeof(k->request) - k->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct client *k = s->data;

	(void)b;
	if (n < 0) {
		client_close(k);
		return;
	}
	k->len += (size_t)n;
	const char *eol = memchr(k->request, '\n', k->len);
	if (eol)
		answer(k, answer_text(&k->control->from, k->request, (size_t)(eol - k->request)));
	else if (k->len == sizeof(k->request))
		answer(k, error_text("the request is too long"));
}

static void on_accepted(void *ctx, int fd)
{
	struct hub_control *c = ctx;
	struct client *k = calloc(1, sizeof(*k));

	if (!k) {
		close(fd);
		return;
	}
	k->control = c;
	k->handles = 2;
	c->clients++;
	uv_pipe_init(c->loop, &k->pipe, 0);
	uv_timer_init(c->loop, &k->timer);
	k->pipe.data = k->timer.data = k->write.data = k;
	bool opened = uv_pipe_open(&k->pipe, fd) == 0;
	bool welcome = opened && !c->stopping && c->clients <= HUB_CONTROL_CLIENTS_MAX;

	if (!opened)
		close(fd);
	uv_timer_start(&k->timer, on_late, CLIENT_MS, 0);
	if (!welcome || uv_read_start((uv_stream_t *)&k->pipe, on_alloc, on_read) != 0)
		client_close(k);
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_listener_closed(void *ctx)
{
	struct hub_control *c = ctx;

	c->listener_closed = true;
	maybe_gone(c);
}

int hub_control_open(uv_loop_t *loop, const char *path, const struct hub_control_sources *sources,
		     struct hub_control **out)
{
	struct hub_control *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	int err = hub_listen_unix(path, 0600);
	if (err < 0) {
		free(c);
		return err;
	}
	memcpy(c->path, path, strlen(path) + 1);
	c->loop = loop;
	c->from = *sources;
	err = wire_listener_start(&c->listener, loop,
				  &(struct wire_listener_options){
					  .name = "control",
					  .fd = err,
					  .backlog = HUB_CONTROL_CLIENTS_MAX,
					  .per_turn = HUB_CONTROL_CLIENTS_MAX,
					  .accepted = on_accepted,
					  .closed = on_listener_closed,
					  .ctx = c,
				  });
	if (err) {
		free(c);
		return err;
	}
	*out = c;
	return 0;
}

void hub_control_stop(struct hub_control *c, void (*closed)(void *arg), void *arg)
{
	c->stopping = true;
	c->closed = closed;
	c->closed_arg = arg;
	unlink(c->path);
	wire_listener_stop(&c->listener);
}

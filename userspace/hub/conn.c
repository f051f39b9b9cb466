/* SPDX-License-Identifier: MIT
 *
 * Connections come and go: listening, limits, deadlines.
 */
#include "hub/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "hub/conn_impl.h"

#define BACKLOG	     1024
#define SOURCE_SLOTS 65536

const struct hub_conn_limits hub_conn_limits_default = {
	.connections = 20000,
	.per_source = 64,
	.accepts_per_s = 100,
	.handshake_ms = 10000,
	.stage_ms = 30000,
	.silent_ms = 45000,
	.control_bytes = 1024 * 1024,
	.data_packets = 256,
	.packet_bytes = 128 * 1024 * 1024,
};

const char *hub_close_name(enum hub_close why)
{
	static const char *const name[] = {
		[HUB_CLOSE_NONE] = "none",
		[HUB_CLOSE_BY_PEER] = "by_peer",
		[HUB_CLOSE_RESET] = "reset",
		[HUB_CLOSE_TLS] = "tls",
		[HUB_CLOSE_HANDSHAKE_SLOW] = "handshake_slow",
		[HUB_CLOSE_STAGE_SLOW] = "stage_slow",
		[HUB_CLOSE_SILENT] = "silent",
		[HUB_CLOSE_NOT_READING] = "not_reading",
		[HUB_CLOSE_BAD_FRAME] = "bad_frame",
		[HUB_CLOSE_BAD_MESSAGE] = "bad_message",
		[HUB_CLOSE_REFUSED] = "refused",
		[HUB_CLOSE_REPLACED] = "replaced",
		[HUB_CLOSE_REVOKED] = "revoked",
		[HUB_CLOSE_SHUTDOWN] = "shutdown",
	};

	return (unsigned)why < TT_ARRAY_LEN(name) ? name[why] : "unknown";
}

/* --- addresses -------------------------------------------------------------------------------- */

static void to_sockaddr(const struct tt_endpoint *e, struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (e->ip.family == TT_FAMILY_V6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(e->udp_port);
		memcpy(&v6->sin6_addr, e->ip.b, 16);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(e->udp_port);
		memcpy(&v4->sin_addr, e->ip.b, 4);
	}
}

static bool peer_address(uv_tcp_t *tcp, struct tt_endpoint *out)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	memset(out, 0, sizeof(*out));
	if (uv_tcp_getpeername(tcp, (struct sockaddr *)&ss, &len) != 0)
		return false;
	if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ss;
		out->ip = tt_ip_v6((const uint8_t *)&v6->sin6_addr);
		out->udp_port = ntohs(v6->sin6_port);
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ss;
		out->ip = tt_ip_v4((const uint8_t *)&v4->sin_addr);
		out->udp_port = ntohs(v4->sin_port);
	}
	return true;
}

/* --- the end of a connection ------------------------------------------------------------------ */

static void stranger_no_more(struct hub_conn *c)
{
	if (c->counted)
		hub_source_release(c->counted);
	c->counted = NULL;
}

static void all_gone(struct hub_conns *s)
{
	if (s->stopping && s->handles == 0 && s->stats.connections == 0 && s->stopped) {
		void (*stopped)(void *) = s->stopped;

		s->stopped = NULL;
		stopped(s->stopped_arg);
	}
}

static void on_handle_closed(uv_handle_t *h)
{
	struct hub_conn *c = h->data;
	struct hub_conns *s = c->all;

	s->stats.connections--;
	tls_session_destroy(c->tls);
	hub_conn_free_queues(c);
	free(c->peer);
	free(c->frame_buffer);
	free(c->write_buffer);
	free(c);
	all_gone(s);
}

void hub_conn_drop(struct hub_conn *c, enum hub_close why)
{
	struct hub_conns *s = c->all;

	if (uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	if (c->ending != HUB_CLOSE_NONE)
		why = c->ending;
	c->ending = why;
	s->stats.closed[why]++;
	if (why == HUB_CLOSE_TLS)
		s->stats.tls_failed[tls_session_failure(c->tls)]++;
	stranger_no_more(c);
	tt_list_del(&c->link);
	tt_list_del(&c->dirty);
	tt_list_init(&c->dirty);
	uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
	s->on.closed(s->on.ctx, c, why);
}

void hub_conn_close(struct hub_conn *c, enum hub_close why)
{
	if (uv_is_closing((uv_handle_t *)&c->tcp) || c->ending != HUB_CLOSE_NONE)
		return;
	c->ending = why;
	c->deadline = tt_mono_add_ns(hub_conn_now(c->all), HUB_CONN_LINGER_MS * TT_NS_PER_MS);
	uv_read_stop((uv_stream_t *)&c->tcp);
	hub_conn_mark(c);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static bool may_come(struct hub_conns *s, struct hub_source_entry *e)
{
	enum hub_turned_away why;

	if (s->stats.connections >= s->limits.connections)
		why = HUB_TURNED_AWAY_FULL;
	else if (!e)
		why = HUB_TURNED_AWAY_MEMORY;
	else if (hub_source_count(e) >= s->limits.per_source)
		why = HUB_TURNED_AWAY_SOURCE;
	else if (!hub_source_take(e, s->limits.accepts_per_s, s->now))
		why = HUB_TURNED_AWAY_RATE;
	else
		return true;
	s->stats.turned_away[why]++;
	return false;
}

static void on_turned_away(uv_handle_t *h)
{
	free(h);
}

/* Accepted all the same: a connection that stays in the backlog would be looked at for ever. */
static void turn_away(struct hub_conn *c)
{
	uv_close((uv_handle_t *)&c->tcp, on_turned_away);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct hub_conns *s = listener->data;
	struct hub_conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return;
	s->now = hub_conn_now(s);
	c->all = s;
	uv_tcp_init(s->loop, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 ||
	    !peer_address(&c->tcp, &c->source)) {
		turn_away(c);
		return;
	}
	struct hub_source_entry *e = hub_source_get(s->sources, &c->source.ip, s->now);

	if (s->stopping || !may_come(s, e)) {
		turn_away(c);
		return;
	}
	if (tls_session_create(s->tls, NULL, &c->tls) != 0) {
		s->stats.turned_away[HUB_TURNED_AWAY_MEMORY]++;
		turn_away(c);
		return;
	}
	hub_source_hold(e);
	c->counted = e;
	s->stats.accepted++;
	s->stats.connections++;
	tt_list_add_tail(&s->list, &c->link);
	tt_list_init(&c->dirty);
	c->heard = c->moved = s->now;
	c->deadline = tt_mono_add_ns(s->now, s->limits.handshake_ms * TT_NS_PER_MS);
	mesh_frame_reader_init(&c->reader, c->small, sizeof(c->small), MESH_FRAME_TO_HUB_MAX, 0);
	uv_tcp_nodelay(&c->tcp, 1);
	hub_conn_start_reading(c);
}

static int add_listener(struct hub_conns *s, const struct sockaddr_storage *at, int fd)
{
	uv_tcp_t *l = s->listeners < HUB_CONN_LISTENERS_MAX ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return -ENOSPC;
	uv_tcp_init(s->loop, l);
	l->data = s;
	int err = at ? uv_tcp_bind(l, (const struct sockaddr *)at,
				   at->ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0)
		     : uv_tcp_open(l, fd);

	if (!err)
		err = uv_listen((uv_stream_t *)l, BACKLOG, on_connection);
	if (err) {
		uv_close((uv_handle_t *)l, on_turned_away);
		return err;
	}
	s->listener[s->listeners++] = l;
	return 0;
}

int hub_conns_listen(struct hub_conns *s, const struct tt_endpoint *at)
{
	struct sockaddr_storage ss;

	to_sockaddr(at, &ss);
	return add_listener(s, &ss, -1);
}

int hub_conns_listen_fd(struct hub_conns *s, int fd)
{
	return add_listener(s, NULL, fd);
}

/* --- time ------------------------------------------------------------------------------------- */

static void look_at(struct hub_conn *c, struct tt_mono now)
{
	const struct hub_conn_limits *l = &c->all->limits;

	if (tt_mono_is_set(c->deadline) && !tt_mono_before(now, c->deadline)) {
		hub_conn_drop(c, c->opened ? HUB_CLOSE_STAGE_SLOW : HUB_CLOSE_HANDSHAKE_SLOW);
		return;
	}
	bool stuck = c->writing && tt_mono_since(now, c->moved) >= HUB_CONN_STUCK_MS * TT_NS_PER_MS;

	if (stuck)
		hub_conn_drop(c, HUB_CLOSE_NOT_READING);
	else if (c->silent_allowed && tt_mono_since(now, c->heard) >= l->silent_ms * TT_NS_PER_MS)
		hub_conn_drop(c, HUB_CLOSE_SILENT);
}

static void on_tick(uv_timer_t *t)
{
	struct hub_conns *s = t->data;
	struct tt_list *at, *next;

	s->now = hub_conn_now(s);
	for (at = s->list.next; at != &s->list; at = next) {
		next = at->next;
		look_at(TT_CONTAINER_OF(at, struct hub_conn, link), s->now);
	}
}

/* Everything that was queued in this turn goes out before the loop sleeps. */
static void on_turn_end(uv_prepare_t *p)
{
	struct hub_conns *s = p->data;

	s->now = hub_conn_now(s);
	while (!tt_list_empty(&s->dirty)) {
		struct hub_conn *c = TT_CONTAINER_OF(s->dirty.next, struct hub_conn, dirty);

		tt_list_del(&c->dirty);
		tt_list_init(&c->dirty);
		hub_conn_flush(c);
	}
}

/* --- all of them ------------------------------------------------------------------------------ */

int hub_conns_create(uv_loop_t *loop, struct tls_context *tls, const struct hub_conn_limits *limits,
		     const struct hub_conn_handlers *handlers, struct hub_conns **out)
{
	struct hub_conns *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->sources = hub_sources_create(SOURCE_SLOTS, uv_hrtime());
	if (!s->sources) {
		free(s);
		return -ENOMEM;
	}
	s->loop = loop;
	s->tls = tls;
	s->limits = *limits;
	s->on = *handlers;
	tt_list_init(&s->list);
	tt_list_init(&s->dirty);
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, on_tick, HUB_CONN_TICK_MS, HUB_CONN_TICK_MS);
	uv_prepare_init(loop, &s->turn_end);
	s->turn_end.data = s;
	uv_prepare_start(&s->turn_end, on_turn_end);
	*out = s;
	return 0;
}

void hub_conns_set_tls(struct hub_conns *s, struct tls_context *tls)
{
	s->tls = tls;
}

static void on_part_closed(uv_handle_t *h)
{
	struct hub_conns *s = h->data;

	s->handles--;
	all_gone(s);
}

static void on_listener_closed(uv_handle_t *h)
{
	on_part_closed(h);
	free(h);
}

static void on_stop_tick(uv_timer_t *t)
{
	struct hub_conns *s = t->data;

	on_tick(t);
	if (s->stats.connections == 0 && !uv_is_closing((uv_handle_t *)t)) {
		uv_close((uv_handle_t *)t, on_part_closed);
		uv_close((uv_handle_t *)&s->turn_end, on_part_closed);
	}
}

void hub_conns_stop(struct hub_conns *s, void (*done)(void *arg), void *arg)
{
	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	s->handles = 2 + s->listeners;
	for (unsigned i = 0; i < s->listeners; i++)
		uv_close((uv_handle_t *)s->listener[i], on_listener_closed);
	s->listeners = 0;
	struct tt_list *at, *next;

	for (at = s->list.next; at != &s->list; at = next) {
		next = at->next;
		hub_conn_close(TT_CONTAINER_OF(at, struct hub_conn, link), HUB_CLOSE_SHUTDOWN);
	}
	uv_timer_start(&s->tick, on_stop_tick, 0, 20);
}

void hub_conns_destroy(struct hub_conns *s)
{
	if (!s)
		return;
	hub_sources_destroy(s->sources);
	free(s);
}

/* --- looking and setting ---------------------------------------------------------------------- */

void hub_conn_expect(struct hub_conn *c, bool next)
{
	c->silent_allowed = !next;
	c->deadline =
		next ? tt_mono_add_ns(hub_conn_now(c->all), c->all->limits.stage_ms * TT_NS_PER_MS)
		     : (struct tt_mono){0};
}

void hub_conn_trust(struct hub_conn *c, uint32_t control_max, uint32_t relay_max)
{
	stranger_no_more(c);
	mesh_frame_reader_limit(&c->reader, control_max, relay_max);
}

void hub_conn_set_session(struct hub_conn *c, void *session)
{
	c->session = session;
}

void *hub_conn_session(const struct hub_conn *c)
{
	return c->session;
}

const struct tls_cert_info *hub_conn_peer(const struct hub_conn *c)
{
	return c->peer;
}

const struct tt_endpoint *hub_conn_source(const struct hub_conn *c)
{
	return &c->source;
}

bool hub_conn_export(const struct hub_conn *c, const char *label, uint8_t *out, size_t len)
{
	return tls_session_export(c->tls, label, out, len);
}

enum tls_failure hub_conn_tls_failure(const struct hub_conn *c)
{
	return tls_session_failure(c->tls);
}

size_t hub_conn_control_pending(const struct hub_conn *c)
{
	return c->control.bytes;
}

void hub_conns_stats(const struct hub_conns *s, struct hub_conn_stats *out)
{
	*out = s->stats;
}

/* SPDX-License-Identifier: MIT
 *
 * Connections come and go: listening, limits, deadlines.
 */
#include "hub/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub/conn_impl.h"
#include "hub/listen.h"
#include "plat/clock.h"

/* The system's own bound (net.core.somaxconn, 4096) is what counts: whoever finds no place comes
 * again after seconds only. */
#define BACKLOG	     65535
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

const char *hub_turned_away_name(enum hub_turned_away why)
{
	static const char *const name[] = {"full", "source", "rate", "memory", "left"};

	return (unsigned)why < TT_ARRAY_LEN(name) ? name[why] : "unknown";
}

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

static void from_sockaddr(const struct sockaddr_storage *ss, struct tt_endpoint *out)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;

	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET6) {
		out->ip = tt_ip_v6((const uint8_t *)&v6->sin6_addr);
		out->udp_port = ntohs(v6->sin6_port);
	} else {
		out->ip = tt_ip_v4((const uint8_t *)&v4->sin_addr);
		out->udp_port = ntohs(v4->sin_port);
	}
}

static bool peer_address(const uv_tcp_t *tcp, struct tt_endpoint *out)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);
	bool ok = uv_tcp_getpeername(tcp, (struct sockaddr *)&ss, &len) == 0;

	if (ok)
		from_sockaddr(&ss, out);
	return ok;
}

bool hub_conn_local(const struct hub_conn *c, struct tt_endpoint *out)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);
	bool ok = uv_tcp_getsockname(&c->stream.tcp, (struct sockaddr *)&ss, &len) == 0;

	if (ok)
		from_sockaddr(&ss, out);
	return ok;
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

/* At once, without sending anything more. */
static void drop(struct hub_conn *c, enum hub_close why)
{
	struct hub_conns *s = c->all;

	if (c->gone)
		return;
	c->gone = true;
	if (c->ending == HUB_CLOSE_NONE)
		c->ending = why;
	s->stats.closed[c->ending]++;
	if (c->ending == HUB_CLOSE_TLS)
		s->stats.tls_failed[tls_session_failure(c->stream.tls)]++;
	stranger_no_more(c);
	tt_list_del(&c->link);
	wire_stream_abort(&c->stream);
	s->on.closed(s->on.ctx, c, c->ending);
}

void hub_conn_close(struct hub_conn *c, enum hub_close why)
{
	if (c->gone || c->ending != HUB_CLOSE_NONE)
		return;
	c->ending = why;
	c->deadline =
		tt_mono_add_ns(wire_loop_now(c->all->wire), HUB_CONN_LINGER_MS * TT_NS_PER_MS);
	wire_stream_finish(&c->stream);
}

/* --- what the stream says --------------------------------------------------------------------- */

static void on_opened(void *ctx)
{
	struct hub_conn *c = ctx;
	struct hub_conns *s = c->all;
	struct tls_cert_info peer;

	c->opened = true;
	s->stats.opened++;
	if (tls_session_peer(c->stream.tls, &peer)) {
		c->peer = malloc(sizeof(peer));
		if (!c->peer) {
			drop(c, HUB_CLOSE_RESET);
			return;
		}
		*c->peer = peer;
	}
	hub_conn_expect(c, true);
	s->on.opened(s->on.ctx, c);
}

static void on_frame(void *ctx, const struct mesh_frame *f)
{
	struct hub_conn *c = ctx;

	c->all->on.frame(c->all->on.ctx, c, f);
}

static void on_drained(void *ctx)
{
	struct hub_conn *c = ctx;

	c->all->on.drained(c->all->on.ctx, c);
}

static void on_ended(void *ctx, enum wire_end why)
{
	static const enum hub_close meaning[] = {
		[WIRE_END_BY_PEER] = HUB_CLOSE_BY_PEER,
		[WIRE_END_RESET] = HUB_CLOSE_RESET,
		[WIRE_END_TLS] = HUB_CLOSE_TLS,
		[WIRE_END_BAD_FRAME] = HUB_CLOSE_BAD_FRAME,
		[WIRE_END_NOT_READING] = HUB_CLOSE_NOT_READING,
		[WIRE_END_FINISHED] = HUB_CLOSE_SHUTDOWN,
	};

	drop(ctx, meaning[why]);
}

static void on_closed(void *ctx)
{
	struct hub_conn *c = ctx;
	struct hub_conns *s = c->all;

	free(c->peer);
	free(c);
	s->stats.connections--;
	all_gone(s);
}

static const struct wire_handlers stream_handlers = {.opened = on_opened,
						     .frame = on_frame,
						     .drained = on_drained,
						     .ended = on_ended,
						     .closed = on_closed};

bool hub_conn_send(struct hub_conn *c, const uint8_t *frame, size_t len)
{
	return wire_stream_send(&c->stream, frame, len);
}

bool hub_conn_relay(struct hub_conn *c, uint32_t from_node, const uint8_t *packet, uint32_t len)
{
	return wire_stream_relay(&c->stream, from_node, packet, len, &c->all->data);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static bool may_come(struct hub_conns *s, struct hub_source_entry *e, struct tt_mono now)
{
	enum hub_turned_away why;

	if (s->stats.connections >= s->limits.connections)
		why = HUB_TURNED_AWAY_FULL;
	else if (!e)
		why = HUB_TURNED_AWAY_MEMORY;
	else if (hub_source_count(e) >= s->limits.per_source)
		why = HUB_TURNED_AWAY_SOURCE;
	else if (!hub_source_take(e, s->limits.accepts_per_s, now))
		why = HUB_TURNED_AWAY_RATE;
	else
		return true;
	s->stats.turned_away[why]++;
	return false;
}

/* It has waited in the system's queue until it gave up. What it said is there to be read still, and
 * to answer that is work for nothing, while others wait and will give up as well. */
static bool has_left(const uv_tcp_t *tcp)
{
	struct pollfd p = {.events = POLLRDHUP};

	return uv_fileno((const uv_handle_t *)tcp, &p.fd) == 0 && poll(&p, 1, 0) == 1 &&
	       (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static bool admit(struct hub_conns *s, int fd, struct hub_conn *c, struct tls_session **tls)
{
	struct tt_mono now = wire_loop_now(s->wire);

	if (uv_tcp_open(&c->stream.tcp, fd) != 0) {
		close(fd);
		return false;
	}
	if (s->stopping || !peer_address(&c->stream.tcp, &c->source))
		return false;
	struct hub_source_entry *e = hub_source_get(s->sources, &c->source.ip, now);

	if (!may_come(s, e, now))
		return false;
	if (has_left(&c->stream.tcp)) {
		s->stats.turned_away[HUB_TURNED_AWAY_LEFT]++;
		return false;
	}
	if (tls_session_create(s->tls, NULL, tls) != 0) {
		s->stats.turned_away[HUB_TURNED_AWAY_MEMORY]++;
		return false;
	}
	hub_source_hold(e);
	c->counted = e;
	return true;
}

static void on_accepted(void *ctx, int fd)
{
	struct hub_conns *s = ctx;
	struct hub_conn *c = calloc(1, sizeof(*c));
	struct wire_stream_options opt = {.loop = s->wire,
					  .on = &stream_handlers,
					  .ctx = c,
					  .control_bytes = s->limits.control_bytes,
					  .data_packets = s->limits.data_packets,
					  .data_bytes = HUB_CONN_DATA_BYTES,
					  .control_frame_max = MESH_FRAME_TO_HUB_MAX};
	struct tls_session *tls = NULL;

	if (!c) {
		s->stats.turned_away[HUB_TURNED_AWAY_MEMORY]++;
		close(fd);
		return;
	}
	c->all = s;
	tt_list_init(&c->link);
	wire_stream_init(&c->stream, &opt);
	s->stats.connections++;
	if (!admit(s, fd, c, &tls)) {
		c->gone = true;
		wire_stream_abort(&c->stream);
		return;
	}
	s->stats.accepted++;
	tt_list_add_tail(&s->list, &c->link);
	c->deadline = tt_mono_add_ns(wire_loop_now(s->wire), s->limits.handshake_ms * TT_NS_PER_MS);
	wire_stream_start(&c->stream, tls);
}

/* Where nobody can even be turned away, the stranger who came last makes room. */
static void on_no_descriptor(void *ctx, bool waits)
{
	struct hub_conns *s = ctx;

	s->stats.turned_away[HUB_TURNED_AWAY_FULL]++;
	for (struct tt_list *l = s->list.prev; waits && l != &s->list; l = l->prev) {
		struct hub_conn *c = TT_CONTAINER_OF(l, struct hub_conn, link);

		if (c->counted) {
			drop(c, HUB_CLOSE_RESET);
			return;
		}
	}
}

void hub_conns_hold(struct hub_conns *s, bool hold)
{
	s->held = hold;
	for (unsigned i = 0; i < s->listeners; i++)
		wire_listener_hold(&s->listener[i], hold);
}

static void on_part_gone(void *arg);

/*
 * A few in each turn: where thousands come together, those that were accepted get through the whole
 * of TLS before the next ones begin. All at once would all be slow, give up, and come again.
 */
int hub_conns_listen_fd(struct hub_conns *s, int fd)
{
	struct wire_listener_options opt = {.name = "nodes",
					    .fd = fd,
					    .backlog = BACKLOG,
					    .per_turn = HUB_CONN_ACCEPTS_PER_TURN,
					    .accepted = on_accepted,
					    .no_descriptor = on_no_descriptor,
					    .closed = on_part_gone,
					    .ctx = s};

	if (s->listeners == HUB_CONN_LISTENERS_MAX) {
		close(fd);
		return -ENOSPC;
	}
	int err = wire_listener_start(&s->listener[s->listeners], s->loop, &opt);
	if (err)
		return err;
	wire_listener_hold(&s->listener[s->listeners++], s->held);
	return 0;
}

int hub_conns_listen(struct hub_conns *s, const struct tt_endpoint *at)
{
	int fd = hub_listen_tcp(at);

	return fd < 0 ? fd : hub_conns_listen_fd(s, fd);
}

/* --- time ------------------------------------------------------------------------------------- */

static void release(struct hub_conn *c, struct tt_mono now)
{
	if (tt_mono_before(now, c->held_until))
		return;
	c->held_until = (struct tt_mono){0};
	c->stream.heard = now; /* its silence was ours */
	wire_stream_pause(&c->stream, false);
}

static void look_at(struct hub_conn *c, struct tt_mono now)
{
	const struct hub_conn_limits *l = &c->all->limits;

	if (tt_mono_is_set(c->deadline) && !tt_mono_before(now, c->deadline))
		drop(c, c->opened ? HUB_CLOSE_STAGE_SLOW : HUB_CLOSE_HANDSHAKE_SLOW);
	else if (c->stream.writing &&
		 tt_mono_since(now, c->stream.moved) >= HUB_CONN_STUCK_MS * TT_NS_PER_MS)
		drop(c, HUB_CLOSE_NOT_READING);
	else if (tt_mono_is_set(c->held_until))
		release(c, now);
	else if (c->silent_allowed &&
		 tt_mono_since(now, c->stream.heard) >= l->silent_ms * TT_NS_PER_MS)
		drop(c, HUB_CLOSE_SILENT);
}

static void on_tick(uv_timer_t *t)
{
	struct hub_conns *s = t->data;
	struct tt_mono now = wire_loop_now(s->wire);
	struct tt_list *at, *next;

	tt_list_for_each_safe (at, next, &s->list)
		look_at(TT_CONTAINER_OF(at, struct hub_conn, link), now);
}

/* --- all of them ------------------------------------------------------------------------------ */

int hub_conns_create(uv_loop_t *loop, struct tls_context *tls, const struct hub_conn_limits *limits,
		     const struct hub_conn_handlers *handlers, struct hub_conns **out)
{
	struct hub_conns *s = calloc(1, sizeof(*s));
	struct tt_rng rng = plat_rng();
	uint64_t seed;

	if (!s)
		return -ENOMEM;
	tt_rng_fill(&rng, &seed, sizeof(seed));
	s->sources = hub_sources_create(SOURCE_SLOTS, seed);
	if (!s->sources || wire_loop_open(loop, limits->packet_bytes, &s->wire) != 0) {
		hub_sources_destroy(s->sources);
		free(s);
		return -ENOMEM;
	}
	s->loop = loop;
	s->tls = tls;
	s->limits = *limits;
	s->on = *handlers;
	tt_list_init(&s->list);
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, on_tick, HUB_CONN_TICK_MS, HUB_CONN_TICK_MS);
	*out = s;
	return 0;
}

void hub_conns_set_limits(struct hub_conns *s, const struct hub_conn_limits *limits)
{
	s->limits = *limits;
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

static void on_part_gone(void *arg)
{
	struct hub_conns *s = arg;

	s->handles--;
	all_gone(s);
}

static void on_stop_tick(uv_timer_t *t)
{
	struct hub_conns *s = t->data;

	on_tick(t);
	if (s->stats.connections == 0 && !uv_is_closing((uv_handle_t *)t)) {
		uv_close((uv_handle_t *)t, on_part_closed);
		wire_loop_close(s->wire, on_part_gone, s);
	}
}

void hub_conns_stop(struct hub_conns *s, void (*done)(void *arg), void *arg)
{
	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	s->handles = 2 + s->listeners;
	for (unsigned i = 0; i < s->listeners; i++)
		wire_listener_stop(&s->listener[i]);
	s->listeners = 0;
	struct tt_list *at, *next;

	tt_list_for_each_safe (at, next, &s->list)
		hub_conn_close(TT_CONTAINER_OF(at, struct hub_conn, link), HUB_CLOSE_SHUTDOWN);
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
	c->deadline = next ? tt_mono_add_ns(wire_loop_now(c->all->wire),
					    c->all->limits.stage_ms * TT_NS_PER_MS)
			   : (struct tt_mono){0};
}

void hub_conn_hold(struct hub_conn *c, uint32_t ms)
{
	if (c->gone || c->ending != HUB_CLOSE_NONE)
		return;
	if (!tt_mono_is_set(c->held_until))
		c->all->stats.held++;
	c->held_until = tt_mono_add_ns(wire_loop_now(c->all->wire), ms * TT_NS_PER_MS);
	wire_stream_pause(&c->stream, true);
}

void hub_conn_trust(struct hub_conn *c, uint32_t control_max, uint32_t relay_max)
{
	stranger_no_more(c);
	wire_stream_limit(&c->stream, control_max, relay_max);
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
	return tls_session_export(c->stream.tls, label, out, len);
}

enum tls_failure hub_conn_tls_failure(const struct hub_conn *c)
{
	return tls_session_failure(c->stream.tls);
}

size_t hub_conn_control_pending(const struct hub_conn *c)
{
	return wire_stream_pending(&c->stream);
}

void hub_conns_stats(const struct hub_conns *s, struct hub_conn_stats *out)
{
	*out = s->stats;
	out->relayed_packets = s->data.packets;
	out->relayed_bytes = s->data.packet_bytes;
	out->relay_dropped_oldest = s->data.dropped_oldest;
	out->relay_dropped_memory = s->data.dropped_memory;
	out->relay_dropped_share = s->data.dropped_share;
	out->packet_bytes = wire_loop_packet_bytes(s->wire);
}

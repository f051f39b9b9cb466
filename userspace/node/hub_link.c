/* SPDX-License-Identifier: MIT */
#include "node/hub_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "plat/clock.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define STEP_MS	     10000 /* a name, a connection, TLS, a Welcome: each has so long */
#define PING_MS	     15000 /* of silence */
#define DEAD_MS	     30000
#define STALLED_MS   120000 /* bytes come, but in all that time they do not make a frame */
#define PROBE_MS     3000   /* after a change of the network, the answer to a Ping */
#define SHORT_MS     10000  /* a connection that ended sooner makes the next pause longer */
#define SAY_AGAIN_MS 600000 /* that the hub is out of reach, where the reason is the same */
/* Of the control thread's time what a hub says may take a quarter, and so much at once. */
#define BUDGET_NS     (INT64_C(2) * 1000000000)
#define BUDGET_PART   4
#define CONTROL_BYTES (256 * 1024)
#define DATA_PACKETS  512
#define DATA_BYTES    (4 * 1024 * 1024)
#define ADDRESSES_MAX 8
#define HANDLES	      2 /* tick, wire loop */

struct node_hub_link {
	struct node_hub_link_options opt;
	struct tls_context *tls;
	struct wire_loop *wire;
	struct wire_stats stats;
	uv_timer_t tick;
	enum node_hub_state state;
	struct tt_mono since, deadline; /* of the state; deadline 0: none */

	struct wire_stream stream;
	uv_connect_t connect;
	bool stream_used; /* until closed() */
	struct tt_endpoint addr[ADDRESSES_MAX];
	unsigned addr_count, addr_next;
	struct tt_endpoint at; /* connected to, or tried last */

	uint64_t pause_ms;	   /* of the next failure */
	unsigned short_lives;	   /* connections in a row that were up for less than SHORT_MS */
	struct tt_mono keen_until; /* a restart was announced: no growing pauses until then */
	struct tt_mono frame_at;   /* the last whole frame */
	int64_t budget_ns;	   /* of time for what the hub says; below 0: it has to wait */
	uint64_t budget_at;	   /* uv_hrtime() */
	bool paused;
	struct tt_mono said_at; /* the log: out of reach */
	char said[160];
	struct tt_mono pinged;
	uint64_t ping_token; /* of the Ping under way; 0: none */
	uint32_t rtt_us;
	uint64_t connects, lost;
	char why[160];

	bool ending;
	unsigned handles;
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t frame[MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX];
	uint8_t *arena; /* MESH_HUB_ARENA_MAP */
};

const char *node_hub_state_name(enum node_hub_state s)
{
	static const char *const name[] = {
		[NODE_HUB_WAITING] = "waiting",	      [NODE_HUB_RESOLVING] = "resolving",
		[NODE_HUB_CONNECTING] = "connecting", [NODE_HUB_SECURING] = "securing",
		[NODE_HUB_GREETING] = "greeting",     [NODE_HUB_UP] = "up",
		[NODE_HUB_STOPPED] = "stopped",
	};

	return (unsigned)s < TT_ARRAY_LEN(name) ? name[s] : "unknown";
}

static struct tt_mono now_of(const struct node_hub_link *l)
{
	return wire_loop_now(l->wire);
}

static void on_tick(uv_timer_t *t);

/* An idle node sleeps: the timer runs to the next thing that is due and no further. */
static void arm(struct node_hub_link *l)
{
	struct tt_mono now = now_of(l), next = l->deadline;
	struct tt_mono ping_at = tt_mono_add_ns(l->pinged, PING_MS * TT_NS_PER_MS);

	if (l->state == NODE_HUB_UP && (!tt_mono_is_set(next) || tt_mono_before(ping_at, next)))
		next = ping_at;
	if (l->paused) {
		struct tt_mono again = tt_mono_add_ns(now, (uint64_t)-l->budget_ns * BUDGET_PART);
		if (!tt_mono_is_set(next) || tt_mono_before(again, next))
			next = again;
	}
	if (!tt_mono_is_set(next))
		uv_timer_stop(&l->tick);
	else
		uv_timer_start(&l->tick, on_tick, tt_mono_since(next, now) / TT_NS_PER_MS + 1, 0);
}

static void enter(struct node_hub_link *l, enum node_hub_state state, uint64_t within_ms)
{
	l->state = state;
	l->since = now_of(l);
	l->deadline = within_ms ? tt_mono_add_ns(l->since, within_ms * TT_NS_PER_MS)
				: (struct tt_mono){0};
	arm(l);
}

/* --- losing it -------------------------------------------------------------------------------- */

/* From -12.5 % to +12.5 %, so that nodes that lost the hub together do not come back together. */
static uint64_t jittered(struct node_hub_link *l, uint64_t ms)
{
	return ms - ms / 8 + tt_rng_below(&l->opt.rng, (uint32_t)(ms / 4 + 1));
}

static void wait_ms(struct node_hub_link *l, uint64_t ms)
{
	enter(l, NODE_HUB_WAITING, TT_MAX(ms, UINT64_C(1)));
}

/* Once for each reason: an operator wants to know, a hub that is down for a night must not fill
 * the log. */
static void say_unreachable(struct node_hub_link *l)
{
	struct tt_mono now = now_of(l);

	if (strcmp(l->said, l->why) == 0 &&
	    tt_mono_since(now, l->said_at) < SAY_AGAIN_MS * TT_NS_PER_MS)
		return;
	memcpy(l->said, l->why, sizeof(l->said));
	l->said_at = now;
	tt_log(TT_LOG_WARN, "hub.unreachable", TT_F_STR("why", l->why),
	       TT_F_STR("hub", l->opt.host), TT_F_ENDPOINT("at", &l->at));
}

static uint64_t next_pause(struct node_hub_link *l)
{
	uint64_t pause = jittered(l, l->pause_ms);

	if (!tt_mono_before(now_of(l), l->keen_until))
		l->pause_ms = TT_MIN(l->pause_ms * 2, (uint64_t)RETRY_MAX_MS);
	return pause;
}

static void lost(struct node_hub_link *l, const char *why, bool for_good)
{
	bool was_up = l->state == NODE_HUB_UP;
	bool was_short = was_up && tt_mono_since(now_of(l), l->since) < SHORT_MS * TT_NS_PER_MS;

	if (l->ending || l->state == NODE_HUB_WAITING || l->state == NODE_HUB_STOPPED)
		return;
	if (why != l->why)
		snprintf(l->why, sizeof(l->why), "%s", why);
	if (l->stream_used)
		wire_stream_abort(&l->stream);
	l->paused = false;
	if (was_up)
		l->short_lives = was_short ? TT_MIN(l->short_lives + 1, 6u) : 0;
	else
		say_unreachable(l);
	if (for_good) {
		enter(l, NODE_HUB_STOPPED, 0);
	} else {
		/* one address of several: the next one at once */
		bool another = !was_up && l->addr_next < l->addr_count;
		wait_ms(l, another ? 20 : next_pause(l));
	}
	l->ping_token = 0;
	if (was_up) {
		l->lost++;
		l->opt.on.down(l->opt.on.ctx, l->why);
	}
}

/* --- getting it ------------------------------------------------------------------------------- */

static void on_opened(void *ctx)
{
	struct node_hub_link *l = ctx;
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Hello hello = TALTUN__HUB__V1__HELLO__INIT;

	enter(l, NODE_HUB_GREETING, STEP_MS);
	l->opt.on.hello(l->opt.on.ctx, &hello);
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO;
	m.hello = &hello;
	node_hub_link_send(l, &m);
}

static void take_error(struct node_hub_link *l, const Taltun__Hub__V1__Error *m)
{
	char text[MESH_HUB_TEXT_MAX + 1];
	bool revoked = m->code == TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REVOKED;

	mesh_hub_text_copy(text, sizeof(text), &m->text);
	snprintf(l->why, sizeof(l->why), "the hub refused: %.130s", text);
	/* two daemons with one certificate would throw each other out without end */
	if (m->code == TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REPLACED)
		l->pause_ms = RETRY_MAX_MS;
	lost(l, l->why, revoked);
}

static void take_restarting(struct node_hub_link *l, const Taltun__Hub__V1__Restarting *m)
{
	uint64_t in = TT_MIN(TT_MAX(m->reconnect_in_ms, UINT32_C(100)), (uint32_t)RETRY_MAX_MS);

	/* spread over as much again: all of its nodes come at once otherwise */
	in += tt_rng_below(&l->opt.rng, (uint32_t)in + 1);
	l->keen_until = tt_mono_add_ns(now_of(l),
				       in * TT_NS_PER_MS + (uint64_t)m->try_for_ms * TT_NS_PER_MS);
	lost(l, "the hub restarts", false);
	/* one that does nothing but restart is waited for as one that does not stay */
	if (l->state == NODE_HUB_WAITING && l->short_lives < 2)
		wait_ms(l, in);
}

static void take_pong(struct node_hub_link *l, const Taltun__Hub__V1__Pong *m)
{
	if (!l->ping_token || m->token != l->ping_token)
		return;
	/* the loop's clock has only milliseconds */
	l->rtt_us = (uint32_t)TT_MIN((uv_hrtime() - l->ping_token) / 1000, UINT64_C(60000000));
	l->ping_token = 0;
}

static void welcome(struct node_hub_link *l, const Taltun__Hub__V1__Welcome *m)
{
	l->budget_ns = BUDGET_NS;
	l->budget_at = uv_hrtime();
	enter(l, NODE_HUB_UP, 0);
	l->pause_ms = TT_MIN((uint64_t)RETRY_MIN_MS << l->short_lives, (uint64_t)RETRY_MAX_MS);
	l->keen_until = (struct tt_mono){0};
	l->addr_next = 0;
	l->why[0] = l->said[0] = 0;
	l->connects++;
	wire_stream_limit(&l->stream, MESH_FRAME_CONTROL_MAX, MESH_FRAME_RELAY_MAX);
	l->opt.on.up(l->opt.on.ctx, m);
}

/* To the hub we are who our certificate says. */
static bool is_meant(const struct node_hub_link *l, const Taltun__Hub__V1__Welcome *m)
{
	struct tls_cert_info info;

	return tls_cert_parse(l->opt.cert.bytes, l->opt.cert.len, &info) == 0 &&
	       m->name.len == strlen(info.name) &&
	       memcmp(m->name.data, info.name, m->name.len) == 0;
}

static void answer_ping(struct node_hub_link *l, const Taltun__Hub__V1__Ping *ping)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;

	pong.token = ping->token;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_PONG;
	m.pong = &pong;
	node_hub_link_send(l, &m);
}

static void take_message(struct node_hub_link *l, const Taltun__Hub__V1__ToNode *m)
{
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR:
		take_error(l, m->error);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RESTARTING:
		take_restarting(l, m->restarting);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PING:
		answer_ping(l, m->ping);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG:
		take_pong(l, m->pong);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_GOODBYE:
		lost(l, "the hub said goodbye", false);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME:
		if (l->state == NODE_HUB_GREETING && is_meant(l, m->welcome))
			welcome(l, m->welcome);
		else
			lost(l, "the hub does not keep to the protocol", false);
		return;
	default:
		break;
	}
	if (l->state == NODE_HUB_UP)
		l->opt.on.message(l->opt.on.ctx, m);
	else
		lost(l, "the hub does not keep to the protocol", false);
}

static void refill(struct node_hub_link *l)
{
	uint64_t now = uv_hrtime();

	l->budget_ns += (int64_t)(TT_MIN(now - l->budget_at, (uint64_t)BUDGET_NS * BUDGET_PART) /
				  BUDGET_PART);
	l->budget_ns = TT_MIN(l->budget_ns, BUDGET_NS);
	l->budget_at = now;
}

/* Whatever it is that takes so long: what a hub says must not keep the tunnels waiting. Nothing is
 * lost, TCP holds it back. */
static void charge(struct node_hub_link *l, uint64_t spent_ns)
{
	refill(l);
	l->budget_ns -= (int64_t)spent_ns;
	if (l->state != NODE_HUB_UP || l->paused || l->budget_ns >= 0)
		return;
	l->paused = true;
	wire_stream_pause(&l->stream, true);
	arm(l);
}

static void resume(struct node_hub_link *l)
{
	if (!l->paused)
		return;
	refill(l);
	if (l->budget_ns < 0)
		return;
	l->paused = false;
	wire_stream_pause(&l->stream, false);
}

static void on_frame(void *ctx, const struct mesh_frame *f)
{
	struct node_hub_link *l = ctx;
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena arena;
	uint64_t began = uv_hrtime();

	l->frame_at = now_of(l);
	if (f->kind == MESH_FRAME_RELAY) {
		uint32_t node, len;
		const uint8_t *packet = mesh_frame_relay_read(f, &node, &len);

		if (l->state == NODE_HUB_UP)
			l->opt.on.packet(l->opt.on.ctx, node, packet, len);
		return;
	}
	mesh_hub_arena_init(&arena, l->arena, MESH_HUB_ARENA_MAP);
	enum mesh_hub_outcome o = mesh_hub_to_node_unpack(&arena, f->body, f->len, &m);

	if (o == MESH_HUB_OK) {
		take_message(l, m);
	} else if (o != MESH_HUB_UNKNOWN) {
		snprintf(l->why, sizeof(l->why), "the hub sent a message that is no good: %s",
			 mesh_hub_outcome_name(o));
		lost(l, l->why, false);
	}
	charge(l, uv_hrtime() - began);
}

static void on_drained(void *ctx)
{
	(void)ctx;
}

static void on_room(void *ctx)
{
	struct node_hub_link *l = ctx;

	if (l->state == NODE_HUB_UP)
		l->opt.on.room(l->opt.on.ctx);
}

/* A hub does not say what it has against a certificate, but we may know. */
static const char *wrong_with_cert(const struct node_hub_link *l)
{
	struct tls_cert_info info;
	uint64_t now = plat_clock_wall().sec;

	if (tls_cert_parse(l->opt.cert.bytes, l->opt.cert.len, &info) != 0)
		return NULL;
	if (now >= info.not_after_s)
		return "this node's certificate has expired: enrol anew (or the clock is ahead)";
	if (now < info.not_before_s)
		return "this node's certificate is not valid yet: the clock is behind";
	return NULL;
}

static void lost_by_tls(struct node_hub_link *l)
{
	enum tls_failure f = tls_session_failure(l->stream.tls);
	const char *cert = f == TLS_FAIL_REFUSED ? wrong_with_cert(l) : NULL;

	snprintf(l->why, sizeof(l->why), "TLS: %s", cert ? cert : tls_failure_text(f));
	lost(l, l->why, false);
}

static void on_ended(void *ctx, enum wire_end why)
{
	struct node_hub_link *l = ctx;

	switch (why) {
	case WIRE_END_BY_PEER:
		lost(l, "the hub closed the connection", false);
		break;
	case WIRE_END_RESET:
		lost(l, "the connection was reset", false);
		break;
	case WIRE_END_TLS:
		lost_by_tls(l);
		break;
	case WIRE_END_BAD_FRAME:
		lost(l, "the hub does not keep to the protocol", false);
		break;
	case WIRE_END_NOT_READING:
		lost(l, "the hub does not read", false);
		break;
	case WIRE_END_FINISHED:
		wire_stream_abort(&l->stream);
		break;
	}
}

static void handle_closed(struct node_hub_link *l);

static void on_wire_closed(void *arg)
{
	handle_closed(arg);
}

static void on_stream_closed(void *ctx)
{
	struct node_hub_link *l = ctx;

	l->stream_used = false;
	if (!l->ending)
		return;
	/* not before: what was queued counts in the wire loop until here */
	wire_loop_close(l->wire, on_wire_closed, l);
	handle_closed(l);
}

static const struct wire_handlers stream_handlers = {.opened = on_opened,
						     .frame = on_frame,
						     .drained = on_drained,
						     .room = on_room,
						     .ended = on_ended,
						     .closed = on_stream_closed};

static void on_connected(uv_connect_t *req, int status)
{
	struct node_hub_link *l = req->data;
	struct tls_session *tls;

	if (l->ending || l->state != NODE_HUB_CONNECTING || status == UV_ECANCELED)
		return;
	if (status < 0) {
		snprintf(l->why, sizeof(l->why), "cannot connect: %s", uv_strerror(status));
		lost(l, l->why, false);
		return;
	}
	if (tls_session_create(l->tls, l->opt.name, &tls) != 0) {
		lost(l, "out of memory", false);
		return;
	}
	enter(l, NODE_HUB_SECURING, STEP_MS);
	wire_stream_start(&l->stream, tls);
}

static int begin_connect(struct node_hub_link *l, const struct tt_endpoint *to)
{
	char text[TT_IP_TEXT_MAX];
	struct sockaddr_storage ss;
	int fd = l->opt.on.socket(l->opt.on.ctx, (enum tt_family)to->ip.family);

	if (fd < 0)
		return fd;
	int err = uv_tcp_open(&l->stream.tcp, fd);

	if (err)
		close(fd);
	tt_ip_format(&to->ip, text);
	if (!err && to->ip.family == TT_FAMILY_V6)
		err = uv_ip6_addr(text, to->udp_port, (struct sockaddr_in6 *)&ss);
	else if (!err)
		err = uv_ip4_addr(text, to->udp_port, (struct sockaddr_in *)&ss);
	if (err)
		return err;
	l->connect.data = l;
	return uv_tcp_connect(&l->connect, &l->stream.tcp, (const struct sockaddr *)&ss,
			      on_connected);
}

static void connect_next(struct node_hub_link *l)
{
	struct wire_stream_options opt = {.loop = l->wire,
					  .on = &stream_handlers,
					  .ctx = l,
					  .control_bytes = CONTROL_BYTES,
					  .data_packets = DATA_PACKETS,
					  .control_frame_max = MESH_FRAME_CONTROL_MAX,
					  .relay_frame_max = MESH_FRAME_RELAY_MAX};
	const struct tt_endpoint *to = &l->addr[l->addr_next++];

	l->at = *to;
	enter(l, NODE_HUB_CONNECTING, STEP_MS);
	wire_stream_init(&l->stream, &opt);
	l->stream_used = true;
	int err = begin_connect(l, to);
	if (err) {
		snprintf(l->why, sizeof(l->why), "cannot connect: %s", uv_strerror(err));
		lost(l, l->why, false);
	}
}

static void attempt(struct node_hub_link *l)
{
	/* the last stream's descriptor is still being closed */
	if (l->stream_used) {
		wait_ms(l, 20);
		return;
	}
	if (l->addr_next < l->addr_count) {
		connect_next(l);
		return;
	}
	enter(l, NODE_HUB_RESOLVING, STEP_MS);
	struct tt_endpoint literal;
	memset(&literal, 0, sizeof(literal));
	if (tt_ip_parse(l->opt.host, &literal.ip) == 0) {
		literal.udp_port = l->opt.tcp_port;
		node_hub_link_resolved(l, &literal, 1);
		return;
	}
	l->opt.on.resolve(l->opt.on.ctx, l->opt.host, l->opt.tcp_port);
}

void node_hub_link_resolved(struct node_hub_link *l, const struct tt_endpoint *addr, unsigned count)
{
	if (l->ending || l->state != NODE_HUB_RESOLVING)
		return;
	l->addr_count = TT_MIN(count, (unsigned)ADDRESSES_MAX);
	l->addr_next = 0;
	memcpy(l->addr, addr, l->addr_count * sizeof(*addr));
	if (!count)
		lost(l, "the hub's name is not found", false);
	else
		connect_next(l);
}

/* --- time ------------------------------------------------------------------------------------- */

static void ping(struct node_hub_link *l)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Ping p = TALTUN__HUB__V1__PING__INIT;

	l->ping_token = uv_hrtime();
	l->pinged = now_of(l);
	p.token = l->ping_token;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_PING;
	m.ping = &p;
	node_hub_link_send(l, &m);
}

static void look_after(struct node_hub_link *l, struct tt_mono now)
{
	uint64_t silent = tt_mono_since(now, l->stream.heard) / TT_NS_PER_MS;
	bool due = tt_mono_is_set(l->deadline) && !tt_mono_before(now, l->deadline);

	uint64_t stalled = tt_mono_since(now, l->frame_at) / TT_NS_PER_MS;

	if (silent >= DEAD_MS || stalled >= STALLED_MS ||
	    (due && tt_mono_before(l->stream.heard, l->pinged))) {
		lost(l, "the hub does not answer", false);
		return;
	}
	if (due)
		l->deadline = (struct tt_mono){0};
	resume(l);
	if (tt_mono_since(now, l->pinged) / TT_NS_PER_MS >= PING_MS)
		ping(l);
	arm(l);
}

static void on_tick(uv_timer_t *t)
{
	struct node_hub_link *l = t->data;
	struct tt_mono now = now_of(l);

	if (l->state == NODE_HUB_UP) {
		look_after(l, now);
		return;
	}
	if (!tt_mono_is_set(l->deadline) || tt_mono_before(now, l->deadline)) {
		arm(l);
		return;
	}
	switch (l->state) {
	case NODE_HUB_WAITING:
		attempt(l);
		break;
	case NODE_HUB_RESOLVING:
		lost(l, "the hub's name was not found in time", false);
		break;
	case NODE_HUB_CONNECTING:
		lost(l, "cannot connect: no answer", false);
		break;
	case NODE_HUB_SECURING:
	case NODE_HUB_GREETING:
		lost(l, "the hub does not answer", false);
		break;
	case NODE_HUB_UP:
	case NODE_HUB_STOPPED:
		break;
	}
}

/* The address that the connection is from is no longer this host's: nothing comes back to it. */
static bool address_gone(struct node_hub_link *l)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss), count = 0;
	uv_interface_address_t *list;
	bool gone = true;

	if (uv_tcp_getsockname(&l->stream.tcp, (struct sockaddr *)&ss, &len) != 0 ||
	    uv_interface_addresses(&list, &count) != 0)
		return false;
	for (int i = 0; gone && i < count; i++) {
		const struct sockaddr_in *v4 = &list[i].address.address4;
		const struct sockaddr_in6 *v6 = &list[i].address.address6;

		if (v4->sin_family != ss.ss_family)
			continue;
		gone = ss.ss_family == AF_INET6
			       ? memcmp(&v6->sin6_addr, &((struct sockaddr_in6 *)&ss)->sin6_addr,
					16) != 0
			       : memcmp(&v4->sin_addr, &((struct sockaddr_in *)&ss)->sin_addr, 4) !=
					 0;
	}
	uv_free_interface_addresses(list, count);
	return gone;
}

void node_hub_link_network_changed(struct node_hub_link *l)
{
	if (l->state == NODE_HUB_UP && address_gone(l)) {
		lost(l, "the address it was reached from is gone", false);
		l->pause_ms = RETRY_MIN_MS;
	}
	if (l->state == NODE_HUB_WAITING) {
		l->pause_ms = RETRY_MIN_MS;
		l->addr_next = l->addr_count; /* other names may be reachable now */
		wait_ms(l, 20);
	} else if (l->state == NODE_HUB_UP) {
		ping(l);
		l->deadline = tt_mono_add_ns(now_of(l), PROBE_MS * TT_NS_PER_MS);
		arm(l);
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static int make_context(struct node_hub_link *l)
{
	struct tls_context_options opt = {
		.cert = &l->opt.cert, .key = &l->opt.key, .ca = &l->opt.ca};
	struct tls_context *fresh;
	int err = tls_context_create(&opt, &fresh);

	if (err)
		return err;
	/* sessions hold what they need of the old one */
	tls_context_destroy(l->tls);
	l->tls = fresh;
	return 0;
}

int node_hub_link_set_cert(struct node_hub_link *l, const struct tls_der *cert)
{
	struct tls_der old = l->opt.cert;

	l->opt.cert = *cert;
	int err = make_context(l);
	if (err)
		l->opt.cert = old;
	return err;
}

int node_hub_link_create(const struct node_hub_link_options *opt, struct node_hub_link **out)
{
	struct node_hub_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->opt = *opt;
	l->pause_ms = RETRY_MIN_MS;
	l->arena = malloc(MESH_HUB_ARENA_MAP);
	int err = l->arena ? make_context(l) : -ENOMEM;
	if (!err)
		err = wire_loop_open(opt->loop, DATA_BYTES, &l->wire);
	if (err) {
		tls_context_destroy(l->tls);
		free(l->arena);
		crypto_wipe(l, sizeof(*l));
		free(l);
		return err;
	}
	uv_timer_init(opt->loop, &l->tick);
	l->tick.data = l;
	*out = l;
	return 0;
}

void node_hub_link_start(struct node_hub_link *l)
{
	attempt(l);
}

static void handle_closed(struct node_hub_link *l)
{
	if (--l->handles)
		return;
	tls_context_destroy(l->tls);
	if (l->closed)
		l->closed(l->closed_arg);
	free(l->arena);
	crypto_wipe(l, sizeof(*l));
	free(l);
}

static void say_goodbye(struct node_hub_link *l)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Goodbye goodbye = TALTUN__HUB__V1__GOODBYE__INIT;

	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_GOODBYE;
	m.goodbye = &goodbye;
	if (node_hub_link_send(l, &m))
		wire_stream_flush(&l->stream);
}

static void on_tick_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

void node_hub_link_destroy(struct node_hub_link *l, void (*closed)(void *arg), void *arg)
{
	if (!l)
		return;
	l->closed = closed;
	l->closed_arg = arg;
	l->ending = true;
	if (l->state == NODE_HUB_UP)
		say_goodbye(l);
	l->handles = HANDLES + (l->stream_used ? 1 : 0);
	uv_close((uv_handle_t *)&l->tick, on_tick_closed);
	if (l->stream_used)
		wire_stream_abort(&l->stream);
	else
		wire_loop_close(l->wire, on_wire_closed, l);
}

/* --- sending ---------------------------------------------------------------------------------- */

bool node_hub_link_send(struct node_hub_link *l, const Taltun__Hub__V1__ToHub *m)
{
	size_t len;

	if (l->state != NODE_HUB_UP && l->state != NODE_HUB_GREETING)
		return false;
	if (mesh_hub_to_hub_pack(m, l->frame, sizeof(l->frame), &len) != MESH_HUB_OK) {
		tt_log(TT_LOG_ERROR, "hub.message_failed", TT_F_U64("kind", m->message_case));
		return false;
	}
	return wire_stream_send(&l->stream, l->frame, len);
}

bool node_hub_link_relay(struct node_hub_link *l, uint32_t to_node, const uint8_t *packet,
			 uint32_t len)
{
	return l->state == NODE_HUB_UP &&
	       wire_stream_relay(&l->stream, to_node, packet, len, &l->stats);
}

uint32_t node_hub_link_room(struct node_hub_link *l)
{
	uint32_t room = l->state == NODE_HUB_UP ? wire_stream_room(&l->stream) : 0;

	if (!room && l->state == NODE_HUB_UP)
		wire_stream_want_room(&l->stream);
	return room;
}

void node_hub_link_flush(struct node_hub_link *l)
{
	if (l->state == NODE_HUB_UP)
		wire_stream_flush(&l->stream);
}

void node_hub_link_get_info(const struct node_hub_link *l, struct node_hub_link_info *out)
{
	struct tt_mono now = now_of(l);

	*out = (struct node_hub_link_info){.state = l->state,
					   .tcp_port = l->opt.tcp_port,
					   .rtt_us = l->rtt_us,
					   .connects = l->connects,
					   .lost = l->lost,
					   .since = l->since,
					   .relayed_packets = l->stats.packets,
					   .relay_dropped = l->stats.dropped_oldest +
							    l->stats.dropped_memory};
	out->at = l->at;
	if (l->state == NODE_HUB_WAITING)
		out->retry_in_ms = tt_mono_since(l->deadline, now) / TT_NS_PER_MS;
	memcpy(out->host, l->opt.host, sizeof(out->host));
	memcpy(out->why, l->why, sizeof(out->why));
}

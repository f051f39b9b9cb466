/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "node/hub_link_impl.h"
#include "plat/clock.h"

#define BUDGET_NS (INT64_C(2) * 1000000000) /* at once, of the time for what the hub says */

/* --- messages --------------------------------------------------------------------------------- */

static void on_opened(void *ctx)
{
	struct node_hub_link *l = ctx;
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Hello hello = TALTUN__HUB__V1__HELLO__INIT;

	node_hub_link_enter(l, NODE_HUB_GREETING, NODE_HUB_LINK_STEP_MS);
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
	if (m->code == TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REPLACED) {
		l->pause_ms = (uint64_t)NODE_HUB_LINK_RETRY_MAX_MS << l->replaced;
		l->replaced = TT_MIN(l->replaced + 1, NODE_HUB_LINK_REPLACED_MAX - 1u);
	} else {
		l->replaced = 0;
	}
	node_hub_link_lost(l, l->why, revoked);
}

static void take_restarting(struct node_hub_link *l, const Taltun__Hub__V1__Restarting *m)
{
	uint64_t in = TT_MIN(TT_MAX(m->reconnect_in_ms, UINT32_C(100)),
			     (uint32_t)NODE_HUB_LINK_RETRY_MAX_MS);

	/* spread over as much again: all of its nodes come at once otherwise */
	in += tt_rng_below(&l->opt.rng, (uint32_t)in + 1);
	l->keen_until = tt_mono_add_ns(node_hub_link_now(l),
				       in * TT_NS_PER_MS + (uint64_t)m->try_for_ms * TT_NS_PER_MS);
	node_hub_link_lost(l, "the hub restarts", false);
	/* one that does nothing but restart is waited for as one that does not stay */
	if (l->state == NODE_HUB_WAITING && l->short_lives < 2)
		node_hub_link_wait(l, in);
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
	node_hub_link_enter(l, NODE_HUB_UP, 0);
	l->pause_ms = TT_MIN((uint64_t)NODE_HUB_LINK_RETRY_MIN_MS << l->short_lives,
			     (uint64_t)NODE_HUB_LINK_RETRY_MAX_MS);
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
		node_hub_link_lost(l, "the hub said goodbye", false);
		return;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME:
		if (l->state == NODE_HUB_GREETING && is_meant(l, m->welcome))
			welcome(l, m->welcome);
		else
			node_hub_link_lost(l, "the hub does not keep to the protocol", false);
		return;
	default:
		break;
	}
	if (l->state == NODE_HUB_UP)
		l->opt.on.message(l->opt.on.ctx, m);
	else
		node_hub_link_lost(l, "the hub does not keep to the protocol", false);
}

/* --- their budget ----------------------------------------------------------------------------- */

static void refill(struct node_hub_link *l)
{
	uint64_t now = uv_hrtime();

	l->budget_ns += (int64_t)(TT_MIN(now - l->budget_at,
					 (uint64_t)BUDGET_NS * NODE_HUB_LINK_BUDGET_PART) /
				  NODE_HUB_LINK_BUDGET_PART);
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
	node_hub_link_arm(l);
}

void node_hub_link_resume(struct node_hub_link *l)
{
	if (!l->paused)
		return;
	refill(l);
	if (l->budget_ns < 0)
		return;
	l->paused = false;
	wire_stream_pause(&l->stream, false);
}

/* --- the stream ------------------------------------------------------------------------------- */

static void on_frame(void *ctx, const struct mesh_frame *f)
{
	struct node_hub_link *l = ctx;
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena arena;
	uint64_t began = uv_hrtime();

	l->frame_at = node_hub_link_now(l);
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
		node_hub_link_lost(l, l->why, false);
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
	node_hub_link_lost(l, l->why, false);
}

static void on_ended(void *ctx, enum wire_end why)
{
	struct node_hub_link *l = ctx;

	switch (why) {
	case WIRE_END_BY_PEER:
		node_hub_link_lost(l, "the hub closed the connection", false);
		break;
	case WIRE_END_RESET:
		node_hub_link_lost(l, "the connection was reset", false);
		break;
	case WIRE_END_TLS:
		lost_by_tls(l);
		break;
	case WIRE_END_BAD_FRAME:
		node_hub_link_lost(l, "the hub does not keep to the protocol", false);
		break;
	case WIRE_END_NOT_READING:
		node_hub_link_lost(l, "the hub does not read", false);
		break;
	case WIRE_END_FINISHED:
		wire_stream_abort(&l->stream);
		break;
	}
}

static void on_stream_closed(void *ctx)
{
	struct node_hub_link *l = ctx;

	l->stream_used = false;
	if (l->ending)
		node_hub_link_stream_gone(l);
}

const struct wire_handlers node_hub_link_on_stream = {.opened = on_opened,
						      .frame = on_frame,
						      .drained = on_drained,
						      .room = on_room,
						      .ended = on_ended,
						      .closed = on_stream_closed};

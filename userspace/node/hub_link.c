/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "node/hub_link_impl.h"
#include "plat/clock.h"

#define PING_MS	   15000 /* of silence */
#define DEAD_MS	   30000
#define STALLED_MS 120000 /* bytes come, but in all that time they do not make a frame */
#define DATA_BYTES (4 * 1024 * 1024)
#define HANDLES	   2 /* tick, wire loop */

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

struct tt_mono node_hub_link_now(const struct node_hub_link *l)
{
	return wire_loop_now(l->wire);
}

/* --- time ------------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *t);

/* An idle node sleeps: the timer runs to the next thing that is due and no further. */
void node_hub_link_arm(struct node_hub_link *l)
{
	struct tt_mono now = node_hub_link_now(l), next = l->deadline;
	struct tt_mono ping_at = tt_mono_add_ns(l->pinged, PING_MS * TT_NS_PER_MS);

	if (l->state == NODE_HUB_UP && (!tt_mono_is_set(next) || tt_mono_before(ping_at, next)))
		next = ping_at;
	if (l->paused) {
		struct tt_mono again =
			tt_mono_add_ns(now, (uint64_t)-l->budget_ns * NODE_HUB_LINK_BUDGET_PART);
		if (!tt_mono_is_set(next) || tt_mono_before(again, next))
			next = again;
	}
	if (!tt_mono_is_set(next))
		uv_timer_stop(&l->tick);
	else
		uv_timer_start(&l->tick, on_tick, tt_mono_since(next, now) / TT_NS_PER_MS + 1, 0);
}

void node_hub_link_enter(struct node_hub_link *l, enum node_hub_state state, uint64_t within_ms)
{
	l->state = state;
	l->since = node_hub_link_now(l);
	l->deadline = within_ms ? tt_mono_add_ns(l->since, within_ms * TT_NS_PER_MS)
				: (struct tt_mono){0};
	node_hub_link_arm(l);
}

void node_hub_link_ping(struct node_hub_link *l)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Ping p = TALTUN__HUB__V1__PING__INIT;

	l->ping_token = uv_hrtime();
	l->pinged = node_hub_link_now(l);
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
		node_hub_link_lost(l, "the hub does not answer", false);
		return;
	}
	if (due)
		l->deadline = (struct tt_mono){0};
	node_hub_link_resume(l);
	if (tt_mono_since(now, l->pinged) / TT_NS_PER_MS >= PING_MS)
		node_hub_link_ping(l);
	node_hub_link_arm(l);
}

static void on_tick(uv_timer_t *t)
{
	struct node_hub_link *l = t->data;
	struct tt_mono now = node_hub_link_now(l);

	if (l->state == NODE_HUB_UP) {
		look_after(l, now);
		return;
	}
	if (!tt_mono_is_set(l->deadline) || tt_mono_before(now, l->deadline)) {
		node_hub_link_arm(l);
		return;
	}
	switch (l->state) {
	case NODE_HUB_WAITING:
		node_hub_link_attempt(l);
		break;
	case NODE_HUB_RESOLVING:
		node_hub_link_lost(l, "the hub's name was not found in time", false);
		break;
	case NODE_HUB_CONNECTING:
		node_hub_link_lost(l, "cannot connect: no answer", false);
		break;
	case NODE_HUB_SECURING:
	case NODE_HUB_GREETING:
		node_hub_link_lost(l, "the hub does not answer", false);
		break;
	case NODE_HUB_UP:
	case NODE_HUB_STOPPED:
		break;
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static int make_context(struct node_hub_link *l)
{
	struct tls_context_options opt = {
		.cert = &l->opt.cert, .key = &l->opt.key, .ca = &l->opt.ca};
	struct tls_context *fresh;
	struct tls_cert_info info;
	int err = tls_context_create(&opt, &fresh);

	if (err)
		return err;
	if (tls_cert_parse(l->opt.cert.bytes, l->opt.cert.len, &info) == 0)
		l->cert_ends_s = info.not_after_s;
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
	l->pause_ms = NODE_HUB_LINK_RETRY_MIN_MS;
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
	node_hub_link_attempt(l);
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

static void on_wire_closed(void *arg)
{
	handle_closed(arg);
}

void node_hub_link_stream_gone(struct node_hub_link *l)
{
	/* not before: what was queued counts in the wire loop until here */
	wire_loop_close(l->wire, on_wire_closed, l);
	handle_closed(l);
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
		tt_log_limited(TT_LOG_ERROR, "hub.message_failed", NULL, plat_clock_mono(), 1,
			       TT_F_U64("kind", m->message_case));
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

/* --- what it is ------------------------------------------------------------------------------- */

void node_hub_link_get_info(const struct node_hub_link *l, struct node_hub_link_info *out)
{
	struct tt_mono now = node_hub_link_now(l);

	*out = (struct node_hub_link_info){.state = l->state,
					   .tcp_port = l->opt.tcp_port,
					   .rtt_us = l->rtt_us,
					   .connects = l->connects,
					   .lost = l->lost,
					   .cert_ends_s = l->cert_ends_s,
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

bool node_hub_link_address(const struct node_hub_link *l, enum tt_family family,
			   struct tt_endpoint *out)
{
	if (l->at.ip.family == family) {
		*out = l->at;
		return true;
	}
	for (unsigned i = 0; i < l->addr_count; i++) {
		if (l->addr[i].ip.family != family)
			continue;
		*out = l->addr[i];
		return true;
	}
	return false;
}

/* SPDX-License-Identifier: MIT
 *
 * Upkeep of peers: the workers' facts go into the timers, the timers' actions come out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/log.h"
#include "node/device_impl.h"
#include "plat/clock.h"

#define NEVER UINT64_MAX

static struct tt_mono at(const _Atomic uint64_t *ns)
{
	return (struct tt_mono){atomic_load_explicit(ns, memory_order_relaxed)};
}

static struct wg_facts facts_of(const struct dp_peer *dp)
{
	return (struct wg_facts){
		.last_tx = at(&dp->last_tx),
		.last_rx = at(&dp->last_rx),
		.last_data_tx = at(&dp->last_data_tx),
		.last_data_rx = at(&dp->last_data_rx),
		.unanswered_tx_since = at(&dp->unanswered_tx_since),
		.unanswered_rx_since = at(&dp->unanswered_rx_since),
	};
}

const char *node_peer_label(const struct node_peer *p, struct node_peer_label *buf)
{
	char key[TT_KEY_B64_LEN + 1];

	if (p->name)
		return p->name;
	tt_key_to_b64(p->wg->remote.public_key, key);
	memcpy(buf->key, key, sizeof(buf->key) - 1);
	buf->key[sizeof(buf->key) - 1] = 0;
	return buf->key;
}

/* --- names ------------------------------------------------------------------------------------ */

_Static_assert(DP_PEERS_MAX <= UINT32_C(1) << 16, "a query is an id below a generation");

void node_peer_resolve(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	/* generation 0 is for what is asked on nobody's behalf */
	if (++d->last_query == 0)
		d->last_query = 1;
	p->query = (uint32_t)d->last_query << 16 | p->id;
	p->resolve_after = tt_mono_add_ns(now, NODE_RESOLVE_LOST_NS);
	d->opt.resolve(d->opt.ctx, p->query, p->host, p->host_port);
}

static void resolve_again(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	uint32_t attempts = p->wg->timers.attempts;

	if (attempts < p->resolved_at)
		p->resolved_at = 0;
	if (!p->host || tt_mono_before(now, p->resolve_after))
		return;
	if (tt_endpoint_is_set(&p->dest.to) &&
	    attempts <= p->resolved_at + NODE_RESOLVE_AFTER_UNANSWERED)
		return;
	p->resolved_at = attempts;
	node_peer_resolve(d, p, now);
}

void node_device_unresolved(struct node_device *d, uint32_t query, const char *error)
{
	struct node_peer *p = node_device_peer_by_id(d, query & 0xffff);
	struct node_peer_label label;

	if (p && p->host && p->query == query)
		tt_log_limited(TT_LOG_WARN, "resolver.failed", NULL, plat_clock_mono(), 4,
			       TT_F_STR("peer", node_peer_label(p, &label)),
			       TT_F_STR("host", p->host), TT_F_STR("error", error));
}

void node_device_resolved(struct node_device *d, uint32_t query, const struct tt_endpoint *addr,
			  unsigned count)
{
	struct node_peer *p = node_device_peer_by_id(d, query & 0xffff);
	struct tt_mono now = plat_clock_mono();
	struct node_peer_label label;

	if (!p || !p->host || p->query != query)
		return;
	p->resolve_after = tt_mono_add_ns(now, p->resolve_gap_ns);
	p->resolve_gap_ns = TT_MIN(p->resolve_gap_ns * 2, NODE_RESOLVE_MAX_NS);
	if (!count) {
		node_peer_run(d, p, now, 0);
		node_device_rearm(d);
		return;
	}
	/* an address that is among the answers stays: changing answers must not move a live peer */
	for (unsigned i = 0; i < count; i++)
		if (tt_endpoint_equal(&p->dest.to, &addr[i]))
			return;
	tt_log_limited(TT_LOG_INFO, "peer.resolved", NULL, plat_clock_mono(), 20,
		       TT_F_STR("peer", node_peer_label(p, &label)), TT_F_STR("host", p->host),
		       TT_F_ENDPOINT("endpoint", &addr[0]));
	node_peer_set_endpoint(d, p, &addr[0]);
}

/* --- timers ----------------------------------------------------------------------------------- */

void node_peer_tell(struct node_device *d, const struct node_peer *p, struct node_event *e)
{
	e->peer = p->name;
	e->public_key = p->wg->remote.public_key;
	if (d->opt.event)
		d->opt.event(d->opt.ctx, e);
}

void node_peer_tell_rekey(struct node_device *d, const struct node_peer *p, const char *why,
			  uint32_t rtt_us)
{
	struct node_event e = {.kind = NODE_EVENT_REKEY, .why = why, .rtt_us = rtt_us};

	node_peer_tell(d, p, &e);
}

static void tell_status(struct node_device *d, const struct node_peer *p)
{
	struct node_event e = {.kind = NODE_EVENT_PEER_UP, .endpoint = p->dest.to};

	switch (p->status) {
	case WG_PEER_ONLINE:
		e.why = "it answers";
		break;
	case WG_PEER_IDLE:
		e.kind = NODE_EVENT_PEER_IDLE;
		e.why = "no packet for 180 s, and nobody asks for it";
		break;
	case WG_PEER_OFFLINE:
		e.kind = NODE_EVENT_PEER_OFFLINE;
		e.why = node_peer_has_path(p) ? "no answer to a handshake for 5 s"
					      : "there is no path to it";
		break;
	case WG_PEER_NEVER:
		return;
	}
	node_peer_tell(d, p, &e);
}

static void log_status(struct node_device *d, struct node_peer *p, enum wg_peer_status now_is)
{
	static const char *const name[] = {"never", "online", "idle", "offline"};
	struct node_peer_label label;

	if (p->status == now_is)
		return;
	bool matters = now_is == WG_PEER_ONLINE || now_is == WG_PEER_OFFLINE;
	tt_log_limited(matters ? TT_LOG_INFO : TT_LOG_DEBUG, "peer.status", name[now_is],
		       plat_clock_mono(), 50, TT_F_STR("peer", node_peer_label(p, &label)),
		       TT_F_U64("id", p->id), TT_F_STR("was", name[p->status]),
		       TT_F_STR("is", name[now_is]), TT_F_ENDPOINT("endpoint", &p->dest.to));
	p->status = now_is;
	tell_status(d, p);
}

static void act(struct node_device *d, struct node_peer *p, uint32_t actions, struct tt_mono now)
{
	if (actions & WG_TIMER_ZERO_KEYS)
		dp_peer_set_session(d->opt.plane, p->dp, NULL);
	if (actions & (WG_TIMER_GIVE_UP | WG_TIMER_UNANSWERED)) {
		dp_peer_drop_staged(d->opt.plane, p->dp);
		node_peer_forget_path(d, p);
	}
	if (actions & WG_TIMER_INITIATE)
		node_peer_send_initiation(d, p, now);
	if (actions & (WG_TIMER_KEEPALIVE | WG_TIMER_PERSISTENT))
		node_peer_send_keepalive(d, p, now);
}

static void set_deadline(struct node_device *d, struct node_peer *p, const struct wg_facts *f)
{
	struct tt_mono next = wg_timers_next_deadline(&p->wg->timers, f);

	/* a look-up that failed is repeated even where no timer runs */
	if (p->host && !tt_endpoint_is_set(&p->dest.to))
		next.ns = TT_MIN(next.ns, p->resolve_after.ns);
	if (next.ns == NEVER || !d->up)
		tt_heap_remove(&d->deadlines, &p->deadline);
	else
		tt_heap_set(&d->deadlines, &p->deadline, next.ns);
}

static void promoted(struct node_device *d, struct node_peer *p)
{
	struct node_peer_label label;

	p->handshakes++;
	d->handshakes.completed++;
	d->changes++;
	tt_log_limited(TT_LOG_DEBUG, "handshake.done", NULL, plat_clock_mono(), 50,
		       TT_F_STR("peer", node_peer_label(p, &label)), TT_F_STR("role", "responder"));
	if (p->handshakes > 1)
		node_peer_tell_rekey(d, p, "the peer asked for it", 0);
}

/* A packet may come on the other session before the workers know the one to send with, and then
 * rings no bell: so we look again after each change. */
static void confirm(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	enum wg_confirm_outcome outcome;

	do {
		struct wg_displaced gone;

		outcome = wg_peer_confirm(d->wg, p->wg, now, plat_clock_wall(), &gone);
		if (outcome == WG_CONFIRM_PROMOTED)
			promoted(d, p);
		if (outcome != WG_CONFIRM_NOTHING)
			dp_peer_set_session(d->opt.plane, p->dp, p->wg->current);
		node_device_unpublish(d, &gone);
	} while (outcome != WG_CONFIRM_NOTHING);
}

void node_peer_run(struct node_device *d, struct node_peer *p, struct tt_mono now, uint32_t flags)
{
	confirm(d, p, now);
	bool can = d->up && d->wg->has_key;

	/* the first packet may be here before the kernel has told that the link is up */
	if ((!can || d->held) && (flags & DP_FACT_NEED_HANDSHAKE))
		wg_timers_want_handshake(&p->wg->timers);
	if (!can) {
		tt_heap_remove(&d->deadlines, &p->deadline);
		return;
	}
	if (d->held) {
		tt_heap_set(&d->deadlines, &p->deadline, now.ns);
		return;
	}
	struct wg_facts f = facts_of(p->dp);
	f.need_handshake = flags & DP_FACT_NEED_HANDSHAKE;
	struct wg_displaced gone = {.count = 0};
	uint32_t actions = wg_peer_run_timers(d->wg, p->wg, &f, now, &d->opt.rng, &gone);
	act(d, p, actions, now);
	node_device_unpublish(d, &gone);
	resolve_again(d, p, now);
	f = facts_of(p->dp);
	log_status(d, p, wg_timers_status(&p->wg->timers, &f, now));
	set_deadline(d, p, &f);
}

void node_peer_want_handshake(struct node_device *d, struct node_peer *p)
{
	struct wg_facts f = facts_of(p->dp);

	wg_timers_want_handshake(&p->wg->timers);
	set_deadline(d, p, &f);
	node_device_rearm(d);
}

void node_device_rearm(struct node_device *d)
{
	struct tt_heap_item *min = tt_heap_min(&d->deadlines);
	/* 0 says that there is none: a rule that is due from the beginning is due at 1 */
	struct tt_mono next = {min ? TT_MAX(min->key, UINT64_C(1)) : 0};

	if (next.ns == d->armed.ns)
		return;
	d->armed = next;
	d->opt.arm(d->opt.ctx, next);
}

void node_device_hold(struct node_device *d, bool hold)
{
	d->held = hold;
	if (!hold)
		node_device_rearm(d);
}

void node_device_tick(struct node_device *d, struct tt_mono now)
{
	struct tt_mono end = tt_mono_add_ns(plat_clock_mono(), NODE_TICK_NS);
	struct tt_heap_item *min;
	/* each peer once a tick: an action that sets its own deadline in the past cannot stall us
	 */
	uint32_t left = d->count;

	d->armed.ns = 0;
	while (left-- && (min = tt_heap_min(&d->deadlines)) && min->key <= now.ns) {
		node_peer_run(d, TT_CONTAINER_OF(min, struct node_peer, deadline), now, 0);
		if (left % 8 == 0 && tt_mono_before(end, plat_clock_mono()))
			break;
	}
	node_device_rearm(d);
}

/* --- the doorbell ----------------------------------------------------------------------------- */

static void look_at(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;
	uint32_t flags = dp_peer_take_facts(p->dp, roam, &sources);

	/* plain peers have one source at most, and follow it */
	for (unsigned i = 0; p->managed && d->opt.heard && i < sources; i++)
		d->opt.heard(d->opt.ctx, p, &roam[i]);
	if (!p->managed && sources == 1 && roam[0].via == DP_VIA_UDP)
		node_peer_move(d, p, &roam[0].src, &roam[0].dst, roam[0].ifindex);
	if (flags & DP_FACT_LOST_SOURCE)
		node_peer_forget_path(d, p);
	if (p->managed && d->opt.wanted && (flags & (DP_FACT_NEED_HANDSHAKE | DP_FACT_TIMERS)))
		d->opt.wanted(d->opt.ctx, p);
	node_peer_run(d, p, now, flags);
}

void node_device_look(struct node_device *d, struct node_peer *p)
{
	look_at(d, p, plat_clock_mono());
	node_device_rearm(d);
}

bool node_device_doorbell(struct node_device *d, struct tt_mono now)
{
	tt_peer_id ids[256];
	bool overflow = false;
	unsigned n = dp_plane_doorbell_drain(d->opt.plane, ids, TT_ARRAY_LEN(ids), &overflow);

	for (unsigned i = 0; i < n && !overflow; i++) {
		struct node_peer *p = node_device_peer_by_id(d, ids[i]);
		if (p)
			look_at(d, p, now);
	}
	if (overflow)
		for (struct node_peer *p = node_device_next_peer(d, NULL); p;
		     p = node_device_next_peer(d, p))
			look_at(d, p, now);
	unsigned handled = node_device_handshakes(d, now);
	node_device_rearm(d);
	return n == TT_ARRAY_LEN(ids) || handled == NODE_HANDSHAKES_PER_TURN;
}

/* --- the network ------------------------------------------------------------------------------ */

void node_device_network_changed(struct node_device *d)
{
	struct tt_mono now = plat_clock_mono();

	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p)) {
		if (!p->wg->timers.series_start.ns)
			continue;
		wg_timers_restart(&p->wg->timers);
		p->resolve_gap_ns = NODE_RESOLVE_MIN_NS;
		node_peer_run(d, p, now, 0);
	}
	node_device_rearm(d);
}

/* --- looking ---------------------------------------------------------------------------------- */

#define MS TT_NS_PER_MS
const uint64_t node_handshake_bounds_ns[NODE_HANDSHAKE_BOUNDS] = {
	MS / 2,	 1 * MS,   2 * MS + MS / 2, 5 * MS,   10 * MS,	 25 * MS,
	50 * MS, 100 * MS, 250 * MS,	    500 * MS, 1000 * MS, 5000 * MS,
};
#undef MS

void node_device_handshake_stats(const struct node_device *d, struct node_handshake_stats *out)
{
	*out = d->handshakes;
}

void node_peer_get_info(const struct node_device *d, const struct node_peer *p,
			struct node_peer_info *out)
{
	struct tt_mono now = plat_clock_mono();
	const struct wg_session *s = p->wg->current;
	struct wg_facts f = facts_of(p->dp);

	*out = (struct node_peer_info){
		.id = p->id,
		.name = p->name ? p->name : "",
		.public_key = p->wg->remote.public_key,
		.psk = p->wg->remote.psk,
		.has_psk = p->has_psk,
		.endpoint = p->dest.to,
		.host = p->host,
		.status = wg_timers_status(&p->wg->timers, &f, now),
		.has_session = s && !wg_session_expired(s, now),
		.last_handshake = p->wg->last_handshake,
		.handshakes = p->handshakes,
		.handshake_rtt_us = p->handshake_rtt_us,
		.tx_bytes = atomic_load_explicit(&p->dp->tx_bytes, memory_order_relaxed),
		.rx_bytes = atomic_load_explicit(&p->dp->rx_bytes, memory_order_relaxed),
		.tx_packets = atomic_load_explicit(&p->dp->tx_packets, memory_order_relaxed),
		.rx_packets = atomic_load_explicit(&p->dp->rx_packets, memory_order_relaxed),
		.keepalive = p->wg->timers.persistent_s,
		.allowed_ips = d->allowed.peers[p->id].count,
	};
}

/* SPDX-License-Identifier: MIT */
#include "datapath/decap.h"

#include "datapath/ecn.h"
#include "datapath/encap.h"
#include "datapath/forward.h"
#include "datapath/inner_write.h"
#include "datapath/mss.h"
#include "datapath/relay.h"
#include "datapath/roam.h"

/* Packets of one session out of a chunk, in order of arrival. */
struct group {
	struct wg_session *session;
	struct dp_peer *peer;
	unsigned n;
	struct dp_frame *frame[DP_CHUNK];
	struct crypto_aead_job job[DP_CHUNK];
	uint64_t accepted;	 /* bit i: authentic and new */
	struct dp_frame *newest; /* the last one that raised the highest counter, or NULL */
};

/* --- what it is ------------------------------------------------------------------------------ */

static enum tt_drop push_handshake(struct dp_worker *w, const struct dp_frame *f)
{
	struct dp_handshake h;

	if (f->len > sizeof(h.bytes))
		return TT_DROP_HS_BAD_LENGTH;
	h.src = f->origin->src;
	h.dst = f->origin->dst;
	h.ifindex = f->origin->ifindex;
	h.via = (enum dp_via)f->via;
	h.tag = f->tag;
	h.len = (uint16_t)f->len;
	memcpy(h.bytes, f->data, f->len);
	return dp_handshake_push(w->plane, &h);
}

static enum tt_drop push_datagram(struct dp_worker *w, const struct dp_frame *f)
{
	enum tt_drop drop = dp_datagram_ring_push(&w->plane->datagrams, f);

	if (drop == TT_DROP_NONE)
		dp_doorbell_raise(&w->plane->doorbell);
	return drop;
}

static enum tt_drop classify(struct dp_worker *w, struct dp_frame *f, struct wg_session **session)
{
	if (tt_unlikely(f->truncated))
		return TT_DROP_RX_TRUNCATED;
	enum wg_message_type type = wg_message_type_of(f->data, f->len);

	if (tt_unlikely(!type) && f->via == DP_VIA_UDP && dp_relay_is_data(f->data, f->len)) {
		enum tt_drop drop = dp_relay_unwrap(w->plane, f);

		if (drop != TT_DROP_NONE)
			return drop;
		type = wg_message_type_of(f->data, f->len);
	}
	if (tt_unlikely(type != WG_MSG_DATA))
		return type ? push_handshake(w, f) : push_datagram(w, f);
	if (tt_unlikely(f->len < WG_DATA_MIN))
		return TT_DROP_RX_TOO_SHORT;
	struct wg_session *s =
		dp_session_table_find(&w->plane->sessions, tt_load_le32(f->data + 4));

	if (tt_unlikely(!s))
		return TT_DROP_DATA_UNKNOWN_INDEX;
	if (tt_unlikely(wg_session_expired(s, w->now)))
		return TT_DROP_DATA_EXPIRED;
	if (tt_unlikely(tt_load_le64(f->data + 8) >= WG_REJECT_AFTER_MESSAGES))
		return TT_DROP_DATA_COUNTER;
	*session = s;
	return TT_DROP_NONE;
}

/* --- to whom it may go ----------------------------------------------------------------------- */

/* The answers to the last look-ups: neighbours in a batch mostly are of one flow. */
struct lookup_cache {
	uint8_t family; /* TT_FAMILY_NONE: empty */
	bool own;	/* dst is ours */
	uint8_t src[16], dst[16];
	tt_peer_id from, to;
};

static void look_up(struct dp_plane *pl, struct lookup_cache *c, const struct dp_inner *in)
{
	size_t n = in->family == TT_FAMILY_V4 ? 4 : 16;
	enum tt_family family = (enum tt_family)in->family;

	if (c->family == in->family && dp_inner_address_equal(in, c->src, in->src) &&
	    dp_inner_address_equal(in, c->dst, in->dst))
		return;
	c->family = in->family;
	memcpy(c->src, in->src, n);
	memcpy(c->dst, in->dst, n);
	c->from = dp_plane_lookup(pl, family, in->src);
	/* To what only a default route covers the kernel knows the way: to a host behind us, or
	 * back into the tunnel, where encap asks for the policy. */
	c->to = dp_plane_lookup_specific(pl, family, in->dst);
	c->own = dp_plane_is_own(pl, family, in->dst);
}

/* From one peer to another: what is to happen instead of a TUN write. false: write it. */
static bool went_elsewhere(struct dp_worker *w, struct dp_peer *from, struct dp_peer *to,
			   uint8_t *pkt, struct dp_inner *in)
{
	switch ((enum dp_between)atomic_load_explicit(&w->plane->between, memory_order_relaxed)) {
	case DP_BETWEEN_DENY:
		dp_worker_drop(w, TT_DROP_POLICY, 1);
		return true;
	case DP_BETWEEN_DIRECT:
		return dp_forward_packet(w, from, to, pkt, in) == DP_FORWARD_DONE;
	case DP_BETWEEN_KERNEL:
		break;
	}
	return false;
}

/* The far end's SYN says what our side may send: no more than the way to the far end carries. */
static void clamp_mss(struct dp_worker *w, struct dp_peer *p, uint8_t *pkt,
		      const struct dp_inner *in)
{
	const struct dp_path *path = tt_epoch_load(&p->path);
	uint32_t mtu = atomic_load_explicit(&w->plane->mtu, memory_order_relaxed);

	if (path)
		mtu = dp_path_inner_mtu(path, mtu, !dp_inner_is_v4(in));
	if (dp_mss_clamp(pkt, in, mtu, false))
		dp_count(&w->counters.mss_clamped, 1);
}

static enum tt_drop deliver(struct dp_worker *w, struct dp_peer *p, const struct dp_frame *f,
			    struct lookup_cache *c)
{
	uint8_t *pkt = f->data + WG_DATA_HEADER;
	struct dp_inner in;
	enum tt_drop drop = dp_inner_parse(pkt, f->len - WG_DATA_OVERHEAD, &in);

	if (tt_unlikely(drop != TT_DROP_NONE))
		return drop;
	look_up(w->plane, c, &in);
	if (tt_unlikely(c->from != p->id))
		return TT_DROP_INNER_SOURCE;
	drop = dp_ecn_decap(pkt, &in, f->ecn);
	if (tt_unlikely(drop != TT_DROP_NONE))
		return drop;
	if (tt_unlikely(dp_mss_is_syn(pkt, &in)))
		clamp_mss(w, p, pkt, &in);
	if (tt_unlikely(c->to != TT_PEER_NONE && c->to != p->id && !c->own)) {
		struct dp_peer *to = dp_plane_peer(w->plane, c->to);

		if (to && went_elsewhere(w, p, to, pkt, &in))
			return TT_DROP_NONE;
	}
	w->datagrams += c->own && in.proto == DP_PROTO_UDP;
	if (!dp_gro_add(&w->gro, pkt, &in)) {
		dp_inner_write_batch(w);
		dp_gro_add(&w->gro, pkt, &in);
	}
	return TT_DROP_NONE;
}

static void deliver_group(struct dp_worker *w, const struct group *g)
{
	struct lookup_cache cache = {0};

	for (unsigned i = 0; i < g->n; i++) {
		if (!(g->accepted >> i & 1) || g->job[i].len == 0)
			continue;
		enum tt_drop drop = deliver(w, g->peer, g->frame[i], &cache);

		if (tt_unlikely(drop != TT_DROP_NONE))
			dp_worker_drop(w, drop, 1);
	}
}

/* --- whether it is genuine and new ----------------------------------------------------------- */

static enum tt_drop verdict_drop(enum wg_replay_verdict v)
{
	switch (v) {
	case WG_REPLAY_OLD:
		return TT_DROP_DATA_OLD;
	case WG_REPLAY_LIMIT:
		return TT_DROP_DATA_COUNTER;
	case WG_REPLAY_SEEN:
		return TT_DROP_DATA_REPLAY;
	case WG_REPLAY_OK:
	case WG_REPLAY_OK_NEWEST:
		break;
	}
	return TT_DROP_NONE;
}

/* The session's receive side is shared with other workers: one lock per batch, after the tags. */
static void accept_counters(struct dp_worker *w, struct group *g, uint64_t authentic)
{
	struct wg_session *s = g->session;

	while (atomic_flag_test_and_set_explicit(&s->rx_lock, memory_order_acquire))
		plat_thread_relax();
	for (unsigned i = 0; i < g->n; i++) {
		if (tt_unlikely(!(authentic >> i & 1)))
			continue;
		enum wg_replay_verdict v = wg_replay_accept(&s->replay, g->job[i].counter);

		if (v == WG_REPLAY_OK_NEWEST)
			g->newest = g->frame[i];
		if (tt_likely(v == WG_REPLAY_OK || v == WG_REPLAY_OK_NEWEST))
			g->accepted |= UINT64_C(1) << i;
		else
			dp_worker_drop(w, verdict_drop(v), 1);
	}
	atomic_flag_clear_explicit(&s->rx_lock, memory_order_release);
}

static void open_group(struct dp_worker *w, struct group *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		uint8_t *d = g->frame[i]->data;

		g->job[i] = (struct crypto_aead_job){
			.src = d + WG_DATA_HEADER,
			.dst = d + WG_DATA_HEADER,
			.counter = tt_load_le64(d + 8),
			.len = g->frame[i]->len - WG_DATA_OVERHEAD,
		};
	}
	uint64_t authentic = crypto_aead_open_burst(w->aead, &g->session->recv_key, g->job, g->n);
	unsigned bad = g->n - (unsigned)__builtin_popcountll(authentic);

	if (tt_unlikely(bad))
		dp_worker_drop(w, TT_DROP_DATA_BAD_AUTH, bad);
	accept_counters(w, g, authentic);
}

/* --- what control has to know ---------------------------------------------------------------- */

static void note_session(struct dp_worker *w, struct wg_session *s, struct dp_peer *p)
{
	if (tt_unlikely(!atomic_load_explicit(&s->confirmed, memory_order_relaxed)) &&
	    !atomic_exchange(&s->confirmed, true) && s != tt_epoch_load(&p->current))
		dp_worker_raise(w, p, DP_FACT_CONFIRMED);
	if (tt_unlikely(wg_session_rekey_on_receive(s, w->now)) &&
	    !atomic_load_explicit(&s->rekey_asked, memory_order_relaxed) &&
	    !atomic_exchange(&s->rekey_asked, true))
		dp_worker_raise(w, p, DP_FACT_NEED_HANDSHAKE);
}

static void note_group(struct dp_worker *w, const struct group *g)
{
	uint64_t bytes = 0;
	bool data = false;

	for (unsigned i = 0; i < g->n; i++) {
		if (!(g->accepted >> i & 1))
			continue;
		bytes += g->frame[i]->len;
		data |= g->job[i].len > 0;
	}
	dp_worker_note_rx(w, g->peer, (uint32_t)__builtin_popcountll(g->accepted), bytes, data);
	note_session(w, g->session, g->peer);
	if (g->newest)
		dp_roam_note(w, g->peer, g->newest);
}

/* --- a batch --------------------------------------------------------------------------------- */

static void decap_group(struct dp_worker *w, struct group *g)
{
	g->peer = dp_plane_peer(w->plane, g->session->peer);
	if (tt_unlikely(!g->peer)) {
		dp_worker_drop(w, TT_DROP_DATA_UNKNOWN_INDEX, g->n);
		return;
	}
	open_group(w, g);
	if (!g->accepted)
		return;
	note_group(w, g);
	deliver_group(w, g);
}

static void decap_chunk(struct dp_worker *w, struct dp_frame *f, unsigned n)
{
	struct wg_session *session[DP_CHUNK] DP_UNINITIALIZED;
	struct group g DP_UNINITIALIZED;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		session[i] = NULL;
		bytes += f[i].len;
		enum tt_drop drop = classify(w, &f[i], &session[i]);

		if (tt_unlikely(drop != TT_DROP_NONE))
			dp_worker_drop(w, drop, 1);
	}
	dp_count(&w->counters.rx_packets, n);
	dp_count(&w->counters.rx_bytes, bytes);
	for (unsigned first = 0; first < n; first++) {
		if (!session[first])
			continue;
		g.session = session[first];
		g.n = 0;
		g.accepted = 0;
		g.newest = NULL;
		for (unsigned i = first; i < n; i++) {
			if (session[i] != g.session)
				continue;
			g.frame[g.n++] = &f[i];
			session[i] = NULL;
		}
		decap_group(w, &g);
	}
}

bool dp_decap_turn(struct dp_worker *w, unsigned lane)
{
	struct dp_frame f[DP_CHUNK] DP_UNINITIALIZED;
	struct dp_outer_port *port = lane == DP_LANE_RELAY ? &w->relay.port : w->outer;
	bool any = false;
	unsigned n;

	while ((n = port->ops->rx(port, lane, f, DP_CHUNK)) > 0) {
		decap_chunk(w, f, n);
		any = true;
	}
	if (!any) {
		w->ready &= ~(1u << (DP_SLOT_LANE0 + lane));
		return false;
	}
	dp_count(&w->counters.rx_batches, 1);
	dp_inner_write_batch(w);
	dp_encap_flush(w);
	if (!port->ops->rx_release(port))
		w->ready &= ~(1u << (DP_SLOT_LANE0 + lane));
	return true;
}

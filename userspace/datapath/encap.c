/* SPDX-License-Identifier: MIT */
#include "datapath/encap.h"

#include <errno.h>

#include "datapath/ecn.h"
#include "datapath/fragment.h"
#include "datapath/inner_write.h"
#include "datapath/mss.h"
#include "datapath/relay.h"
#include "datapath/segment.h"

/* Sealed bytes that wait for more before they are sent. */
#define SEND_BYTES (64 * 1024)
/*
 * The first packet after a sleep, up to this size, does not wait for what may follow: it mostly is
 * alone, and somebody waits for its answer.
 */
#define ALONE_BYTES 2048

/* --- sealing and sending --------------------------------------------------------------------- */

static void ask_rekey(struct dp_worker *w, struct wg_session *s, struct dp_peer *p)
{
	if (!atomic_load_explicit(&s->rekey_asked, memory_order_relaxed) &&
	    !atomic_exchange(&s->rekey_asked, true))
		dp_worker_raise(w, p, DP_FACT_NEED_HANDSHAKE);
}

/* Headers with their counters in front of the plaintexts, then one burst. */
static void seal_jobs(struct dp_worker *w, struct dp_seal *seal, uint64_t first)
{
	for (uint32_t i = 0; i < seal->n; i++) {
		seal->job[i].counter = first + i;
		wg_data_header_write(seal->job[i].dst - WG_DATA_HEADER, seal->session->remote_index,
				     first + i);
	}
	crypto_aead_seal_burst(w->aead, &seal->session->send_key, seal->job, seal->n);
}

static void seal_flush(struct dp_worker *w)
{
	struct dp_seal *seal = &w->seal;
	uint64_t first;

	if (!seal->n)
		return;
	enum wg_session_use use =
		wg_session_reserve(seal->session, w->now, seal->n, seal->plain_bytes, &first);

	if (use == WG_SESSION_DEAD) {
		/* it died of its counters since the packets were routed; never send plaintext */
		seal->port->ops->tx_abort(seal->port);
		dp_worker_drop(w, TT_DROP_TX_COUNTER, seal->n);
		dp_worker_need_handshake(w, seal->peer);
	} else {
		if (use == WG_SESSION_USABLE_REKEY)
			ask_rekey(w, seal->session, seal->peer);
		seal_jobs(w, seal, first);
		seal->port->ops->tx_commit(seal->port);
		dp_worker_note_tx(w, seal->peer, seal->n, seal->wire_bytes, true);
	}
	seal->session = NULL;
	seal->n = 0;
	seal->plain_bytes = seal->wire_bytes = 0;
}

static void take_report(struct dp_worker *w, const struct dp_tx_report *r)
{
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		if (r->failed[i])
			dp_worker_drop(w, i, r->failed[i]);
	for (unsigned i = 0; i < r->lost_sources; i++)
		dp_worker_raise(w, r->lost_source[i], DP_FACT_LOST_SOURCE);
	if (r->gso_off)
		atomic_store(&w->plane->gso_off, true);
}

static void send_with(struct dp_worker *w,
		      void (*flush)(struct dp_outer_port *port, struct dp_tx_report *report))
{
	struct dp_tx_report report = {0};

	seal_flush(w);
	if (tt_unlikely(w->relay.done))
		w->relay.port.ops->tx_flush(&w->relay.port, &report);
	if (!w->outer->ops->tx_pending(w->outer))
		return;
	flush(w->outer, &report);
	dp_count(&w->counters.tx_batches, 1);
	take_report(w, &report);
}

void dp_encap_flush(struct dp_worker *w)
{
	send_with(w, w->outer->ops->tx_flush);
}

/* While more packets are likely to come in this turn. */
static void flush_full(struct dp_worker *w)
{
	const struct dp_outer_ops *ops = w->outer->ops;

	send_with(w, ops->tx_flush_full ? ops->tx_flush_full : ops->tx_flush);
}

/* --- one packet to its peer ------------------------------------------------------------------ */

/* What every packet of one to_peer() call has in common. */
struct encap_to {
	struct dp_peer *peer;
	struct dp_path *path;
	struct wg_session *session;
	struct dp_outer_port *port;
	uint32_t mtu;	 /* what padding does not go beyond; 0: unknown */
	uint32_t limit;	 /* longest inner packet that fits the path */
	uint32_t prefix; /* bytes in front of each message */
	uint8_t ecn;
};

/* Padded to 16, but never beyond the MTU, as in the kernel driver; nor beyond a datagram. */
static inline uint32_t padded_len(uint32_t len, const struct encap_to *to)
{
	bool v6 = to->path->dest.to.ip.family == TT_FAMILY_V6;
	uint32_t max = (v6 ? DP_WIRE_MAX_V6 : DP_WIRE_MAX_V4) - WG_DATA_OVERHEAD - to->prefix;
	uint32_t mtu = to->mtu, last = mtu && len > mtu ? len % mtu : len;
	uint32_t padded = TT_ALIGN_UP(last, (uint32_t)WG_PADDING);

	if (mtu)
		padded = TT_MIN(padded, mtu);
	padded = len + padded - last;
	return padded > max ? TT_MAX(len, max) : padded;
}

static inline bool session_usable(const struct dp_worker *w, const struct wg_session *s)
{
	return s && !wg_session_expired(s, w->now) &&
	       atomic_load_explicit(&s->send_counter, memory_order_relaxed) <
		       WG_REJECT_AFTER_MESSAGES;
}

/* A slot for the next packet of this session. What is waiting is sealed or sent to make room. */
static uint8_t *take_slot(struct dp_worker *w, const struct encap_to *to, uint32_t len)
{
	const struct dp_outer_ops *ops = to->port->ops;

	if (w->seal.n && (w->seal.session != to->session || w->seal.port != to->port ||
			  w->seal.n == CRYPTO_AEAD_BURST_MAX))
		seal_flush(w);
	uint8_t *slot = ops->tx_slot(to->port, to->peer, to->path, to->ecn, len);

	if (tt_likely(slot))
		return slot;
	dp_encap_flush(w);
	return ops->tx_slot(to->port, to->peer, to->path, to->ecn, len);
}

/* Room for an inner packet of len bytes, which the caller writes at once; NULL: it cannot go. */
static inline uint8_t *put(struct dp_worker *w, const struct encap_to *to, uint32_t len)
{
	struct dp_seal *seal = &w->seal;
	uint32_t padded = padded_len(len, to);
	uint32_t wire = padded + WG_DATA_OVERHEAD;
	uint8_t *slot = take_slot(w, to, wire + to->prefix);

	if (tt_unlikely(!slot))
		return NULL;
	if (to->prefix)
		dp_relay_header_write(slot, to->path->tag);
	uint8_t *plain = slot + to->prefix + WG_DATA_HEADER;

	if (padded > len)
		memset(plain + len, 0, padded - len);
	seal->job[seal->n++] = (struct crypto_aead_job){.src = plain, .dst = plain, .len = padded};
	seal->session = to->session;
	seal->peer = to->peer;
	seal->port = to->port;
	seal->plain_bytes += padded;
	seal->wire_bytes += wire;
	return plain;
}

static uint32_t packets_of(const struct plat_vnet_hdr *vnet, const struct dp_inner *in)
{
	uint32_t payload = in->total_len - in->l4_off - in->l4_hdr_len;

	if (vnet->gso_type == PLAT_VNET_GSO_NONE || !vnet->gso_size || !payload)
		return 1;
	return (payload + vnet->gso_size - 1) / vnet->gso_size;
}

static void stage(struct dp_worker *w, struct dp_peer *p, const struct plat_vnet_hdr *vnet,
		  const uint8_t *pkt, const struct dp_inner *in)
{
	uint32_t packets = packets_of(vnet, in);
	uint32_t dropped = dp_staging_push(&w->staging, p, vnet, pkt, in->total_len, packets);

	dp_count(&w->counters.staged_packets, packets);
	if (dropped)
		dp_worker_drop(w, TT_DROP_TX_STAGING_FULL, dropped);
	dp_worker_need_handshake(w, p);
	/* control may have set a session before it could see this packet in the peer's count */
	if (session_usable(w, dp_peer_sending(p))) {
		atomic_store(&w->scan_staged, true);
		dp_worker_wake(w);
	}
}

static bool is_awaiting(const struct dp_worker *w)
{
	return atomic_load_explicit(&w->plane->awaiting, memory_order_relaxed);
}

/*
 * Tells the sender, by way of the inner port, why its packets go nowhere. An IPv4 packet that
 * comes in with an address of the host itself is a martian, so the answer seems to come from the
 * destination; IPv6 has no such rule.
 */
static void tell_sender(struct dp_worker *w, enum dp_icmp_kind kind, uint32_t mtu,
			const uint8_t *pkt, const struct dp_inner *in)
{
	uint8_t answer[DP_ICMP_MAX] DP_UNINITIALIZED;

	if (!dp_icmp_allow(&w->icmp, w->now))
		return;
	const struct tt_ip *from = dp_inner_is_v4(in) ? NULL : dp_plane_own(w->plane, TT_FAMILY_V6);
	size_t len = dp_icmp_build(answer, kind, pkt, in, mtu, from);

	if (len)
		dp_inner_write_packet(w, answer, len);
}

static void refuse(struct dp_worker *w, enum tt_drop reason, enum dp_icmp_kind kind,
		   const uint8_t *pkt, const struct dp_inner *in)
{
	dp_worker_drop(w, reason, 1);
	tell_sender(w, kind, 0, pkt, in);
}

static void drop_unsent(struct dp_worker *w, const struct encap_to *to, uint32_t packets)
{
	bool relay = to->path->via == DP_VIA_RELAY_TCP;

	dp_worker_drop(w, relay ? TT_DROP_TX_RELAY_FULL : TT_DROP_TX_TOO_BIG, packets);
}

static bool put_segment(struct dp_worker *w, const struct encap_to *to, struct dp_segmenter *sg)
{
	uint8_t *plain = put(w, to, dp_segmenter_len(sg));

	if (tt_likely(plain))
		dp_segmenter_next(sg, plain);
	return plain;
}

/* The next segment, in as many packets as the path wants. */
static bool put_fragments(struct dp_worker *w, const struct encap_to *to, struct dp_segmenter *sg)
{
	uint8_t *whole = w->scratch[1];
	struct dp_fragmenter f DP_UNINITIALIZED;
	struct dp_inner in;
	uint32_t len = dp_segmenter_next(sg, whole);

	if (dp_inner_parse(whole, len, &in) != TT_DROP_NONE ||
	    !dp_fragmenter_init(&f, whole, &in, to->limit)) {
		dp_worker_drop(w, TT_DROP_TX_TOO_BIG, 1);
		return true;
	}
	dp_count(&w->counters.fragmented_packets, 1);
	while (f.left) {
		uint8_t *plain = put(w, to, dp_fragmenter_len(&f));

		if (!plain) {
			drop_unsent(w, to, 1);
			return false;
		}
		dp_fragmenter_next(&f, plain);
	}
	return true;
}

/* Packets that are too long for the path: as RFC 791 and RFC 8201 want it. */
static void put_oversize(struct dp_worker *w, const struct encap_to *to, struct dp_segmenter *sg,
			 const uint8_t *pkt, const struct dp_inner *in)
{
	if (in->flags & DP_INNER_DF) {
		dp_worker_drop(w, TT_DROP_TX_TOO_BIG, sg->left);
		tell_sender(w, DP_ICMP_TOO_BIG, to->limit, pkt, in);
		return;
	}
	while (sg->left) {
		bool fits = dp_segmenter_len(sg) <= to->limit;

		if (!(fits ? put_segment(w, to, sg) : put_fragments(w, to, sg))) {
			drop_unsent(w, to, sg->left);
			return;
		}
	}
}

/* What the path asks of each packet. */
static void look_at_path(struct dp_worker *w, struct encap_to *to, const struct dp_inner *in)
{
	const struct dp_path *path = to->path;
	uint32_t mtu = atomic_load_explicit(&w->plane->mtu, memory_order_relaxed);
	bool v6 = !dp_inner_is_v4(in);

	to->mtu = dp_path_inner_mtu(path, mtu, v6);
	to->limit = path->inner_mtu ? dp_path_inner_mtu(path, 0, v6) : UINT32_MAX;
	to->port = path->via == DP_VIA_RELAY_TCP ? &w->relay.port : w->outer;
	to->prefix = path->via == DP_VIA_RELAY_UDP ? DP_RELAY_HEADER : 0;
}

void dp_encap_to_peer(struct dp_worker *w, struct dp_peer *p, const struct plat_vnet_hdr *vnet,
		      uint8_t *pkt, const struct dp_inner *in)
{
	struct encap_to to = {
		.peer = p,
		.path = tt_epoch_load(&p->path),
		.session = dp_peer_sending(p),
		.ecn = dp_ecn_encap(in->tos),
	};
	struct dp_segmenter sg DP_UNINITIALIZED;

	if (tt_unlikely(!to.path)) {
		if (is_awaiting(w))
			stage(w, p, vnet, pkt, in);
		else
			refuse(w, TT_DROP_TX_NO_ENDPOINT, DP_ICMP_ADDR_UNREACHABLE, pkt, in);
		return;
	}
	if (!session_usable(w, to.session)) {
		stage(w, p, vnet, pkt, in);
		return;
	}
	look_at_path(w, &to, in);
	if (tt_unlikely(dp_mss_is_syn(pkt, in)) &&
	    dp_mss_clamp(pkt, in, to.mtu, vnet->flags & PLAT_VNET_F_NEEDS_CSUM))
		dp_count(&w->counters.mss_clamped, 1);
	enum tt_drop drop = dp_segmenter_init(&sg, vnet, pkt, in);

	if (drop != TT_DROP_NONE) {
		dp_worker_drop(w, drop, 1);
		return;
	}
	if (tt_unlikely(sg.full_len > to.limit)) {
		put_oversize(w, &to, &sg, pkt, in);
		return;
	}
	while (sg.left) {
		if (!put_segment(w, &to, &sg)) {
			drop_unsent(w, &to, sg.left);
			return;
		}
	}
}

/* --- from the inner port --------------------------------------------------------------------- */

/*
 * Whether a packet that the kernel routed into the tunnel came out of it, from another peer. Our
 * own addresses are nobody else's, nor are those of hosts behind us that only a peer's default
 * route covers.
 */
static bool from_another_peer(struct dp_worker *w, const struct dp_inner *in, tt_peer_id to)
{
	enum tt_family family = (enum tt_family)in->family;
	tt_peer_id from = dp_plane_lookup_specific(w->plane, family, in->src);

	return from != TT_PEER_NONE && from != to && !dp_plane_is_own(w->plane, family, in->src);
}

/* Where the last packet went: the next one mostly is of the same flow. */
struct last_route {
	uint8_t family; /* TT_FAMILY_NONE: empty */
	bool refused;	/* by policy: it came from another peer */
	uint8_t src[16], dst[16];
	tt_peer_id to;
};

static void route(struct dp_worker *w, struct last_route *r, const struct dp_inner *in)
{
	size_t n = dp_inner_is_v4(in) ? 4 : 16;

	if (r->family == in->family && dp_inner_address_equal(in, r->dst, in->dst) &&
	    dp_inner_address_equal(in, r->src, in->src))
		return;
	r->family = in->family;
	memcpy(r->src, in->src, n);
	memcpy(r->dst, in->dst, n);
	r->to = dp_plane_lookup(w->plane, (enum tt_family)in->family, in->dst);
	r->refused =
		atomic_load_explicit(&w->plane->between, memory_order_relaxed) == DP_BETWEEN_DENY &&
		r->to != TT_PEER_NONE && from_another_peer(w, in, r->to);
}

/* Nobody takes it. */
static void unclaimed(struct dp_worker *w, const struct plat_vnet_hdr *vnet, const uint8_t *pkt,
		      const struct dp_inner *in)
{
	struct dp_peer *awaited = &w->plane->awaited;
	uint32_t packets = packets_of(vnet, in), dropped;

	if (!is_awaiting(w)) {
		refuse(w, TT_DROP_TX_NO_PEER, DP_ICMP_ADDR_UNREACHABLE, pkt, in);
		return;
	}
	dropped = dp_staging_push(&w->staging, awaited, vnet, pkt, in->total_len, packets);
	if (dropped)
		dp_worker_drop(w, TT_DROP_TX_STAGING_FULL, dropped);
	/* control may have made the table, or given up, before it could see this packet */
	if (!is_awaiting(w) ||
	    dp_plane_lookup(w->plane, (enum tt_family)in->family, in->dst) != TT_PEER_NONE) {
		atomic_store(&w->scan_staged, true);
		dp_worker_wake(w);
	}
}

static void deliver(struct dp_worker *w, struct last_route *r, const struct plat_vnet_hdr *vnet,
		    uint8_t *pkt, const struct dp_inner *in)
{
	route(w, r, in);
	struct dp_peer *p = dp_plane_peer(w->plane, r->to);

	if (tt_unlikely(!p))
		unclaimed(w, vnet, pkt, in);
	else if (tt_unlikely(r->refused))
		dp_worker_drop(w, TT_DROP_POLICY, packets_of(vnet, in));
	else
		dp_encap_to_peer(w, p, vnet, pkt, in);
}

static void encap_packet(struct dp_worker *w, struct last_route *r,
			 const struct plat_vnet_hdr *vnet, uint8_t *pkt, size_t len)
{
	struct dp_inner in;

	if (dp_inner_parse(pkt, len, &in) != TT_DROP_NONE) {
		dp_count(&w->counters.tun_rx_packets, 1);
		dp_worker_drop(w, TT_DROP_TX_INNER_INVALID, 1);
		return;
	}
	dp_count(&w->counters.tun_rx_packets, packets_of(vnet, &in));
	deliver(w, r, vnet, pkt, &in);
}

void dp_encap_turn(struct dp_worker *w)
{
	struct last_route r = {0};
	struct plat_vnet_hdr vnet;
	uint32_t packets = 0;
	size_t bytes = 0;
	ssize_t n = -EAGAIN;
	uint8_t *pkt;

	while (packets < DP_ENCAP_PACKETS && bytes < DP_ENCAP_BYTES) {
		n = w->inner->ops->rx(w->inner, &pkt, &vnet);
		if (n <= 0)
			break;
		dp_count(&w->counters.tun_rx_reads, 1);
		encap_packet(w, &r, &vnet, pkt, (size_t)n);
		packets++;
		bytes += (size_t)n;
		if (w->outer->ops->tx_pending(w->outer) + w->seal.wire_bytes >= SEND_BYTES)
			flush_full(w);
		else if (packets == 1 && w->slept && n <= ALONE_BYTES)
			dp_encap_flush(w);
	}
	dp_encap_flush(w);
	if (n > 0)
		w->ready |= 1u << DP_SLOT_INNER;
	else
		w->ready &= ~(1u << DP_SLOT_INNER);
	if (n < 0 && n != -EAGAIN)
		dp_inner_failed(w, (int)n, 0);
}

/* --- from staging ---------------------------------------------------------------------------- */

static bool may_send_staged(struct dp_worker *w, struct dp_peer *p)
{
	return tt_epoch_load(&p->path) && session_usable(w, dp_peer_sending(p));
}

static void feed(struct dp_worker *w, struct dp_staging_queue *q, struct dp_peer *p)
{
	struct plat_vnet_hdr vnet;
	struct dp_inner in;
	uint32_t len;

	/* a session that dies meanwhile stages what is left again; it stays where it is instead */
	while (may_send_staged(w, p)) {
		len = dp_staging_pop(&w->staging, q, p, &vnet, w->scratch[0]);
		if (!len)
			return;
		if (dp_inner_parse(w->scratch[0], len, &in) == TT_DROP_NONE)
			dp_encap_to_peer(w, p, &vnet, w->scratch[0], &in);
	}
}

/* Once each: those that nobody takes yet go back. */
static void feed_awaited(struct dp_worker *w, struct dp_staging_queue *q)
{
	struct dp_peer *awaited = &w->plane->awaited;
	struct last_route r = {0};
	struct plat_vnet_hdr vnet;
	struct dp_inner in;
	uint32_t len;

	for (uint32_t left = dp_staging_count(awaited); left; left--) {
		len = dp_staging_pop(&w->staging, q, awaited, &vnet, w->scratch[0]);
		if (!len)
			return;
		if (dp_inner_parse(w->scratch[0], len, &in) == TT_DROP_NONE)
			deliver(w, &r, &vnet, w->scratch[0], &in);
	}
}

void dp_encap_staged(struct dp_worker *w)
{
	struct dp_staging *s = &w->staging;

	/* backwards: a queue that closes is replaced by the last one, which was looked at before */
	for (uint32_t i = s->active_count; i-- > 0;) {
		struct dp_staging_queue *q = &s->queue[s->active[i]];
		struct dp_peer *p = dp_plane_peer(w->plane, q->peer);

		if (q->peer == w->plane->awaited.id)
			feed_awaited(w, q);
		else if (!p || dp_staging_generation(p) != q->generation)
			dp_worker_drop(w, TT_DROP_TX_STAGING_EXPIRED, dp_staging_drop(s, q));
		else
			feed(w, q, p);
	}
	dp_encap_flush(w);
}

/* SPDX-License-Identifier: MIT
 *
 * Handshake datagrams and keepalives: between the protocol core and the control thread's socket.
 */
#include <errno.h>

#include "base/log.h"
#include "node/device_impl.h"
#include "plat/clock.h"
#include "plat/secmem.h"
#include "wg/data.h"

static void drop(struct node_device *d, enum tt_drop reason)
{
	d->drops[reason]++;
}

/* Sends to the peer's endpoint; true where it left. */
static bool send_to_peer(struct node_device *d, struct node_peer *p, const void *data, size_t len)
{
	struct node_peer_label label;
	bool lost_source = false;
	int err;

	if (p->managed)
		err = d->opt.send_route(d->opt.ctx, &p->route, data, len);
	else
		err = d->opt.send(d->opt.ctx, &p->dest, data, len, &lost_source);
	if (lost_source) {
		/* the kernel chose another source; so do we from now on */
		memset(&p->dest.from, 0, sizeof(p->dest.from));
		p->dest.from_ifindex = 0;
		node_peer_publish_path(d, p);
	}
	if (!err)
		return true;
	drop(d, TT_DROP_TX_SOCKET);
	tt_log_limited(TT_LOG_WARN, "send.failed", NULL, plat_clock_mono(), 1,
		       TT_F_STR("peer", node_peer_label(p, &label)),
		       TT_F_ENDPOINT("endpoint", &p->dest.to), TT_F_ERRNO("error", err));
	return false;
}

/* One line a second over all peers. */
static void warn_clock(const struct node_peer *p, const char *what)
{
	struct node_peer_label label;

	tt_log_limited(TT_LOG_WARN, "handshake.clock", what, plat_clock_mono(), 1,
		       TT_F_STR("peer", p ? node_peer_label(p, &label) : ""),
		       TT_F_STR("what", what));
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Kept before it is sent: whoever comes after us must not send an older one. */
static void note_stamp(struct node_device *d, const struct node_peer *p)
{
	if (wg_tai64n_compare(&p->wg->stamp_sent, &d->stamp) <= 0)
		return;
	d->stamp = p->wg->stamp_sent;
	if (d->opt.stamped)
		d->opt.stamped(d->opt.ctx, d->stamp.b);
}

void node_peer_send_initiation(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	struct wg_msg_initiation msg;

	if (!d->up)
		return;
	if (p->managed && d->opt.wanted)
		d->opt.wanted(d->opt.ctx, p);
	if (!node_peer_has_path(p)) {
		drop(d, TT_DROP_TX_NO_ENDPOINT);
		return;
	}
	switch (wg_peer_initiate(d->wg, p->wg, now, plat_clock_wall(), &d->opt.rng, &msg)) {
	case WG_INITIATE_OK:
		p->initiation_sent = now;
		note_stamp(d, p);
		if (send_to_peer(d, p, &msg, sizeof(msg)))
			dp_peer_note_bytes(p->dp, sizeof(msg), 0);
		break;
	case WG_INITIATE_NO_KEY:
		drop(d, TT_DROP_TX_NO_KEY);
		break;
	case WG_INITIATE_LOW_ORDER:
		drop(d, TT_DROP_HS_LOW_ORDER);
		break;
	case WG_INITIATE_NO_INDEX:
		drop(d, TT_DROP_HS_NO_INDEX);
		break;
	case WG_INITIATE_CLOCK:
		warn_clock(p, "our clock is decades ahead: no handshake before it is set");
		break;
	case WG_INITIATE_TOO_SOON:
		break;
	}
}

void node_peer_send_keepalive(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	uint8_t msg[WG_DATA_MIN];
	struct wg_session *s = wg_peer_sending_session(p->wg, now);

	if (!d->up || !node_peer_has_path(p))
		return;
	if (!s) {
		node_peer_want_handshake(d, p);
		return;
	}
	enum wg_session_use use = wg_data_seal(s, now, NULL, 0, 0, msg);
	if (use == WG_SESSION_DEAD) {
		node_peer_want_handshake(d, p);
		return;
	}
	/* a tunnel that carries nothing but keepalives renews its session all the same */
	if (use == WG_SESSION_USABLE_REKEY && !atomic_exchange(&s->rekey_asked, true))
		node_peer_want_handshake(d, p);
	if (send_to_peer(d, p, msg, sizeof(msg)))
		dp_peer_note_tx(p->dp, now, sizeof(msg), false);
}

/* --- receiving -------------------------------------------------------------------------------- */

/*
 * The interface is only kept where the address means nothing without it: routes may flip to
 * another interface while the source address stays right.
 */
static uint32_t sticky_ifindex(const struct tt_ip *dst, uint32_t ifindex)
{
	bool link_local =
		dst->family == TT_FAMILY_V6 && dst->b[0] == 0xfe && (dst->b[1] & 0xc0) == 0x80;

	return link_local ? ifindex : 0;
}

static void tell_roam(struct node_device *d, const struct node_peer *p,
		      const struct tt_endpoint *src)
{
	struct node_event e = {.kind = NODE_EVENT_ROAM,
			       .why = "an authenticated packet came from there",
			       .endpoint = *src,
			       .endpoint_was = p->dest.to};

	node_peer_tell(d, p, &e);
}

void node_peer_move(struct node_device *d, struct node_peer *p, const struct tt_endpoint *src,
		    const struct tt_ip *dst, uint32_t ifindex)
{
	struct node_peer_label label;

	ifindex = sticky_ifindex(dst, ifindex);
	if (p->fixed && !tt_endpoint_equal(&p->dest.to, src))
		return;
	if (tt_endpoint_equal(&p->dest.to, src) && tt_ip_equal(&p->dest.from, dst) &&
	    p->dest.from_ifindex == ifindex)
		return;
	if (!tt_endpoint_equal(&p->dest.to, src)) {
		tt_log_limited(TT_LOG_DEBUG, "peer.moved", NULL, plat_clock_mono(), 50,
			       TT_F_STR("peer", node_peer_label(p, &label)),
			       TT_F_ENDPOINT("from", &p->dest.to), TT_F_ENDPOINT("to", src));
		d->changes++;
		if (tt_endpoint_is_set(&p->dest.to))
			tell_roam(d, p, src);
	}
	memset(&p->dest, 0, sizeof(p->dest));
	p->dest.to = *src;
	p->dest.from = *dst;
	p->dest.from_ifindex = ifindex;
	node_peer_publish_path(d, p);
}

/* A session stands: workers may use it, and what is staged goes out. */
static void use_session(struct node_device *d, struct node_peer *p, struct wg_session *s)
{
	p->handshakes++;
	d->handshakes.completed++;
	d->changes++;
	dp_peer_set_session(d->opt.plane, p->dp, s);
	dp_peer_set_next(p->dp, p->wg->next); /* where initiations crossed it is still there */
}

static void reply_to_source(struct node_device *d, const struct dp_handshake *h,
			    const struct wg_rx_result *r)
{
	struct dp_route back = {.via = h->via,
				.tag = h->tag,
				.dest = {.to = h->src,
					 .from = h->dst,
					 .from_ifindex = sticky_ifindex(&h->dst, h->ifindex)}};
	bool lost_source;
	int err;

	plat_udp_dest_prepare(&back.dest);
	if (h->via != DP_VIA_UDP)
		err = d->opt.send_route
			      ? d->opt.send_route(d->opt.ctx, &back, r->reply, r->reply_len)
			      : -EOPNOTSUPP;
	else
		err = d->opt.send(d->opt.ctx, &back.dest, r->reply, r->reply_len, &lost_source);
	if (err)
		drop(d, TT_DROP_TX_SOCKET);
}

/* The initiator's part: the session stands, and the responder waits for a first packet. */
static void session_ready(struct node_device *d, struct node_peer *p, struct wg_session *s,
			  struct tt_mono now)
{
	uint64_t took = tt_mono_since(now, p->initiation_sent);
	struct node_peer_label label;

	p->handshake_rtt_us = (uint32_t)(took / TT_NS_PER_US);
	tt_histogram_add(&d->handshakes.duration, node_handshake_bounds_ns, NODE_HANDSHAKE_BOUNDS,
			 took);
	tt_log_limited(TT_LOG_DEBUG, "handshake.done", NULL, plat_clock_mono(), 50,
		       TT_F_STR("peer", node_peer_label(p, &label)), TT_F_STR("role", "initiator"),
		       TT_F_U64("rtt_us", p->handshake_rtt_us));
	if (p->handshakes)
		node_peer_tell_rekey(d, p, "we asked for it", p->handshake_rtt_us);
	bool staged = dp_peer_staged(p->dp);
	use_session(d, p, s);
	if (!staged)
		node_peer_send_keepalive(d, p, now);
}

/* A plain peer's endpoint follows; a managed peer's path is only known to be alive. */
static void came_from(struct node_device *d, struct node_peer *p, const struct dp_handshake *h,
		      struct tt_mono now)
{
	struct dp_roam from = {.src = h->src,
			       .dst = h->dst,
			       .ifindex = h->ifindex,
			       .via = h->via,
			       .tag = h->tag,
			       .at = now};

	if (!p->managed && h->via == DP_VIA_UDP)
		node_peer_move(d, p, &h->src, &h->dst, h->ifindex);
	else if (p->managed && d->opt.heard)
		d->opt.heard(d->opt.ctx, p, &from);
}

static void act_on_result(struct node_device *d, const struct dp_handshake *h,
			  const struct wg_rx_result *r, struct tt_mono now)
{
	struct node_peer *p = node_device_peer_by_id(d, r->peer);

	if (p && r->authenticated) {
		dp_peer_note_bytes(p->dp, 0, h->len);
		came_from(d, p, h, now);
	}
	switch (r->outcome) {
	case WG_RX_SEND_COOKIE:
		reply_to_source(d, h, r);
		break;
	case WG_RX_SEND_RESPONSE:
		/* published first, so that the answer finds its session */
		d->changes++; /* the stamp */
		if (p)
			dp_peer_set_next(p->dp, r->session);
		reply_to_source(d, h, r);
		if (p)
			dp_peer_note_bytes(p->dp, r->reply_len, 0);
		break;
	case WG_RX_SESSION_READY:
		session_ready(d, p, r->session, now);
		break;
	case WG_RX_COOKIE_STORED:
	case WG_RX_DROP:
		break;
	}
	node_device_unpublish(d, &r->displaced);
	if (p)
		node_peer_run(d, p, now, 0);
}

static bool take_spare(struct node_device *d)
{
	if (!d->spare)
		d->spare = node_session_alloc();
	return d->spare != NULL;
}

static void handshake(struct node_device *d, const struct dp_handshake *h, bool under_load,
		      struct tt_mono now)
{
	struct wg_rx_result r;

	if (!d->up) {
		drop(d, TT_DROP_TUN_DOWN);
		return;
	}
	/* without memory for a session nothing that could make one is looked at */
	if (!take_spare(d)) {
		drop(d, TT_DROP_HS_NO_INDEX);
		return;
	}
	uint64_t future = d->wg->future_stamps;
	wg_device_receive(d->wg, now, plat_clock_wall(), &d->opt.rng, under_load, &h->src, h->bytes,
			  h->len, d->spare, &r);
	if (d->wg->future_stamps != future)
		warn_clock(node_device_peer_by_id(d, r.peer),
			   "the peer's clock is more than a day ahead of ours");
	if (r.session) {
		d->spare = NULL;
		dp_session_publish(d->opt.plane, r.session);
		if (d->opt.index)
			d->opt.index(d->opt.ctx, r.session->local_index, true);
	}
	act_on_result(d, h, &r, now);
}

unsigned node_device_handshakes(struct node_device *d, struct tt_mono now)
{
	static struct dp_handshake batch[NODE_HANDSHAKES_PER_TURN];
	bool under_load = dp_handshake_depth(d->opt.plane) >= DP_HANDSHAKE_UNDER_LOAD;
	unsigned n = dp_handshake_pop(d->opt.plane, batch, NODE_HANDSHAKES_PER_TURN);

	for (unsigned i = 0; i < n; i++)
		handshake(d, &batch[i], under_load, now);
	return n;
}

void node_device_datagram(struct node_device *d, struct tt_mono now, const struct plat_udp_rx *rx)
{
	(void)now;
	if (rx->truncated) {
		drop(d, TT_DROP_RX_TRUNCATED);
		return;
	}
	for (uint32_t off = 0; off < rx->len; off += rx->segment) {
		uint32_t len = TT_MIN(rx->segment, rx->len - off);
		if (!d->wg->has_key) {
			drop(d, TT_DROP_HS_NO_KEY);
			return;
		}
		enum tt_drop why = dp_plane_udp_push(d->opt.plane, &rx->src, &rx->dst, rx->ifindex,
						     rx->buf + off, len);
		if (why != TT_DROP_NONE)
			drop(d, why);
	}
	if (rx->len == 0)
		drop(d, TT_DROP_RX_TOO_SHORT);
}

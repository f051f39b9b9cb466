/* SPDX-License-Identifier: MIT */
#include "wg/device.h"

#include "crypto/mem.h"

/* A day ahead of our clock: not refused (stamps need not be times), but somebody's clock is wrong.
 */
#define WG_FUTURE_S (24 * 3600)

/* What every step needs. */
struct wg_rx {
	struct wg_device *dev;
	struct tt_mono now;
	struct tt_wall wall;
	const struct tt_rng *rng;
	const struct tt_endpoint *source;
	const uint8_t *datagram;
	size_t len;
	struct wg_session *spare;
	struct wg_rx_result *out;
};

static enum tt_drop wg_rx_noise_drop(enum wg_noise_outcome outcome)
{
	return outcome == WG_NOISE_LOW_ORDER ? TT_DROP_HS_LOW_ORDER : TT_DROP_HS_BAD_AUTH;
}

/* Macs first: what costs little comes before what costs much, and under load nothing is computed
 * for a source that is not proved. NONE: go on. */
static enum tt_drop wg_rx_admit(const struct wg_rx *rx)
{
	struct wg_device *dev = rx->dev;
	bool load = wg_device_under_load(dev, rx->now);

	if (!dev->has_key)
		return TT_DROP_HS_NO_KEY;
	if (!load)
		return wg_cookie_check_mac1(&dev->cookie.keys, rx->datagram, rx->len)
			       ? TT_DROP_NONE
			       : TT_DROP_HS_BAD_MAC1;
	switch (wg_cookie_check(&dev->cookie, rx->datagram, rx->len, rx->source, rx->now,
				rx->rng)) {
	case WG_COOKIE_BAD_MAC1:
		return TT_DROP_HS_BAD_MAC1;
	case WG_COOKIE_MAC1_ONLY:
		return TT_DROP_HS_BAD_MAC2;
	case WG_COOKIE_MAC2:
		break;
	}
	return wg_ratelimit_allow(&dev->limit, &rx->source->ip, rx->now) ? TT_DROP_NONE
									 : TT_DROP_HS_RATELIMITED;
}

/* Instead of an answer: prove your address. The sender's index is the second word of both types. */
static void wg_rx_send_cookie(const struct wg_rx *rx)
{
	struct wg_msg_cookie reply;

	wg_cookie_reply_create(&rx->dev->cookie, &reply, tt_load_le32(rx->datagram + 4),
			       rx->datagram, rx->len, rx->source, rx->now, rx->rng);
	memcpy(rx->out->reply, &reply, sizeof(reply));
	rx->out->reply_len = sizeof(reply);
	rx->out->outcome = WG_RX_SEND_COOKIE;
	rx->dev->cookies_sent++;
}

/* --- initiation ------------------------------------------------------------------------------- */

static enum tt_drop wg_rx_check_stamp(const struct wg_rx *rx, const struct wg_peer *p,
				      const struct wg_tai64n *stamp)
{
	if (wg_tai64n_compare(stamp, &p->stamp_received) <= 0)
		return TT_DROP_HS_REPLAY;
	if (tt_mono_is_set(p->initiation_received) &&
	    tt_mono_since(rx->now, p->initiation_received) < WG_INITIATION_MIN_GAP_NS)
		return TT_DROP_HS_FLOOD;
	return TT_DROP_NONE;
}

/* Everything succeeded: only here does an initiation change the peer. */
static void wg_rx_respond(const struct wg_rx *rx, struct wg_peer *p, const struct wg_tai64n *stamp,
			  struct wg_msg_response *msg, const struct wg_noise_keys *keys)
{
	p->stamp_received = *stamp;
	p->initiation_received = rx->now;
	if (wg_tai64n_wall(stamp).sec > rx->wall.sec + WG_FUTURE_S)
		rx->dev->future_stamps++;
	wg_peer_adopt(rx->dev, p, rx->spare, keys, false, rx->now, rx->rng, &rx->out->displaced);
	wg_timers_response_sent(&p->timers, rx->now);
	wg_cookie_stamp(&p->cookie, (uint8_t *)msg, sizeof(*msg), rx->now);
	memcpy(rx->out->reply, msg, sizeof(*msg));
	rx->out->reply_len = sizeof(*msg);
	rx->out->session = rx->spare;
	rx->out->peer = p->id;
	rx->out->authenticated = true;
	rx->out->outcome = WG_RX_SEND_RESPONSE;
	rx->dev->responses_sent++;
}

/* From an authentic initiation to the response. */
static enum tt_drop wg_rx_answer(const struct wg_rx *rx, struct wg_peer *p,
				 const struct wg_noise_responder *r, const struct wg_tai64n *stamp)
{
	struct wg_msg_response msg;
	struct wg_noise_keys keys;
	uint8_t ephemeral[WG_KEY_LEN];
	uint32_t index = wg_index_add(&rx->dev->index, rx->now, rx->rng, WG_INDEX_HANDSHAKE, p->id);

	if (!index)
		return TT_DROP_HS_NO_INDEX;
	tt_rng_fill(rx->rng, ephemeral, sizeof(ephemeral));
	enum wg_noise_outcome made =
		wg_noise_response_create(&keys, &msg, r, &p->remote, ephemeral, index);
	if (made == WG_NOISE_OK) {
		wg_index_promote(&rx->dev->index, index);
		wg_rx_respond(rx, p, stamp, &msg, &keys);
	} else {
		wg_index_remove(&rx->dev->index, index, rx->now);
	}
	crypto_wipe(&keys, sizeof(keys));
	crypto_wipe(ephemeral, sizeof(ephemeral));
	return made == WG_NOISE_OK ? TT_DROP_NONE : wg_rx_noise_drop(made);
}

static enum tt_drop wg_rx_identify(const struct wg_rx *rx, struct wg_noise_responder *r)
{
	const struct wg_msg_initiation *msg = (const struct wg_msg_initiation *)rx->datagram;
	enum wg_noise_outcome outcome = wg_noise_initiation_open(r, msg, &rx->dev->self);
	struct wg_tai64n stamp;

	if (outcome != WG_NOISE_OK)
		return wg_rx_noise_drop(outcome);
	struct wg_peer *p = wg_device_peer(rx->dev, wg_device_find_peer(rx->dev, r->remote_static));
	if (!p)
		return TT_DROP_HS_UNKNOWN_PEER;
	if (!wg_peer_static_static(rx->dev, p))
		return TT_DROP_HS_LOW_ORDER;
	outcome = wg_noise_initiation_verify(r, &stamp, msg, &p->remote);
	if (outcome != WG_NOISE_OK)
		return wg_rx_noise_drop(outcome);
	enum tt_drop drop = wg_rx_check_stamp(rx, p, &stamp);
	return drop == TT_DROP_NONE ? wg_rx_answer(rx, p, r, &stamp) : drop;
}

static enum tt_drop wg_rx_initiation(const struct wg_rx *rx)
{
	struct wg_noise_responder r;
	enum tt_drop drop = wg_rx_admit(rx);

	if (drop != TT_DROP_NONE)
		return drop;
	drop = wg_rx_identify(rx, &r);
	crypto_wipe(&r, sizeof(r));
	return drop;
}

/* --- response --------------------------------------------------------------------------------- */

static void wg_rx_session_ready(const struct wg_rx *rx, struct wg_peer *p,
				const struct wg_noise_keys *keys)
{
	wg_index_promote(&rx->dev->index, keys->local_index);
	crypto_wipe(&p->initiator, sizeof(p->initiator));
	p->handshake = WG_HANDSHAKE_NONE;
	wg_peer_adopt(rx->dev, p, rx->spare, keys, true, rx->now, rx->rng, &rx->out->displaced);
	wg_timers_handshake_done(&p->timers, rx->now);
	p->last_handshake = rx->wall;
	rx->out->session = rx->spare;
	rx->out->peer = p->id;
	rx->out->authenticated = true;
	rx->out->outcome = WG_RX_SESSION_READY;
	rx->dev->handshakes_done++;
}

static enum tt_drop wg_rx_response(const struct wg_rx *rx)
{
	const struct wg_msg_response *msg = (const struct wg_msg_response *)rx->datagram;
	enum tt_drop drop = wg_rx_admit(rx);

	if (drop != TT_DROP_NONE)
		return drop;
	uint32_t index = tt_load_le32(msg->receiver_index);
	struct wg_index_ref ref = wg_index_find(&rx->dev->index, index);
	if (ref.kind == WG_INDEX_FREE)
		return TT_DROP_HS_UNKNOWN_INDEX;
	struct wg_peer *p = wg_device_peer(rx->dev, ref.peer);
	if (ref.kind != WG_INDEX_HANDSHAKE || !p || p->handshake != WG_HANDSHAKE_INITIATED ||
	    p->initiator.local_index != index)
		return TT_DROP_HS_WRONG_STATE;

	struct wg_noise_keys keys;
	enum wg_noise_outcome outcome =
		wg_noise_response_consume(&keys, msg, &p->initiator, &rx->dev->self, &p->remote);
	if (outcome == WG_NOISE_OK)
		wg_rx_session_ready(rx, p, &keys);
	else
		drop = wg_rx_noise_drop(outcome);
	crypto_wipe(&keys, sizeof(keys));
	return drop;
}

/* --- cookie reply ----------------------------------------------------------------------------- */

/* Never authenticates its source: whoever saw our message and is known to the peer's public key
 * could have sent it. */
static enum tt_drop wg_rx_cookie(const struct wg_rx *rx)
{
	const struct wg_msg_cookie *msg = (const struct wg_msg_cookie *)rx->datagram;
	struct wg_index_ref ref = wg_index_find(&rx->dev->index, tt_load_le32(msg->receiver_index));
	struct wg_peer *p = wg_device_peer(rx->dev, ref.peer);

	if (ref.kind == WG_INDEX_FREE || !p)
		return TT_DROP_HS_UNKNOWN_INDEX;
	switch (wg_cookie_reply_consume(&p->cookie, msg, rx->now)) {
	case WG_COOKIE_UNEXPECTED:
		return TT_DROP_COOKIE_UNSOLICITED;
	case WG_COOKIE_FORGED:
		return TT_DROP_COOKIE_INVALID;
	case WG_COOKIE_STORED:
		break;
	}
	rx->out->peer = p->id;
	rx->out->outcome = WG_RX_COOKIE_STORED;
	rx->dev->cookies_received++;
	return TT_DROP_NONE;
}

/* --- dispatch --------------------------------------------------------------------------------- */

static enum tt_drop wg_rx_dispatch(const struct wg_rx *rx)
{
	if (rx->len < 4)
		return TT_DROP_RX_TOO_SHORT;
	switch (wg_message_type_of(rx->datagram, rx->len)) {
	case WG_MSG_INITIATION:
		return rx->len == sizeof(struct wg_msg_initiation) ? wg_rx_initiation(rx)
								   : TT_DROP_HS_BAD_LENGTH;
	case WG_MSG_RESPONSE:
		return rx->len == sizeof(struct wg_msg_response) ? wg_rx_response(rx)
								 : TT_DROP_HS_BAD_LENGTH;
	case WG_MSG_COOKIE:
		return rx->len == sizeof(struct wg_msg_cookie) ? wg_rx_cookie(rx)
							       : TT_DROP_HS_BAD_LENGTH;
	case WG_MSG_DATA:
		break;
	}
	return TT_DROP_RX_BAD_TYPE;
}

enum wg_rx_outcome wg_device_receive(struct wg_device *dev, struct tt_mono now, struct tt_wall wall,
				     const struct tt_rng *rng, bool under_load,
				     const struct tt_endpoint *source, const uint8_t *datagram,
				     size_t len, struct wg_session *spare, struct wg_rx_result *out)
{
	struct wg_rx rx = {dev, now, wall, rng, source, datagram, len, spare, out};

	memset(out, 0, sizeof(*out));
	out->peer = TT_PEER_NONE;
	out->outcome = WG_RX_DROP;
	if (under_load)
		dev->last_load = now;
	out->reason = wg_rx_dispatch(&rx);
	if (out->reason != TT_DROP_NONE)
		dev->drops[out->reason]++;
	if (out->reason == TT_DROP_HS_BAD_MAC2)
		wg_rx_send_cookie(&rx);
	return out->outcome;
}

/* SPDX-License-Identifier: MIT */
#include "wg/peer.h"

#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "wg/device.h"

/* Of a crossed pair both have been heard in turn so often: both are alive, and the preferred one
 * stays. Bounds what a peer that never makes up its mind can cost. */
#define WG_CROSSING_TURNS 4

void wg_peer_set_psk(struct wg_peer *p, const uint8_t psk[WG_KEY_LEN])
{
	memcpy(p->remote.psk, psk, WG_KEY_LEN);
}

bool wg_peer_static_static(const struct wg_device *dev, struct wg_peer *p)
{
	if (!p->static_static_known) {
		/* All zero where it cannot be; noise refuses that. */
		bool good = crypto_x25519(p->remote.static_static, dev->self.private_key,
					  p->remote.public_key);
		if (!good)
			crypto_wipe(p->remote.static_static, WG_KEY_LEN);
		p->static_static_known = true;
	}
	return !crypto_is_zero(p->remote.static_static, WG_KEY_LEN);
}

/* --- handshake under way ---------------------------------------------------------------------- */

void wg_peer_handshake_clear(struct wg_device *dev, struct wg_peer *p, struct tt_mono now)
{
	if (p->handshake != WG_HANDSHAKE_NONE)
		wg_index_remove(&dev->index, p->initiator.local_index, now);
	crypto_wipe(&p->initiator, sizeof(p->initiator));
	p->handshake = WG_HANDSHAKE_NONE;
}

enum wg_initiate_outcome wg_peer_initiate(struct wg_device *dev, struct wg_peer *p,
					  struct tt_mono now, struct tt_wall wall,
					  const struct tt_rng *rng, struct wg_msg_initiation *out)
{
	struct wg_noise_initiator fresh;
	uint8_t ephemeral[WG_KEY_LEN];
	struct wg_tai64n stamp;
	enum wg_initiate_outcome outcome = WG_INITIATE_OK;

	if (!dev->has_key)
		return WG_INITIATE_NO_KEY;
	if (!wg_peer_static_static(dev, p))
		return WG_INITIATE_LOW_ORDER;
	if (!wg_timers_may_initiate(&p->timers, now))
		return WG_INITIATE_TOO_SOON;
	if (!wg_tai64n_next(&stamp, &p->stamp_sent, wall, dev->stamp_limit))
		return WG_INITIATE_CLOCK;
	uint32_t index = wg_index_add(&dev->index, now, rng, WG_INDEX_HANDSHAKE, p->id);
	if (!index)
		return WG_INITIATE_NO_INDEX;

	tt_rng_fill(rng, ephemeral, sizeof(ephemeral));
	if (wg_noise_initiation_create(&fresh, out, &dev->self, &p->remote, ephemeral, &stamp,
				       index) != WG_NOISE_OK) {
		wg_index_remove(&dev->index, index, now);
		outcome = WG_INITIATE_LOW_ORDER;
		goto out;
	}
	wg_cookie_stamp(&p->cookie, (uint8_t *)out, sizeof(*out), now);
	wg_peer_handshake_clear(dev, p, now);
	p->initiator = fresh;
	p->handshake = WG_HANDSHAKE_INITIATED;
	p->stamp_sent = stamp;
	wg_timers_initiation_sent(&p->timers, now);
	dev->initiations_sent++;
out:
	crypto_wipe(&fresh, sizeof(fresh));
	crypto_wipe(ephemeral, sizeof(ephemeral));
	return outcome;
}

/* --- sessions --------------------------------------------------------------------------------- */

/* Empties a slot. */
static void wg_peer_displace(struct wg_device *dev, struct wg_session **slot, struct tt_mono now,
			     struct wg_displaced *out)
{
	struct wg_session *s = *slot;

	if (!s)
		return;
	if (tt_mono_since(now, s->born) < WG_INDEX_REST_AGE_NS)
		wg_index_release(&dev->index, s->local_index);
	else
		wg_index_remove(&dev->index, s->local_index, now);
	out->session[out->count++] = s;
	*slot = NULL;
}

static void wg_peer_set_current(struct wg_peer *p, struct wg_session *s)
{
	p->current = s;
	p->timers.current_born = s ? s->born : (struct tt_mono){0};
}

static bool wg_session_heard(const struct wg_session *s)
{
	return atomic_load_explicit(&s->confirmed, memory_order_acquire);
}

/* To be told of its next packet. */
static void wg_session_listen(struct wg_session *s)
{
	atomic_store(&s->confirmed, false);
}

/* Of two sessions whose initiations crossed, the one that the lower public key began: so both sides
 * prefer the same. */
static bool wg_peer_prefers(const struct wg_device *dev, const struct wg_peer *p,
			    const struct wg_session *s)
{
	bool ours = memcmp(dev->self.public_key, p->remote.public_key, WG_KEY_LEN) < 0;

	return s->initiator == ours;
}

static void wg_session_fill(struct wg_session *s, const struct wg_noise_keys *keys, tt_peer_id peer,
			    bool initiator, struct tt_mono now)
{
	memcpy(s->send_key.bytes, keys->send, WG_KEY_LEN);
	memcpy(s->recv_key.bytes, keys->recv, WG_KEY_LEN);
	s->local_index = keys->local_index;
	s->remote_index = keys->remote_index;
	s->peer = peer;
	s->initiator = initiator;
	s->born = now;
	wg_replay_init(&s->replay);
}

/* Spread by an eighth to both sides, so that the two ends of a busy tunnel do not start together.
 */
static uint64_t wg_session_draw_volume(uint64_t mean, const struct tt_rng *rng)
{
	uint64_t span = mean / 4;

	return mean - mean / 8 + (uint64_t)(((unsigned __int128)span * tt_rng_u32(rng)) >> 32);
}

/* The initiator has both proofs: its session is current at once. One that crossed it stays in
 * `next`, and its first packet decides. */
static void wg_peer_adopt_initiated(struct wg_device *dev, struct wg_peer *p, struct wg_session *s,
				    struct tt_mono now, struct wg_displaced *out)
{
	bool crossed = p->next && p->crossing != WG_CROSSING_NONE;

	wg_peer_displace(dev, &p->previous, now, out);
	if (p->next && !crossed) {
		p->previous = p->next;
		p->next = NULL;
		wg_peer_displace(dev, &p->current, now, out);
	} else {
		p->previous = p->current;
	}
	wg_peer_set_current(p, s);
	p->crossing = crossed ? WG_CROSSING_PAIR : WG_CROSSING_NONE;
}

/* Whether this initiation may have been sent before its sender had an answer of ours. Once the peer
 * has used our session it knows it, and initiates because it wants another. */
static enum wg_crossing wg_peer_crossing(const struct wg_peer *p)
{
	if (p->handshake == WG_HANDSHAKE_INITIATED)
		return WG_CROSSING_OPEN;
	if (p->current && p->current->initiator && !wg_session_heard(p->current))
		return WG_CROSSING_PAIR;
	return WG_CROSSING_NONE;
}

/* The responder's session waits in `next`. `previous` goes, so that one peer never holds more keys
 * than it needs; while our own session is not known to be in use, the peer may still send on it. */
static void wg_peer_adopt_responded(struct wg_device *dev, struct wg_peer *p, struct wg_session *s,
				    struct tt_mono now, struct wg_displaced *out)
{
	p->crossing = wg_peer_crossing(p);
	p->crossing_turns = 0;
	wg_peer_displace(dev, &p->next, now, out);
	if (p->crossing != WG_CROSSING_PAIR)
		wg_peer_displace(dev, &p->previous, now, out);
	p->next = s;
}

void wg_peer_adopt(struct wg_device *dev, struct wg_peer *p, struct wg_session *s,
		   const struct wg_noise_keys *keys, bool initiator, struct tt_mono now,
		   const struct tt_rng *rng, struct wg_displaced *out)
{
	wg_session_fill(s, keys, p->id, initiator, now);
	s->rekey_after_bytes = wg_session_draw_volume(dev->rekey_after_bytes, rng);
	p->timers.keys_born = now;
	if (initiator)
		wg_peer_adopt_initiated(dev, p, s, now, out);
	else
		wg_peer_adopt_responded(dev, p, s, now, out);
}

/* --- the first packets ------------------------------------------------------------------------ */

/* The session that is not preferred was heard, and the preferred one, which is current, too. */
static void wg_peer_crossing_turn(struct wg_peer *p, struct tt_mono now)
{
	if (++p->crossing_turns == WG_CROSSING_TURNS) {
		p->crossing = WG_CROSSING_NONE;
		return;
	}
	p->crossing_silent = now;
	wg_session_listen(p->current);
	wg_session_listen(p->previous);
}

/*
 * A packet on `next` proves that the peer has it, now. Only where a session of ours crossed it, is
 * preferred, and was proved as well, that one stays.
 */
static enum wg_confirm_outcome wg_peer_confirm_next(struct wg_device *dev, struct wg_peer *p,
						    struct tt_mono now, struct tt_wall wall,
						    struct wg_displaced *out)
{
	struct wg_session *s = p->next;
	bool pair = p->crossing == WG_CROSSING_PAIR;

	wg_peer_displace(dev, &p->previous, now, out);
	p->next = NULL;
	if (pair && wg_peer_prefers(dev, p, p->current) && wg_session_heard(p->current)) {
		p->previous = s;
		wg_peer_crossing_turn(p, now);
		return WG_CONFIRM_KEPT;
	}
	p->previous = p->current;
	wg_peer_set_current(p, s);
	if (!pair)
		p->crossing = WG_CROSSING_NONE;
	wg_peer_handshake_clear(dev, p, now);
	wg_timers_handshake_done(&p->timers, now);
	p->last_handshake = wall;
	dev->handshakes_done++;
	return WG_CONFIRM_PROMOTED;
}

static enum wg_confirm_outcome wg_peer_switch(struct wg_peer *p)
{
	struct wg_session *s = p->previous;

	p->previous = p->current;
	wg_peer_set_current(p, s);
	return WG_CONFIRM_SWITCHED;
}

/*
 * A packet on the other one of a crossed pair. The preferred one is taken at once; the other only
 * where it alone is heard for a while, and then for good, so that the two sides cannot change their
 * minds against each other for ever.
 */
static enum wg_confirm_outcome wg_peer_confirm_previous(const struct wg_device *dev,
							struct wg_peer *p, struct tt_mono now)
{
	if (wg_peer_prefers(dev, p, p->previous)) {
		wg_session_listen(p->current);
		return wg_peer_switch(p);
	}
	if (wg_session_heard(p->current)) {
		wg_peer_crossing_turn(p, now);
		return WG_CONFIRM_NOTHING;
	}
	if (tt_mono_since(now, p->crossing_silent) < WG_CROSSING_GRACE_NS) {
		wg_session_listen(p->previous);
		return WG_CONFIRM_NOTHING;
	}
	p->crossing = WG_CROSSING_NONE;
	return wg_peer_switch(p);
}

enum wg_confirm_outcome wg_peer_confirm(struct wg_device *dev, struct wg_peer *p,
					struct tt_mono now, struct tt_wall wall,
					struct wg_displaced *out)
{
	*out = (struct wg_displaced){0};
	if (p->next)
		return wg_session_heard(p->next) ? wg_peer_confirm_next(dev, p, now, wall, out)
						 : WG_CONFIRM_NOTHING;
	if (p->crossing == WG_CROSSING_PAIR && p->previous && wg_session_heard(p->previous))
		return wg_peer_confirm_previous(dev, p, now);
	return WG_CONFIRM_NOTHING;
}

void wg_peer_expire(struct wg_device *dev, struct wg_peer *p, struct tt_mono now,
		    struct wg_displaced *out)
{
	*out = (struct wg_displaced){0};
	wg_peer_handshake_clear(dev, p, now);
	wg_peer_displace(dev, &p->next, now, out);
	wg_peer_displace(dev, &p->current, now, out);
	wg_peer_displace(dev, &p->previous, now, out);
	wg_peer_set_current(p, NULL);
	p->crossing = WG_CROSSING_NONE;
	p->timers.keys_born = (struct tt_mono){0};
}

uint32_t wg_peer_run_timers(struct wg_device *dev, struct wg_peer *p, const struct wg_facts *f,
			    struct tt_mono now, const struct tt_rng *rng, struct wg_displaced *out)
{
	uint32_t actions = wg_timers_run(&p->timers, f, now, rng);

	*out = (struct wg_displaced){0};
	if (actions & WG_TIMER_ZERO_KEYS)
		wg_peer_expire(dev, p, now, out);
	else if (actions & WG_TIMER_GIVE_UP)
		wg_peer_handshake_clear(dev, p, now);
	return actions;
}

struct wg_session *wg_peer_sending_session(const struct wg_peer *p, struct tt_mono now)
{
	return p->current && !wg_session_expired(p->current, now) ? p->current : NULL;
}

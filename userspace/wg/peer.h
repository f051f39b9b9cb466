/* SPDX-License-Identifier: MIT
 *
 * One peer of a device: long-term keys, at most one initiation under way, three sessions, timers.
 * Control thread only. Its endpoint is the caller's; what may move it is said in struct
 * wg_rx_result and by the workers.
 *
 * Sessions: `next` was made by us as responder and waits for the first packet that proves that the
 * initiator has it; `current` is what we send with; `previous` still receives. A session is memory
 * of the caller. It goes in as `spare` and comes back in struct wg_displaced: unpublish it from the
 * workers, wait for their grace period, then crypto_wipe() it.
 */
#ifndef TT_WG_PEER_H
#define TT_WG_PEER_H

#include "wg/cookie.h"
#include "wg/noise.h"
#include "wg/session.h"
#include "wg/tai64n.h"
#include "wg/timers.h"

struct wg_device;

enum wg_handshake_state {
	WG_HANDSHAKE_NONE = 0,
	WG_HANDSHAKE_INITIATED, /* an initiation of ours waits for its response */
};

/*
 * Where both sides initiated before either was answered there are two sessions. Both sides then
 * prefer the one that the lower public key began. A preference only: a node that was started anew
 * has forgotten the sessions of its former life, and its initiation looks as if it had crossed
 * ours. So only what is heard decides which session is sent with.
 */
enum wg_crossing {
	WG_CROSSING_NONE = 0,
	WG_CROSSING_OPEN, /* `next` was made while an initiation of ours was unanswered */
	WG_CROSSING_PAIR, /* both were answered: `current`, and `next` or then `previous` */
};

/* How long the other session alone must be heard before the preferred one counts as lost. */
#define WG_CROSSING_GRACE_NS (500 * TT_NS_PER_MS)

/* Sessions that a call has pushed out; the caller's again. Their indices are free already. */
struct wg_displaced {
	struct wg_session *session[4];
	uint32_t count;
};

struct wg_peer {
	tt_peer_id id;
	uint32_t hash_next; /* device's table of public keys: id + 1 */
	struct wg_noise_remote remote;
	bool static_static_known; /* computed at the first handshake, not at configuration */
	struct wg_cookie cookie;

	enum wg_handshake_state handshake;
	struct wg_noise_initiator initiator; /* while INITIATED */

	struct wg_session *previous, *current, *next;
	enum wg_crossing crossing;
	uint32_t crossing_turns;	/* PAIR: how often both were heard in turn */
	struct tt_mono crossing_silent; /* PAIR: since then the preferred one is not heard */

	struct wg_timers timers;
	struct tt_wall last_handshake; /* wall time of the last completed one; sec 0: never */

	/* Replay protection of initiations. Both may be read and set, to be kept over restarts;
	 * setting stamp_received to zero lets a peer in whose clock was ahead once. */
	struct wg_tai64n stamp_sent;
	struct wg_tai64n stamp_received;
	struct tt_mono initiation_received;
};

void wg_peer_set_psk(struct wg_peer *p, const uint8_t psk[WG_KEY_LEN]);

enum wg_initiate_outcome {
	WG_INITIATE_OK,	       /* out is filled: send it */
	WG_INITIATE_NO_KEY,    /* the device has no private key */
	WG_INITIATE_LOW_ORDER, /* no handshake is possible with this public key */
	WG_INITIATE_TOO_SOON,  /* 5 s since the last handshake message are not over */
	WG_INITIATE_NO_INDEX,  /* the index table is full */
	WG_INITIATE_CLOCK,     /* the stamp would lie past dev->stamp_limit */
};

/* Makes a new initiation, which supersedes one that is under way. Call it on WG_TIMER_INITIATE
 * where the peer has an endpoint. */
enum wg_initiate_outcome wg_peer_initiate(struct wg_device *dev, struct wg_peer *p,
					  struct tt_mono now, struct tt_wall wall,
					  const struct tt_rng *rng, struct wg_msg_initiation *out);

enum wg_confirm_outcome {
	WG_CONFIRM_NOTHING,  /* nothing has changed */
	WG_CONFIRM_PROMOTED, /* `next` is `current` now: send with it, flush the staging */
	WG_CONFIRM_SWITCHED, /* of a crossed pair `current` is the other one now: send with it */
	WG_CONFIRM_KEPT,     /* `next` is `previous` now: it stays for receiving only */
};

/*
 * Looks at the `confirmed` flags. Call it when a packet has arrived on a session that is not
 * current; and again after anything but NOTHING was published, for a packet may have come in
 * between. May clear flags, to be told of the next packet.
 */
enum wg_confirm_outcome wg_peer_confirm(struct wg_device *dev, struct wg_peer *p,
					struct tt_mono now, struct tt_wall wall,
					struct wg_displaced *out);

/*
 * wg_timers_run() with what it means for the core itself: GIVE_UP drops the initiation under way,
 * ZERO_KEYS expires the peer. The caller does the rest of the actions.
 */
uint32_t wg_peer_run_timers(struct wg_device *dev, struct wg_peer *p, const struct wg_facts *f,
			    struct tt_mono now, const struct tt_rng *rng, struct wg_displaced *out);

/* Drops the initiation under way, if any. */
void wg_peer_handshake_clear(struct wg_device *dev, struct wg_peer *p, struct tt_mono now);

/* Drops the initiation and all sessions: new private key, interface down. */
void wg_peer_expire(struct wg_device *dev, struct wg_peer *p, struct tt_mono now,
		    struct wg_displaced *out);

/* The session to send with, or NULL where a handshake must come first. */
struct wg_session *wg_peer_sending_session(const struct wg_peer *p, struct tt_mono now);

/* --- for wg/device ---------------------------------------------------------------------------- */

/* Makes p->remote.static_static known; false where the peer's key is of low order. */
bool wg_peer_static_static(const struct wg_device *dev, struct wg_peer *p);
/* Fills s with the keys of a handshake that succeeded and puts it into its slot. */
void wg_peer_adopt(struct wg_device *dev, struct wg_peer *p, struct wg_session *s,
		   const struct wg_noise_keys *keys, bool initiator, struct tt_mono now,
		   const struct tt_rng *rng, struct wg_displaced *out);

#endif

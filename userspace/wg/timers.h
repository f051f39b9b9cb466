/* SPDX-License-Identifier: MIT
 *
 * The timers of one peer: facts in, actions and the next deadline out (whitepaper section 6).
 * Control thread only. Nothing here reads a clock; all times are CLOCK_BOOTTIME.
 *
 * Calling wg_timers_run() more often than needed, or late, is harmless: every rule looks at levels,
 * not at edges, and an action that was given is not given again before its own interval.
 */
#ifndef TT_WG_TIMERS_H
#define TT_WG_TIMERS_H

#include "base/rng.h"
#include "wg/messages.h"

/* New handshake after data was sent and nothing at all came back. */
#define WG_NEW_HANDSHAKE_NS (WG_KEEPALIVE_TIMEOUT_NS + WG_REKEY_TIMEOUT_NS)
#define WG_ZERO_KEYS_NS	    (3 * WG_REJECT_AFTER_TIME_NS)
#define WG_ONLINE_NS	    WG_REJECT_AFTER_TIME_NS
/* From an initiation to the one that replaces it because the path has changed: the answer to it may
 * be on its way, and the peer drops what comes within WG_INITIATION_MIN_GAP_NS of another. */
#define WG_RESTART_GAP_NS (5 * WG_INITIATION_MIN_GAP_NS)

/*
 * What the workers know of a peer, as levels. "Data" is a packet with a payload; keepalives count
 * in last_tx and last_rx only. Handshake messages count in neither: this module knows of them.
 */
struct wg_facts {
	struct tt_mono last_tx;		    /* last packet sent */
	struct tt_mono last_rx;		    /* last authenticated packet received */
	struct tt_mono last_data_tx;	    /* last data sent */
	struct tt_mono last_data_rx;	    /* last data received */
	struct tt_mono unanswered_tx_since; /* first data sent since last_rx; 0: none */
	struct tt_mono unanswered_rx_since; /* first data received since last_tx; 0: none */
	bool need_handshake; /* a worker wants a session, or a younger one; the caller clears it */
};

enum wg_timer_action {
	WG_TIMER_INITIATE = 1 << 0,   /* wg_peer_initiate(), and send it */
	WG_TIMER_KEEPALIVE = 1 << 1,  /* passive: send an empty packet on the current session */
	WG_TIMER_PERSISTENT = 1 << 2, /* the same, because the interval says so */
	WG_TIMER_GIVE_UP = 1 << 3,    /* 90 s of attempts: drop what is staged */
	/* The first attempt of a series had no answer for 5 s, and nothing else came either: the
	 * peer goes offline. Clear staging and next hop; keys that live stay. */
	WG_TIMER_UNANSWERED = 1 << 4,
	WG_TIMER_ZERO_KEYS = 1 << 5, /* no new session for 3 * 180 s: all keys go */
};

/*
 * Status, first rule that fits:
 *   never    no handshake with the peer has ever been completed
 *   offline  the last series of initiations had no answer for 5 s or more, and no authenticated
 *            packet has come since that series began
 *   online   an authenticated packet within the last 180 s
 *   idle     has been up, and nobody asks for it
 */
enum wg_peer_status {
	WG_PEER_NEVER,
	WG_PEER_ONLINE,
	WG_PEER_IDLE,
	WG_PEER_OFFLINE,
};

/* Part of struct wg_peer; all zero is a peer to which nothing has happened. */
struct wg_timers {
	struct tt_mono series_start;   /* of the attempts that are going on; 0: none */
	struct tt_mono give_up_at;     /* 90 s after the last time somebody asked */
	struct tt_mono retry_at;       /* next attempt of the series */
	struct tt_mono handshake_sent; /* last initiation or response; 5 s of silence after it */
	struct tt_mono handshake_rx;   /* last authenticated handshake message received */
	struct tt_mono keys_born;      /* last time a session was derived; 0: no keys */
	struct tt_mono current_born;   /* of the current session; 0: none */
	struct tt_mono keepalive_given;
	struct tt_mono persistent_base; /* the interval counts from here at the earliest */
	struct tt_mono renewed;		/* last new handshake for want of any answer */
	struct tt_mono offline_since;	/* start of the series that had no answer; 0: online */
	uint64_t jitter_ns;		/* of the next retry; drawn anew for each */
	uint32_t attempts;		/* initiations since the last one that was answered */
	uint16_t persistent_s;		/* 0: off */
	bool persistent_now;		/* it was turned on: one keepalive at once */
	bool wanted;	  /* a handshake is due when the 5 s after the last one are over */
	bool restarted;	  /* since then: WG_RESTART_GAP_NS instead of the 5 s */
	bool established; /* a handshake was completed once */
};

/* The daemon calls wg_peer_run_timers(), which does the core's own part of the actions as well.
 * Returns enum wg_timer_action bits. An action counts as done; what fails is asked for again at its
 * next interval. */
uint32_t wg_timers_run(struct wg_timers *t, const struct wg_facts *f, struct tt_mono now,
		       const struct tt_rng *rng);

/* When to call wg_timers_run() again if no fact changes; UINT64_MAX ns: no need. It may be past. */
struct tt_mono wg_timers_next_deadline(const struct wg_timers *t, const struct wg_facts *f);

enum wg_peer_status wg_timers_status(const struct wg_timers *t, const struct wg_facts *f,
				     struct tt_mono now);

/* Seconds, 0 is off. Setting it, also to what it was, asks for a keepalive at once: when it is
 * turned on, when the link comes up, when a private key is set late. */
void wg_timers_set_persistent(struct wg_timers *t, uint16_t seconds, struct tt_mono now);

/* Asks for a handshake from outside (start of the node, key set late). */
void wg_timers_want_handshake(struct wg_timers *t);

/* The peer may be reachable in another way now (endpoint or address changed): what was unanswered
 * is tried again without waiting for the 5 s: at once, or WG_RESTART_GAP_NS after the last message.
 */
void wg_timers_restart(struct wg_timers *t);

/* Events of the protocol core; wg/peer and wg/device call these. */
void wg_timers_initiation_sent(struct wg_timers *t, struct tt_mono now);
void wg_timers_response_sent(struct wg_timers *t, struct tt_mono now);
/* A session is known to both sides: the series is over. */
void wg_timers_handshake_done(struct wg_timers *t, struct tt_mono now);
/* Whether the 5 s after the last handshake message are over, or what a restart has left of them. */
bool wg_timers_may_initiate(const struct wg_timers *t, struct tt_mono now);

#endif

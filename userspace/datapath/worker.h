/* SPDX-License-Identifier: MIT
 *
 * A worker: one thread, one inner port, one outer port, run to completion. This is the state its
 * stages (encap, decap, forward) share; only its own thread touches it, but for what is marked.
 */
#ifndef TT_DATAPATH_WORKER_H
#define TT_DATAPATH_WORKER_H

#include "crypto/aead.h"
#include "datapath/counters.h"
#include "datapath/gather.h"
#include "datapath/gro.h"
#include "datapath/icmp.h"
#include "datapath/plane_state.h"
#include "datapath/port.h"
#include "datapath/port_relay.h"
#include "datapath/staging.h"
#include "datapath/yield.h"
#include "plat/thread.h"
#include "plat/wait.h"

/* Slots of the waiter. */
enum dp_slot { DP_SLOT_INNER, DP_SLOT_LANE0, DP_SLOT_LANE1 };
/* The lane behind those of the outer port: messages that came through the hub. */
#define DP_LANE_RELAY DP_OUTER_LANES

/* Frames that pass the receive stages together: one burst of the AEAD. */
#define DP_CHUNK CRYPTO_AEAD_BURST_MAX
/* How long a fact may wait for its ring where it may wait; WireGuard's timers count seconds. */
#define DP_RING_DELAY_NS (250 * TT_NS_PER_MS)
#define DP_RING_LATER	 256
#define DP_ASK_AGAIN_NS	 (100 * TT_NS_PER_MS)

/* Large arrays on the stack are filled as far as they are used; zeroing them is not free. */
#define DP_UNINITIALIZED __attribute__((uninitialized))

/*
 * Outgoing packets of one session between their slots and their encryption. Counters are reserved
 * for all of them at once, when the burst is sealed.
 */
struct dp_seal {
	struct wg_session *session; /* NULL: empty */
	struct dp_peer *peer;
	struct dp_outer_port *port; /* whose slots these are */
	uint32_t n;
	uint64_t plain_bytes, wire_bytes;
	struct crypto_aead_job job[CRYPTO_AEAD_BURST_MAX];
};

/*
 * Looking on instead of sleeping, for the answer to what was just sent: a CPU that slept takes
 * longer to wake than most answers take. It may use a fiftieth of the time at most, and is left
 * where it did not pay lately.
 */
struct dp_spin {
	uint64_t limit_ns;	 /* the longest; 0: never */
	struct tt_mono until;	 /* while before it: look on */
	struct tt_mono credited; /* when credit_ns was brought up to date */
	uint64_t credit_ns;
	unsigned misses; /* in a row */
	unsigned passed; /* times it was left since */
	uint64_t sent;	 /* batches sent, when it was last looked at */
};

struct dp_worker {
	struct dp_plane *plane;
	unsigned id;
	struct dp_inner_port *inner;
	struct dp_outer_port *outer;
	struct dp_port_relay relay; /* beside it: into the connection to the hub */
	struct crypto_aead_ctx *aead;
	struct tt_mono now; /* of this turn */

	struct dp_seal seal;
	struct dp_gro gro;
	struct dp_staging staging;
	struct dp_icmp_bucket icmp;
	bool gro_flags_stale; /* an offload was turned off: initialise anew before the next batch */
	uint8_t *scratch[2];  /* 64 KiB each: staged packets, super-packets taken apart */

	/* Peers whose ring was put off. */
	unsigned later_count;
	struct tt_mono later_due;
	tt_peer_id later[DP_RING_LATER];

	struct plat_waiter waiter;
	uint32_t ready; /* slots that may have something to read */
	struct tt_mono inner_checked;
	unsigned unasked; /* turns since the kernel was asked what is ready */
	bool slept;	  /* before this turn */
	bool held; /* what was sent waits for room: nothing more is read from the inner port */
	struct tt_mono held_since; /* 0: nothing waits */
	struct dp_spin spin;
	struct dp_gather gather;
	struct dp_yield to_sender, to_reader;
	uint32_t datagrams; /* of this turn, for sockets of this host */

	/* any thread */
	_Alignas(TT_CACHELINE) _Atomic bool scan_staged; /* a session was set somewhere */
	_Atomic bool in_turn; /* the watchdog: it has work in its hands */
	_Atomic uint32_t fds_applied;
	struct dp_counters counters;

	struct plat_thread thread;
	bool running; /* control's */
	void *aead_memory;
};

int dp_worker_init(struct dp_worker *w, struct dp_plane *pl, unsigned id,
		   struct dp_inner_port *inner, struct dp_outer_port *outer);
void dp_worker_destroy(struct dp_worker *w);
/* The thread: turns until the plane stops. */
void dp_worker_run(void *arg);
/* One turn at time w->now over the slots in w->ready, inside the epoch. Does not block. */
void dp_worker_turn(struct dp_worker *w);
/* Any thread. */
static inline void dp_worker_wake(struct dp_worker *w)
{
	plat_waiter_wake(&w->waiter);
}

static inline void dp_worker_drop(struct dp_worker *w, enum tt_drop reason, uint64_t n)
{
	dp_count_drop(&w->counters, reason, n);
}

/* Sets facts of a peer and rings at once. */
void dp_worker_raise(struct dp_worker *w, struct dp_peer *p, uint32_t facts);
/*
 * The same, but the ring may come DP_RING_DELAY_NS later: for facts that a busy flow sets again and
 * again (TIMERS changes with every change of direction), so that it does not wake the control
 * thread each time.
 */
void dp_worker_raise_later(struct dp_worker *w, struct dp_peer *p, uint32_t facts);
/* A session is missing or due: at once, or later where this was asked for moments ago. */
void dp_worker_need_handshake(struct dp_worker *w, struct dp_peer *p);

/* Facts of one batch, at w->now. */
void dp_worker_note_tx(struct dp_worker *w, struct dp_peer *p, uint32_t packets, uint64_t bytes,
		       bool data);
void dp_worker_note_rx(struct dp_worker *w, struct dp_peer *p, uint32_t packets, uint64_t bytes,
		       bool data);

#endif

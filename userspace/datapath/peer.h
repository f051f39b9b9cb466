/* SPDX-License-Identifier: MIT
 *
 * The data path's view of a peer: what to send with, where to send to, and the facts workers leave
 * for the control thread. The control thread creates it, publishes it, and retires it through the
 * epoch; workers only ever load pointers and touch atomics.
 *
 * Facts are level-triggered: a worker overwrites the newest value and rings the doorbell; a lost
 * ring loses nothing, because the control thread reads the values, not the rings.
 */
#ifndef TT_DATAPATH_PEER_H
#define TT_DATAPATH_PEER_H

#include <stdatomic.h>
#include "base/addr.h"
#include "base/epoch.h"
#include "base/types.h"
#include "datapath/link.h"
#include "plat/udp_io.h"
#include "wg/session.h"

#define DP_WORKERS_MAX 16
#define DP_XSK_LANES   4   /* AF_XDP queues of one worker */
#define DP_STAGED_MAX  128 /* packets per peer waiting for a session */

/* Bits of dp_peer.flags. Set by workers, cleared by control with an atomic and. */
enum dp_fact {
	DP_FACT_RUNG = 1 << 0,		 /* this peer's id is in the doorbell ring */
	DP_FACT_NEED_HANDSHAKE = 1 << 1, /* no usable session, or its successor is due */
	DP_FACT_CONFIRMED = 1 << 2,	 /* a packet came on a session that is not current */
	DP_FACT_ROAMED = 1 << 3,	 /* `roam` holds news */
	DP_FACT_LOST_SOURCE = 1 << 4,	 /* our sticky source address has vanished */
	DP_FACT_TIMERS = 1 << 5,	 /* an unanswered_* fact went from zero to set */
};

/* How a WireGuard message travels. The relays are the hub's; peers know nothing of them. */
enum dp_via {
	DP_VIA_UDP,	  /* a datagram to the peer's endpoint */
	DP_VIA_RELAY_UDP, /* a datagram to the relay, behind a relay header */
	DP_VIA_RELAY_TCP, /* through control into the connection to the hub */
};

/*
 * A relay header: DP_RELAY_MAGIC, a type, two zero bytes, the tag in network order. Only DATA is
 * the data path's: a WireGuard message follows.
 */
#define DP_RELAY_HEADER 8
#define DP_RELAY_MAGIC	0xa7
#define DP_RELAY_DATA	0
#define DP_RELAYS_MAX	8
/* The longest WireGuard message that goes by DP_VIA_RELAY_TCP. */
#define DP_RELAY_MESSAGE_MAX 2176

#define DP_INNER_V6_MIN 1280u /* RFC 8200 5 */

/* Where and how to send to a peer; what control asks for. */
struct dp_route {
	enum dp_via via;
	/* UDP: the peer's endpoint; RELAY_UDP: the relay's; RELAY_TCP: not looked at. */
	struct plat_udp_dest dest;
	/* RELAY_UDP: of our leg; RELAY_TCP: the peer's node id; UDP: 0. Host order. */
	uint32_t tag;
	/*
	 * Longest inner packet that fits the path; 0: it is not known, the TUN's MTU holds. Above
	 * it, IPv4 without DF is fragmented and others are told so; inner IPv6 of up to 1,280 bytes
	 * goes out all the same, for the outer packet to be fragmented.
	 */
	uint32_t inner_mtu;
	/* The path's MTU is known: AF_XDP sets DF. Sockets never do (docs/architecture.md). */
	bool df;
	/* Of a peer from the hub: see struct dp_roam. */
	bool managed;
};

/* Immutable once published; replaced as a whole and retired through the epoch. */
struct dp_path {
	struct plat_udp_dest dest;
	enum dp_via via;
	uint32_t tag;
	uint32_t inner_mtu; /* 0: not known */
	bool managed;
	/* Of a managed peer; ns, when a packet that came by this very path was last reported. */
	_Atomic uint64_t reported_at;
	/* Workers: super-datagrams of segments this large were refused, too large for the path; 0:
	 * none were. */
	_Atomic uint32_t gso_limit;
	/* How it leaves past the kernel, where an AF_XDP queue of that interface is at hand. */
	struct dp_link link;
	_Atomic uint64_t
		kernel_at; /* ns; last packet that went by the kernel socket all the same */
};

/*
 * Where an authenticated packet came from. The sending path is control's to change: at once for
 * plain peers (WireGuard's roaming), never for managed ones, whose path manager hears of each
 * source every DP_ROAM_EVERY_NS while packets come from it, that of the sending path included.
 */
struct dp_roam {
	struct tt_endpoint src; /* RELAY_UDP: the relay; RELAY_TCP: none */
	struct tt_ip dst;
	uint32_t ifindex;
	enum dp_via via;
	uint32_t tag; /* RELAY_UDP: as received (our leg's); RELAY_TCP: the peer's node id */
	struct tt_mono at;
};

#define DP_ROAM_EVERY_NS (100 * TT_NS_PER_MS)
#define DP_ROAMS	 4 /* sources of a managed peer that are told apart at a time */

/*
 * The longest inner packet to this path where the TUN carries mtu (0: unknown): 0 means unknown.
 * IPv6 is never told less than its minimum.
 */
static inline uint32_t dp_path_inner_mtu(const struct dp_path *path, uint32_t mtu, bool v6)
{
	if (path->inner_mtu && (!mtu || path->inner_mtu < mtu))
		mtu = path->inner_mtu;
	return v6 && mtu ? TT_MAX(mtu, DP_INNER_V6_MIN) : mtu;
}

struct dp_peer {
	tt_peer_id id;

	_Alignas(TT_CACHELINE) _Atomic(struct wg_session *) current; /* to send with, or NULL */
	/* Made for an initiation of the peer: to send with once it was used, or NULL. */
	_Atomic(struct wg_session *) next;
	_Atomic(struct dp_path *) path; /* NULL: no endpoint */
	_Atomic uint32_t flags;		/* enum dp_fact */
	/*
	 * Packets waiting for a session, over all workers, which hold them (staging.h): their
	 * number in the low half, a generation in the high half. Control draws a new generation to
	 * throw them away (give-up); no two peers of a plane ever have the same, so that a removed
	 * peer's packets never go to its successor in the slot.
	 */
	_Atomic uint64_t staging;

	/* Send facts; ns of struct tt_mono, 0 = never. */
	_Alignas(TT_CACHELINE) _Atomic uint64_t last_tx;
	_Atomic uint64_t last_data_tx;
	_Atomic uint64_t unanswered_tx_since; /* first data sent since the last authenticated rx */
	_Atomic uint64_t tx_bytes;	      /* outer payload: WireGuard messages, all types */
	_Atomic uint64_t tx_packets;
	_Atomic uint64_t asked; /* when workers last rang for NEED_HANDSHAKE */

	/* Receive facts; authenticated packets only. */
	_Alignas(TT_CACHELINE) _Atomic uint64_t last_rx;
	_Atomic uint64_t last_data_rx;
	_Atomic uint64_t unanswered_rx_since; /* first data received since the last send */
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t rx_packets;

	/*
	 * Sources, written under roam_lock by the packet that raised the counter. Plain peers: the
	 * first one is the newest. Managed peers: the last few, with when each was reported.
	 */
	atomic_flag roam_lock;
	uint8_t roam_fresh; /* bit per entry that control has not taken */
	struct dp_roam roam[DP_ROAMS];
};

/* Facts as the protocol core wants them (wg/timers). Control thread. */
void dp_peer_note_tx(struct dp_peer *p, struct tt_mono now, uint64_t bytes, bool data);
void dp_peer_note_rx(struct dp_peer *p, struct tt_mono now, uint64_t bytes, bool data);
/* The same for a batch of a worker. true: unanswered_tx_since / unanswered_rx_since began with it.
 */
bool dp_peer_batch_tx(struct dp_peer *p, struct tt_mono now, uint32_t packets, uint64_t bytes,
		      bool data);
bool dp_peer_batch_rx(struct dp_peer *p, struct tt_mono now, uint32_t packets, uint64_t bytes,
		      bool data);

/* Handshake messages: they count as bytes, but the timers know of them by themselves. */
static inline void dp_peer_note_bytes(struct dp_peer *p, uint64_t tx, uint64_t rx)
{
	atomic_fetch_add_explicit(&p->tx_bytes, tx, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->rx_bytes, rx, memory_order_relaxed);
}

/*
 * The session to send with, or NULL. A peer that has forgotten the current one (it was started
 * anew, it slept) understands only the next: its first packet makes us change at once, before
 * control has heard of it, or the answer to that packet would be lost.
 */
static inline struct wg_session *dp_peer_sending(struct dp_peer *p)
{
	struct wg_session *next = tt_epoch_load(&p->next);

	if (tt_unlikely(next) && atomic_load_explicit(&next->confirmed, memory_order_relaxed))
		return next;
	return tt_epoch_load(&p->current);
}

/* Whether any worker holds packets that wait for a session. Any thread; may be stale. */
static inline bool dp_peer_staged(const struct dp_peer *p)
{
	return (uint32_t)atomic_load_explicit(&p->staging, memory_order_relaxed) != 0;
}

#endif

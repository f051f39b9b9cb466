/* SPDX-License-Identifier: MIT
 *
 * The data plane of one device: workers, their ports, and the tables the control thread publishes
 * to them. Everything here is called by the control thread unless stated otherwise.
 *
 * Publication order (design section 5): dp_session_publish() -> [AF_XDP index map] -> only then
 * send the handshake response. Removal: unpublish -> grace period -> wipe.
 */
#ifndef TT_DATAPATH_PLANE_H
#define TT_DATAPATH_PLANE_H

#include "base/drop.h"
#include "base/epoch.h"
#include "base/types.h"
#include "datapath/peer.h"
#include "plat/tun.h"
#include "wg/allowedips.h"
#include "wg/session.h"

#define DP_INDEX_SLOTS		(1u << 18)
#define DP_PEERS_MAX		65536
#define DP_HANDSHAKE_RING	4096
#define DP_HANDSHAKE_UNDER_LOAD 512

enum dp_poll { DP_POLL_ADAPTIVE, DP_POLL_BUSY, DP_POLL_INTERRUPT };

/* What a packet from one peer's allowed IPs to another's may do. */
enum dp_between {
	DP_BETWEEN_DENY,   /* dropped on both ways: encap and decap (TOML default) */
	DP_BETWEEN_KERNEL, /* written to TUN; the kernel decides (UAPI default) */
	DP_BETWEEN_DIRECT, /* forwarded inside the worker, without TUN */
};

struct dp_config {
	unsigned workers; /* 1..DP_WORKERS_MAX */
	enum dp_poll poll;
	enum dp_between between;
	/* TUN queue i belongs to worker i; a descriptor may be -1 (that worker has no queue). */
	int tun_fd[DP_WORKERS_MAX];
	unsigned tun_flags; /* enum plat_tun_flags */
	unsigned mtu;	    /* of the TUN */
	/*
	 * UDP sockets of the workers per family, -1 where there is none. With one socket for all
	 * (no steering on this platform) worker 0 has it and hands handshakes over by the ring.
	 */
	int udp4_fd[DP_WORKERS_MAX];
	int udp6_fd[DP_WORKERS_MAX];
	unsigned udp_flags; /* enum plat_udp_flags */
};

struct dp_plane;
struct plat_xsk;

/* Descriptors stay the caller's; close them after dp_plane_destroy(). 0 or -errno. */
int dp_plane_create(const struct dp_config *cfg, struct dp_plane **out);
int dp_plane_start(struct dp_plane *pl);    /* starts the threads */
void dp_plane_stop(struct dp_plane *pl);    /* joins them; packets in flight are dropped, counted */
void dp_plane_destroy(struct dp_plane *pl); /* NULL is allowed */

/*
 * Replaces descriptors while running (listen-port change): the workers switch at their next turn;
 * returns when all have, so that the caller may close the old ones. -ETIMEDOUT: a worker hangs.
 */
int dp_plane_set_udp(struct dp_plane *pl, const int udp4_fd[DP_WORKERS_MAX],
		     const int udp6_fd[DP_WORKERS_MAX]);
/*
 * Gives a worker its AF_XDP queues (n <= DP_XSK_LANES; 0: none any more) and returns when it uses
 * them: their fill rings are filled then, so that the socket map may name them, and the old ones
 * may be stopped. -ENOMEM: it has none now. -ETIMEDOUT: the worker hangs, and may use the old ones
 * and the new ones until a later call returns something else.
 */
int dp_plane_set_xsk(struct dp_plane *pl, unsigned worker, struct plat_xsk *const *xsk,
		     const uint32_t *ifindex, unsigned n);
/* Whether a call that ended with -ETIMEDOUT is worth repeating: the worker gets on. Control thread.
 */
bool dp_plane_has_switched(const struct dp_plane *pl, unsigned worker);
void dp_plane_set_mtu(struct dp_plane *pl, unsigned mtu);
void dp_plane_set_between(struct dp_plane *pl, enum dp_between between);
/*
 * The addresses of the tunnel interface; copied. The first of a family is the source of ICMP errors
 * to the inside (without one, what the packet was sent to); none of them is ever a peer's, whatever
 * allowed IPs cover it.
 */
void dp_plane_set_inner_addresses(struct dp_plane *pl, const struct tt_ip *ips, uint32_t count);
/*
 * Whether this address lies behind the tunnel: one of the interface's own, or in some peer's
 * allowed IPs that are no default route. Outer packets to it would go into the tunnel, and round
 * and round.
 */
bool dp_plane_is_inside(struct dp_plane *pl, const struct tt_ip *ip);
/* Key of mac1 for messages to us (BLAKE2s("mac1----" || public key)); workers check it. */
void dp_plane_set_mac1_key(struct dp_plane *pl, const uint8_t key[32]);

struct tt_epoch *dp_plane_epoch(struct dp_plane *pl);

/* --- peers ----------------------------------------------------------------------------------- */

/* A new data-path peer under `id`, published at once with no path and no session. NULL: no memory.
 */
struct dp_peer *dp_peer_add(struct dp_plane *pl, tt_peer_id id);
/* Unpublishes and retires it; its staged packets are dropped. Its sessions were unpublished before.
 */
void dp_peer_remove(struct dp_plane *pl, struct dp_peer *p);
/*
 * Publishes where to send; NULL: nowhere. link: how past the kernel to route->dest, or NULL.
 * Copies, and prepares the copy of route->dest.
 */
void dp_peer_set_path(struct dp_plane *pl, struct dp_peer *p, const struct dp_route *route,
		      const struct dp_link *link);
/* The session to send with, or NULL; wakes the workers to send what is staged. */
void dp_peer_set_session(struct dp_plane *pl, struct dp_peer *p, struct wg_session *s);
/* The session that is sent with as soon as a packet has come on it; set_session() ends that. NULL:
 * none. */
void dp_peer_set_next(struct dp_peer *p, struct wg_session *s);
void dp_peer_drop_staged(struct dp_plane *pl, struct dp_peer *p);
/*
 * Takes the flags (all but RUNG are cleared too) and, where ROAMED is among them, the sources that
 * are news, *n of them: one at most for a plain peer; none where a path was set in between.
 */
uint32_t dp_peer_take_facts(struct dp_peer *p, struct dp_roam roam[DP_ROAMS], unsigned *n);

/* --- sessions -------------------------------------------------------------------------------- */

/* Receive side: packets with this local_index are decrypted from here on. */
void dp_session_publish(struct dp_plane *pl, struct wg_session *s);
/* Takes it out of the index table (and out of sending, where it is current); destroy(s, ctx) runs
 * after the grace period. */
void dp_session_unpublish(struct dp_plane *pl, struct wg_session *s,
			  void (*destroy)(void *s, void *ctx), void *ctx);

/* --- allowed IPs ----------------------------------------------------------------------------- */

/* Publishes a new table; takes ownership of lpm (freed with free() after the grace period). */
void dp_plane_publish_lpm(struct dp_plane *pl, struct wg_lpm *lpm);
/*
 * Peers are on their way: packets that nobody takes yet, or whose peer has no path, wait (up to
 * DP_STAGED_MAX, as those of a peer without a session do) for the next table or until this is
 * lifted, instead of being refused.
 */
void dp_plane_await_peers(struct dp_plane *pl, bool await);

/* --- doorbell: workers -> control ------------------------------------------------------------ */

/* Becomes readable when a peer has new facts or a handshake waits in the ring. */
int dp_plane_doorbell_fd(const struct dp_plane *pl);
/*
 * Drains up to max peer ids with new facts. *overflow: the ring overflowed, look at every peer.
 * Clears the descriptor's readiness.
 */
unsigned dp_plane_doorbell_drain(struct dp_plane *pl, tt_peer_id *ids, unsigned max,
				 bool *overflow);

/* --- handshakes ------------------------------------------------------------------------------ */

struct dp_handshake {
	struct tt_endpoint src; /* RELAY_UDP: the relay; RELAY_TCP: none */
	struct tt_ip dst;
	uint32_t ifindex;
	enum dp_via via;
	uint32_t tag; /* as in struct dp_roam */
	uint16_t len;
	uint8_t bytes[148];
};

/*
 * Any thread. Checks type, length and mac1, then queues; the reason where it does not (NONE: it
 * did). Called by workers, and by the control thread for what its own UDP socket received.
 */
enum tt_drop dp_handshake_push(struct dp_plane *pl, const struct dp_handshake *h);
/* Control: up to max handshakes, oldest first. */
unsigned dp_handshake_pop(struct dp_plane *pl, struct dp_handshake *out, unsigned max);
/* How many wait; >= DP_HANDSHAKE_UNDER_LOAD means "under load". */
unsigned dp_handshake_depth(const struct dp_plane *pl);

/* --- relays ---------------------------------------------------------------------------------- */

/*
 * Relay datagrams are taken from these addresses alone, n <= DP_RELAYS_MAX of them; copied. From
 * others they are dropped and counted (RX_RELAY_SOURCE). -E2BIG, -ENOMEM: those before stay.
 */
int dp_plane_set_relays(struct dp_plane *pl, const struct tt_endpoint *relays, unsigned n);

/* A message on its way into the connection to the hub. */
struct dp_relay_message {
	uint32_t node_id; /* of the peer: the route's tag */
	uint32_t len;
	const uint8_t *bytes;
};

/* Before the first path over the connection to the hub: takes the memory of its queues. */
void dp_plane_relay_prepare(struct dp_plane *pl);
/*
 * Readable while messages of workers (DP_VIA_RELAY_TCP) may wait. Each worker's queue is bounded:
 * what finds no room is dropped and counted (TX_RELAY_FULL), so that control may leave them there
 * while the connection takes nothing; it stops watching the descriptor meanwhile.
 */
int dp_plane_relay_fd(const struct dp_plane *pl);
/*
 * Up to max of them, a fair share of each worker, oldest first. The bytes stay until the next call,
 * which gives them back: call until it returns 0. Clears the descriptor's readiness.
 */
unsigned dp_plane_relay_pop(struct dp_plane *pl, struct dp_relay_message *out, unsigned max);
/*
 * A WireGuard message that came from the hub, sent by this node; copied. Data goes to a worker,
 * others to the handshake ring. TT_DROP_NONE, or why not (the caller counts it): RX_RELAY_FULL,
 * RX_BAD_TYPE, RX_TOO_SHORT, RX_TRUNCATED (longer than DP_RELAY_MESSAGE_MAX), those of handshakes.
 */
enum tt_drop dp_plane_relay_push(struct dp_plane *pl, uint32_t node_id, const uint8_t *message,
				 size_t len);

/*
 * A datagram of control's own UDP sockets: WireGuard messages, bare or from a relay that is in use,
 * go where they would go from a worker. (Data comes there where the kernel has coalesced it with a
 * handshake.) Copied. TT_DROP_NONE, or why not: RX_BAD_TYPE for what is no WireGuard message, that
 * is STUN and relay control too, which are for the caller to look at first.
 */
enum tt_drop dp_plane_udp_push(struct dp_plane *pl, const struct tt_endpoint *src,
			       const struct tt_ip *dst, uint32_t ifindex, const uint8_t *datagram,
			       size_t len);

/* --- other datagrams -------------------------------------------------------------------------- */

#define DP_DATAGRAM_MAX	 2048
#define DP_DATAGRAM_RING 64

/*
 * STUN and relay control that came on a worker's socket: what steering missed, or all of it where
 * there is one socket for all. The doorbell rings for them; a full ring drops (RX_CONTROL_FULL).
 */
struct dp_datagram {
	struct tt_endpoint src;
	struct tt_ip dst;
	uint32_t ifindex;
	uint32_t len;
	uint8_t bytes[DP_DATAGRAM_MAX];
};
/* Control: up to max, oldest first. */
unsigned dp_datagram_pop(struct dp_plane *pl, struct dp_datagram *out, unsigned max);

/* --- counters -------------------------------------------------------------------------------- */

struct dp_stats {
	uint64_t drops[TT_DROP_COUNT];
	uint64_t rx_packets, rx_bytes, rx_batches; /* from the wire */
	uint64_t tx_packets, tx_bytes, tx_batches; /* to the wire */
	uint64_t tun_rx_packets, tun_rx_reads;	   /* packets counted after segmentation */
	uint64_t tun_tx_packets, tun_tx_writes;	   /* packets counted before coalescing */
	uint64_t forwarded_packets;		   /* peer to peer inside the worker */
	uint64_t staged_packets;
	uint64_t mss_clamped;		    /* SYN and SYN-ACK */
	uint64_t fragmented_packets;	    /* inner packets that went out in fragments */
	uint64_t loops, busy_loops, sleeps; /* busy: there was something to do */
	bool gso_off, uso_off; /* an offload was turned off at run time, because it failed */
};
/* Of one worker, or of all for worker == UINT_MAX. Any thread. */
void dp_plane_stats(const struct dp_plane *pl, unsigned worker, struct dp_stats *out);
unsigned dp_plane_workers(const struct dp_plane *pl);
/* CPU time of a worker's thread; 0 where it does not run. Control thread. */
uint64_t dp_plane_worker_cpu_ns(const struct dp_plane *pl, unsigned worker);

/* One AF_XDP queue of a worker, after its last batch. */
struct dp_xsk_stats {
	uint32_t ifindex;
	uint64_t rx, tx; /* messages */
	/* of the UMEM; free for sending; in the tx and completion rings. The rest is in the fill
	 * and rx rings (plat_xsk_fill_level, plat_xsk_rx_pending) or held by the worker. */
	uint32_t frames, free_frames, out;
};
/* Fills up to max, in the order of dp_plane_set_xsk(). Any thread. */
unsigned dp_plane_xsk_stats(const struct dp_plane *pl, unsigned worker, struct dp_xsk_stats *out,
			    unsigned max);

/* For the watchdog: a worker that is in a turn and does not count on hangs. Any thread. */
struct dp_beat {
	uint64_t turns;
	bool in_turn;
};
void dp_plane_beat(const struct dp_plane *pl, unsigned worker, struct dp_beat *out);
#define DP_WORKER_NAME_MAX 16
/* That of its thread. */
void dp_plane_worker_name(unsigned worker, char name[DP_WORKER_NAME_MAX]);

/* State of the TUN as the workers see it: worker 0 checks once a second and on errors. */
enum plat_tun_state dp_plane_tun_state(const struct dp_plane *pl);

#endif

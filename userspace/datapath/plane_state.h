/* SPDX-License-Identifier: MIT
 *
 * What a plane is made of: the tables that control publishes and workers read, and the ways from
 * the workers to control. Inside the data path only.
 */
#ifndef TT_DATAPATH_PLANE_STATE_H
#define TT_DATAPATH_PLANE_STATE_H

#include "base/epoch.h"
#include "datapath/datagram.h"
#include "datapath/doorbell.h"
#include "datapath/handshake.h"
#include "datapath/plane.h"
#include "datapath/port_relay.h"
#include "datapath/session_table.h"

struct dp_worker;
struct plat_xsk;

/* Queues a worker is to use; control writes it, then bumps fds_generation. */
struct dp_xsk_set {
	uint32_t generation;
	unsigned n;
	struct plat_xsk *xsk[DP_XSK_LANES];
	uint32_t ifindex[DP_XSK_LANES];
};

/* Addresses of the tunnel interface; immutable, replaced through the epoch. */
struct dp_inner_addresses {
	uint32_t count;
	struct tt_ip ip[];
};

/* From where relay datagrams are taken; immutable, replaced through the epoch. */
struct dp_relays {
	unsigned n;
	struct tt_endpoint endpoint[DP_RELAYS_MAX];
};

struct dp_plane {
	void *memory; /* as allocated; the plane lies aligned in it */
	struct tt_epoch epoch;
	unsigned workers;
	enum dp_poll poll;
	bool started;

	_Alignas(TT_CACHELINE) _Atomic(struct wg_lpm *) lpm;
	_Atomic(struct dp_inner_addresses *) addresses;
	_Atomic(struct dp_relays *) relays;
	_Atomic uint32_t mtu;
	_Atomic int between; /* enum dp_between */
	_Atomic bool stop;
	_Atomic bool gso_off, uso_off;
	_Atomic int tun_state;		       /* enum plat_tun_state */
	_Atomic uint32_t fds_generation;       /* control bumps it after changing udp_fd */
	_Atomic int udp_fd[2][DP_WORKERS_MAX]; /* by lane */
	struct dp_xsk_set xsk_set[DP_WORKERS_MAX];

	struct dp_handshake_ring handshakes;
	struct dp_doorbell doorbell;
	struct dp_datagram_ring datagrams;
	struct dp_relay_bell relay_bell;
	unsigned relay_turn;	  /* which worker's queue is popped first; control only */
	uint32_t last_generation; /* of staging, control only */

	/* Nobody: packets wait with it for the peer that takes them. No table has it. */
	struct dp_peer awaited;
	_Atomic bool awaiting;
	_Atomic(struct dp_peer *) peer[DP_PEERS_MAX];
	struct dp_session_table sessions;
	struct dp_worker *worker[DP_WORKERS_MAX];
};

static inline struct dp_peer *dp_plane_peer(struct dp_plane *pl, tt_peer_id id)
{
	return id < DP_PEERS_MAX ? tt_epoch_load(&pl->peer[id]) : NULL;
}

/* Lets every worker look at its staged packets. Control. */
void dp_plane_scan_staged(struct dp_plane *pl);

/* Longest match of an inner address (4 or 16 bytes), or TT_PEER_NONE. Inside the epoch. */
tt_peer_id dp_plane_lookup(struct dp_plane *pl, enum tt_family family, const uint8_t *addr);
/* The same, but nobody's where only a peer's default route matches: for policy, not for routing. */
tt_peer_id dp_plane_lookup_specific(struct dp_plane *pl, enum tt_family family,
				    const uint8_t *addr);
/* Whether it is an address of the tunnel interface itself. */
bool dp_plane_is_own(struct dp_plane *pl, enum tt_family family, const uint8_t *addr);
/* The interface's first address of this family, to answer from, or NULL. */
const struct tt_ip *dp_plane_own(struct dp_plane *pl, enum tt_family family);

/* Gives a worker's outer port the descriptors of now. The worker's thread. */
void dp_plane_apply_fds(struct dp_plane *pl, struct dp_worker *w);

/* Sets facts; rings unless the peer is rung already. Any thread inside the epoch. */
void dp_plane_raise(struct dp_plane *pl, struct dp_peer *p, uint32_t facts);

#endif

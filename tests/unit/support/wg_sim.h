/* SPDX-License-Identifier: MIT
 *
 * WireGuard nodes in one process: a virtual clock, a network that delays, loses, duplicates and
 * reorders, and what the control thread and a worker do around the protocol core. Everything is
 * seeded, so a failure repeats.
 */
#ifndef TT_WG_SIM_H
#define TT_WG_SIM_H

#include "base/rng.h"
#include "wg/data.h"
#include "wg/device.h"

#define SIM_NODES  3
#define SIM_PEERS  4 /* per node */
#define SIM_FLIGHT 512
#define SIM_MTU	   1500
#define SIM_STAGED 128
#define SIM_SEQS   262144

struct sim_peer {
	struct wg_peer wg;
	bool used;
	struct tt_endpoint endpoint;
	struct wg_facts facts;
	uint64_t staged[SIM_STAGED];
	uint32_t staged_count;
	struct tt_mono last_initiation;
	uint32_t initiations, keepalives, data_tx, data_rx, keepalive_rx;
	uint32_t give_ups, unanswered, zeroed, kept, promoted, switched, ready;
};

struct sim_node {
	struct sim *sim;
	struct wg_device dev;
	struct sim_peer peer[SIM_PEERS];
	struct tt_endpoint address; /* where datagrams to it go */
	struct tt_rng_seeded seed;
	struct tt_rng rng;
	int64_t wall_offset_s;
	bool under_load;
	bool deaf;	      /* its datagrams in are lost */
	struct tt_mono up_at; /* sim_kill(): until then it is dead */
	bool sockets_stay;    /* what comes meanwhile waits for it */
	uint8_t seen[SIM_SEQS];
	uint32_t duplicates; /* data delivered twice: must stay 0 */
	uint32_t rx_drops[TT_DROP_COUNT];
	enum wg_rx_outcome last_outcome;
	enum tt_drop last_drop;
	uint32_t sessions_live;
	struct wg_peer *peer_slots[SIM_PEERS];
	uint32_t peer_buckets[SIM_PEERS];
	struct wg_index_entry indices[256];
	struct wg_ratelimit_entry limits[64];
	uint32_t limit_buckets[64];
};

struct sim_datagram {
	uint64_t due; /* 0: free */
	struct tt_endpoint from, to;
	size_t len;
	uint8_t bytes[SIM_MTU];
};

struct sim {
	struct tt_mono now;
	struct sim_node node[SIM_NODES];
	struct sim_datagram flight[SIM_FLIGHT];
	int flight_high; /* no datagram at or past it */
	struct tt_rng_seeded seed;
	struct tt_rng rng;
	uint64_t delay_ns, jitter_ns;
	uint32_t loss_pct, dup_pct;
	uint64_t next_seq;
	uint32_t overflow;  /* datagrams lost for want of room */
	uint32_t too_early; /* initiations within 5 s of one another: must stay 0 */
	bool restarted;	    /* the test allowed one early initiation */
	/* Sees every datagram on its way; may change it, or return false to lose it. */
	bool (*tap)(struct sim *sim, struct sim_datagram *d);
	struct sim_datagram kept; /* for taps that record */
	uint64_t counter;	  /* for taps that count */
};

/* Nodes 0 and 1 know each other; all nodes have keys. */
void sim_init(struct sim *sim, uint64_t seed);
/* Makes a and b peers of each other, with a preshared key; returns b's id at a. */
tt_peer_id sim_pair(struct sim *sim, int a, int b);
/* Removes everything; returns how many sessions or index entries are left over (0). */
uint32_t sim_end(struct sim *sim);

/* One packet of data from node a to its peer 0. */
void sim_send(struct sim *sim, int a);
void sim_send_to(struct sim *sim, int a, tt_peer_id peer);
void sim_run(struct sim *sim, double seconds);
/*
 * kill -9 of a node: it forgets sessions, handshakes and stamps, and comes back after so many
 * seconds with its keys and peers, whom it asks for handshakes at once. sockets_stay: what arrives
 * in between waits (only the engine was killed), else it is lost.
 */
void sim_kill(struct sim *sim, int node, double seconds, bool sockets_stay);
/* Until both nodes have exchanged a packet each way; false after 10 s. */
bool sim_connect(struct sim *sim);

/* Hands a datagram to a node now, past the network. */
enum tt_drop sim_inject(struct sim *sim, int node, const struct tt_endpoint *from,
			const uint8_t *bytes, size_t len);
/* Puts bytes into the network. */
void sim_transmit(struct sim *sim, const struct tt_endpoint *from, const struct tt_endpoint *to,
		  const void *bytes, size_t len);

static inline struct sim_peer *sim_peer(struct sim *sim, int node)
{
	return &sim->node[node].peer[0];
}

/* Runs one node's timers now. */
void sim_poll(struct sim *sim, int node);
/* An initiation of node's peer 0, made outside of its timers; not sent. */
enum wg_initiate_outcome sim_make_initiation(struct sim *sim, int node,
					     struct wg_msg_initiation *out);
struct tt_wall sim_wall(const struct sim_node *n);

#endif

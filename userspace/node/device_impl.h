/* SPDX-License-Identifier: MIT
 *
 * The device's own state, shared by device*.c alone.
 */
#ifndef TT_NODE_DEVICE_IMPL_H
#define TT_NODE_DEVICE_IMPL_H

#include "base/heap.h"
#include "base/log.h"
#include "node/device.h"
#include "node/events.h"
#include "plat/secmem.h"

/* A name is looked up again after this many unanswered handshakes, and not sooner than this. */
#define NODE_RESOLVE_AFTER_UNANSWERED 3
#define NODE_RESOLVE_MIN_NS	      TT_NS_PER_SEC
#define NODE_RESOLVE_MAX_NS	      (60 * TT_NS_PER_SEC)
/* An answer that takes longer went down with the resolver. */
#define NODE_RESOLVE_LOST_NS (60 * TT_NS_PER_SEC)

#define NODE_HANDSHAKES_PER_TURN 64
/* What a tick may take; then others of the loop have their turn. */
#define NODE_TICK_NS (5 * TT_NS_PER_MS)

struct node_peer {
	tt_peer_id id;
	uint64_t serial;    /* of all peers there ever were; ids are used again */
	struct wg_peer *wg; /* locked memory */
	struct dp_peer *dp;
	struct tt_list link;	      /* node_device.peers, in order of insertion */
	struct tt_heap_item deadline; /* node_device.deadlines */
	char *name;		      /* NULL: none */
	bool has_psk;

	struct plat_udp_dest dest; /* where to send now; not set: nowhere */
	bool fixed;		   /* packets from elsewhere do not move dest.to */
	bool managed;		   /* the path is the mesh's to choose: */
	struct tt_endpoint direct; /* where it was last without a relay, also in an earlier life */
	bool has_route;
	struct dp_route route;
	void *user;
	struct dp_link outer_link; /* as published; ifindex 0: none */
	uint64_t link_generation;  /* of its look-up; 0: it is due */
	char *host;		   /* configured name, NULL: an address or none */
	uint16_t host_port;
	uint32_t query; /* the look-up under way, or the last one: id, generation << 16 */
	struct tt_mono resolve_after; /* no look-up before it */
	uint64_t resolve_gap_ns;      /* doubles up to NODE_RESOLVE_MAX_NS */
	uint32_t resolved_at;	      /* timers.attempts at the last look-up */

	uint64_t handshakes;
	uint32_t handshake_rtt_us;
	struct tt_mono initiation_sent;
	enum wg_peer_status status; /* as it was last logged */
};

struct node_device {
	struct node_device_options opt;
	struct wg_device *wg; /* locked memory */
	struct wg_device_memory tables;
	struct wg_session *spare;
	struct node_peer **peers; /* [DP_PEERS_MAX] by id */
	struct tt_list order;
	uint32_t count;
	uint64_t changes; /* node_device_changes() */
	struct node_handshake_stats handshakes;
	uint64_t last_serial;
	struct wg_tai64n stamp; /* of the last initiation, to whomever */
	uint16_t last_query;	/* generation of look-ups, over all peers: ids are used again */
	struct tt_heap deadlines;
	struct tt_heap_item **deadline_slots;
	struct tt_mono armed;
	bool held;

	uint64_t link_generation; /* that links should have */
	tt_peer_id link_cursor;

	struct wg_allowedips allowed;
	bool allowed_changed;
	bool ids_retiring; /* a peer was removed since the last grace period */

	uint16_t udp_port;
	uint32_t fwmark;
	bool up;
	uint64_t
		drops[TT_DROP_COUNT]; /* of this layer: cookies and mac1 of our own socket, sends */
};

/* device.c: zeroed locked memory, or NULL; it comes back through node_device_unpublish(). */
struct wg_session *node_session_alloc(void);

/* What the log calls a peer: its name, or what `--peer` takes, the beginning of its public key. */
struct node_peer_label {
	char key[9];
};
const char *node_peer_label(const struct node_peer *p, struct node_peer_label *buf);

/* Fills in what is known of the peer, and tells. */
void node_peer_tell(struct node_device *d, const struct node_peer *p, struct node_event *e);
void node_peer_tell_rekey(struct node_device *d, const struct node_peer *p, const char *why,
			  uint32_t rtt_us);

/* device_keep.c: facts, timers, and what they ask for. */
void node_peer_run(struct node_device *d, struct node_peer *p, struct tt_mono now, uint32_t flags);
/* Asks the resolver for the peer's name. */
void node_peer_resolve(struct node_device *d, struct node_peer *p, struct tt_mono now);
/* As if a worker had asked for a handshake. */
void node_peer_want_handshake(struct node_device *d, struct node_peer *p);
void node_device_rearm(struct node_device *d);

/* device_path.c */
bool node_peer_has_path(const struct node_peer *p);
void node_peer_publish_path(struct node_device *d, struct node_peer *p);
void node_peer_forget_path(struct node_device *d, struct node_peer *p);

/* device_exchange.c: handshake datagrams and keepalives. */
void node_peer_send_initiation(struct node_device *d, struct node_peer *p, struct tt_mono now);
void node_peer_send_keepalive(struct node_device *d, struct node_peer *p, struct tt_mono now);
void node_device_unpublish(struct node_device *d, const struct wg_displaced *out);
/* A packet came from here, authenticated: the peer's endpoint follows. */
void node_peer_move(struct node_device *d, struct node_peer *p, const struct tt_endpoint *src,
		    const struct tt_ip *dst, uint32_t ifindex);
unsigned node_device_handshakes(struct node_device *d, struct tt_mono now);

#endif

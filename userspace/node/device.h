/* SPDX-License-Identifier: MIT
 *
 * A device as the control thread owns it: our key, the peers, the protocol core's state, and the
 * data plane they are published to. Configuration (UAPI, TOML, reload) goes through the functions
 * here and through nothing else. Control thread only.
 *
 * Changes take effect at once, except allowed IPs: they are collected and published as one table by
 * node_device_commit(), which every transaction ends with.
 */
#ifndef TT_NODE_DEVICE_H
#define TT_NODE_DEVICE_H

#include "base/addr.h"
#include "base/list.h"
#include "base/prom.h"
#include "base/types.h"
#include "datapath/plane.h"
#include "wg/device.h"

#define NODE_PEER_NAME_MAX 64

struct node_device;
struct node_event;
struct node_peer;

/* Answers of find_link. */
enum node_link {
	NODE_LINK_KERNEL, /* the UDP socket sends */
	NODE_LINK_FOUND,
	NODE_LINK_LATER, /* the socket for now; node_device_relink() asks again */
};

struct node_device_options {
	char name[PLAT_IFNAME_MAX];
	struct dp_plane *plane; /* created and started by the caller; outlives the device */
	uint16_t udp_port;	/* the sockets are bound to it already */
	uint32_t fwmark;	/* and carry this mark */
	struct tt_rng rng;
	/* Sends one datagram from the control thread's socket of its family; 0 or -errno. */
	int (*send)(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len,
		    bool *lost_source);
	/* Moves the UDP sockets to another udp_port (0: any) or sets the mark; 0 or -errno. */
	int (*rebind)(void *ctx, uint16_t udp_port, uint16_t *bound);
	int (*fwmark_set)(void *ctx, uint32_t fwmark);
	/* Asks for the addresses of a name; node_device_resolved() is called with the answer and
	 * the same query: only the last one of a peer counts. */
	void (*resolve)(void *ctx, uint32_t query, const char *host, uint16_t udp_port);
	/* The earliest deadline has changed. */
	void (*arm)(void *ctx, struct tt_mono deadline);
	/*
	 * Data with this receiver index is welcome from now on, or no more: called after the
	 * workers know the session and before anything is answered; and before they forget it.
	 * NULL: nobody needs to know.
	 */
	void (*index)(void *ctx, uint32_t index, bool on);
	/*
	 * Managed peers: sends a message by a route (any via); 0 or -errno. heard: an authenticated
	 * packet came this way. wanted: there is traffic for the peer, or a handshake is wanted.
	 * NULL where there is no hub.
	 */
	int (*send_route)(void *ctx, const struct dp_route *route, const void *data, size_t len);
	void (*heard)(void *ctx, struct node_peer *p, const struct dp_roam *from);
	void (*wanted)(void *ctx, struct node_peer *p);
	void (*gone)(void *ctx, struct node_peer *p); /* it is being removed */
	/* An initiation is about to leave with this stamp, the newest so far. NULL: nobody keeps
	 * it.
	 */
	void (*stamped)(void *ctx, const uint8_t stamp[WG_TIMESTAMP_LEN]);
	/* Something happened to a peer (node/events.h); valid during the call. NULL: nobody cares.
	 */
	void (*event)(void *ctx, const struct node_event *e);
	/* How messages to this destination leave past the kernel. NULL: they do not. */
	enum node_link (*find_link)(void *ctx, const struct plat_udp_dest *dest,
				    struct dp_link *out);
	void *ctx;
};

int node_device_create(const struct node_device_options *opt, struct node_device **out);
/* Zeroes keys, unpublishes everything, waits for the workers' grace period. */
void node_device_destroy(struct node_device *d);

/* Reserves and locks the memory for secrets; before privileges are dropped. 0 or -errno. */
int node_device_prepare(void);

/* --- configuration ---------------------------------------------------------------------------- */

/* NULL: none. A peer that has our own public key is removed, as wg(8) expects. */
int node_device_set_private_key(struct node_device *d, const uint8_t key[WG_KEY_LEN]);
int node_device_set_udp_port(struct node_device *d, uint16_t udp_port);
int node_device_set_fwmark(struct node_device *d, uint32_t fwmark);
/* Interface up or down. Down: nothing is sent or answered, and all sessions go, as in the kernel
 * driver. Up: keepalives start, and peers that had a session get a new one. */
void node_device_set_up(struct node_device *d, bool up);

/* Initiations are stamped later than this from now on, whatever the clock says: peers have seen it.
 */
void node_device_set_stamp(struct node_device *d, const uint8_t stamp[WG_TIMESTAMP_LEN]);

struct node_peer *node_device_find_peer(struct node_device *d, const uint8_t pub[WG_KEY_LEN]);
/* 0; -EADDRINUSE: our own public key; -EEXIST; -ENOSPC: too many peers; -ENOMEM. */
int node_device_add_peer(struct node_device *d, const uint8_t pub[WG_KEY_LEN],
			 struct node_peer **out);
void node_device_remove_peer(struct node_device *d, struct node_peer *p);
void node_device_remove_all_peers(struct node_device *d);

int node_peer_set_name(struct node_peer *p, const char *name);
void node_peer_set_psk(struct node_device *d, struct node_peer *p, const uint8_t psk[WG_KEY_LEN]);
void node_peer_set_endpoint(struct node_device *d, struct node_peer *p,
			    const struct tt_endpoint *e);
/* false: packets from elsewhere are taken, but what is sent goes where it was configured. New peers
 * roam. Not for managed peers. */
void node_peer_set_roaming(struct node_device *d, struct node_peer *p, bool roams);
/* A name to resolve now, and again after three unanswered handshakes. 0 or -ENOMEM. */
int node_peer_set_host(struct node_device *d, struct node_peer *p, const char *host,
		       uint16_t udp_port);
/*
 * A peer of the hub's map: packets from it do not move its path, and node_peer_set_endpoint() is
 * not for it. Once, right after node_device_add_peer(). user: the path manager's.
 */
void node_peer_set_managed(struct node_device *d, struct node_peer *p, void *user);
bool node_peer_is_managed(const struct node_peer *p);
void *node_peer_user(const struct node_peer *p);
/* The path of a managed peer from now on; NULL: none. Copies. restart: what waits for an answer is
 * tried again at once. */
void node_peer_set_route(struct node_device *d, struct node_peer *p, const struct dp_route *route,
			 bool restart);
/* The DH of both long-term keys, in locked memory; NULL where the peer's key is of low order. */
const uint8_t *node_peer_shared_secret(struct node_device *d, struct node_peer *p);
/* What the workers say: last data sent, first data sent that nothing has answered. */
void node_peer_send_facts(const struct node_peer *p, struct tt_mono *last_data_tx,
			  struct tt_mono *unanswered_tx_since);
void node_peer_set_keepalive(struct node_device *d, struct node_peer *p, uint16_t seconds);
int node_peer_add_allowed_ip(struct node_device *d, struct node_peer *p, const struct tt_cidr *c);
void node_peer_remove_allowed_ip(struct node_device *d, struct node_peer *p,
				 const struct tt_cidr *c);
void node_peer_clear_allowed_ips(struct node_device *d, struct node_peer *p);
/* Publishes the collected allowed IPs. 0 or -ENOMEM (then the old table stays). */
int node_device_commit(struct node_device *d);

/* --- looking ---------------------------------------------------------------------------------- */

struct node_device_info {
	char name[PLAT_IFNAME_MAX];
	bool has_private_key;
	const uint8_t *private_key; /* locked memory; do not keep */
	uint8_t public_key[WG_KEY_LEN];
	uint16_t udp_port;
	uint32_t fwmark;
	uint32_t peers;
	uint64_t future_stamps; /* handshakes stamped more than a day ahead of our clock */
	bool up;
};
void node_device_get_info(const struct node_device *d, struct node_device_info *out);

struct node_peer_info {
	tt_peer_id id;
	const char *name; /* "" where there is none */
	const uint8_t *public_key;
	const uint8_t *psk; /* locked memory; do not keep */
	bool has_psk;
	struct tt_endpoint endpoint;
	const char *host; /* configured name, or NULL */
	enum wg_peer_status status;
	struct tt_wall last_handshake; /* 0: never */
	uint64_t handshakes;	       /* completed */
	bool has_session;	       /* one that can be sent with */
	uint32_t handshake_rtt_us;     /* of the last handshake we began; 0: none */
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets;
	uint16_t keepalive;
	uint32_t allowed_ips;
};
/* Since the device was made, of all peers there ever were. */
#define NODE_HANDSHAKE_BOUNDS 12
extern const uint64_t node_handshake_bounds_ns[NODE_HANDSHAKE_BOUNDS];
struct node_handshake_stats {
	uint64_t completed;	      /* begun by either side */
	struct tt_histogram duration; /* of those that we began: until the response */
};
void node_device_handshake_stats(const struct node_device *d, struct node_handshake_stats *out);
void node_peer_get_info(const struct node_device *d, const struct node_peer *p,
			struct node_peer_info *out);
/* Peers in order of insertion; NULL at the end. Safe across calls only while none is removed. */
struct node_peer *node_device_next_peer(struct node_device *d, struct node_peer *after);
/* By id, for cursors that live across loop turns; NULL where there is none (any more). */
struct node_peer *node_device_peer_by_id(struct node_device *d, tt_peer_id id);
tt_peer_id node_peer_id(const struct node_peer *p);
/* No two peers of a device ever have the same; not 0. An id with another serial is another peer. */
uint64_t node_peer_serial(const struct node_peer *p);
/* Iterates a peer's allowed IPs: *cursor = 0 to start; false at the end. */
bool node_peer_next_allowed_ip(const struct node_device *d, const struct node_peer *p,
			       uint32_t *cursor, struct tt_cidr *out);
/* Grows with every handshake done and every endpoint that moved: what is worth keeping has changed.
 */
uint64_t node_device_changes(const struct node_device *d);
/* Drops of the protocol core and the workers together. */
void node_device_drops(const struct node_device *d, uint64_t drops[TT_DROP_COUNT]);
struct dp_plane *node_device_plane(struct node_device *d);

/* --- events ----------------------------------------------------------------------------------- */

/* A datagram from the control thread's own socket. */
void node_device_datagram(struct node_device *d, struct tt_mono now, const struct plat_udp_rx *rx);
/* The doorbell rang: facts of peers, handshakes in the ring. True where more handshakes wait. */
bool node_device_doorbell(struct node_device *d, struct tt_mono now);
/* The deadline given to arm() has come. */
void node_device_tick(struct node_device *d, struct tt_mono now);
/*
 * What peers are to send waits until it is lifted, and goes out tick by tick then: what changes
 * thousands of them at once must not keep the loop for as long as all that takes.
 */
void node_device_hold(struct node_device *d, bool hold);
/* Takes what the workers have left for this peer now, rather than when the doorbell's turn comes.
 */
void node_device_look(struct node_device *d, struct node_peer *p);
/* count 0: the look-up failed. A late answer, to a query that is no longer the peer's, is ignored.
 */
void node_device_resolved(struct node_device *d, uint32_t query, const struct tt_endpoint *addr,
			  unsigned count);
/* Says so in the log where the query is still the peer's; node_device_resolved() comes besides. */
void node_device_unresolved(struct node_device *d, uint32_t query, const char *error);
/* A local address vanished: sources that use it are forgotten. */
void node_device_address_gone(struct node_device *d, const struct tt_ip *ip);
/*
 * Looks up the links of peers whose last look-up is older than `generation` (it grows), up to max
 * of them; true where some are left. A link that has not changed is not published again.
 */
bool node_device_relink(struct node_device *d, uint64_t generation, unsigned max);
/* Peers that send by this interface send by the socket from now on. */
void node_device_unlink(struct node_device *d, uint32_t ifindex);
/* Every receiver index that sessions have now. */
void node_device_each_index(const struct node_device *d, void (*fn)(void *arg, uint32_t index),
			    void *arg);
/* The network has changed (address, route): handshakes that wait are tried at once. */
void node_device_network_changed(struct node_device *d);

#endif

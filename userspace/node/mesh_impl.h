/* SPDX-License-Identifier: MIT
 *
 * The mesh's own state, shared by mesh*.c alone.
 */
#ifndef TT_NODE_MESH_IMPL_H
#define TT_NODE_MESH_IMPL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "mesh/check.h"
#include "mesh/pmtu.h"
#include "mesh/relay_bind.h"
#include "mesh/source_rate.h"
#include "mesh/stun_client.h"
#include "node/mesh.h"
#include "plat/clock.h"

#define NODE_MESH_PEERS_MAX	MESH_HUB_PEERS_MAX
#define NODE_MESH_SUBNETS_MAX	4096
#define NODE_MESH_UFRAG_SLOTS	4096
#define NODE_MESH_TAG_SLOTS	4096
#define NODE_MESH_LOCALS_MAX	12
#define NODE_MESH_LOCALS_V4_MAX 8 /* they come first, and a host may have any number of bridges */
#define NODE_MESH_ASKED_SLOTS	16384
#define NODE_MESH_CHECKS_PER_S	2000 /* whose MAC is looked at, of all sources */
#define NODE_MESH_RENEW_AGAIN_S 3600
#define NODE_MESH_LOOK_NS	(600 * TT_NS_PER_SEC)  /* at the least, for what has a wall time */
#define NODE_MESH_ASK_NS	(60 * TT_NS_PER_SEC)   /* between two requests of all of the map */
#define NODE_MESH_MAP_MAX_S	(30 * UINT64_C(86400)) /* a map without its hub */
#define NODE_MESH_OPENED_PER_S	500		       /* legs that the hub may give us */
#define NODE_MESH_KEEPALIVE_S	10
#define NODE_MESH_KEEP_NS	(5 * TT_NS_PER_SEC)  /* between two copies of the map */
#define NODE_MESH_KEEP_AGAIN_NS (60 * TT_NS_PER_SEC) /* after one that failed */
#define NODE_MESH_AWAIT_NS	(3 * TT_NS_PER_SEC)  /* after the start: for the hub and its map */
#define NODE_MESH_AWAIT_UP_NS	(300 * TT_NS_PER_MS) /* once the map has come: for paths */
#define NODE_MESH_LATE_NS	(50 * TT_NS_PER_MS)  /* of the timer: others have kept the loop */
#define NODE_MESH_TURN_NS	(5 * TT_NS_PER_MS)   /* what its peers may take at a time */
#define NODE_MESH_TRIM_PEERS	256 /* so many fewer: their memory goes back to the system */
#define NODE_MESH_BUSY_NS	(3 * TT_NS_PER_SEC)
#define NODE_MESH_LEG_KEEP_NS	(60 * TT_NS_PER_SEC) /* of a relay, after a direct path was found */
#define NODE_MESH_REFLEXIVE_NS	(120 * TT_NS_PER_SEC) /* a NAT may have forgotten it */

/* Where a peer's checks are found by the ufrag that they name. */
struct node_mesh_ufrag {
	struct node_mesh_ufrag *next;
	struct node_mesh_peer *peer;
	uint8_t ufrag[MESH_UFRAG_LEN];
	bool listed;
};

struct node_mesh_peer {
	uint32_t node_id;
	struct node_mesh_peer *next_by_id;
	struct node_mesh *mesh;
	struct node_peer *peer; /* NULL: the configuration has it, or the device refused it */
	struct tt_list link;
	struct tt_heap_item deadline;
	bool gateway, online;
	char name[MESH_HUB_NAME_MAX + 1];
	uint8_t key[32];

	struct mesh_paths paths;
	struct mesh_check_keys keys;
	struct node_mesh_ufrag ufrag[2];
	struct mesh_relay_bind bind;
	struct mesh_pmtu pmtu;			/* of the path in use */
	struct node_mesh_peer *next_by_tag;	/* while the leg is open */
	uint32_t tag;				/* as listed; 0: it is not */
	struct tt_mono relay_sent, relay_heard; /* DATA on our leg */
	struct dp_route route;			/* as published */
	bool has_route;
	bool running; /* in node_mesh_run_peer() */
};

struct node_mesh {
	struct node_mesh_options opt;
	struct node_hub_link *link;
	void *owner;		   /* of opt.hub.on's resolve and socket */
	struct tls_der csr;	   /* for renewals */
	struct tls_cert_info cert; /* what opt.hub.cert says */
	struct tt_mono asked_all;  /* for the map, because it was refused */
	struct tt_mono said_refused;
	struct mesh_netmap map;
	uint64_t map_left_ns; /* how long it is good without the hub */
	struct tt_mono
		map_got; /* the last update; after so long of nothing new all is asked for: */
	uint64_t map_stale_ns;
	struct tt_mono map_from; /* since when */
	void *map_memory;
	uint8_t cache_key[MESH_NETMAP_CACHE_KEY_LEN];
	struct tt_list peers;
	struct node_mesh_peer **by_id; /* buckets by node id */
	uint32_t by_id_size;
	uint64_t by_id_seed; /* the hub must not choose what collides */
	struct node_mesh_peer *by_tag[NODE_MESH_TAG_SLOTS]; /* by our leg of the UDP relay */
	struct tt_heap deadlines;
	struct tt_heap_item **deadline_slots;
	uv_timer_t timer;
	struct tt_mono await_until; /* 0: packets do not wait for peers any more */
	struct tt_mono timer_due;
	bool late;
	struct node_mesh_ufrag *ufrags[NODE_MESH_UFRAG_SLOTS];
	uint64_t generation; /* of offers: ms of the hub's clock */
	uint64_t hub_time_s; /* as Welcome said, within the life of our certificate */
	uint32_t hub_time_ms;
	struct tt_mono hub_time_at;

	uint16_t stun_port, hub_keepalive_s;
	struct mesh_stun_client stun[2]; /* v4, v6 */
	struct tt_endpoint reflexive[2];
	struct tt_mono reflexive_at[2];
	struct tt_ip local[NODE_MESH_LOCALS_MAX];
	unsigned locals;
	struct tt_endpoint relays[DP_RELAYS_MAX];
	unsigned relay_count;
	uint32_t *asked; /* [NODE_MESH_ASKED_SLOTS]: node id, by the id of the check it was sent */
	struct mesh_source_rate sources;
	uint32_t checks_left;
	struct tt_mono checks_filled, opened_filled, renew_asked;
	uint32_t opened_left;
	bool renewing; /* asked, and not answered */
	bool dirty;    /* the map has changed since it was kept */
	uint32_t most; /* peers at a time, since memory was given back */
	struct tt_mono saved;
	struct tt_mono cert_due; /* the certificate is to be kept once more; 0: it is kept */
	uint64_t drops[TT_DROP_COUNT];
	bool allowed_changed;
	unsigned handles;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* mesh.c */
struct node_mesh_peer *node_mesh_find(struct node_mesh *m, uint32_t node_id);
struct node_mesh_peer **node_mesh_bucket(struct node_mesh *m, uint32_t node_id);
void node_mesh_rearm(struct node_mesh *m);
/* Until when packets wait for peers, and for paths to them; 0: no more. */
void node_mesh_await(struct node_mesh *m, struct tt_mono until);
void node_mesh_say(struct node_mesh *m, enum node_mesh_event_kind kind,
		   const struct node_mesh_peer *p, const char *why);
/* mesh_map.c */
int node_mesh_map_open(struct node_mesh *m, const void *cached, size_t cached_len);
void node_mesh_map_update(struct node_mesh *m, const Taltun__Hub__V1__MapUpdate *u);
void node_mesh_map_keep(struct node_mesh *m, bool now);
/* Once more, where that is due. */
void node_mesh_cert_keep(struct node_mesh *m);
/* The hub was here until now. */
void node_mesh_map_touch(struct node_mesh *m);
/* Drops a map that has been without its hub for too long. */
void node_mesh_map_expire(struct node_mesh *m);
void node_mesh_map_close(struct node_mesh *m);
/* mesh_hub.c: handlers of the link. */
extern const struct node_hub_link_handlers node_mesh_hub_handlers;
void node_mesh_renew(struct node_mesh *m);
/* Seconds until the certificate is to be renewed; 0: now. */
uint64_t node_mesh_renew_in_s(const struct node_mesh *m);
/* What the hub's clock says; before the first Welcome ours. */
struct tt_wall node_mesh_hub_clock(const struct node_mesh *m);
/* mesh_path.c */
void node_mesh_run_peer(struct node_mesh *m, struct node_mesh_peer *p);
void node_mesh_publish(struct node_mesh *m, struct node_mesh_peer *p);
/* The way to the peer may carry more or less than it did. */
void node_mesh_look_at_mtu(struct node_mesh *m, struct node_mesh_peer *p);
/* mesh_check.c */
void node_mesh_send_check(struct node_mesh *m, struct node_mesh_peer *p, unsigned index,
			  const uint8_t id[MESH_CHECK_ID_LEN]);
/* The same over the path in use, of an exact size and with DF. */
void node_mesh_send_probe(struct node_mesh *m, struct node_mesh_peer *p,
			  const struct mesh_pmtu_probe *probe);
void node_mesh_send_offer(struct node_mesh *m, struct node_mesh_peer *p, bool asks);
void node_mesh_take_offer(struct node_mesh *m, struct node_mesh_peer *p, const uint8_t *sealed,
			  size_t len);
/* via: how it came; relay_peer: from whom, where it came by a relay. */
void node_mesh_take_stun(struct node_mesh *m, enum dp_via via, struct node_mesh_peer *relay_peer,
			 const struct tt_endpoint *src, const uint8_t *bytes, size_t len);
void node_mesh_forget_ufrags(struct node_mesh *m, struct node_mesh_peer *p);
/* mesh_gather.c: our own addresses, and what they look like from outside. */
void node_mesh_gather_start(struct node_mesh *m);
void node_mesh_gather_run(struct node_mesh *m, struct tt_mono now);
bool node_mesh_gather_take(struct node_mesh *m, const struct tt_endpoint *src, const uint8_t *bytes,
			   size_t len);
struct tt_mono node_mesh_gather_deadline(const struct node_mesh *m);
unsigned node_mesh_candidates(struct node_mesh *m, struct mesh_candidate out[MESH_CANDIDATES_MAX]);
/* mesh_relay.c: legs of the UDP relay. */
void node_mesh_relay_opened(struct node_mesh *m, const Taltun__Hub__V1__RelayOpened *o);
void node_mesh_relay_take(struct node_mesh *m, const struct tt_endpoint *src,
			  const struct tt_ip *dst, uint32_t ifindex, const uint8_t *bytes,
			  size_t len);
void node_mesh_relay_run(struct node_mesh *m, struct node_mesh_peer *p, struct tt_mono now);
void node_mesh_relay_drop(struct node_mesh *m, struct node_mesh_peer *p);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The relay's own state, shared by relay_udp.c (allocations, the loop's thread), relay_socket.c
 * (the relay's thread and its sockets) and relay_leg.c (what a datagram means) alone.
 *
 * How the threads share legs without a lock: the loop's thread writes a leg while its tag is 0 and
 * then publishes the tag; from then on all but the tag is the relay thread's. To take it back the
 * loop's thread stores 0 and waits until the turn that may still have seen the tag is over. Tags
 * and `turn` are sequentially consistent, so that either the wait sees the turn or the turn sees 0.
 */
#ifndef TT_HUB_RELAY_IMPL_H
#define TT_HUB_RELAY_IMPL_H

#include <stdatomic.h>

#include "hub/relay_udp.h"
#include "plat/thread.h"
#include "plat/udp_io.h"
#include "plat/wait.h"

/* A tag: index of the leg in the low bits, random above. Two legs of an allocation are a pair. */
#define RELAY_LEGS	   (2 * HUB_RELAY_ALLOCATIONS_MAX)
#define RELAY_INDEX_BITS   17
#define RELAY_BATCH	   64
#define RELAY_BUFFER	   65536u
#define RELAY_SUPER_MAX	   65000u /* bytes of one super-datagram, headers left out */
#define RELAY_GSO_STRIKES  3	  /* refused so often, a leg gets its datagrams one by one */
#define RELAY_LIMIT_SLOTS  4096
#define RELAY_LIMIT_PER_S  100 /* challenges to one source address (IPv6: /64), and burst */
#define RELAY_PROBES_PER_S 128 /* of one leg, and burst: the volleys of a search (mesh/pmtu.h) */
#define RELAY_NONE	   UINT32_MAX

_Static_assert(RELAY_LEGS == 1u << RELAY_INDEX_BITS, "index of a leg");

struct relay_bucket {
	uint64_t level;
	uint32_t part; /* millionths of one more */
	struct tt_mono filled;
};

struct relay_leg {
	_Alignas(TT_CACHELINE) _Atomic uint32_t tag; /* 0: nobody's */
	uint32_t node;				     /* index of its bucket */
	_Atomic bool bound;			     /* the loop's thread looks at it as a hint */
	uint8_t socket;
	uint8_t gso_strikes;
	uint32_t pending; /* of `batch`: its last message in the socket's queue */
	uint64_t batch;
	struct tt_mono heard;
	struct tt_endpoint source;
	struct relay_bucket probes;
	uint64_t sequence; /* of the last keepalive */
	uint8_t key[MESH_RELAY_KEY_LEN];
	struct plat_udp_dest dest;
};

/* The loop's thread's view of the same allocation: legs 2i and 2i+1. */
struct relay_allocation {
	uint32_t node[2];		 /* ids */
	uint32_t owner[2];		 /* indexes of nodes */
	uint32_t next_of[2], prev_of[2]; /* in the node's list, as 2i + side */
	uint32_t next;			 /* in its hash chain, or of the free ones */
	uint16_t last_random[2];	 /* of the tags that this place had last */
	uint8_t opener;			 /* 0 or 1: whose of the two it is */
	struct tt_mono opened;
};

struct relay_node {
	uint32_t id;
	uint32_t first, last;  /* 2i + side; the newest is the first */
	uint32_t opened;       /* how many of them count as its own */
	struct tt_mono looked; /* for idle ones among them */
	uint32_t next;	       /* in its hash chain, or of the free ones */
};

struct relay_queue {
	struct plat_udp_tx tx[RELAY_BATCH];
	struct relay_leg *leg[RELAY_BATCH]; /* NULL: an answer */
	uint32_t room[RELAY_BATCH];	    /* bytes behind the message that may be written */
	unsigned count;
};

struct relay_answer {
	uint8_t bytes[MESH_RELAY_MESSAGE_MAX];
	struct plat_udp_dest dest;
};

/* One writer each. */
struct relay_counters {
	_Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, challenged;
	_Atomic uint64_t form, tag, source, mac, cookie, unbound, limit, rate, socket;
};

static inline void relay_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

struct hub_relay {
	struct hub_relay_options opt;
	uint16_t udp_port;
	unsigned sockets;
	int fd[HUB_RELAY_LISTEN_MAX];
	struct tt_ip at[HUB_RELAY_LISTEN_MAX]; /* where they are bound */
	struct plat_thread thread;
	struct plat_waiter waiter;
	bool has_waiter;
	_Atomic bool stopping;

	/* both threads, as the comment on top says */
	struct relay_leg *leg;
	struct relay_bucket *bucket; /* by index of the node; reset while no leg is its */
	_Alignas(TT_CACHELINE) _Atomic uint64_t turn; /* odd: in one */
	_Alignas(TT_CACHELINE) _Atomic uint32_t
		legs_used; /* no leg from here on has ever been open */
	_Atomic uint32_t allocations;
	_Atomic uint32_t bound_legs;
	struct relay_counters count;

	/* the loop's thread */
	struct relay_allocation *allocation;
	struct relay_node *node;
	uint32_t *pair_chain, *node_chain;
	uint32_t free_allocation, free_node, used_allocations, used_nodes;
	uint32_t reclaim_at; /* where the next look for idle allocations begins */

	/* the relay's thread */
	struct mesh_relay_cookies cookies;
	struct tt_rng rng;
	struct tt_mono now, swept;
	uint32_t sweep_at;
	uint64_t batch; /* which filling of the queues this is */
	bool gso;
	struct plat_udp_rx rx[RELAY_BATCH];
	uint8_t *buffers;
	struct relay_queue queue[HUB_RELAY_LISTEN_MAX];
	struct relay_answer answer[RELAY_BATCH];
	unsigned answers;
	uint32_t limit_seed;
	struct relay_bucket limit[RELAY_LIMIT_SLOTS];
};

/* relay_socket.c; the relay's thread where not said otherwise */
int relay_sockets_open(struct hub_relay *r); /* the loop's thread, before the relay's runs */
void relay_sockets_close(struct hub_relay *r);
void relay_main(void *relay);
/* Sends all that is queued: pointers into the queues are void then. */
void relay_flush(struct hub_relay *r);
/*
 * Queues len bytes, datagrams of `segment` each, for a bound leg. p stays in place until the flush;
 * `room` bytes behind it may be written over.
 */
void relay_forward(struct hub_relay *r, struct relay_leg *to, uint8_t *p, uint32_t len,
		   uint32_t segment, uint8_t ecn, uint32_t room);
/* At once, with DF set, for a bound leg. */
void relay_send_whole(struct hub_relay *r, const struct relay_leg *to, const uint8_t *p,
		      uint32_t len);
/* A place for an answer to what came; relay_answer_send() is next. */
uint8_t *relay_answer_begin(struct hub_relay *r);
void relay_answer_send(struct hub_relay *r, const struct plat_udp_rx *rx, unsigned socket,
		       uint32_t len);

/* relay_leg.c; the relay's thread */
void relay_take(struct hub_relay *r, unsigned socket, struct plat_udp_rx *rx);
void relay_sweep(struct hub_relay *r);
/* Takes up to n, in whole units; returns how much. */
uint64_t relay_bucket_take(struct relay_bucket *b, uint64_t n, uint64_t unit, uint64_t rate,
			   uint64_t burst, struct tt_mono now);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Packets that wait for a session: one worker's. A packet (with its vnet header, super-packets as
 * they were read) lies in a chain of 2 KiB chunks of a pool that is reserved at start and not
 * touched before it is needed. At most DP_STAGED_MAX packets per peer over all workers, segments
 * counted one by one; the oldest go first. Pure data structure; owner thread.
 *
 * Queues name their peer by id and generation and never hold a pointer across turns, so a peer may
 * go at any time; its packets go at the next look.
 */
#ifndef TT_DATAPATH_STAGING_H
#define TT_DATAPATH_STAGING_H

#include "datapath/peer.h"
#include "plat/tun.h"

#define DP_STAGING_CHUNK       2048
#define DP_STAGING_CHUNKS      4096
#define DP_STAGING_QUEUES      1024 /* peers that wait at the same time in one worker */
#define DP_STAGING_CHUNK_BYTES (DP_STAGING_CHUNK - 32)

struct dp_staging_chunk {
	uint16_t next;	      /* of this packet, + 1; 0: last */
	uint16_t next_packet; /* first chunk only: the next packet of the queue, + 1 */
	uint16_t weight;      /* first chunk only: packets it counts for */
	struct plat_vnet_hdr vnet;
	uint32_t len; /* first chunk only: of the whole packet */
	uint8_t pad[12];
	uint8_t bytes[DP_STAGING_CHUNK_BYTES];
};
_Static_assert(sizeof(struct dp_staging_chunk) == DP_STAGING_CHUNK, "chunk");

struct dp_staging_queue {
	tt_peer_id peer;
	uint32_t generation;
	uint16_t head, tail; /* first chunks, + 1; 0: none */
	uint32_t weight;
	uint16_t slot; /* where in active[] it is */
};

struct dp_staging {
	struct dp_staging_chunk *chunk; /* [DP_STAGING_CHUNKS] */
	uint16_t *queue_of;		/* [DP_PEERS_MAX + 1]: queue + 1; 0: none */
	uint32_t chunks_used;		/* never yet in the free list */
	uint16_t free_chunk;		/* + 1 */
	uint32_t free_count;
	uint16_t active_count;
	uint16_t active[DP_STAGING_QUEUES]; /* queue numbers; the free ones behind active_count */
	struct dp_staging_queue queue[DP_STAGING_QUEUES];
};

static inline uint32_t dp_staging_generation(const struct dp_peer *p)
{
	return (uint32_t)(atomic_load(&p->staging) >> 32);
}

static inline uint32_t dp_staging_count(const struct dp_peer *p)
{
	return (uint32_t)atomic_load(&p->staging);
}

int dp_staging_init(struct dp_staging *s); /* 0 or -ENOMEM */
void dp_staging_destroy(struct dp_staging *s);

/*
 * Copies the packet behind those of its peer. Returns how many packets were dropped for it: older
 * ones of the peer, or itself (weight) where there is no room at all.
 */
uint32_t dp_staging_push(struct dp_staging *s, struct dp_peer *p, const struct plat_vnet_hdr *vnet,
			 const uint8_t *pkt, uint32_t len, uint32_t weight);
/* Oldest packet of its queue into buf (65,536 bytes). 0: there was none, and the queue is gone. */
uint32_t dp_staging_pop(struct dp_staging *s, struct dp_staging_queue *q, struct dp_peer *p,
			struct plat_vnet_hdr *vnet, uint8_t *buf);
/* Throws away a queue whose peer is gone or has a new generation. How many packets that were. */
uint32_t dp_staging_drop(struct dp_staging *s, struct dp_staging_queue *q);

#endif

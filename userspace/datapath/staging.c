/* SPDX-License-Identifier: MIT */
#include "datapath/staging.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/plane.h"

int dp_staging_init(struct dp_staging *s)
{
	memset(s, 0, sizeof(*s));
	s->chunk = aligned_alloc(TT_CACHELINE, sizeof(*s->chunk) * DP_STAGING_CHUNKS);
	s->queue_of = calloc(DP_PEERS_MAX + 1, sizeof(*s->queue_of));
	if (!s->chunk || !s->queue_of) {
		dp_staging_destroy(s);
		return -ENOMEM;
	}
	s->free_count = DP_STAGING_CHUNKS;
	for (uint16_t i = 0; i < DP_STAGING_QUEUES; i++)
		s->active[i] = i;
	return 0;
}

void dp_staging_destroy(struct dp_staging *s)
{
	free(s->chunk);
	free(s->queue_of);
	s->chunk = NULL;
	s->queue_of = NULL;
}

/* --- chunks ---------------------------------------------------------------------------------- */

/* There is one: the caller looked at free_count. */
static uint16_t chunk_take(struct dp_staging *s)
{
	uint16_t c = s->free_chunk;

	s->free_count--;
	if (!c)
		return (uint16_t)++s->chunks_used;
	s->free_chunk = s->chunk[c - 1].next;
	return c;
}

static void packet_free(struct dp_staging *s, uint16_t c)
{
	while (c) {
		uint16_t next = s->chunk[c - 1].next;

		s->chunk[c - 1].next = s->free_chunk;
		s->free_chunk = c;
		s->free_count++;
		c = next;
	}
}

static uint16_t packet_store(struct dp_staging *s, const uint8_t *pkt, uint32_t len)
{
	uint16_t first = chunk_take(s), c = first;

	s->chunk[first - 1].len = len;
	s->chunk[first - 1].next_packet = 0;
	for (;;) {
		struct dp_staging_chunk *chunk = &s->chunk[c - 1];
		uint32_t part = TT_MIN(len, (uint32_t)DP_STAGING_CHUNK_BYTES);

		memcpy(chunk->bytes, pkt, part);
		pkt += part;
		len -= part;
		chunk->next = 0;
		if (!len)
			return first;
		c = chunk->next = chunk_take(s);
	}
}

/* --- queues ---------------------------------------------------------------------------------- */

static struct dp_staging_queue *queue_open(struct dp_staging *s, const struct dp_peer *p,
					   uint32_t generation)
{
	if (s->queue_of[p->id])
		return &s->queue[s->queue_of[p->id] - 1];
	if (s->active_count == DP_STAGING_QUEUES)
		return NULL;
	uint16_t slot = s->active_count++, number = s->active[slot];
	struct dp_staging_queue *q = &s->queue[number];

	*q = (struct dp_staging_queue){.peer = p->id, .generation = generation, .slot = slot};
	s->queue_of[p->id] = number + 1;
	return q;
}

static void queue_close(struct dp_staging *s, struct dp_staging_queue *q)
{
	uint16_t number = (uint16_t)(q - s->queue), last = --s->active_count;

	s->queue_of[q->peer] = 0;
	s->active[q->slot] = s->active[last];
	s->queue[s->active[q->slot]].slot = q->slot;
	s->active[last] = number;
}

/* Adds to the peer's count, unless its generation is another by now or the result is too high. */
static bool count_add(struct dp_peer *p, uint32_t generation, uint32_t weight)
{
	uint64_t v = atomic_load(&p->staging);

	do {
		if ((uint32_t)(v >> 32) != generation || (uint32_t)v + weight > DP_STAGED_MAX)
			return false;
	} while (!atomic_compare_exchange_weak(&p->staging, &v, v + weight));
	return true;
}

static void count_sub(struct dp_peer *p, uint32_t generation, uint32_t weight)
{
	uint64_t v = atomic_load(&p->staging);

	do {
		if ((uint32_t)(v >> 32) != generation)
			return;
	} while (!atomic_compare_exchange_weak(&p->staging, &v, v - weight));
}

/* Takes the oldest packet off; returns its first chunk, which is the caller's from here. */
static uint16_t queue_shift(struct dp_staging *s, struct dp_staging_queue *q, struct dp_peer *p)
{
	uint16_t c = q->head;
	uint32_t weight = s->chunk[c - 1].weight;

	q->head = s->chunk[c - 1].next_packet;
	if (!q->head)
		q->tail = 0;
	q->weight -= weight;
	count_sub(p, q->generation, weight);
	return c;
}

static void queue_append(struct dp_staging *s, struct dp_staging_queue *q, uint16_t c)
{
	if (q->tail)
		s->chunk[q->tail - 1].next_packet = c;
	else
		q->head = c;
	q->tail = c;
	q->weight += s->chunk[c - 1].weight;
}

uint32_t dp_staging_push(struct dp_staging *s, struct dp_peer *p, const struct plat_vnet_hdr *vnet,
			 const uint8_t *pkt, uint32_t len, uint32_t weight)
{
	uint32_t generation = dp_staging_generation(p), dropped = 0;
	uint32_t chunks = (len + DP_STAGING_CHUNK_BYTES - 1) / DP_STAGING_CHUNK_BYTES;
	struct dp_staging_queue *q = queue_open(s, p, generation);

	if (q && q->generation != generation) {
		/* control threw the old ones away meanwhile; or they were a removed peer's */
		dropped += dp_staging_drop(s, q);
		q = queue_open(s, p, generation);
	}
	if (!q)
		return dropped + weight;
	weight = TT_MIN(weight, (uint32_t)DP_STAGED_MAX);
	while (s->free_count < chunks || !count_add(p, generation, weight)) {
		if (!q->head) {
			queue_close(s, q);
			return dropped + weight;
		}
		uint16_t old = queue_shift(s, q, p);

		dropped += s->chunk[old - 1].weight;
		packet_free(s, old);
	}
	uint16_t c = packet_store(s, pkt, len);

	s->chunk[c - 1].vnet = *vnet;
	s->chunk[c - 1].weight = (uint16_t)weight;
	queue_append(s, q, c);
	return dropped;
}

uint32_t dp_staging_pop(struct dp_staging *s, struct dp_staging_queue *q, struct dp_peer *p,
			struct plat_vnet_hdr *vnet, uint8_t *buf)
{
	if (!q->head) {
		queue_close(s, q);
		return 0;
	}
	uint16_t first = queue_shift(s, q, p);
	uint32_t len = s->chunk[first - 1].len, left = len;

	*vnet = s->chunk[first - 1].vnet;
	for (uint16_t c = first; c; c = s->chunk[c - 1].next) {
		uint32_t part = TT_MIN(left, (uint32_t)DP_STAGING_CHUNK_BYTES);

		memcpy(buf, s->chunk[c - 1].bytes, part);
		buf += part;
		left -= part;
	}
	packet_free(s, first);
	return len;
}

uint32_t dp_staging_drop(struct dp_staging *s, struct dp_staging_queue *q)
{
	uint32_t dropped = q->weight;

	while (q->head) {
		uint16_t c = q->head;

		q->head = s->chunk[c - 1].next_packet;
		packet_free(s, c);
	}
	queue_close(s, q);
	return dropped;
}

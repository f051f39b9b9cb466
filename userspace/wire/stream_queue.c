/* SPDX-License-Identifier: MIT
 *
 * What waits for a stream's socket: control frames, each a chunk, and packets, many to a chunk.
 */
#include <stdlib.h>

#include "wire/stream_impl.h"

#define POOL_MAX 64 /* chunks of a record's size that are kept */

static struct wire_chunk *chunk_new(uint32_t cap)
{
	struct wire_chunk *k = malloc(sizeof(*k) + cap);

	if (k) {
		k->next = NULL;
		k->len = k->off = 0;
		k->cap = cap;
	}
	return k;
}

static void append(struct wire_queue *q, struct wire_chunk *k)
{
	if (q->last)
		q->last->next = k;
	else
		q->first = k;
	q->last = k;
}

static struct wire_chunk *unlink_first(struct wire_queue *q)
{
	struct wire_chunk *k = q->first;

	q->first = k->next;
	if (!q->first)
		q->last = NULL;
	return k;
}

static void control_pop(struct wire_stream *s)
{
	struct wire_chunk *k = unlink_first(&s->control);

	s->control.count--;
	s->control.bytes -= k->len;
	free(k);
}

/* NULL: no memory, or more than all may have. */
static struct wire_chunk *data_chunk_new(struct wire_loop *l, uint32_t frame)
{
	uint32_t cap = TT_MAX(frame, (uint32_t)WIRE_RECORD);
	struct wire_chunk *k = cap == WIRE_RECORD ? l->pool : NULL;

	if (l->packet_bytes + cap > l->packet_bytes_max)
		return NULL;
	if (k) {
		l->pool = k->next;
		l->pooled--;
		k->next = NULL;
		k->len = k->off = 0;
	} else {
		k = chunk_new(cap);
	}
	if (k)
		l->packet_bytes += cap;
	return k;
}

static void data_chunk_free(struct wire_loop *l, struct wire_chunk *k)
{
	l->packet_bytes -= k->cap;
	if (k->cap != WIRE_RECORD || l->pooled == POOL_MAX) {
		free(k);
		return;
	}
	k->next = l->pool;
	l->pool = k;
	l->pooled++;
}

static uint32_t first_frame_len(const struct wire_queue *q)
{
	const struct wire_chunk *k = q->first;

	return MESH_FRAME_HEADER + (tt_load_be32(k->bytes + k->off) & 0xffffff);
}

static uint16_t *share_of(struct wire_stream *s, uint32_t node_id)
{
	return &s->share[(node_id * 0x9e3779b1u) >> 28];
}
_Static_assert(WIRE_SHARES == 16, "four bits of the hash");

/* The oldest packet goes. */
static void data_pop(struct wire_stream *s)
{
	struct wire_chunk *k = s->data.first;
	uint32_t n = first_frame_len(&s->data);

	--*share_of(s, tt_load_be32(k->bytes + k->off + MESH_FRAME_HEADER));
	k->off += n;
	s->data.count--;
	s->data.bytes -= n;
	if (k->off == k->len)
		data_chunk_free(s->loop, unlink_first(&s->data));
}

/* Room for one frame at the end of the queue; NULL: none. */
static uint8_t *data_room(struct wire_stream *s, uint32_t whole)
{
	struct wire_chunk *k = s->data.last;

	if (!k || k->cap - k->len < whole) {
		k = data_chunk_new(s->loop, whole);
		if (!k)
			return NULL;
		append(&s->data, k);
	}
	k->len += whole;
	s->data.count++;
	s->data.bytes += whole;
	return k->bytes + k->len - whole;
}

/* The oldest give way. But a node that has filled the queue gets its own packet dropped while
 * others wait there, too: it would push out theirs. */
static bool make_room(struct wire_stream *s, uint32_t node_id, uint32_t whole,
		      struct wire_stats *st)
{
	while (s->data.count >= s->data_max ||
	       (s->data.count && s->data.bytes + whole > s->data_bytes_max)) {
		uint32_t held = *share_of(s, node_id);

		if (held < s->data.count && 2 * held > s->data.count) {
			st->dropped_share++;
			return false;
		}
		data_pop(s);
		st->dropped_oldest++;
	}
	return true;
}

bool wire_control_put(struct wire_stream *s, const uint8_t *frame, size_t len)
{
	struct wire_chunk *k =
		s->control.bytes + len > s->control_max ? NULL : chunk_new((uint32_t)len);

	if (!k)
		return false;
	memcpy(k->bytes, frame, len);
	k->len = (uint32_t)len;
	append(&s->control, k);
	s->control.count++;
	s->control.bytes += len;
	return true;
}

bool wire_data_put(struct wire_stream *s, uint32_t node_id, const uint8_t *packet, uint32_t len,
		   struct wire_stats *st)
{
	if (!make_room(s, node_id, MESH_FRAME_RELAY_BEFORE + len, st))
		return false;
	uint8_t *frame = data_room(s, MESH_FRAME_RELAY_BEFORE + len);

	if (!frame) {
		st->dropped_memory++;
		return false;
	}
	++*share_of(s, node_id);
	mesh_frame_relay_write(frame, node_id, len);
	memcpy(frame + MESH_FRAME_RELAY_BEFORE, packet, len);
	st->packets++;
	st->packet_bytes += len;
	return true;
}

uint32_t wire_queues_gather(struct wire_stream *s, uint8_t *record)
{
	uint32_t used = 0;

	while (s->control.first && used < WIRE_RECORD) {
		struct wire_chunk *k = s->control.first;
		uint32_t n = TT_MIN(k->len - k->off, WIRE_RECORD - used);

		memcpy(record + used, k->bytes + k->off, n);
		used += n;
		k->off += n;
		if (k->off == k->len)
			control_pop(s);
	}
	while (!s->control.first && s->data.first &&
	       used + first_frame_len(&s->data) <= WIRE_RECORD) {
		const struct wire_chunk *k = s->data.first;
		uint32_t n = first_frame_len(&s->data);

		memcpy(record + used, k->bytes + k->off, n);
		used += n;
		data_pop(s);
	}
	return used;
}

void wire_data_pop_chunk(struct wire_stream *s)
{
	const struct wire_chunk *k = s->data.first;

	while (s->data.first == k && k->len - k->off > first_frame_len(&s->data))
		data_pop(s);
	data_pop(s);
}

void wire_queues_free(struct wire_stream *s)
{
	while (s->control.first)
		control_pop(s);
	while (s->data.first)
		data_pop(s);
}

void wire_pool_free(struct wire_loop *l)
{
	while (l->pool) {
		struct wire_chunk *k = l->pool;

		l->pool = k->next;
		free(k);
	}
}

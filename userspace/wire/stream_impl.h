/* SPDX-License-Identifier: MIT
 *
 * Inside of a stream: stream.c moves bytes, stream_queue.c holds what waits for the socket.
 */
#ifndef TT_WIRE_STREAM_IMPL_H
#define TT_WIRE_STREAM_IMPL_H

#include "wire/stream.h"

#define WIRE_RECORD    (16 * 1024) /* plain bytes of one TLS record */
#define WIRE_WRITE_MAX (64 * 1024) /* for the socket at once */
#define WIRE_READ_MAX  (64 * 1024)

struct wire_loop {
	uv_loop_t *loop;
	uv_prepare_t turn_end;
	struct tt_list dirty, yielded;
	uint64_t turn;
	size_t packet_bytes, packet_bytes_max;
	unsigned reads; /* since the last flush of all */
	struct wire_chunk *pool;
	unsigned pooled;
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t read_buffer[WIRE_READ_MAX];
	uint8_t plain[WIRE_RECORD];
	uint8_t record[WIRE_RECORD];
	uint8_t wire[WIRE_WRITE_MAX + WIRE_RECORD];
};

/* One frame, or part of a queue of packets: as many as fill a record. */
struct wire_chunk {
	struct wire_chunk *next;
	uint32_t len, off, cap;
	uint8_t bytes[];
};

/* A copy of the frame waits; false: no memory, or more than control_max. */
bool wire_control_put(struct wire_stream *s, const uint8_t *frame, size_t len);
/* As wire_stream_relay(), into the queue only. */
bool wire_data_put(struct wire_stream *s, uint32_t node_id, const uint8_t *packet, uint32_t len,
		   struct wire_stats *st);
/* Fills one record: all control that there is, then packets. A packet is not cut, so that one may
 * still be dropped while it waits. */
uint32_t wire_queues_gather(struct wire_stream *s, uint8_t *record);
/* Takes the first chunk of packets, which has gone out as it is. */
void wire_data_pop_chunk(struct wire_stream *s);
void wire_queues_free(struct wire_stream *s);
/* The chunks that are kept for the next packets. */
void wire_pool_free(struct wire_loop *l);

#endif

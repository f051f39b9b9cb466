/* SPDX-License-Identifier: MIT
 *
 * One TCP connection between node and hub on a libuv loop: TLS, frames (mesh/frame.h), and two
 * bounded queues. Both ends use it. Everything runs on the loop's thread.
 *
 * Control: in order, nothing is ever left out; a side that lets it grow past its bound loses the
 * connection. Data (packets that are relayed): bounded, the oldest goes first, and it is sent only
 * where no control waits, so that a tunnel under load never keeps a message from being heard. Where
 * a data queue is full, whoever has more than half of what waits gives way to the others. A stream
 * that keeps the thread busy is read in slices of time, so that the others of its loop wait for one
 * slice and not for all that it has to say. Several packets share one TLS record. A handler may be
 * called from wire_stream_flush() and wire_stream_finish(), and otherwise from the loop only: never
 * while something is being sent.
 *
 * A quiet stream holds its TLS state and this struct; buffers only while something is unfinished.
 */
#ifndef TT_WIRE_STREAM_H
#define TT_WIRE_STREAM_H

#include <uv.h>

#include "base/list.h"
#include "mesh/frame.h"
#include "tls/session.h"

/* What all streams of a loop share: buffers, and what is to be sent at the end of its turn. */
struct wire_loop;
/* packet_bytes: bound of what is queued in all data queues together. 0 or -ENOMEM. */
int wire_loop_open(uv_loop_t *loop, size_t packet_bytes, struct wire_loop **out);
/* After its streams; frees it. closed() runs when its handle is gone; NULL is allowed. */
void wire_loop_close(struct wire_loop *l, void (*closed)(void *arg), void *arg);

enum wire_end {
	WIRE_END_BY_PEER, /* in order */
	WIRE_END_RESET,	  /* the socket failed, or no memory */
	WIRE_END_TLS,	  /* wire_stream_tls_failure() */
	WIRE_END_BAD_FRAME,
	WIRE_END_NOT_READING, /* the control queue ran over */
	WIRE_END_FINISHED,    /* wire_stream_finish(), and everything is sent */
};

struct wire_stream;

struct wire_handlers {
	/* TLS stands. */
	void (*opened)(void *ctx);
	/* The frame is valid during the call. */
	void (*frame)(void *ctx, const struct mesh_frame *f);
	/* The control queue has become empty: time for what comes in pieces. */
	void (*drained)(void *ctx);
	/* The socket has taken the packets: there is room for as many again. After
	 * wire_stream_want_room() only; may be NULL. */
	void (*room)(void *ctx);
	/* Nothing comes or goes any more; wire_stream_abort() is next. Once. */
	void (*ended)(void *ctx, enum wire_end why);
	/* The descriptor is closed: the struct is the owner's again, and empty. */
	void (*closed)(void *ctx);
};

struct wire_stats {
	uint64_t packets, packet_bytes; /* queued for sending */
	uint64_t dropped_oldest, dropped_memory;
	uint64_t dropped_share; /* of a node that had more than half of a full queue */
};

struct wire_chunk;
struct wire_queue {
	struct wire_chunk *first, *last;
	uint32_t count;
	size_t bytes;
};

#define WIRE_SMALL  16 /* of the reader, while no frame is unfinished */
#define WIRE_SHARES 16 /* counters of whose packets wait; several nodes may share one */

/* Part of its owner's struct. The fields are the stream's own. */
struct wire_stream {
	uv_tcp_t tcp;
	struct wire_loop *loop;
	const struct wire_handlers *on;
	void *ctx;
	struct tls_session *tls;
	struct tt_list dirty;
	struct wire_queue control, data;
	uint32_t control_max, data_max;
	size_t data_bytes_max;
	uint16_t share[WIRE_SHARES]; /* packets in the data queue, by node */
	struct mesh_frame_reader reader;
	struct tt_list yielded; /* until the turn ends */
	uint64_t slice_turn, slice_ns;
	uint32_t read_max; /* bytes at once: fewer where those take long */
	bool paused;
	uint8_t *frame_buffer; /* allocated; NULL: `small` */
	uint8_t small[WIRE_SMALL];
	uv_write_t write;
	uint8_t *write_buffer; /* allocated while it is being written */
	bool opened, writing, drain_due, room_due, finishing, said_goodbye, ended;
	bool doomed; /* ends with `doom` when this turn does */
	enum wire_end doom;
	struct tt_mono heard; /* last byte from the other side */
	struct tt_mono moved; /* last time the socket took something, or had nothing to take */
};

struct wire_stream_options {
	struct wire_loop *loop;
	const struct wire_handlers *on; /* stays in place */
	void *ctx;
	uint32_t control_bytes; /* bounds of the queues */
	uint32_t data_packets;
	uint32_t data_bytes;			     /* 0: data_packets alone */
	uint32_t control_frame_max, relay_frame_max; /* accepted: mesh_frame_reader_init() */
};

/* A socket that is not open yet: &s->tcp is accepted into, or opened and connected, by the owner.
 */
void wire_stream_init(struct wire_stream *s, const struct wire_stream_options *opt);
/* The socket is connected: takes the session and begins. */
void wire_stream_start(struct wire_stream *s, struct tls_session *tls);
/* Other bounds from now on. */
void wire_stream_limit(struct wire_stream *s, uint32_t control_frame_max, uint32_t relay_frame_max);

/* Reads no more, or again: TCP holds the other side back meanwhile. */
void wire_stream_pause(struct wire_stream *s, bool pause);

/* A whole frame, header included. False: it has ended, or its queue ran over and it ends when this
 * turn of the loop does, as late as the frame would go out. */
bool wire_stream_send(struct wire_stream *s, const uint8_t *frame, size_t len);
/* A packet, as a RELAY frame with this node id. False: dropped, st says why. Goes out at the end of
 * this turn, or before where many come in one. Calls no handler. */
bool wire_stream_relay(struct wire_stream *s, uint32_t node_id, const uint8_t *packet, uint32_t len,
		       struct wire_stats *st);
/* Hands the socket what is queued now, rather than at the end of the turn. */
void wire_stream_flush(struct wire_stream *s);
/* How many packets may be queued without one being dropped; 0 also while the socket is full. */
uint32_t wire_stream_room(const struct wire_stream *s);
void wire_stream_want_room(struct wire_stream *s);
/* Sends what is queued, says goodbye, and ends with WIRE_END_FINISHED. Reads no more. */
void wire_stream_finish(struct wire_stream *s);
/* Closes at once, started or not; closed() follows. Ended before or not: ended() is not called. */
void wire_stream_abort(struct wire_stream *s);

bool wire_stream_is_open(const struct wire_stream *s); /* TLS stands, and it has not ended */
/* Bytes that wait in the control queue. */
static inline size_t wire_stream_pending(const struct wire_stream *s)
{
	return s->control.bytes;
}
/* The loop's clock. */
struct tt_mono wire_loop_now(const struct wire_loop *l);
/* Memory of all data queues. */
size_t wire_loop_packet_bytes(const struct wire_loop *l);

#endif

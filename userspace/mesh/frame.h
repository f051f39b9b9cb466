/* SPDX-License-Identifier: MIT
 *
 * Frames of the connection between node and hub: kind u8 | u24 be length of the body | body. They
 * follow each other in a byte stream (what TLS hands out), several in a record or one over several.
 * Pure; a reader belongs to one thread.
 *
 * The reader hands out a frame that lies whole in the input without a copy; only the beginning of
 * an unfinished one is kept, in the caller's buffer:
 *
 *	mesh_frame_reader_feed(&r, bytes, len);
 *	while ((status = mesh_frame_reader_next(&r, &frame)) == MESH_FRAME_READY)
 *		use(&frame);                 frame.body is valid until the next call for r
 *	MESH_FRAME_MORE:  the input is used up; feed the next
 *	MESH_FRAME_SPACE: the buffer is too small for the frame at hand: mesh_frame_reader_move() to
 *	                  one of mesh_frame_reader_wanted(), and go on; or close
 *	anything else:    the stream is bad for ever; close
 */
#ifndef TT_MESH_FRAME_H
#define TT_MESH_FRAME_H

#include "base/types.h"

enum mesh_frame_kind {
	MESH_FRAME_CONTROL = 1, /* one message of hub.proto */
	MESH_FRAME_RELAY = 2,	/* node id u32 be | packet; see mesh_frame_relay_read() */
};

#define MESH_FRAME_HEADER	4
#define MESH_FRAME_RELAY_HEADER 4  /* of a RELAY body */
#define MESH_FRAME_PACKET_MIN	20 /* a STUN message; those of WireGuard are longer */

/* Bodies. A CONTROL frame from a node never needs more than MESH_FRAME_TO_HUB_MAX. */
#define MESH_FRAME_CONTROL_MAX (256 * 1024)
#define MESH_FRAME_TO_HUB_MAX  (16 * 1024)
#define MESH_FRAME_RELAY_MAX   (64 * 1024)
#define MESH_FRAME_PACKET_MAX  (MESH_FRAME_RELAY_MAX - MESH_FRAME_RELAY_HEADER)

enum mesh_frame_status {
	MESH_FRAME_READY,
	MESH_FRAME_MORE,
	MESH_FRAME_SPACE,
	/* refusals */
	MESH_FRAME_UNKNOWN_KIND,
	MESH_FRAME_TOO_LONG,  /* for its kind */
	MESH_FRAME_TOO_SHORT, /* an empty message, or a RELAY body without a packet */
};

/* "too_long"; never NULL. */
const char *mesh_frame_status_name(enum mesh_frame_status status);

struct mesh_frame {
	enum mesh_frame_kind kind;
	const uint8_t *body; /* in the input, or in the reader's buffer */
	uint32_t len;
};

/* The fields are the reader's own. */
struct mesh_frame_reader {
	uint8_t *buffer;
	uint32_t size, have; /* of the buffer */
	uint32_t control_max, relay_max;
	const uint8_t *in, *in_end;
	enum mesh_frame_status refused; /* MESH_FRAME_READY: not yet */
	bool handed_out;		/* the buffer holds the frame given out last */
};

/*
 * The buffer stays the caller's; size >= MESH_FRAME_HEADER, and MESH_FRAME_HEADER + the larger of
 * the two limits is always enough. control_max, relay_max: longest bodies accepted; 0 refuses the
 * kind altogether (as unknown): a connection without a certificate has no business with RELAY.
 */
void mesh_frame_reader_init(struct mesh_frame_reader *r, uint8_t *buffer, uint32_t size,
			    uint32_t control_max, uint32_t relay_max);

/* From now on a kind has another limit, as after a node has shown its certificate. */
void mesh_frame_reader_limit(struct mesh_frame_reader *r, uint32_t control_max, uint32_t relay_max);

/* The last input must be used up (MESH_FRAME_MORE). The bytes stay in place until it is again. */
void mesh_frame_reader_feed(struct mesh_frame_reader *r, const void *bytes, size_t len);

enum mesh_frame_status mesh_frame_reader_next(struct mesh_frame_reader *r,
					      struct mesh_frame *frame);

/* Bytes of the unfinished frame in the buffer; 0: the buffer may be exchanged or given back. */
uint32_t mesh_frame_reader_held(const struct mesh_frame_reader *r);

/* Size of a buffer that holds the frame at hand; of use after MESH_FRAME_SPACE. */
uint32_t mesh_frame_reader_wanted(const struct mesh_frame_reader *r);

/* Another buffer (size >= what is held); what the old one holds is copied, the old one is free. */
void mesh_frame_reader_move(struct mesh_frame_reader *r, uint8_t *buffer, uint32_t size);

/* len within the limit of its kind, asserted. */
void mesh_frame_header_write(uint8_t out[MESH_FRAME_HEADER], enum mesh_frame_kind kind,
			     uint32_t len);

/*
 * The headers of a RELAY frame before a packet of packet_len bytes (MESH_FRAME_PACKET_MIN..MAX,
 * asserted). node_id: destination to the hub, source from it.
 */
#define MESH_FRAME_RELAY_BEFORE (MESH_FRAME_HEADER + MESH_FRAME_RELAY_HEADER)
void mesh_frame_relay_write(uint8_t out[MESH_FRAME_RELAY_BEFORE], uint32_t node_id,
			    uint32_t packet_len);

/* For frames of kind RELAY only. Returns the packet inside. */
static inline const uint8_t *mesh_frame_relay_read(const struct mesh_frame *f, uint32_t *node_id,
						   uint32_t *packet_len)
{
	*node_id = tt_load_be32(f->body);
	*packet_len = f->len - MESH_FRAME_RELAY_HEADER;
	return f->body + MESH_FRAME_RELAY_HEADER;
}

#endif

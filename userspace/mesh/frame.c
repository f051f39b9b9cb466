/* SPDX-License-Identifier: MIT */
#include "mesh/frame.h"

const char *mesh_frame_status_name(enum mesh_frame_status status)
{
	switch (status) {
	case MESH_FRAME_READY:
		return "ready";
	case MESH_FRAME_MORE:
		return "more";
	case MESH_FRAME_SPACE:
		return "space";
	case MESH_FRAME_UNKNOWN_KIND:
		return "unknown_kind";
	case MESH_FRAME_TOO_LONG:
		return "too_long";
	case MESH_FRAME_TOO_SHORT:
		return "too_short";
	}
	return "unknown";
}

void mesh_frame_reader_init(struct mesh_frame_reader *r, uint8_t *buffer, uint32_t size,
			    uint32_t control_max, uint32_t relay_max)
{
	tt_assert(size >= MESH_FRAME_HEADER);
	*r = (struct mesh_frame_reader){.buffer = buffer, .size = size};
	mesh_frame_reader_limit(r, control_max, relay_max);
}

void mesh_frame_reader_limit(struct mesh_frame_reader *r, uint32_t control_max, uint32_t relay_max)
{
	tt_assert(control_max <= MESH_FRAME_CONTROL_MAX && relay_max <= MESH_FRAME_RELAY_MAX);
	r->control_max = control_max;
	r->relay_max = relay_max;
}

void mesh_frame_reader_feed(struct mesh_frame_reader *r, const void *bytes, size_t len)
{
	tt_assert(r->in == r->in_end);
	r->in = bytes;
	r->in_end = r->in + len;
}

static uint32_t body_len(const uint8_t *header)
{
	return tt_load_be32(header) & 0xffffff;
}

/* READY: a header that may stand. */
static enum mesh_frame_status check_header(const struct mesh_frame_reader *r, const uint8_t *header)
{
	uint32_t len = body_len(header), max = 0, min = 1;

	if (header[0] == MESH_FRAME_CONTROL) {
		max = r->control_max;
	} else if (header[0] == MESH_FRAME_RELAY) {
		max = r->relay_max;
		min = MESH_FRAME_RELAY_HEADER + MESH_FRAME_PACKET_MIN;
	}
	if (max == 0)
		return MESH_FRAME_UNKNOWN_KIND;
	if (len > max)
		return MESH_FRAME_TOO_LONG;
	return len < min ? MESH_FRAME_TOO_SHORT : MESH_FRAME_READY;
}

static void hand_out(struct mesh_frame *frame, const uint8_t *start)
{
	frame->kind = (enum mesh_frame_kind)start[0];
	frame->body = start + MESH_FRAME_HEADER;
	frame->len = body_len(start);
}

/* Moves input to the buffer until it holds `until` bytes. True where it does. */
static bool hold(struct mesh_frame_reader *r, uint32_t until)
{
	size_t left = (size_t)(r->in_end - r->in);
	uint32_t n = (uint32_t)TT_MIN((size_t)(until - r->have), left);

	if (n)
		memcpy(r->buffer + r->have, r->in, n);
	r->have += n;
	r->in += n;
	return r->have == until;
}

/* A frame of which the buffer has the beginning, or gets it now. */
static enum mesh_frame_status next_held(struct mesh_frame_reader *r, struct mesh_frame *frame)
{
	enum mesh_frame_status status;

	if (r->have < MESH_FRAME_HEADER && !hold(r, MESH_FRAME_HEADER))
		return MESH_FRAME_MORE;
	status = check_header(r, r->buffer);
	if (status != MESH_FRAME_READY)
		return r->refused = status;
	if (mesh_frame_reader_wanted(r) > r->size)
		return MESH_FRAME_SPACE;
	if (!hold(r, mesh_frame_reader_wanted(r)))
		return MESH_FRAME_MORE;
	hand_out(frame, r->buffer);
	r->handed_out = true;
	return MESH_FRAME_READY;
}

enum mesh_frame_status mesh_frame_reader_next(struct mesh_frame_reader *r, struct mesh_frame *frame)
{
	size_t left = (size_t)(r->in_end - r->in);
	enum mesh_frame_status status;

	if (r->refused != MESH_FRAME_READY)
		return r->refused;
	if (r->handed_out) {
		r->handed_out = false;
		r->have = 0;
	}
	if (r->have || left < MESH_FRAME_HEADER)
		return next_held(r, frame);
	status = check_header(r, r->in);
	if (status != MESH_FRAME_READY)
		return r->refused = status;
	if (left < MESH_FRAME_HEADER + body_len(r->in))
		return next_held(r, frame);
	hand_out(frame, r->in);
	r->in += MESH_FRAME_HEADER + frame->len;
	return MESH_FRAME_READY;
}

uint32_t mesh_frame_reader_held(const struct mesh_frame_reader *r)
{
	return r->handed_out ? 0 : r->have;
}

uint32_t mesh_frame_reader_wanted(const struct mesh_frame_reader *r)
{
	if (r->have < MESH_FRAME_HEADER)
		return MESH_FRAME_HEADER;
	return MESH_FRAME_HEADER + body_len(r->buffer);
}

void mesh_frame_reader_move(struct mesh_frame_reader *r, uint8_t *buffer, uint32_t size)
{
	uint32_t held = mesh_frame_reader_held(r);

	tt_assert(size >= held && size >= MESH_FRAME_HEADER);
	if (held && buffer != r->buffer)
		memcpy(buffer, r->buffer, held);
	r->buffer = buffer;
	r->size = size;
	r->have = held;
	r->handed_out = false;
}

void mesh_frame_header_write(uint8_t out[MESH_FRAME_HEADER], enum mesh_frame_kind kind,
			     uint32_t len)
{
	tt_assert(len <=
		  (kind == MESH_FRAME_RELAY ? MESH_FRAME_RELAY_MAX : MESH_FRAME_CONTROL_MAX));
	tt_store_be32(out, (uint32_t)kind << 24 | len);
}

void mesh_frame_relay_write(uint8_t out[MESH_FRAME_RELAY_BEFORE], uint32_t node_id,
			    uint32_t packet_len)
{
	tt_assert(packet_len >= MESH_FRAME_PACKET_MIN && packet_len <= MESH_FRAME_PACKET_MAX);
	mesh_frame_header_write(out, MESH_FRAME_RELAY, MESH_FRAME_RELAY_HEADER + packet_len);
	tt_store_be32(out + MESH_FRAME_HEADER, node_id);
}

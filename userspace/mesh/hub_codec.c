/* SPDX-License-Identifier: MIT */
#include "mesh/hub_codec.h"

#include "mesh/hub_check.h"

const char *mesh_hub_outcome_name(enum mesh_hub_outcome o)
{
	switch (o) {
	case MESH_HUB_OK:
		return "ok";
	case MESH_HUB_NO_ROOM:
		return "no_room";
	case MESH_HUB_TOO_LONG:
		return "too_long";
	case MESH_HUB_MALFORMED:
		return "malformed";
	case MESH_HUB_TOO_MUCH:
		return "too_much";
	case MESH_HUB_UNKNOWN:
		return "unknown";
	case MESH_HUB_BAD_LENGTH:
		return "bad_length";
	case MESH_HUB_BAD_TEXT:
		return "bad_text";
	case MESH_HUB_BAD_LIST:
		return "bad_list";
	case MESH_HUB_BAD_NUMBER:
		return "bad_number";
	}
	return "unknown";
}

/* --- the arena ---------------------------------------------------------------------------------
 */

#define ARENA_ALIGN 8

void mesh_hub_arena_init(struct mesh_hub_arena *a, void *memory, size_t size)
{
	size_t skip = -(uintptr_t)memory & (ARENA_ALIGN - 1);

	*a = (struct mesh_hub_arena){.base = memory};
	if (size > skip) {
		a->base += skip;
		a->size = size - skip;
	}
}

static void *arena_alloc(void *data, size_t size)
{
	struct mesh_hub_arena *a = data;

	if (size > a->size - a->used) {
		a->exhausted = true;
		return NULL;
	}
	void *p = a->base + a->used;
	a->used = TT_MIN(TT_ALIGN_UP(a->used + size, (size_t)ARENA_ALIGN), a->size);
	return p;
}

/* All at once, with the next message. What a message makes protobuf-c copy is bounded by that. */
static void arena_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

/* --- unpacking ---------------------------------------------------------------------------------
 */

static enum mesh_hub_outcome unpack(struct mesh_hub_arena *a,
				    const ProtobufCMessageDescriptor *descriptor,
				    const uint8_t *body, size_t len, ProtobufCMessage **m)
{
	ProtobufCAllocator allocator = {arena_alloc, arena_free, a};

	a->used = 0;
	a->exhausted = false;
	if (len > MESH_FRAME_CONTROL_MAX)
		return MESH_HUB_TOO_LONG;
	if (len == 0)
		return MESH_HUB_UNKNOWN;
	*m = protobuf_c_message_unpack(descriptor, &allocator, len, body);
	if (*m)
		return MESH_HUB_OK;
	return a->exhausted ? MESH_HUB_TOO_MUCH : MESH_HUB_MALFORMED;
}

enum mesh_hub_outcome mesh_hub_to_hub_unpack(struct mesh_hub_arena *a, const uint8_t *body,
					     size_t len, const Taltun__Hub__V1__ToHub **out)
{
	ProtobufCMessage *m = NULL;

	*out = NULL;
	enum mesh_hub_outcome o = unpack(a, &taltun__hub__v1__to_hub__descriptor, body, len, &m);
	if (o == MESH_HUB_OK)
		o = mesh_hub_to_hub_check((const Taltun__Hub__V1__ToHub *)m);
	if (o == MESH_HUB_OK)
		*out = (const Taltun__Hub__V1__ToHub *)m;
	return o;
}

enum mesh_hub_outcome mesh_hub_to_node_unpack(struct mesh_hub_arena *a, const uint8_t *body,
					      size_t len, const Taltun__Hub__V1__ToNode **out)
{
	ProtobufCMessage *m = NULL;

	*out = NULL;
	enum mesh_hub_outcome o = unpack(a, &taltun__hub__v1__to_node__descriptor, body, len, &m);
	if (o == MESH_HUB_OK)
		o = mesh_hub_to_node_check((const Taltun__Hub__V1__ToNode *)m);
	if (o == MESH_HUB_OK)
		*out = (const Taltun__Hub__V1__ToNode *)m;
	return o;
}

/* --- packing -----------------------------------------------------------------------------------
 */

static enum mesh_hub_outcome pack(const ProtobufCMessage *m, uint8_t *space, size_t room,
				  size_t *len)
{
	size_t body = protobuf_c_message_get_packed_size(m);

	if (body > MESH_FRAME_CONTROL_MAX)
		return MESH_HUB_TOO_LONG;
	if (room < MESH_FRAME_HEADER + body)
		return MESH_HUB_NO_ROOM;
	mesh_frame_header_write(space, MESH_FRAME_CONTROL, (uint32_t)body);
	protobuf_c_message_pack(m, space + MESH_FRAME_HEADER);
	*len = MESH_FRAME_HEADER + body;
	return MESH_HUB_OK;
}

enum mesh_hub_outcome mesh_hub_to_hub_pack(const Taltun__Hub__V1__ToHub *m, uint8_t *space,
					   size_t room, size_t *len)
{
	enum mesh_hub_outcome o = mesh_hub_to_hub_check(m);

	*len = 0;
	return o == MESH_HUB_OK ? pack(&m->base, space, room, len) : o;
}

enum mesh_hub_outcome mesh_hub_to_node_pack(const Taltun__Hub__V1__ToNode *m, uint8_t *space,
					    size_t room, size_t *len)
{
	enum mesh_hub_outcome o = mesh_hub_to_node_check(m);

	*len = 0;
	return o == MESH_HUB_OK ? pack(&m->base, space, room, len) : o;
}

size_t mesh_hub_peer_size(const Taltun__Hub__V1__Peer *p)
{
	size_t len = protobuf_c_message_get_packed_size(&p->base);

	/* its field number, and its length as a varint */
	return 1 + (len < 128 ? 1 : len < 16384 ? 2 : 3) + len;
}

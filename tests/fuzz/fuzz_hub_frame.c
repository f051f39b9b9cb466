/* SPDX-License-Identifier: MIT
 *
 * The byte stream of a hub connection, in pieces, as both ends read it: frames, then messages. The
 * first byte says how large the pieces are; the rest is the stream. What one reader hands out in
 * one piece, another must hand out of many; what unpacks must pack again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "crypto/blake2s.h"
#include "mesh/hub_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[MESH_HUB_ARENA_MAP], again[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];
static uint8_t buffer[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX], small[64];

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void to_hub(const struct mesh_frame *f)
{
	const Taltun__Hub__V1__ToHub *m;
	struct mesh_hub_arena a;
	size_t len;

	mesh_hub_arena_init(&a, memory, MESH_HUB_ARENA_SMALL);
	enum mesh_hub_outcome o = mesh_hub_to_hub_unpack(&a, f->body, f->len, &m);
	require(a.used <= a.size && (m != NULL) == (o == MESH_HUB_OK));
	if (m)
		require(mesh_hub_to_hub_pack(m, again, sizeof(again), &len) == MESH_HUB_OK);
}

static void to_node(const struct mesh_frame *f)
{
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena a;
	size_t len;

	mesh_hub_arena_init(&a, memory, sizeof(memory));
	enum mesh_hub_outcome o = mesh_hub_to_node_unpack(&a, f->body, f->len, &m);
	require(a.used <= a.size && (m != NULL) == (o == MESH_HUB_OK));
	if (m) {
		/* what came in two parts or with unknown fields may pack to another length */
		o = mesh_hub_to_node_pack(m, again, sizeof(again), &len);
		require(o == MESH_HUB_OK || o == MESH_HUB_TOO_LONG);
	}
}

static void frame(const struct mesh_frame *f, struct crypto_blake2s *seen)
{
	uint8_t head[4];
	uint32_t id, len;

	mesh_frame_header_write(head, f->kind, f->len);
	crypto_blake2s_update(seen, head, sizeof(head));
	crypto_blake2s_update(seen, f->body, f->len);
	if (f->kind == MESH_FRAME_RELAY) {
		const uint8_t *p = mesh_frame_relay_read(f, &id, &len);

		require(p + len == f->body + f->len && len >= MESH_FRAME_PACKET_MIN);
		return;
	}
	require(f->kind == MESH_FRAME_CONTROL && f->len > 0);
	to_hub(f);
	to_node(f);
}

/* All of it in pieces of `step` bytes; *seen is over all frames. Returns how it ended. */
static enum mesh_frame_status read_all(const uint8_t *data, size_t size, size_t step, uint8_t *seen)
{
	struct mesh_frame_reader r;
	struct crypto_blake2s s;
	struct mesh_frame f;
	enum mesh_frame_status status = MESH_FRAME_MORE;

	crypto_blake2s_init(&s, 32, NULL, 0);
	mesh_frame_reader_init(&r, small, sizeof(small), MESH_FRAME_CONTROL_MAX,
			       MESH_FRAME_RELAY_MAX);
	for (size_t at = 0; at < size && status == MESH_FRAME_MORE; at += step) {
		mesh_frame_reader_feed(&r, data + at, TT_MIN(step, size - at));
		while ((status = mesh_frame_reader_next(&r, &f)) <= MESH_FRAME_SPACE) {
			if (status == MESH_FRAME_MORE)
				break;
			if (status == MESH_FRAME_READY)
				frame(&f, &s);
			else
				mesh_frame_reader_move(&r, buffer, sizeof(buffer));
		}
		if (mesh_frame_reader_held(&r) == 0)
			mesh_frame_reader_move(&r, small, sizeof(small));
	}
	crypto_blake2s_final(&s, seen);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[32], pieces[32];

	if (size < 2)
		return 0;
	enum mesh_frame_status a = read_all(data + 1, size - 1, size, whole);
	enum mesh_frame_status b = read_all(data + 1, size - 1, 1u + data[0], pieces);
	require(a == b && memcmp(whole, pieces, sizeof(whole)) == 0);
	return 0;
}

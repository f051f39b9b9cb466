/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "mesh/frame.h"

static uint8_t stream[400000], buffer[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX], other[4096];
static struct mesh_frame_reader r;
static struct mesh_frame f;

static void init(uint32_t size)
{
	mesh_frame_reader_init(&r, buffer, size, MESH_FRAME_CONTROL_MAX, MESH_FRAME_RELAY_MAX);
}

static size_t put_control(size_t at, uint32_t len, uint8_t fill)
{
	mesh_frame_header_write(stream + at, MESH_FRAME_CONTROL, len);
	memset(stream + at + MESH_FRAME_HEADER, fill, len);
	return at + MESH_FRAME_HEADER + len;
}

static size_t put_relay(size_t at, uint32_t node_id, uint32_t len, uint8_t fill)
{
	mesh_frame_relay_write(stream + at, node_id, len);
	memset(stream + at + MESH_FRAME_RELAY_BEFORE, fill, len);
	return at + MESH_FRAME_RELAY_BEFORE + len;
}

static void headers(void)
{
	static const uint8_t control[] = {1, 0x04, 0x00, 0x00};
	static const uint8_t relay[] = {2, 0, 0, 36, 0x01, 0x02, 0x03, 0x04};
	uint8_t out[MESH_FRAME_RELAY_BEFORE];

	mesh_frame_header_write(out, MESH_FRAME_CONTROL, 0x40000);
	CU_ASSERT(memcmp(out, control, sizeof(control)) == 0);
	mesh_frame_relay_write(out, 0x01020304, 32);
	CU_ASSERT(memcmp(out, relay, sizeof(relay)) == 0);
}

static void whole_frames_are_not_copied(void)
{
	size_t len = put_control(0, 5, 'a');
	uint32_t id, n;

	len = put_relay(len, 7, 32, 'b');
	init(MESH_FRAME_HEADER);
	mesh_frame_reader_feed(&r, stream, len);
	CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), MESH_FRAME_READY);
	CU_ASSERT(f.kind == MESH_FRAME_CONTROL && f.len == 5 && f.body == stream + 4);
	CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), MESH_FRAME_READY);
	CU_ASSERT(f.kind == MESH_FRAME_RELAY && f.len == 36);
	CU_ASSERT(mesh_frame_relay_read(&f, &id, &n) == f.body + 4 && id == 7 && n == 32);
	CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), MESH_FRAME_MORE);
	CU_ASSERT_EQUAL(mesh_frame_reader_held(&r), 0);
}

/* The same frames, whatever the pieces in which they come. */
static void any_pieces(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 3);

	for (int round = 0; round < 300; round++) {
		uint32_t step = round < 20 ? (uint32_t)round + 1 : 1 + tt_rng_below(&rng, 9000);
		size_t len = 0, at = 0;
		uint32_t lens[12], seen = 0;

		for (uint32_t i = 0; i < 12; i++) {
			lens[i] = 20 + tt_rng_below(&rng, i % 3 ? 100 : 5000);
			len = i & 1 ? put_relay(len, i, lens[i], (uint8_t)i)
				    : put_control(len, lens[i], (uint8_t)i);
		}
		init(sizeof(buffer));
		while (at < len) {
			size_t n = TT_MIN((size_t)step, len - at);

			mesh_frame_reader_feed(&r, stream + at, n);
			at += n;
			while (mesh_frame_reader_next(&r, &f) == MESH_FRAME_READY) {
				uint32_t before = seen & 1 ? MESH_FRAME_RELAY_HEADER : 0;

				CU_ASSERT_EQUAL(f.len, lens[seen] + before);
				CU_ASSERT(f.body[before] == seen && f.body[f.len - 1] == seen);
				seen++;
			}
			CU_ASSERT_EQUAL(r.refused, MESH_FRAME_READY);
		}
		CU_ASSERT_EQUAL(seen, 12);
		CU_ASSERT_EQUAL(mesh_frame_reader_held(&r), 0);
	}
}

static void small_buffer_is_exchanged(void)
{
	size_t len = put_control(0, 1000, 'x');

	for (size_t first = 1; first < len; first += 97) {
		init(64);
		mesh_frame_reader_feed(&r, stream, first);
		enum mesh_frame_status s = mesh_frame_reader_next(&r, &f);
		if (first < MESH_FRAME_HEADER) {
			CU_ASSERT_EQUAL(s, MESH_FRAME_MORE);
			mesh_frame_reader_feed(&r, stream + first, len - first);
			s = mesh_frame_reader_next(&r, &f);
			first = len;
		}
		CU_ASSERT_EQUAL(s, MESH_FRAME_SPACE);
		CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), MESH_FRAME_SPACE);
		CU_ASSERT_EQUAL(mesh_frame_reader_wanted(&r), 1004);
		mesh_frame_reader_move(&r, other, sizeof(other));
		s = mesh_frame_reader_next(&r, &f);
		if (first < len) {
			CU_ASSERT_EQUAL(s, MESH_FRAME_MORE);
			CU_ASSERT_EQUAL(mesh_frame_reader_held(&r), first);
			mesh_frame_reader_feed(&r, stream + first, len - first);
			s = mesh_frame_reader_next(&r, &f);
		}
		CU_ASSERT_EQUAL(s, MESH_FRAME_READY);
		CU_ASSERT(f.len == 1000 && f.body[0] == 'x' && f.body[999] == 'x');
		CU_ASSERT_EQUAL(mesh_frame_reader_held(&r), 0);
		mesh_frame_reader_move(&r, buffer, 64);
		CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), MESH_FRAME_MORE);
	}
}

static enum mesh_frame_status first(uint8_t kind, uint32_t len)
{
	tt_store_be32(stream, (uint32_t)kind << 24 | len);
	mesh_frame_reader_feed(&r, stream, MESH_FRAME_HEADER);
	enum mesh_frame_status s = mesh_frame_reader_next(&r, &f);
	if (s != MESH_FRAME_MORE && s != MESH_FRAME_SPACE) {
		/* for ever, whatever comes */
		r.in = r.in_end;
		mesh_frame_reader_feed(&r, stream, 4);
		CU_ASSERT_EQUAL(mesh_frame_reader_next(&r, &f), s);
	}
	return s;
}

static void limits(void)
{
	static const struct {
		uint8_t kind;
		uint32_t len;
		enum mesh_frame_status status;
	} table[] = {
		{0, 10, MESH_FRAME_UNKNOWN_KIND},
		{3, 10, MESH_FRAME_UNKNOWN_KIND},
		{255, 0xffffff, MESH_FRAME_UNKNOWN_KIND},
		{1, 0, MESH_FRAME_TOO_SHORT},
		{1, 1, MESH_FRAME_MORE},
		{1, MESH_FRAME_CONTROL_MAX, MESH_FRAME_MORE},
		{1, MESH_FRAME_CONTROL_MAX + 1, MESH_FRAME_TOO_LONG},
		{1, 0xffffff, MESH_FRAME_TOO_LONG},
		{2, 23, MESH_FRAME_TOO_SHORT},
		{2, 24, MESH_FRAME_MORE},
		{2, MESH_FRAME_RELAY_MAX, MESH_FRAME_MORE},
		{2, MESH_FRAME_RELAY_MAX + 1, MESH_FRAME_TOO_LONG},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(table); i++) {
		init(sizeof(buffer));
		CU_ASSERT_EQUAL(first(table[i].kind, table[i].len), table[i].status);
	}
}

static void limits_of_a_connection(void)
{
	mesh_frame_reader_init(&r, buffer, sizeof(buffer), MESH_FRAME_TO_HUB_MAX, 0);
	CU_ASSERT_EQUAL(first(2, 100), MESH_FRAME_UNKNOWN_KIND);
	mesh_frame_reader_init(&r, buffer, sizeof(buffer), MESH_FRAME_TO_HUB_MAX, 0);
	CU_ASSERT_EQUAL(first(1, MESH_FRAME_TO_HUB_MAX + 1), MESH_FRAME_TOO_LONG);
	mesh_frame_reader_init(&r, buffer, sizeof(buffer), MESH_FRAME_TO_HUB_MAX, 0);
	mesh_frame_reader_limit(&r, MESH_FRAME_TO_HUB_MAX, 2000);
	CU_ASSERT_EQUAL(first(2, 100), MESH_FRAME_MORE);
	mesh_frame_reader_init(&r, buffer, sizeof(buffer), MESH_FRAME_TO_HUB_MAX, 2000);
	CU_ASSERT_EQUAL(first(2, 2001), MESH_FRAME_TOO_LONG);
}

static void names(void)
{
	CU_ASSERT_STRING_EQUAL(mesh_frame_status_name(MESH_FRAME_TOO_LONG), "too_long");
	for (int i = MESH_FRAME_READY; i <= MESH_FRAME_TOO_SHORT; i++)
		CU_ASSERT(strcmp(mesh_frame_status_name((enum mesh_frame_status)i), "unknown"));
}

TT_TESTS("frame", {"headers", headers}, {"whole frames", whole_frames_are_not_copied},
	 {"any pieces", any_pieces}, {"small buffer", small_buffer_is_exchanged},
	 {"limits", limits}, {"limits of a connection", limits_of_a_connection}, {"names", names})

/* SPDX-License-Identifier: MIT
 *
 * What waits for a stream's socket, against a model that is a plain list: 200,000 random packets of
 * several nodes, and as many that leave. Bounds hold, the oldest go first, and nobody pushes out
 * what others have in the queue.
 */
#include "tt_test.h"

#include "base/rng.h"
#include "wire/stream_impl.h"

#define PACKETS_MAX 32
#define BYTES_MAX   (48 * 1024)
#define ALL_MAX	    (512 * 1024)
#define NODES	    5
#define EVENTS	    200000

struct waiting {
	uint32_t node, len, serial;
};

static struct wire_loop loop;
static struct wire_stream s;
static struct wire_stats stats;
static struct waiting model[PACKETS_MAX];
static unsigned count;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static uint8_t packet[MESH_FRAME_PACKET_MAX], record[WIRE_RECORD];

static void set_up(uint64_t n)
{
	memset(&loop, 0, sizeof(loop));
	memset(&s, 0, sizeof(s));
	memset(&stats, 0, sizeof(stats));
	loop.packet_bytes_max = ALL_MAX;
	s.loop = &loop;
	s.data_max = PACKETS_MAX;
	s.data_bytes_max = BYTES_MAX;
	s.control_max = 1000;
	count = 0;
	rng = tt_rng_seeded_init(&seed, n);
}

static void tear_down(void)
{
	wire_queues_free(&s);
	CU_ASSERT_EQUAL(loop.packet_bytes, 0);
	wire_pool_free(&loop);
}

static uint32_t whole(const struct waiting *w)
{
	return MESH_FRAME_RELAY_BEFORE + w->len;
}

static uint32_t bytes(void)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < count; i++)
		n += whole(&model[i]);
	return n;
}

static unsigned held_by(uint32_t node)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		n += model[i].node == node;
	return n;
}

static void model_pop(void)
{
	memmove(model, model + 1, --count * sizeof(model[0]));
}

/* What has to become of it; the model is as the queue should be then. */
static bool model_put(struct waiting w)
{
	while (count == PACKETS_MAX || (count && bytes() + whole(&w) > BYTES_MAX)) {
		unsigned held = held_by(w.node);

		if (held < count && 2 * held > count)
			return false;
		model_pop();
	}
	model[count++] = w;
	return true;
}

/* The frames of a record are the oldest that wait, whole. */
static void check_record(uint32_t len)
{
	for (uint32_t at = 0; at < len; model_pop()) {
		CU_ASSERT_FATAL(count > 0);
		CU_ASSERT_EQUAL_FATAL(tt_load_be32(record + at),
				      (uint32_t)MESH_FRAME_RELAY << 24 |
					      (MESH_FRAME_RELAY_HEADER + model[0].len));
		CU_ASSERT_EQUAL(tt_load_be32(record + at + MESH_FRAME_HEADER), model[0].node);
		CU_ASSERT_EQUAL(tt_load_be32(record + at + MESH_FRAME_RELAY_BEFORE),
				model[0].serial);
		at += whole(&model[0]);
	}
}

static void event(uint32_t serial)
{
	/* one node says more than all others */
	struct waiting w = {.node = tt_rng_below(&rng, 3) ? 1 : 1 + tt_rng_below(&rng, NODES),
			    .len = 20 + tt_rng_below(&rng, tt_rng_below(&rng, 20) ? 1400 : 14000),
			    .serial = serial};

	tt_store_be32(packet, serial);
	CU_ASSERT_EQUAL(wire_data_put(&s, w.node, packet, w.len, &stats), model_put(w));
	if (tt_rng_below(&rng, 12) == 0)
		check_record(wire_queues_gather(&s, record));
	CU_ASSERT_EQUAL(s.data.count, count);
	CU_ASSERT_EQUAL(s.data.bytes, bytes());
	CU_ASSERT(s.data.count <= PACKETS_MAX && s.data.bytes <= BYTES_MAX);
	CU_ASSERT(loop.packet_bytes <= ALL_MAX);
}

static void against_a_model(void)
{
	set_up(5);
	for (uint32_t i = 0; i < tt_test_rounds(EVENTS); i++)
		event(i);
	CU_ASSERT(stats.dropped_oldest > 100 && stats.dropped_share > 100);
	CU_ASSERT_EQUAL(stats.dropped_memory, 0);
	tear_down();
}

/* The largest packets of one node, and a small one of another now and then: none of those is lost.
 */
static void a_flood_beside(void)
{
	unsigned lost = 0;

	set_up(6);
	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned k = 0; k < 10; k++)
			wire_data_put(&s, 7, packet, 15000, &stats);
		lost += !wire_data_put(&s, 9, packet, 100, &stats);
		/* less than it asks for gets out */
		(void)wire_queues_gather(&s, record);
		uint16_t mine = 0;
		for (unsigned k = 0; k < WIRE_SHARES; k++)
			mine += s.share[k];
		CU_ASSERT_EQUAL(mine, s.data.count);
	}
	CU_ASSERT_EQUAL(lost, 0);
	CU_ASSERT(s.data.bytes <= BYTES_MAX);
	tear_down();
}

static void control_is_bounded(void)
{
	unsigned n = 0;

	set_up(7);
	while (wire_control_put(&s, packet, 90))
		n++;
	CU_ASSERT_EQUAL(n, 11);
	CU_ASSERT_EQUAL(s.control.bytes, 990);
	/* before any packet, and cut where a record ends */
	wire_data_put(&s, 1, packet, 100, &stats);
	CU_ASSERT_EQUAL(wire_queues_gather(&s, record), 990 + MESH_FRAME_RELAY_BEFORE + 100);
	CU_ASSERT_EQUAL(s.control.count + s.data.count, 0);
	tear_down();
}

TT_TESTS("stream_queue", {"against a model", against_a_model}, {"a flood beside", a_flood_beside},
	 {"control is bounded", control_is_bounded})

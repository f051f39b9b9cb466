/* SPDX-License-Identifier: MIT */
#include "mesh/source_rate.h"

#include "tt_test.h"

static struct mesh_source_rate rate;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct tt_mono now;

static void set_up(void)
{
	rng = tt_rng_seeded_init(&seed, 7);
	mesh_source_rate_init(&rate, &rng);
	now = (struct tt_mono){1000 * TT_NS_PER_SEC};
}

static uint64_t source(const char *text)
{
	struct tt_ip ip;

	CU_ASSERT_EQUAL_FATAL(tt_ip_parse(text, &ip), 0);
	return mesh_source_of_ip(&ip);
}

static unsigned take(uint64_t from, unsigned tries)
{
	unsigned got = 0;

	while (tries--)
		got += mesh_source_rate_allow(&rate, from, now);
	return got;
}

static void one_source(void)
{
	uint64_t a = source("192.0.2.1");

	set_up();
	CU_ASSERT_EQUAL(take(a, 10000), MESH_SOURCE_PER_S);
	CU_ASSERT_EQUAL(take(a, 1), 0);
	now = tt_mono_add_ns(now, TT_NS_PER_SEC / 2);
	CU_ASSERT_EQUAL(take(a, 10000), MESH_SOURCE_PER_S / 2);
	/* however long it was silent */
	now = tt_mono_add_ns(now, 3600 * TT_NS_PER_SEC);
	CU_ASSERT_EQUAL(take(a, 10000), MESH_SOURCE_PER_S);
}

static void sustained(void)
{
	uint64_t a = source("192.0.2.1");
	unsigned got = 0;

	set_up();
	for (unsigned i = 0; i < 10000; i++) {
		got += take(a, 20);
		now = tt_mono_add_ns(now, TT_NS_PER_MS);
	}
	CU_ASSERT(got >= 10 * MESH_SOURCE_PER_S && got <= 11 * MESH_SOURCE_PER_S);
}

/* Who floods takes nothing from others, but for the few that share its place. */
static void others(void)
{
	unsigned starved = 0;

	set_up();
	CU_ASSERT_EQUAL(take(source("192.0.2.1"), 10000), MESH_SOURCE_PER_S);
	for (uint32_t i = 1; i <= 1000; i++)
		starved += take(mesh_source_of_node(i), 1) == 0;
	CU_ASSERT(starved < 10);
}

static void sources(void)
{
	CU_ASSERT_EQUAL(source("2001:db8:1:2::1"), source("2001:db8:1:2:3:4:5:6"));
	CU_ASSERT_NOT_EQUAL(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
	CU_ASSERT_EQUAL(source("::ffff:192.0.2.1"), source("192.0.2.1"));
	CU_ASSERT_NOT_EQUAL(source("192.0.2.1"), source("192.0.2.2"));
	CU_ASSERT_NOT_EQUAL(source("0.0.0.7"), mesh_source_of_node(7));
	/* whoever sends as the one takes nothing from the other, in either order of the bytes */
	CU_ASSERT_NOT_EQUAL(source("2001:db8::1"), source("32.1.13.184"));
	CU_ASSERT_NOT_EQUAL(source("2001:db8::1"), source("184.13.1.32"));
	CU_ASSERT_NOT_EQUAL(source("700:0:100::1"), mesh_source_of_node(7));
}

TT_TESTS("source_rate", {"one source", one_source}, {"sustained", sustained}, {"others", others},
	 {"sources", sources})

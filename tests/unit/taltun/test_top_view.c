/* SPDX-License-Identifier: MIT */
#include "taltun/top_view.h"

#include <locale.h>
#include <string.h>

#include "cli/printable.h"
#include "tt_test.h"

#define PEERS 200

struct lines {
	unsigned count;
	char text[PEERS + 16][TOP_LINE_BYTES];
	enum top_attr attr[PEERS + 16];
};

static struct lines drawn;

static void take(void *ctx, unsigned row, enum top_attr attr, const char *text)
{
	struct lines *l = ctx;

	CU_ASSERT_EQUAL_FATAL(row, l->count);
	CU_ASSERT_FATAL(row < TT_ARRAY_LEN(l->text));
	snprintf(l->text[row], sizeof(l->text[row]), "%s", text);
	l->attr[row] = attr;
	l->count++;
}

static void draw(const struct top_model *m, struct top_look *look)
{
	drawn.count = 0;
	top_view_draw(m, look, take, &drawn);
}

static json_t *peer(unsigned i, unsigned round)
{
	static const char *const states[] = {"online", "idle", "offline", "never"};
	char name[64], key[64];

	snprintf(name, sizeof(name), i == 7 ? "\033]0;evil\a\xe6\x9d\xb1-%03u" : "node-%03u", i);
	snprintf(key, sizeof(key), "%044u", i);
	return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:s,s:i,s:i}", "name", name,
			 "public_key", key, "status", states[i % 4], "path",
			 i % 3 ? "direct" : "relay_tcp", "node_id", i + 1, "rx_bytes",
			 (int)(i * round * 1250), "tx_bytes", 0, "last_handshake", 1000, "endpoint",
			 "198.51.100.200:51820", "rx_packets", (int)(i * round), "path_rtt_us",
			 12345);
}

static json_t *status(unsigned peers, unsigned round)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < peers; i++)
		json_array_append_new(list, peer(i, round));
	return json_pack("{s:s,s:b,s:f,s:o,s:{s:s,s:{s:i,s:i},s:[{s:i,s:i,s:b},{s:b}]},s:{s:i},"
			 "s:{s:s,s:s,s:i}}",
			 "interface", "tt0", "up", 1, "uptime_s", 3700.0 + round, "peers", list,
			 "datapath", "mode", "socket", "traffic", "rx_bytes",
			 (int)(125000000 * round), "rx_packets", (int)(100000 * round), "workers",
			 "rx_packets", (int)(3200 * round), "rx_batches", (int)(100 * round),
			 "hung", 0, "hung", 1, "drops", "rx_replay", (int)(3 * round), "hub",
			 "host", "hub.example.com", "state", "up", "rtt_us", 9000);
}

static void fill(struct top_model *m, unsigned peers)
{
	*m = (struct top_model){.status = NULL};
	for (unsigned round = 1; round <= 2; round++) {
		json_t *s = status(peers, round);
		top_model_update(m, s, (struct tt_mono){.ns = round * TT_NS_PER_SEC});
		json_decref(s);
	}
	top_model_sort(m, TOP_BY_RATE);
}

static bool has(const char *text)
{
	for (unsigned i = 0; i < drawn.count; i++)
		if (strstr(drawn.text[i], text))
			return true;
	return false;
}

static void ordinary(void)
{
	struct top_look look = {.rows = 24, .columns = 80, .wall_s = 1090};
	struct top_model m;

	fill(&m, PEERS);
	draw(&m, &look);
	CU_ASSERT_EQUAL(drawn.count, 24);
	CU_ASSERT_STRING_EQUAL(drawn.text[0],
			       "tt0  up 1 hour, 1 minute  socket  hub hub.example.com up, 9.00ms");
	CU_ASSERT_STRING_EQUAL(drawn.text[1], "in 1.00Gb/s  100k packets/s    out     0b/s     0 "
					      "packets/s");
	CU_ASSERT_STRING_EQUAL(drawn.text[2],
			       "peers 200: 50 online, 50 idle, 50 offline, 50 never");
	CU_ASSERT_STRING_EQUAL(drawn.text[3], "paths 133 direct, 67 relay_tcp");
	CU_ASSERT_STRING_EQUAL(drawn.text[4], "drops rx_replay 3/s");
	CU_ASSERT_EQUAL(drawn.attr[4], TOP_YELLOW);
	CU_ASSERT_STRING_EQUAL(drawn.text[5], "workers busy, batch in/out  0: 32/0  1: HUNG 0/0");
	CU_ASSERT_EQUAL(drawn.attr[5], TOP_RED);
	CU_ASSERT_EQUAL(drawn.attr[7], TOP_TITLES);
	CU_ASSERT_STRING_EQUAL(
		drawn.text[8],
		"node-199         never      1.99M       0   199 12.3ms   1m  486K     0");
	CU_ASSERT_PTR_NOT_NULL(strstr(drawn.text[23], "1-15 of 200"));
	top_model_free(&m);
}

/* Of every size the lines fit, and there are as many as there is room for. */
static void every_size(void)
{
	struct top_model m;

	for (unsigned peers = 0; peers <= 24; peers += 12) {
		fill(&m, peers);
		for (unsigned rows = 1; rows <= 16; rows += 1 + rows / 8)
			for (unsigned columns = 1; columns <= 100; columns += 1 + columns / 8) {
				struct top_look look = {.rows = rows, .columns = columns};
				draw(&m, &look);
				CU_ASSERT_FATAL(drawn.count > 0 && drawn.count <= rows);
				for (unsigned i = 0; i < drawn.count; i++)
					CU_ASSERT_FATAL(cli_width(drawn.text[i]) <= columns);
			}
		top_model_free(&m);
	}
}

static void scrolled(void)
{
	struct top_look look = {.rows = 24, .columns = 80, .scroll = 1000};
	struct top_model m;

	fill(&m, PEERS);
	draw(&m, &look);
	CU_ASSERT_EQUAL(look.page, 15);
	CU_ASSERT_EQUAL(look.scroll, PEERS - 15);
	CU_ASSERT(has("186-200 of 200") && has("node-000"));
	look.scroll = 10;
	draw(&m, &look);
	CU_ASSERT(has("11-25 of 200") && has("node-189") && !has("node-190"));
	look.rows = PEERS + 10;
	draw(&m, &look);
	CU_ASSERT_EQUAL(look.scroll, 0);
	CU_ASSERT(has("node-000") && has("node-199") && !has(" of 200"));
	top_model_free(&m);
}

static void hostile_names(void)
{
	struct top_look look = {.columns = 0};
	struct top_model m;

	fill(&m, 10);
	draw(&m, &look);
	CU_ASSERT(has("?]0;evil?"));
	for (unsigned i = 0; i < drawn.count; i++)
		for (const char *p = drawn.text[i]; *p; p++)
			CU_ASSERT_FATAL((unsigned char)*p >= 0x20);
	top_model_free(&m);
}

static void notices(void)
{
	struct top_look look = {.rows = 24, .columns = 80, .paused = true};
	struct top_model m;

	fill(&m, 3);
	draw(&m, &look);
	CU_ASSERT(has("PAUSED"));
	look.notice = "no answer for 5 s";
	draw(&m, &look);
	CU_ASSERT(has("no answer for 5 s"));
	CU_ASSERT_EQUAL(drawn.attr[23], TOP_RED);
	top_model_free(&m);
}

static void for_programs(void)
{
	struct top_model m;
	json_t *o;

	fill(&m, 2);
	o = top_view_json(&m, 1.5);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(o, "rx_bits_per_s")), 1e9, 1);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "peers")), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "workers")), 2);
	CU_ASSERT(json_is_null(
		json_object_get(json_array_get(json_object_get(o, "workers"), 0), "busy")));
	CU_ASSERT_DOUBLE_EQUAL(
		json_number_value(json_object_get(json_object_get(o, "drops_per_s"), "rx_replay")),
		3, 1e-9);
	json_decref(o);
	top_model_free(&m);
}

static void ordinary_in_utf8(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		tt_test_skip(1, "no C.UTF-8 here");
	every_size();
	setlocale(LC_CTYPE, "C");
}

TT_TESTS("top_view", {"80x24", ordinary}, {"every size", every_size},
	 {"every size in UTF-8", ordinary_in_utf8}, {"scrolled", scrolled},
	 {"hostile names", hostile_names}, {"notices", notices}, {"for programs", for_programs})

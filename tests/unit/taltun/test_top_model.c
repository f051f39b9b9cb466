/* SPDX-License-Identifier: MIT */
#include "taltun/top_model.h"

#include <errno.h>
#include <string.h>

#include "taltun/json_get.h"
#include "tt_test.h"

static const struct tt_mono start = {.ns = 1000 * TT_NS_PER_SEC};

static json_t *peer(const char *key, const char *name, json_int_t rx, json_int_t tx,
		    json_int_t handshake)
{
	return json_pack("{s:s,s:s?,s:I,s:I,s:I,s:I,s:I}", "public_key", key, "name", name,
			 "rx_bytes", rx, "tx_bytes", tx, "rx_packets", rx / 1000, "tx_packets",
			 tx / 1000, "last_handshake", handshake);
}

static json_t *status(double uptime, json_t *peers)
{
	return json_pack("{s:s,s:f,s:i,s:o,s:{s:{s:i},s:[]},s:{}}", "interface", "tt0", "uptime_s",
			 uptime, "restarts", 0, "peers", peers, "datapath", "traffic", "rx_bytes",
			 0, "workers", "drops");
}

static void update(struct top_model *m, json_t *s, unsigned ms)
{
	CU_ASSERT_EQUAL(top_model_update(m, s, tt_mono_add_ns(start, ms * TT_NS_PER_MS)), 0);
	json_decref(s);
}

static void near(double got, double want)
{
	CU_ASSERT_DOUBLE_EQUAL(got, want, 1e-6);
}

static void peer_rates(void)
{
	struct top_model m = {.status = NULL};

	update(&m,
	       status(1, json_pack("[o,o]", peer("A", "a", 1000, 0, 1), peer("B", "b", 0, 0, 0))),
	       0);
	near(m.seconds, 0);
	near(m.peers[0].rates.rx_bits, 0);
	/* in another order, and half a second later */
	update(&m,
	       status(1.5, json_pack("[o,o]", peer("B", "b", 0, 500000, 0),
				     peer("A", "a", 126000, 0, 1))),
	       500);
	near(m.seconds, 0.5);
	CU_ASSERT_STRING_EQUAL(get_str(m.peers[1].json, "name"), "a");
	near(m.peers[1].rates.rx_bits, 2e6);
	near(m.peers[1].rates.rx_packets, 250);
	near(m.peers[0].rates.tx_bits, 8e6);
	near(m.peers[0].rates.rx_bits, 0);
	top_model_free(&m);
}

/* A new peer has no rate yet; one that was removed and added has lost its counters. */
static void peers_come_and_go(void)
{
	struct top_model m = {.status = NULL};

	update(&m, status(1, json_pack("[o]", peer("A", "a", 5000, 5000, 1))), 0);
	update(&m,
	       status(2, json_pack("[o,o]", peer("A", "a", 10, 5000, 1),
				   peer("B", "b", 9000, 9000, 1))),
	       1000);
	near(m.peers[0].rates.rx_bits, 0);
	near(m.peers[1].rates.rx_bits, 0);
	update(&m, status(3, json_array()), 2000);
	CU_ASSERT_EQUAL(m.peer_count, 0);
	top_model_sort(&m, TOP_BY_RATE);
	top_model_free(&m);
}

static void restarted_daemon(void)
{
	struct top_model m = {.status = NULL};

	update(&m, status(100, json_pack("[o]", peer("A", "a", 5000, 0, 1))), 0);
	update(&m, status(1, json_pack("[o]", peer("A", "a", 900000, 0, 1))), 1000);
	near(m.seconds, 0);
	near(m.peers[0].rates.rx_bits, 0);
	update(&m, status(2, json_pack("[o]", peer("A", "a", 1025000, 0, 1))), 2000);
	near(m.peers[0].rates.rx_bits, 1e6);
	top_model_free(&m);
}

static json_t *with_counters(double uptime, json_int_t rx, json_int_t batches, json_int_t busy,
			     json_int_t replays)
{
	json_t *s = status(uptime, json_array());
	json_t *w = json_pack("{s:I,s:I,s:I,s:I,s:b}", "rx_packets", rx, "rx_batches", batches,
			      "tx_packets", (json_int_t)0, "tx_batches", (json_int_t)0, "hung", 0);

	if (busy >= 0)
		json_object_set_new(w, "cpu_ns", json_integer(busy));
	json_object_set_new(json_object_get(s, "datapath"), "workers", json_pack("[o]", w));
	json_object_set_new(json_object_get(s, "datapath"), "traffic",
			    json_pack("{s:I,s:I}", "rx_packets", rx, "rx_bytes", rx * 1000));
	if (replays)
		json_object_set_new(json_object_get(s, "drops"), "rx_replay",
				    json_integer(replays));
	json_object_set_new(json_object_get(s, "drops"), "no_session", json_integer(7));
	return s;
}

static void workers_and_drops(void)
{
	struct top_model m = {.status = NULL};

	update(&m, with_counters(1, 100, 10, 0, 0), 0);
	CU_ASSERT_EQUAL(m.worker_count, 1);
	near(m.workers[0].busy, 0);
	near(m.workers[0].rx_batch, 0);
	update(&m, with_counters(3, 740, 30, (json_int_t)(TT_NS_PER_SEC / 2), 24), 2000);
	near(m.rates.rx_packets, 320);
	near(m.rates.rx_bits, 8 * 320000);
	near(m.workers[0].rx_batch, 32);
	near(m.workers[0].tx_batch, 0);
	near(m.workers[0].busy, 0.25);
	/* a reason that was not there before has begun; what does not move comes last */
	CU_ASSERT_EQUAL(m.drop_count, 2);
	CU_ASSERT_STRING_EQUAL(m.drops[0].reason, "rx_replay");
	near(m.drops[0].per_s, 12);
	CU_ASSERT_EQUAL(m.drops[1].total, 7);
	near(m.drops[1].per_s, 0);
	/* never more than all of the time, whatever the clocks say */
	update(&m, with_counters(4, 740, 30, (json_int_t)(9 * TT_NS_PER_SEC), 24), 3000);
	near(m.workers[0].busy, 1);
	update(&m, with_counters(5, 740, 30, -1, 24), 4000);
	near(m.workers[0].busy, -1);
	/* one that never sleeps has all of the time, and little to do */
	for (unsigned i = 6; i < 8; i++) {
		json_t *s = with_counters(i, 740, 30, (json_int_t)(i * TT_NS_PER_SEC), 24);
		json_t *d = json_object_get(s, "datapath");
		json_t *w = json_array_get(json_object_get(d, "workers"), 0);
		json_object_set_new(d, "poll", json_string("busy"));
		json_object_set_new(w, "loops", json_integer(i * 1000));
		json_object_set_new(w, "busy_loops", json_integer(i * 10));
		update(&m, s, i * 1000);
	}
	near(m.workers[0].busy, 0.01);
	top_model_free(&m);
}

static void order(void)
{
	static const char *const want[TOP_SORTS][4] = {
		[TOP_BY_RATE] = {"C", "A", "B", "D"},
		[TOP_BY_NAME] = {"D", "B", "A", "C"}, /* D has only its key */
		[TOP_BY_HANDSHAKE] = {"B", "D", "A", "C"},
	};
	struct top_model m = {.status = NULL};

	update(&m,
	       status(1, json_pack("[o,o,o,o]", peer("A", "m", 0, 0, 50), peer("B", "b", 0, 0, 90),
				   peer("C", "z", 0, 0, 0), peer("D", NULL, 0, 0, 50))),
	       0);
	update(&m,
	       status(2,
		      json_pack("[o,o,o,o]", peer("A", "m", 10, 10, 50), peer("B", "b", 10, 0, 90),
				peer("C", "z", 0, 2000, 0), peer("D", NULL, 0, 0, 50))),
	       1000);
	for (unsigned by = 0; by < TOP_SORTS; by++) {
		enum top_sort back;

		top_model_sort(&m, (enum top_sort)by);
		for (unsigned i = 0; i < 4; i++)
			CU_ASSERT_STRING_EQUAL(get_str(m.peers[i].json, "public_key"), want[by][i]);
		CU_ASSERT(top_sort_parse(top_sort_name((enum top_sort)by), &back));
		CU_ASSERT_EQUAL(back, by);
	}
	CU_ASSERT_FALSE(top_sort_parse("size", &(enum top_sort){TOP_BY_RATE}));
	top_model_free(&m);
}

/* What is no status leaves the model as it was. */
static void nonsense(void)
{
	struct top_model m = {.status = NULL};
	static const char *const texts[] = {"{}", "[]", "\"x\"", "{\"peers\":{}}", "{\"peers\":7}"};

	update(&m, status(1, json_pack("[o]", peer("A", "a", 1, 1, 1))), 0);
	for (unsigned i = 0; i < TT_ARRAY_LEN(texts); i++) {
		json_t *o = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		CU_ASSERT_EQUAL(top_model_update(&m, o, start), -EINVAL);
		json_decref(o);
	}
	CU_ASSERT_EQUAL(top_model_update(&m, NULL, start), -EINVAL);
	CU_ASSERT_EQUAL(m.peer_count, 1);
	/* members of other types, or none at all: zeros */
	update(&m,
	       json_loads(
		       "{\"peers\":[{},7,null,{\"public_key\":4,\"rx_bytes\":\"x\"}],\"drops\":[],"
		       "\"datapath\":{\"workers\":[null,{\"rx_packets\":[]}],\"traffic\":3}}",
		       0, NULL),
	       1000);
	CU_ASSERT_EQUAL(m.peer_count, 4);
	CU_ASSERT_EQUAL(m.worker_count, 2);
	for (unsigned by = 0; by < TOP_SORTS; by++)
		top_model_sort(&m, (enum top_sort)by);
	top_model_free(&m);
}

TT_TESTS("top_model", {"rates of peers", peer_rates}, {"peers come and go", peers_come_and_go},
	 {"a daemon that was started anew", restarted_daemon},
	 {"workers and drops", workers_and_drops}, {"order", order}, {"nonsense", nonsense})

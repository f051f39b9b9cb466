/* SPDX-License-Identifier: MIT */
#include "taltun/top_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taltun/json_get.h"

static const char *const sort_names[TOP_SORTS] = {
	[TOP_BY_RATE] = "rate",
	[TOP_BY_NAME] = "name",
	[TOP_BY_HANDSHAKE] = "handshake",
};

void top_model_free(struct top_model *m)
{
	json_decref(m->status);
	json_decref(m->by_key);
	free(m->peers);
	*m = (struct top_model){.status = NULL};
}

/* --- rates --------------------------------------------------------------------------------------
 */

/* A counter that went back is another's: of a peer that was removed and added again, say. */
static double growth(const json_t *is, const json_t *was, const char *key)
{
	double d = get_real(is, key) - get_real(was, key);

	return was && d > 0 ? d : 0;
}

static struct top_rates rates_of(const json_t *is, const json_t *was, double seconds)
{
	if (seconds <= 0)
		return (struct top_rates){.rx_bits = 0};
	return (struct top_rates){
		.rx_bits = 8 * growth(is, was, "rx_bytes") / seconds,
		.tx_bits = 8 * growth(is, was, "tx_bytes") / seconds,
		.rx_packets = growth(is, was, "rx_packets") / seconds,
		.tx_packets = growth(is, was, "tx_packets") / seconds,
	};
}

static double average(const json_t *is, const json_t *was, const char *what, const char *times)
{
	double n = growth(is, was, times);

	return n > 0 ? growth(is, was, what) / n : 0;
}

/* --- parts of the status ------------------------------------------------------------------------
 */

static json_t *index_by_key(const json_t *peers)
{
	json_t *o = json_object(), *p;
	size_t i;

	json_array_foreach(peers, i, p) json_object_set(o, get_str(p, "public_key"), p);
	return o;
}

static const json_t *datapath(const json_t *status, const char *key)
{
	return json_object_get(json_object_get(status, "datapath"), key);
}

static void update_peers(struct top_model *m, struct top_peer *peers, const json_t *list,
			 const json_t *was)
{
	size_t i;
	json_t *p;

	free(m->peers);
	m->peers = peers;
	m->peer_count = json_array_size(list);
	json_array_foreach(list, i, p) peers[i] = (struct top_peer){
		.json = p,
		.rates = rates_of(p, json_object_get(was, get_str(p, "public_key")), m->seconds),
	};
}

/* A reason that was not there before has begun: absent is 0. */
static double drop_rate(const json_t *is, const json_t *was, const char *reason, double seconds)
{
	double d = get_real(is, reason) - get_real(was, reason);

	return was && seconds > 0 && d > 0 ? d / seconds : 0;
}

static int by_drop_rate(const void *a, const void *b)
{
	const struct top_drop *x = a, *y = b;

	if (x->per_s < y->per_s || x->per_s > y->per_s)
		return x->per_s > y->per_s ? -1 : 1;
	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return strcmp(x->reason, y->reason);
}

static void update_drops(struct top_model *m, json_t *is, const json_t *was)
{
	const char *reason;
	json_t *v;

	m->drop_count = 0;
	json_object_foreach(is, reason, v)
	{
		if (m->drop_count == TOP_DROPS_MAX)
			break;
		m->drops[m->drop_count++] = (struct top_drop){
			.reason = reason,
			.total = (uint64_t)json_integer_value(v),
			.per_s = drop_rate(is, was, reason, m->seconds),
		};
	}
	qsort(m->drops, m->drop_count, sizeof(m->drops[0]), by_drop_rate);
}

/* Its CPU time; of a worker that never sleeps, the turns that found something to do. */
static double busy_of(const json_t *is, const json_t *was, double seconds, bool never_sleeps)
{
	if (!json_object_get(is, "cpu_ns"))
		return -1;
	if (seconds <= 0)
		return 0;
	return TT_MIN(never_sleeps ? average(is, was, "busy_loops", "loops")
				   : growth(is, was, "cpu_ns") / (seconds * TT_NS_PER_SEC),
		      1.0);
}

static void update_workers(struct top_model *m, const json_t *is, const json_t *was)
{
	bool never_sleeps =
		strcmp(get_str(json_object_get(m->status, "datapath"), "poll"), "busy") == 0;

	m->worker_count = TT_MIN(json_array_size(is), (size_t)TOP_WORKERS_MAX);
	for (size_t i = 0; i < m->worker_count; i++) {
		const json_t *w = json_array_get(is, i), *before = json_array_get(was, i);

		m->workers[i] = (struct top_worker){
			.busy = busy_of(w, before, m->seconds, never_sleeps),
			.rx_batch = average(w, before, "rx_packets", "rx_batches"),
			.tx_batch = average(w, before, "tx_packets", "tx_batches"),
			.hung = get_flag(w, "hung"),
		};
	}
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static bool is_same_run(const json_t *is, const json_t *was)
{
	return was && get_num(is, "restarts") == get_num(was, "restarts") &&
	       get_real(is, "uptime_s") >= get_real(was, "uptime_s");
}

int top_model_update(struct top_model *m, json_t *status, struct tt_mono now)
{
	json_t *list = json_object_get(status, "peers"), *was = m->status, *was_by_key = m->by_key;

	if (!json_is_object(status) || !json_is_array(list))
		return -EINVAL;
	struct top_peer *peers = calloc(json_array_size(list) + 1, sizeof(*peers));
	json_t *by_key = index_by_key(list);
	if (!peers || !by_key) {
		free(peers);
		json_decref(by_key);
		return -ENOMEM;
	}
	bool goes_on = is_same_run(status, was);
	const json_t *before = goes_on ? was : NULL;
	m->seconds = goes_on ? (double)tt_mono_since(now, m->at) / TT_NS_PER_SEC : 0;
	m->status = json_incref(status);
	m->by_key = by_key;
	m->at = now;
	m->rates = rates_of(datapath(status, "traffic"), datapath(before, "traffic"), m->seconds);
	update_peers(m, peers, list, goes_on ? was_by_key : NULL);
	update_drops(m, json_object_get(status, "drops"), json_object_get(before, "drops"));
	update_workers(m, datapath(status, "workers"), datapath(before, "workers"));
	json_decref(was);
	json_decref(was_by_key);
	return 0;
}

/* --- order --------------------------------------------------------------------------------------
 */

static const char *label(const struct top_peer *p)
{
	const char *name = get_str(p->json, "name");

	return *name ? name : get_str(p->json, "public_key");
}

static int by_name(const void *a, const void *b)
{
	const struct top_peer *x = a, *y = b;
	int order = strcmp(label(x), label(y));

	return order ? order
		     : strcmp(get_str(x->json, "public_key"), get_str(y->json, "public_key"));
}

/* Largest first. */
static int descending(double x, double y)
{
	return x > y ? -1 : x < y;
}

static int by_rate(const void *a, const void *b)
{
	const struct top_peer *x = a, *y = b;
	int order = descending(x->rates.rx_bits + x->rates.tx_bits,
			       y->rates.rx_bits + y->rates.tx_bits);

	if (!order)
		order = descending(get_real(x->json, "rx_bytes") + get_real(x->json, "tx_bytes"),
				   get_real(y->json, "rx_bytes") + get_real(y->json, "tx_bytes"));
	return order ? order : by_name(a, b);
}

static int by_handshake(const void *a, const void *b)
{
	const struct top_peer *x = a, *y = b;
	int order = descending(get_real(x->json, "last_handshake"),
			       get_real(y->json, "last_handshake"));

	return order ? order : by_name(a, b);
}

void top_model_sort(struct top_model *m, enum top_sort by)
{
	static int (*const order[TOP_SORTS])(const void *, const void *) = {
		[TOP_BY_RATE] = by_rate,
		[TOP_BY_NAME] = by_name,
		[TOP_BY_HANDSHAKE] = by_handshake,
	};

	if (m->peer_count)
		qsort(m->peers, m->peer_count, sizeof(m->peers[0]), order[by]);
}

const char *top_sort_name(enum top_sort by)
{
	return sort_names[by];
}

bool top_sort_parse(const char *text, enum top_sort *by)
{
	for (unsigned i = 0; i < TOP_SORTS; i++) {
		if (strcmp(text, sort_names[i]) != 0)
			continue;
		*by = (enum top_sort)i;
		return true;
	}
	return false;
}

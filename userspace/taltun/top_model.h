/* SPDX-License-Identifier: MIT
 *
 * What `taltun top` shows: two status objects of the daemon, one after the other, become rates.
 * Pure but for memory: time comes from the caller. Rates are 0 until there are two.
 */
#ifndef TT_TALTUN_TOP_MODEL_H
#define TT_TALTUN_TOP_MODEL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/types.h"

#define TOP_WORKERS_MAX 64
#define TOP_DROPS_MAX	128

enum top_sort { TOP_BY_RATE, TOP_BY_NAME, TOP_BY_HANDSHAKE, TOP_SORTS };

/* Per second. */
struct top_rates {
	double rx_bits, tx_bits, rx_packets, tx_packets;
};

struct top_peer {
	const json_t *json; /* lives as long as the status it is of */
	struct top_rates rates;
};

struct top_drop {
	const char *reason;
	uint64_t total;
	double per_s;
};

struct top_worker {
	double busy;		   /* 0 to 1: of its time; -1: the daemon does not say */
	double rx_batch, tx_batch; /* packets in one, on average; 0: there was none */
	bool hung;
};

struct top_model {
	json_t *status; /* the last; NULL: none yet */
	json_t *by_key; /* its peers by their public key */
	struct tt_mono at;
	double seconds; /* between the last two; 0: there are no rates */
	struct top_rates rates;
	struct top_peer *peers; /* in the order last sorted by */
	size_t peer_count;
	struct top_drop drops[TOP_DROPS_MAX]; /* those that move first */
	size_t drop_count;
	struct top_worker workers[TOP_WORKERS_MAX];
	size_t worker_count;
};

/* Zeroed is empty. */
void top_model_free(struct top_model *m);
/*
 * Takes a status object (a reference is kept) that was had at `now`. A daemon that was started anew
 * in between begins anew here. 0, -EINVAL: no status object, -ENOMEM: the model is as before.
 */
int top_model_update(struct top_model *m, json_t *status, struct tt_mono now);
void top_model_sort(struct top_model *m, enum top_sort by);
/* "rate", "name", "handshake"; and back: false where it is none. */
const char *top_sort_name(enum top_sort by);
bool top_sort_parse(const char *text, enum top_sort *by);

#endif

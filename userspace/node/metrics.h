/* SPDX-License-Identifier: MIT
 *
 * The page /metrics of a node, in the text format of Prometheus, and what /readyz says. Names and
 * units are in docs/operations.md; tests/golden/metrics-node.txt has them all. Control thread.
 *
 * Every family is announced, also where it has no sample (no hub, no AF_XDP, no peer). Series per
 * peer: at most NODE_METRICS_PEERS_MAX peers, those that were configured first.
 */
#ifndef TT_NODE_METRICS_H
#define TT_NODE_METRICS_H

#include "base/text.h"
#include "node/control.h"
#include "wire/http.h"

#define NODE_METRICS_PEERS_MAX 4096

struct node_metrics_options {
	const struct node_control_ops *ops; /* device and describe() */
	bool per_peer;
	const struct wire_http *http; /* that serves the page; NULL: none */
};

/* Writes the page. */
void node_metrics_write(const struct node_metrics_options *opt, struct tt_text *out);
/* True: the interface is up, every worker runs, and the hub, if there is one, was connected once.
 * One line says so, or what is missing. */
bool node_metrics_ready(const struct node_metrics_options *opt, struct tt_text *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The parts of the page; metrics*.c alone.
 */
#ifndef TT_NODE_METRICS_IMPL_H
#define TT_NODE_METRICS_IMPL_H

#include "base/prom.h"
#include "node/metrics.h"

struct node_metrics {
	struct tt_prom prom;
	struct node_device *device;
	struct node_control_about about;
	bool per_peer;
};

/* metrics_peer.c: peers and their sessions. */
void node_metrics_peers(struct node_metrics *m);
/* metrics_xdp.c: interfaces with the steering program, and their queues. */
void node_metrics_xdp(struct node_metrics *m);
/* metrics_worker.c: what the workers count. */
void node_metrics_workers(struct node_metrics *m);

/* A label set of one. */
static inline struct tt_prom_labels node_metrics_label(const char *name, const char *value)
{
	struct tt_prom_labels l = {0};

	tt_prom_label(&l, name, value);
	return l;
}

#endif

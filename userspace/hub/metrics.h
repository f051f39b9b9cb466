/* SPDX-License-Identifier: MIT
 *
 * What a monitoring system reads of a hub: /metrics in Prometheus' text format, /healthz and
 * /readyz. Nothing in it names a node: its size does not grow with them.
 *
 * Healthy is a hub whose loop turns. Ready is one that has read its database; a hub without a
 * signer is ready, because the nodes that it has need it (the metric says it, and alerts do).
 */
#ifndef TT_HUB_METRICS_H
#define TT_HUB_METRICS_H

#include "hub/server.h"
#include "hub/stun.h"

struct hub_metrics_sources {
	const struct hub_server *server;
	const struct hub_stun *stun; /* NULL: none */
	const struct hub_signer *signer;
};

struct hub_metrics;

/* listen_fd listens; it is taken, also on error. 0 or -errno. */
int hub_metrics_open(uv_loop_t *loop, int listen_fd, const struct hub_metrics_sources *from,
		     struct hub_metrics **out);
/* Gone when the loop has run once more. NULL is allowed. */
void hub_metrics_stop(struct hub_metrics *m);

#endif

/* SPDX-License-Identifier: MIT
 *
 * How many workers AF_XDP can feed, before anything is attached: a worker without a queue of the
 * interface that packets leave by would have to send them through the kernel.
 */
#ifndef TT_NODE_XDP_WORKERS_H
#define TT_NODE_XDP_WORKERS_H

#include "node/config.h"
#include "node/xdp.h"

/*
 * Receive queues of the interfaces that `settings` names, or, where it names none, that the default
 * routes and the configured endpoints leave by; each counted once. 0: sockets will do the work, on
 * at least one of them, or nothing is known yet. Asks the kernel; any process, at start.
 */
unsigned node_xdp_queues_expected(const struct node_xdp_settings *settings,
				  const struct node_config *cfg);

#endif

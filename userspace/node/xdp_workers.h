/* SPDX-License-Identifier: MIT
 *
 * How many workers the network feeds, before anything is attached: packets arrive by the receive
 * queues of the interfaces that the tunnel leaves by. A worker more than there are queues is a
 * thread more that competes for the CPU, and by AF_XDP it would have no queue of its own.
 */
#ifndef TT_NODE_XDP_WORKERS_H
#define TT_NODE_XDP_WORKERS_H

#include "node/config.h"
#include "node/xdp.h"

/*
 * Receive queues of the interfaces that `settings` names, or, where it names none, that the default
 * routes and the configured endpoints leave by, or, where there are none, of all Ethernet
 * interfaces that are up; each counted once. 0: nothing is known. Asks the kernel; at start.
 */
unsigned node_xdp_queues_expected(const struct node_xdp_settings *settings,
				  const struct node_config *cfg);

#endif

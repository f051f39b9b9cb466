/* SPDX-License-Identifier: MIT
 *
 * A node_device over a data plane without ports, for tests of the control thread: nothing is sent,
 * everything the device asks for is recorded.
 */
#ifndef TT_NODE_SIM_H
#define TT_NODE_SIM_H

#include "node/device.h"

struct node_sim {
	struct dp_plane *plane;
	struct node_device *device;
	struct tt_rng_seeded rng;
	unsigned sent, resolves, rebinds;
	uint32_t last_query;
	uint8_t last_sent[256];
	size_t last_len;
	struct tt_endpoint last_to;
	char last_host[256];
	int rebind_error;
	struct tt_mono armed;
};

void node_sim_open(struct node_sim *s);
void node_sim_close(struct node_sim *s);

#endif

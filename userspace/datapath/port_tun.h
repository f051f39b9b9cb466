/* SPDX-License-Identifier: MIT
 *
 * Inner port over one queue of the TUN device.
 */
#ifndef TT_DATAPATH_PORT_TUN_H
#define TT_DATAPATH_PORT_TUN_H

#include "datapath/port.h"

/* What one read may yield: the largest IP packet behind its vnet header, with room to spare. */
#define DP_TUN_BUFFER 66048

struct dp_port_tun {
	struct dp_inner_port port;
	int fd;
	uint8_t *buf;
};

/* fd -1: a worker without a queue, whose reads find nothing. 0 or -ENOMEM. */
int dp_port_tun_init(struct dp_port_tun *t, int fd, unsigned tun_flags);
void dp_port_tun_destroy(struct dp_port_tun *t);

#endif

/* SPDX-License-Identifier: MIT
 *
 * From one peer to another inside the worker, without TUN (enum dp_between DIRECT).
 */
#ifndef TT_DATAPATH_FORWARD_H
#define TT_DATAPATH_FORWARD_H

#include "datapath/worker.h"

enum dp_forward {
	DP_FORWARD_DONE,   /* sent, answered or dropped: the packet is dealt with */
	DP_FORWARD_KERNEL, /* not for us: it would need fragmenting; write it to TUN */
};

/*
 * One hop: pkt came from peer `from` and goes to peer `to`. It may be changed; it is copied before
 * this returns.
 */
enum dp_forward dp_forward_packet(struct dp_worker *w, struct dp_peer *from, struct dp_peer *to,
				  uint8_t *pkt, struct dp_inner *in);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Outbound: inner packets to sealed messages in the outer port's slots.
 */
#ifndef TT_DATAPATH_ENCAP_H
#define TT_DATAPATH_ENCAP_H

#include "datapath/worker.h"

/* Packets and bytes one turn reads from the inner port. */
#define DP_ENCAP_PACKETS 64
#define DP_ENCAP_BYTES	 (256 * 1024)

/* Reads the inner port until it is empty or the budget is spent; w->ready says which. */
void dp_encap_turn(struct dp_worker *w);

/*
 * Sends one inner packet, super-packets included, to p: into slots, or to staging. Plaintext may
 * wait in slots until dp_encap_flush(), which must come before the turn ends. `in` is pkt's; what
 * TCP announces in it may be changed. A packet that does not fit the path is cut, or its sender is
 * told by way of the inner port.
 */
void dp_encap_to_peer(struct dp_worker *w, struct dp_peer *p, const struct plat_vnet_hdr *vnet,
		      uint8_t *pkt, const struct dp_inner *in);
/* Seals what waits and sends everything. */
void dp_encap_flush(struct dp_worker *w);
/* Sends what is staged for peers that have a session now; throws away what is to be dropped. */
void dp_encap_staged(struct dp_worker *w);

#endif

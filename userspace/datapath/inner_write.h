/* SPDX-License-Identifier: MIT
 *
 * The way into the inner port: GRO's outputs, ICMP errors, and what to do when the port refuses.
 */
#ifndef TT_DATAPATH_INNER_WRITE_H
#define TT_DATAPATH_INNER_WRITE_H

#include "datapath/worker.h"

/* Writes what GRO has gathered and starts it anew. */
void dp_inner_write_batch(struct dp_worker *w);
/* One packet with no room in front of it (ICMP errors). */
void dp_inner_write_packet(struct dp_worker *w, uint8_t *pkt, size_t len);
/* An error of the inner port: counts the packets it cost and looks at the device's state. */
void dp_inner_failed(struct dp_worker *w, int error, uint32_t packets);
/* Looks whether the device is up, down or gone; tells control where that changed. */
void dp_inner_check(struct dp_worker *w);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Datagrams on a worker's socket that are control's: STUN, and relay datagrams that are no data.
 */
#ifndef TT_DATAPATH_DATAGRAM_H
#define TT_DATAPATH_DATAGRAM_H

#include "datapath/plane.h"
#include "datapath/port.h"
#include "datapath/ring.h"

struct dp_datagram_ring {
	struct dp_ring ring;
	_Atomic uint32_t sequence[DP_DATAGRAM_RING];
	struct dp_datagram cell[DP_DATAGRAM_RING];
};

void dp_datagram_ring_init(struct dp_datagram_ring *r);
/* Any thread. TT_DROP_NONE; RX_BAD_TYPE or RX_TOO_SHORT: neither of the two; RX_CONTROL_FULL. */
enum tt_drop dp_datagram_ring_push(struct dp_datagram_ring *r, const struct dp_frame *f);
/* Control. */
unsigned dp_datagram_ring_pop(struct dp_datagram_ring *r, struct dp_datagram *out, unsigned max);

#endif

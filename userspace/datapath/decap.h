/* SPDX-License-Identifier: MIT
 *
 * Inbound: datagrams of the outer port to inner packets on the inner port, to another peer, or to
 * control.
 */
#ifndef TT_DATAPATH_DECAP_H
#define TT_DATAPATH_DECAP_H

#include "datapath/worker.h"

/* Receives and handles one batch of a lane. true: there was one; w->ready: there may be more. */
bool dp_decap_turn(struct dp_worker *w, unsigned lane);

#endif

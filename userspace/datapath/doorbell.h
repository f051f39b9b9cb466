/* SPDX-License-Identifier: MIT
 *
 * Doorbell from the workers to the control thread: ids of peers with new facts, and an event. A
 * ring that is full loses nothing: the facts stay where they are, and `overflow` says "look at
 * every peer".
 */
#ifndef TT_DATAPATH_DOORBELL_H
#define TT_DATAPATH_DOORBELL_H

#include "datapath/ring.h"
#include "plat/wait.h"

#define DP_DOORBELL_RING 4096

struct dp_doorbell {
	struct dp_ring ring;
	_Atomic bool raised; /* the event is: no need for another system call */
	_Atomic bool overflow;
	struct plat_event event;
	_Atomic uint32_t sequence[DP_DOORBELL_RING];
	tt_peer_id id[DP_DOORBELL_RING];
};

int dp_doorbell_open(struct dp_doorbell *d); /* 0 or -errno */
void dp_doorbell_close(struct dp_doorbell *d);
/* Any thread. false: no room for the id; overflow is set. */
bool dp_doorbell_ring(struct dp_doorbell *d, tt_peer_id id);
/* Any thread. Makes the event readable, for news that are not a peer's. */
void dp_doorbell_raise(struct dp_doorbell *d);
/* Control: clears the event, then up to max ids. Where there are more, the event stays raised. */
unsigned dp_doorbell_drain(struct dp_doorbell *d, tt_peer_id *ids, unsigned max, bool *overflow);

#endif

/* SPDX-License-Identifier: MIT */
#include "datapath/doorbell.h"

int dp_doorbell_open(struct dp_doorbell *d)
{
	dp_ring_init(&d->ring, d->sequence, DP_DOORBELL_RING);
	atomic_init(&d->raised, false);
	atomic_init(&d->overflow, false);
	return plat_event_open(&d->event);
}

void dp_doorbell_close(struct dp_doorbell *d)
{
	plat_event_close(&d->event);
}

void dp_doorbell_raise(struct dp_doorbell *d)
{
	if (!atomic_exchange(&d->raised, true))
		plat_event_raise(&d->event);
}

bool dp_doorbell_ring(struct dp_doorbell *d, tt_peer_id id)
{
	uint32_t pos;
	bool room = dp_ring_claim(&d->ring, &pos);

	if (room) {
		d->id[pos & d->ring.mask] = id;
		dp_ring_push(&d->ring, pos);
	} else {
		atomic_store(&d->overflow, true);
	}
	dp_doorbell_raise(d);
	return room;
}

unsigned dp_doorbell_drain(struct dp_doorbell *d, tt_peer_id *ids, unsigned max, bool *overflow)
{
	unsigned n = 0;
	uint32_t pos;

	/* Cleared before the ring is read: who rings from here on raises the event again. */
	plat_event_clear(&d->event);
	/* an exchange: what was pushed before it was last raised is seen below */
	(void)atomic_exchange(&d->raised, false);
	*overflow = atomic_exchange(&d->overflow, false);
	while (n < max && dp_ring_peek(&d->ring, &pos)) {
		ids[n++] = d->id[pos & d->ring.mask];
		dp_ring_pop(&d->ring, pos);
	}
	if (dp_ring_depth(&d->ring))
		dp_doorbell_raise(d);
	return n;
}

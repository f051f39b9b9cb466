/* SPDX-License-Identifier: MIT
 *
 * Ring of handshake messages to the control thread, checked for type, length and mac1 before they
 * cost it anything.
 */
#ifndef TT_DATAPATH_HANDSHAKE_H
#define TT_DATAPATH_HANDSHAKE_H

#include "datapath/plane.h"
#include "datapath/ring.h"
#include "wg/cookie.h"

struct dp_handshake_ring {
	struct dp_ring ring;
	/* Immutable, replaced through the epoch; NULL: no private key yet. */
	_Atomic(struct wg_cookie_keys *) keys;
	_Atomic uint32_t sequence[DP_HANDSHAKE_RING];
	struct dp_handshake cell[DP_HANDSHAKE_RING];
};

void dp_handshake_ring_init(struct dp_handshake_ring *r);
/* Any thread inside the epoch, and control. NONE: it is queued. */
enum tt_drop dp_handshake_ring_push(struct dp_handshake_ring *r, const struct dp_handshake *h);
unsigned dp_handshake_ring_pop(struct dp_handshake_ring *r, struct dp_handshake *out, unsigned max);

#endif

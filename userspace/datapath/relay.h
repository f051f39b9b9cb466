/* SPDX-License-Identifier: MIT
 *
 * Relays as the workers see them: from where relay datagrams are taken, and the header in front of
 * what goes there. (What control calls is in plane.h.)
 */
#ifndef TT_DATAPATH_RELAY_H
#define TT_DATAPATH_RELAY_H

#include "datapath/plane_state.h"
#include "datapath/port.h"

static inline void dp_relay_header_write(uint8_t *p, uint32_t tag)
{
	tt_store_be32(p, (uint32_t)DP_RELAY_MAGIC << 24 | DP_RELAY_DATA << 16);
	tt_store_be32(p + 4, tag);
}

static inline bool dp_relay_is_data(const uint8_t *p, uint32_t len)
{
	return len >= DP_RELAY_HEADER &&
	       tt_load_be32(p) == ((uint32_t)DP_RELAY_MAGIC << 24 | DP_RELAY_DATA << 16);
}

/*
 * Takes the relay header off a frame that dp_relay_is_data(): via and tag then say how it came.
 * TT_DROP_NONE; RX_RELAY_SOURCE with the frame untouched. Inside the epoch.
 */
enum tt_drop dp_relay_unwrap(struct dp_plane *pl, struct dp_frame *f);

#endif

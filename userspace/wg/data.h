/* SPDX-License-Identifier: MIT
 *
 * One transport message at a time: the control thread's keepalives, and tests. The workers have
 * their own pipeline of bursts over the same session.
 */
#ifndef TT_WG_DATA_H
#define TT_WG_DATA_H

#include "base/drop.h"
#include "wg/session.h"

/* Plaintext with its padding: to 16 bytes, but not past the interface's MTU. */
static inline size_t wg_data_padded_len(size_t len, size_t mtu)
{
	size_t padded = TT_ALIGN_UP(len, (size_t)WG_PADDING);

	return TT_MAX(len, TT_MIN(padded, mtu));
}

/*
 * Pads with zeros and seals into out[wg_data_padded_len(len, mtu) + WG_DATA_OVERHEAD]. len 0 is a
 * keepalive. On DEAD out is untouched. Any thread. plaintext and out do not overlap.
 */
enum wg_session_use wg_data_seal(struct wg_session *s, struct tt_mono now, const uint8_t *plaintext,
				 size_t len, size_t mtu, uint8_t *out);

struct wg_data_opened {
	size_t len;  /* plaintext with its padding; 0: a keepalive */
	bool newest; /* raised the highest counter: may report a new endpoint */
};

/*
 * Opens one datagram into out[packet_len - WG_DATA_OVERHEAD]; TT_DROP_NONE or why not. The caller
 * holds the receive side. Limits are looked at before the tag, the window only after it.
 */
enum tt_drop wg_data_open(struct wg_session *s, struct tt_mono now, const uint8_t *packet,
			  size_t packet_len, uint8_t *out, struct wg_data_opened *opened);

#endif

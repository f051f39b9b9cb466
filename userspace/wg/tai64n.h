/* SPDX-License-Identifier: MIT
 *
 * TAI64N timestamps of initiations: 8 bytes of seconds (2^62 + 10 + Unix time), 4 of nanoseconds,
 * big-endian, so that bytes compare as time does.
 *
 * Ours are whitened: nanoseconds are cut to multiples of 2^24 (16.8 ms), so that they tell little
 * about the clock and the load; and strictly monotonic per peer, whatever the clock does.
 */
#ifndef TT_WG_TAI64N_H
#define TT_WG_TAI64N_H

#include "base/types.h"
#include "wg/messages.h"

#define WG_TAI64N_GRAIN (UINT32_C(1) << 24) /* ns */

/* All zero: none yet; older than every real one. */
struct wg_tai64n {
	uint8_t b[WG_TIMESTAMP_LEN];
};

/*
 * The stamp of an initiation sent now: max(now, last + one grain), both whitened. False, with *out
 * untouched, where that would lie past `limit` (limit.sec 0: none): a clock that is decades ahead
 * would lock the key out of every peer that keeps its greatest stamp.
 */
bool wg_tai64n_next(struct wg_tai64n *out, const struct wg_tai64n *last, struct tt_wall now,
		    struct tt_wall limit);

/* < 0, 0, > 0 as a is older than, the same as, newer than b. */
int wg_tai64n_compare(const struct wg_tai64n *a, const struct wg_tai64n *b);

/* Whole seconds and nanoseconds of a stamp; zeros where it lies before 1970. */
struct tt_wall wg_tai64n_wall(const struct wg_tai64n *t);

#endif

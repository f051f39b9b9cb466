/* SPDX-License-Identifier: MIT
 *
 * Sliding anti-replay window over 64-bit counters (RFC 6479: a ring of words, cleared as it
 * advances). 8192 bits, of which one word is always being cleared: 8128 usable.
 *
 * Pure. The caller holds the lock of the session's receive side, and calls it only with counters
 * whose packet has been authenticated.
 */
#ifndef TT_WG_REPLAY_H
#define TT_WG_REPLAY_H

#include "base/types.h"

#define WG_REPLAY_BITS	 8192
#define WG_REPLAY_WORDS	 (WG_REPLAY_BITS / 64)
#define WG_REPLAY_WINDOW (WG_REPLAY_BITS - 64)

struct wg_replay {
	uint64_t next; /* highest accepted counter + 1; 0: none yet */
	uint64_t bits[WG_REPLAY_WORDS];
};

enum wg_replay_verdict {
	WG_REPLAY_OK,	     /* new, and marked as seen */
	WG_REPLAY_OK_NEWEST, /* the same, and higher than all before: may report a new endpoint */
	WG_REPLAY_SEEN,
	WG_REPLAY_OLD,	 /* left of the window */
	WG_REPLAY_LIMIT, /* at or past WG_REJECT_AFTER_MESSAGES */
};

void wg_replay_init(struct wg_replay *r);
enum wg_replay_verdict wg_replay_accept(struct wg_replay *r, uint64_t counter);

#endif

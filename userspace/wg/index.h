/* SPDX-License-Identifier: MIT
 *
 * Receiver indices: 32 bits that we choose and the other side writes into what it sends us. The low
 * bits are a slot of the table, drawn uniformly among the free ones; the high bits are random. So a
 * look-up is one array access, and an index tells nothing about us.
 *
 * A table begins with few slots and doubles when it is crowded, at most to its capacity: one more
 * of the bits that were random then says the slot. So its memory is touched as the number of
 * sessions needs it, and not, after some days of rekeys, all of it. No two live indices have the
 * same low bits, with as many of them compared as say the slot now, or with more.
 *
 * A slot that carried a session rests for WG_INDEX_REST_NS before it is given out again: packets of
 * the old session that are still on their way then meet no other session. A slot of a handshake
 * that never became a session has no such packets and is free at once (otherwise unreachable peers,
 * which draw one every 5 s, would use the table up), and so is that of a session that was replaced
 * before WG_INDEX_REST_AGE_NS: no honest node makes sessions that fast, and one that does must not
 * use up what the others need. A packet of it that comes late fails its tag.
 */
#ifndef TT_WG_INDEX_H
#define TT_WG_INDEX_H

#include "base/rng.h"
#include "base/types.h"

#define WG_INDEX_REST_NS     (180 * TT_NS_PER_SEC)
#define WG_INDEX_REST_AGE_NS (5 * TT_NS_PER_SEC)

/* Slots of a new table: what one laptop, or a gateway of some hundred peers, needs. */
#define WG_INDEX_SLOTS_MIN 1024

enum wg_index_kind {
	WG_INDEX_FREE = 0,
	WG_INDEX_HANDSHAKE, /* our initiation waits for its response */
	WG_INDEX_SESSION,
};

struct wg_index_entry {
	uint32_t index;
	uint32_t kind : 2; /* enum wg_index_kind */
	uint32_t peer : 30;
	uint64_t resting_until; /* ns; while FREE */
};

struct wg_index_table {
	struct wg_index_entry *entries; /* [capacity], caller's, zeroed */
	uint32_t capacity;		/* a power of two, at most 2^24 */
	uint32_t slots; /* in use now: a power of two, at most capacity; never less */
	uint32_t used;	/* entries that are not FREE */
};

/* A hit. index 0 never occurs in a table: it means "none" in the structs that hold one. */
struct wg_index_ref {
	enum wg_index_kind kind; /* FREE: unknown */
	tt_peer_id peer;
};

void wg_index_init(struct wg_index_table *t, struct wg_index_entry *entries, uint32_t capacity);

/* Slot number of an index now. */
static inline uint32_t wg_index_slot(const struct wg_index_table *t, uint32_t index)
{
	return index & (t->slots - 1);
}

/* A fresh index for the peer, or 0 where no slot is free. */
uint32_t wg_index_add(struct wg_index_table *t, struct tt_mono now, const struct tt_rng *rng,
		      enum wg_index_kind kind, tt_peer_id peer);
struct wg_index_ref wg_index_find(const struct wg_index_table *t, uint32_t index);
/* The handshake of this index has become a session. */
void wg_index_promote(struct wg_index_table *t, uint32_t index);
/* Gives the index back; nothing happens where it is unknown or 0. */
void wg_index_remove(struct wg_index_table *t, uint32_t index, struct tt_mono now);
/* The same for a session's that need not rest. */
void wg_index_release(struct wg_index_table *t, uint32_t index);

#endif

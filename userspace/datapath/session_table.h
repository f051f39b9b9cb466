/* SPDX-License-Identifier: MIT
 *
 * Receiver index -> session: one array access, then a comparison of all 32 bits.
 *
 * The low bits of the index are the slot; as many of them as tell the live sessions apart, like in
 * the table that draws the indices (wg/index.h). So few sessions touch little memory, however often
 * they are replaced. One writer (the control thread); readers are the workers.
 */
#ifndef TT_DATAPATH_SESSION_TABLE_H
#define TT_DATAPATH_SESSION_TABLE_H

#include "base/epoch.h"
#include "datapath/plane.h"
#include "wg/session.h"

#define DP_SESSION_SLOTS_MIN 1024u

struct dp_session_table {
	_Atomic uint32_t mask; /* slots in use - 1; it only grows */
	_Atomic(struct wg_session *) slot[DP_INDEX_SLOTS];
};

/* The memory is zeroed. */
static inline void dp_session_table_init(struct dp_session_table *t)
{
	atomic_init(&t->mask, DP_SESSION_SLOTS_MIN - 1);
}

/*
 * Looks by `mask` first, and again where there is another one by then: between the load of a mask
 * and that of a slot the session may have got a new place and another one its old.
 */
static inline struct wg_session *dp_session_table_find_by(struct dp_session_table *t,
							  uint32_t index, uint32_t mask)
{
	for (;;) {
		struct wg_session *s = tt_epoch_load(&t->slot[index & mask]);
		uint32_t before = mask;

		if (s && s->local_index == index)
			return s;
		mask = atomic_load_explicit(&t->mask, memory_order_acquire);
		if (mask == before)
			return NULL;
	}
}

/* Workers, inside the epoch. NULL: unknown. */
static inline struct wg_session *dp_session_table_find(struct dp_session_table *t, uint32_t index)
{
	return dp_session_table_find_by(t, index,
					atomic_load_explicit(&t->mask, memory_order_acquire));
}

/* Control. Takes s in; a session of the same index is replaced. */
void dp_session_table_put(struct dp_session_table *t, struct wg_session *s);
/* Control. Nothing in the table points to s afterwards. Other sessions stay. */
void dp_session_table_remove(struct dp_session_table *t, struct wg_session *s);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Receiver index -> session: one array access, then a comparison of all 32 bits.
 */
#ifndef TT_DATAPATH_SESSION_TABLE_H
#define TT_DATAPATH_SESSION_TABLE_H

#include "base/epoch.h"
#include "datapath/plane.h"
#include "wg/session.h"

struct dp_session_table {
	_Atomic(struct wg_session *) slot[DP_INDEX_SLOTS]; /* low bits of the index */
};

/* Workers, inside the epoch. NULL: unknown. */
static inline struct wg_session *dp_session_table_find(struct dp_session_table *t, uint32_t index)
{
	struct wg_session *s = tt_epoch_load(&t->slot[index & (DP_INDEX_SLOTS - 1)]);

	return s && s->local_index == index ? s : NULL;
}

/* Control. The index allocator never gives a slot twice, so what it replaces is nothing. */
static inline void dp_session_table_put(struct dp_session_table *t, struct wg_session *s)
{
	tt_epoch_publish(&t->slot[s->local_index & (DP_INDEX_SLOTS - 1)], s);
}

/* Control. Leaves the slot alone where another session has it. */
static inline void dp_session_table_remove(struct dp_session_table *t, struct wg_session *s)
{
	struct wg_session *expected = s;

	atomic_compare_exchange_strong(&t->slot[s->local_index & (DP_INDEX_SLOTS - 1)], &expected,
				       NULL);
}

#endif

/* SPDX-License-Identifier: MIT */
#include "datapath/session_table.h"

/*
 * Every session gets its place among twice as many slots before the workers look there. Its old
 * place keeps pointing to it, for a worker that has read the old mask: such a copy is found by
 * nobody else, because its index is not the one that leads there, and the next session of that slot
 * replaces it. Then that worker finds the new mask as well.
 */
static void dp_session_table_grow(struct dp_session_table *t)
{
	uint32_t mask = atomic_load_explicit(&t->mask, memory_order_relaxed), more = mask * 2 + 1;

	for (uint32_t i = 0; i <= mask; i++) {
		struct wg_session *s = tt_epoch_load(&t->slot[i]);

		if (s && (s->local_index & mask) == i && (s->local_index & more) != i)
			tt_epoch_publish(&t->slot[s->local_index & more], s);
	}
	atomic_store_explicit(&t->mask, more, memory_order_release);
}

/* Another session is at home in the slot of s. */
static bool dp_session_table_collides(struct dp_session_table *t, const struct wg_session *s,
				      uint32_t mask)
{
	const struct wg_session *there = tt_epoch_load(&t->slot[s->local_index & mask]);

	return there && there->local_index != s->local_index &&
	       ((there->local_index ^ s->local_index) & mask) == 0;
}

void dp_session_table_put(struct dp_session_table *t, struct wg_session *s)
{
	uint32_t mask;

	while (mask = atomic_load_explicit(&t->mask, memory_order_relaxed),
	       mask < DP_INDEX_SLOTS - 1 && dp_session_table_collides(t, s, mask))
		dp_session_table_grow(t);
	tt_epoch_publish(&t->slot[s->local_index & mask], s);
}

void dp_session_table_remove(struct dp_session_table *t, struct wg_session *s)
{
	uint32_t last = atomic_load_explicit(&t->mask, memory_order_relaxed);

	for (uint32_t mask = DP_SESSION_SLOTS_MIN - 1; mask <= last; mask = mask * 2 + 1) {
		struct wg_session *expected = s;

		atomic_compare_exchange_strong(&t->slot[s->local_index & mask], &expected, NULL);
	}
}

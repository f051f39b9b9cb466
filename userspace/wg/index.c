/* SPDX-License-Identifier: MIT */
#include "wg/index.h"

/* Draws before a nearly full table is searched from a random slot on. At half full the chance to
 * come that far is 2^-64. */
#define WG_INDEX_DRAWS 64

void wg_index_init(struct wg_index_table *t, struct wg_index_entry *entries, uint32_t capacity)
{
	tt_assert(capacity && (capacity & (capacity - 1)) == 0 && capacity <= UINT32_C(1) << 24);
	*t = (struct wg_index_table){entries, capacity, 0};
}

static bool wg_index_is_free(const struct wg_index_entry *e, struct tt_mono now)
{
	return e->kind == WG_INDEX_FREE && e->resting_until <= now.ns;
}

/* Drawing until one is free is what makes it uniform among the free ones. */
static struct wg_index_entry *wg_index_draw(struct wg_index_table *t, struct tt_mono now,
					    const struct tt_rng *rng)
{
	for (int i = 0; i < WG_INDEX_DRAWS; i++) {
		struct wg_index_entry *e = &t->entries[tt_rng_below(rng, t->capacity)];
		if (wg_index_is_free(e, now))
			return e;
	}
	uint32_t from = tt_rng_below(rng, t->capacity);
	for (uint32_t i = 0; i < t->capacity; i++) {
		struct wg_index_entry *e = &t->entries[wg_index_slot(t, from + i)];
		if (wg_index_is_free(e, now))
			return e;
	}
	return NULL;
}

uint32_t wg_index_add(struct wg_index_table *t, struct tt_mono now, const struct tt_rng *rng,
		      enum wg_index_kind kind, tt_peer_id peer)
{
	struct wg_index_entry *e = wg_index_draw(t, now, rng);

	if (!e)
		return 0;
	uint32_t slot = (uint32_t)(e - t->entries);
	uint32_t high = tt_rng_u32(rng) & ~(t->capacity - 1);
	if ((high | slot) == 0)
		high = t->capacity;
	*e = (struct wg_index_entry){.index = high | slot, .kind = kind, .peer = peer};
	t->used++;
	return e->index;
}

static struct wg_index_entry *wg_index_at(const struct wg_index_table *t, uint32_t index)
{
	struct wg_index_entry *e = &t->entries[wg_index_slot(t, index)];

	return e->kind != WG_INDEX_FREE && e->index == index ? e : NULL;
}

struct wg_index_ref wg_index_find(const struct wg_index_table *t, uint32_t index)
{
	const struct wg_index_entry *e = wg_index_at(t, index);

	if (!e)
		return (struct wg_index_ref){WG_INDEX_FREE, TT_PEER_NONE};
	return (struct wg_index_ref){(enum wg_index_kind)e->kind, e->peer};
}

void wg_index_promote(struct wg_index_table *t, uint32_t index)
{
	struct wg_index_entry *e = wg_index_at(t, index);

	tt_assert(e);
	e->kind = WG_INDEX_SESSION;
}

static void wg_index_clear(struct wg_index_table *t, struct wg_index_entry *e,
			   uint64_t resting_until)
{
	*e = (struct wg_index_entry){.resting_until = resting_until};
	t->used--;
}

void wg_index_remove(struct wg_index_table *t, uint32_t index, struct tt_mono now)
{
	struct wg_index_entry *e = wg_index_at(t, index);

	if (e)
		wg_index_clear(t, e, e->kind == WG_INDEX_SESSION ? now.ns + WG_INDEX_REST_NS : 0);
}

void wg_index_release(struct wg_index_table *t, uint32_t index)
{
	struct wg_index_entry *e = wg_index_at(t, index);

	if (e)
		wg_index_clear(t, e, 0);
}

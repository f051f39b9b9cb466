/* SPDX-License-Identifier: MIT */
#include "wg/index.h"

/* The table grows when it is this full, in 1/N: a draw then seldom takes more than two. */
#define WG_INDEX_CROWDED 8
/* Draws before it grows because nearly all slots rest; where it cannot grow, it is searched from a
 * random slot on. At half full the chance to come that far is 2^-64. */
#define WG_INDEX_DRAWS 64

void wg_index_init(struct wg_index_table *t, struct wg_index_entry *entries, uint32_t capacity)
{
	tt_assert(capacity && (capacity & (capacity - 1)) == 0 && capacity <= UINT32_C(1) << 24);
	*t = (struct wg_index_table){
		.entries = entries,
		.capacity = capacity,
		.slots = capacity < WG_INDEX_SLOTS_MIN ? capacity : WG_INDEX_SLOTS_MIN,
	};
}

static bool wg_index_is_free(const struct wg_index_entry *e, struct tt_mono now)
{
	return e->kind == WG_INDEX_FREE && e->resting_until <= now.ns;
}

/* One more of the random bits says the slot: what is in use stays or moves into the new half. A
 * slot that rests does so in both. */
static bool wg_index_grow(struct wg_index_table *t)
{
	if (t->slots == t->capacity)
		return false;
	for (uint32_t i = 0; i < t->slots; i++) {
		struct wg_index_entry *old = &t->entries[i], *new = &t->entries[t->slots + i];

		*new = (struct wg_index_entry){.resting_until = old->resting_until};
		if (old->kind == WG_INDEX_FREE || !(old->index & t->slots))
			continue;
		*new = *old;
		*old = (struct wg_index_entry){0};
	}
	t->slots *= 2;
	return true;
}

/* Drawing until one is free is what makes it uniform among the free ones. */
static struct wg_index_entry *wg_index_draw(const struct wg_index_table *t, struct tt_mono now,
					    const struct tt_rng *rng)
{
	for (int i = 0; i < WG_INDEX_DRAWS; i++) {
		struct wg_index_entry *e = &t->entries[tt_rng_below(rng, t->slots)];
		if (wg_index_is_free(e, now))
			return e;
	}
	return NULL;
}

static struct wg_index_entry *wg_index_search(const struct wg_index_table *t, struct tt_mono now,
					      const struct tt_rng *rng)
{
	uint32_t from = tt_rng_below(rng, t->slots);

	for (uint32_t i = 0; i < t->slots; i++) {
		struct wg_index_entry *e = &t->entries[wg_index_slot(t, from + i)];
		if (wg_index_is_free(e, now))
			return e;
	}
	return NULL;
}

static struct wg_index_entry *wg_index_take(struct wg_index_table *t, struct tt_mono now,
					    const struct tt_rng *rng)
{
	struct wg_index_entry *e;

	if (t->used >= t->slots / WG_INDEX_CROWDED)
		wg_index_grow(t);
	do {
		e = wg_index_draw(t, now, rng);
	} while (!e && wg_index_grow(t));
	return e ? e : wg_index_search(t, now, rng);
}

uint32_t wg_index_add(struct wg_index_table *t, struct tt_mono now, const struct tt_rng *rng,
		      enum wg_index_kind kind, tt_peer_id peer)
{
	struct wg_index_entry *e = wg_index_take(t, now, rng);

	if (!e)
		return 0;
	uint32_t slot = (uint32_t)(e - t->entries);
	uint32_t high = tt_rng_u32(rng) & ~(t->slots - 1);
	if ((high | slot) == 0)
		high = t->slots;
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

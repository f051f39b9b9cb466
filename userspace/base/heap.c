/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

static void put(struct tt_heap *h, uint32_t slot, struct tt_heap_item *item)
{
	h->slots[slot] = item;
	item->pos = slot + 1;
}

/* Moves the item, whose place is a hole at slot, up to where its parent is not later. */
static uint32_t sift_up(struct tt_heap *h, uint32_t slot, const struct tt_heap_item *item)
{
	while (slot > 0) {
		uint32_t parent = (slot - 1) / 2;

		if (h->slots[parent]->key <= item->key)
			break;
		put(h, slot, h->slots[parent]);
		slot = parent;
	}
	return slot;
}

static uint32_t sift_down(struct tt_heap *h, uint32_t slot, const struct tt_heap_item *item)
{
	for (;;) {
		uint64_t child = 2 * (uint64_t)slot + 1;

		if (child >= h->count)
			return slot;
		if (child + 1 < h->count && h->slots[child + 1]->key < h->slots[child]->key)
			child++;
		if (item->key <= h->slots[child]->key)
			return slot;
		put(h, slot, h->slots[child]);
		slot = (uint32_t)child;
	}
}

static void settle(struct tt_heap *h, uint32_t slot, struct tt_heap_item *item)
{
	slot = sift_up(h, slot, item);
	put(h, sift_down(h, slot, item), item);
}

void tt_heap_set(struct tt_heap *h, struct tt_heap_item *item, uint64_t key)
{
	item->key = key;
	if (item->pos == 0) {
		tt_assert(h->count < h->capacity);
		item->pos = ++h->count;
	}
	settle(h, item->pos - 1, item);
}

void tt_heap_remove(struct tt_heap *h, struct tt_heap_item *item)
{
	if (item->pos == 0)
		return;
	uint32_t slot = item->pos - 1;
	struct tt_heap_item *last = h->slots[--h->count];

	item->pos = 0;
	if (last != item)
		settle(h, slot, last);
}

/* SPDX-License-Identifier: MIT
 *
 * Binary min-heap of deadlines over caller-owned items and a caller-owned slot array. No malloc.
 */
#ifndef TT_BASE_HEAP_H
#define TT_BASE_HEAP_H

#include "base/types.h"

struct tt_heap_item {
	uint64_t key;
	uint32_t pos; /* 0: not in a heap; otherwise slot number + 1 */
};

struct tt_heap {
	struct tt_heap_item **slots;
	uint32_t count;
	uint32_t capacity;
};

static inline void tt_heap_init(struct tt_heap *h, struct tt_heap_item **slots, uint32_t capacity)
{
	*h = (struct tt_heap){slots, 0, capacity};
}

/* Inserts the item or moves it to the new key. The caller sees to it that capacity suffices. */
void tt_heap_set(struct tt_heap *h, struct tt_heap_item *item, uint64_t key);
/* Removes the item; nothing happens where it is in no heap. */
void tt_heap_remove(struct tt_heap *h, struct tt_heap_item *item);
/* The item with the smallest key, or NULL. */
static inline struct tt_heap_item *tt_heap_min(const struct tt_heap *h)
{
	return h->count ? h->slots[0] : NULL;
}

#endif

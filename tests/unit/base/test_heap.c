/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include "base/list.h"
#include "base/rng.h"
#include "tt_test.h"

#define ITEMS 200

static bool is_heap(const struct tt_heap *h)
{
	for (uint32_t i = 0; i < h->count; i++) {
		if (h->slots[i]->pos != i + 1)
			return false;
		if (i > 0 && h->slots[(i - 1) / 2]->key > h->slots[i]->key)
			return false;
	}
	return true;
}

/* Random set, move and remove against a plain array that is searched. */
static void against_model(void)
{
	struct tt_heap_item items[ITEMS] = {0}, *slots[ITEMS];
	struct tt_rng_seeded state;
	struct tt_rng rng = tt_rng_seeded_init(&state, 3);
	struct tt_heap h;

	tt_heap_init(&h, slots, ITEMS);
	for (int step = 0; step < 20000; step++) {
		struct tt_heap_item *it = &items[tt_rng_below(&rng, ITEMS)];
		uint64_t least = UINT64_MAX;
		uint32_t in = 0;

		if (tt_rng_below(&rng, 3))
			tt_heap_set(&h, it, tt_rng_below(&rng, step % 2 ? 10 : 100000));
		else
			tt_heap_remove(&h, it);
		for (int i = 0; i < ITEMS; i++) {
			if (items[i].pos == 0)
				continue;
			in++;
			least = TT_MIN(least, items[i].key);
		}
		CU_ASSERT_EQUAL(h.count, in);
		CU_ASSERT_EQUAL(tt_heap_min(&h) ? tt_heap_min(&h)->key : UINT64_MAX, least);
		if (step % 64 == 0)
			CU_ASSERT_TRUE(is_heap(&h));
	}
}

static void drains_in_order(void)
{
	struct tt_heap_item items[ITEMS] = {0}, *slots[ITEMS];
	struct tt_heap h;
	uint64_t last = 0;

	tt_heap_init(&h, slots, ITEMS);
	for (uint32_t i = 0; i < ITEMS; i++)
		tt_heap_set(&h, &items[i], (i * 7919u) % 1009);
	for (uint32_t i = 0; i < ITEMS; i++) {
		struct tt_heap_item *it = tt_heap_min(&h);

		CU_ASSERT(it->key >= last);
		last = it->key;
		tt_heap_remove(&h, it);
		tt_heap_remove(&h, it);
		CU_ASSERT_EQUAL(h.count, ITEMS - 1 - i);
	}
	CU_ASSERT_PTR_NULL(tt_heap_min(&h));
}

static void list(void)
{
	struct tt_list head, n[3], *it, *tmp;
	int i = 0;

	tt_list_init(&head);
	for (int k = 0; k < 3; k++) {
		tt_list_init(&n[k]);
		tt_list_del(&n[k]);
		tt_list_add_tail(&head, &n[k]);
	}
	tt_list_for_each (it, &head)
		CU_ASSERT_PTR_EQUAL(it, &n[i++]);
	tt_list_for_each_safe (it, tmp, &head)
		tt_list_del(it);
	CU_ASSERT_TRUE(tt_list_empty(&head));
}

TT_TESTS("base/heap", {"against a model", against_model}, {"drains in order", drains_in_order},
	 {"list", list})

/* SPDX-License-Identifier: MIT
 *
 * Bounded rings from many writers to one reader, without locks. Each cell carries a sequence
 * number that says whose turn it is: position p may be written while it equals p, and read once it
 * equals p + 1; the reader hands the cell on with p + size. A writer that is stopped between its
 * claim and its release delays the cells behind it, and nobody loses any.
 */
#ifndef TT_DATAPATH_RING_H
#define TT_DATAPATH_RING_H

#include <stdatomic.h>
#include "base/types.h"

struct dp_ring {
	_Alignas(TT_CACHELINE) _Atomic uint32_t head; /* writers: next position to claim */
	_Alignas(TT_CACHELINE) _Atomic uint32_t tail; /* reader: next position to read */
	_Alignas(TT_CACHELINE) uint32_t mask;
	_Atomic uint32_t *sequence; /* [mask + 1] */
};

/* size: a power of two; sequence[size] is the caller's, and so are the cells. */
static inline void dp_ring_init(struct dp_ring *r, _Atomic uint32_t *sequence, uint32_t size)
{
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->mask = size - 1;
	r->sequence = sequence;
	for (uint32_t i = 0; i < size; i++)
		atomic_init(&sequence[i], i);
}

/* Any thread. Claims a cell: *pos; write to cell *pos & mask, then dp_ring_push(). false: full. */
static inline bool dp_ring_claim(struct dp_ring *r, uint32_t *pos)
{
	uint32_t p = atomic_load_explicit(&r->head, memory_order_relaxed);

	for (;;) {
		uint32_t turn =
			atomic_load_explicit(&r->sequence[p & r->mask], memory_order_acquire);

		if ((int32_t)(turn - p) < 0)
			return false;
		if (turn != p)
			p = atomic_load_explicit(&r->head, memory_order_relaxed);
		else if (atomic_compare_exchange_weak_explicit(
				 &r->head, &p, p + 1, memory_order_relaxed, memory_order_relaxed))
			break;
	}
	*pos = p;
	return true;
}

static inline void dp_ring_push(struct dp_ring *r, uint32_t pos)
{
	atomic_store_explicit(&r->sequence[pos & r->mask], pos + 1, memory_order_release);
}

/* Reader. The oldest cell: *pos; read it, then dp_ring_pop(). false: empty. */
static inline bool dp_ring_peek(struct dp_ring *r, uint32_t *pos)
{
	uint32_t p = atomic_load_explicit(&r->tail, memory_order_relaxed);

	*pos = p;
	return atomic_load_explicit(&r->sequence[p & r->mask], memory_order_acquire) == p + 1;
}

static inline void dp_ring_pop(struct dp_ring *r, uint32_t pos)
{
	atomic_store_explicit(&r->sequence[pos & r->mask], pos + r->mask + 1, memory_order_release);
	atomic_store_explicit(&r->tail, pos + 1, memory_order_relaxed);
}

/* Any thread; a moment's value. */
static inline uint32_t dp_ring_depth(const struct dp_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	return TT_MIN(atomic_load_explicit(&r->head, memory_order_relaxed) - tail, r->mask + 1);
}

#endif

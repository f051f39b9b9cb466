/* SPDX-License-Identifier: MIT
 *
 * Publication of immutable snapshots from the control thread to the workers, and their safe
 * release. One writer (the control thread), a fixed number of readers (the workers).
 *
 * A worker brackets every turn of its loop:
 *
 *	tt_epoch_enter(&e, id);           // pointers loaded from here on stay valid ...
 *	... p = tt_epoch_load(&slot) ...
 *	tt_epoch_leave(&e, id);           // ... until here; call it before blocking
 *
 * The control thread replaces a pointer with tt_epoch_publish() and hands the old one to
 * tt_epoch_retire(); tt_epoch_reclaim(), called from a timer and by retire itself when the list is
 * full, calls the destructor once no worker can still see it.
 */
#ifndef TT_BASE_EPOCH_H
#define TT_BASE_EPOCH_H

#include <stdatomic.h>
#include "base/types.h"

#define TT_EPOCH_READERS_MAX 64
#define TT_EPOCH_RETIRED_MAX 4096

struct tt_epoch_reader {
	_Alignas(TT_CACHELINE) _Atomic uint64_t seen; /* 0 while outside */
};

struct tt_epoch_retired {
	uint64_t epoch;
	void (*destroy)(void *obj, void *ctx);
	void *obj;
	void *ctx;
};

struct tt_epoch {
	_Alignas(TT_CACHELINE) _Atomic uint64_t current; /* starts at 1 */
	uint32_t readers;
	struct tt_epoch_reader reader[TT_EPOCH_READERS_MAX];
	uint32_t head, count; /* control thread only: ring of the retired */
	struct tt_epoch_retired retired[TT_EPOCH_RETIRED_MAX];
};

void tt_epoch_init(struct tt_epoch *e, uint32_t readers);

/*
 * Why this is safe without fences: enter's store, the load of a snapshot pointer, its publication
 * and the writer's look at `seen` are all sequentially consistent. A reader that still got the old
 * pointer has therefore stored `seen` before the writer looks; and a reader that read a newer
 * `current` (acquire) also sees what was published before `current` moved (release).
 */
static inline void tt_epoch_enter(struct tt_epoch *e, uint32_t id)
{
	uint64_t now = atomic_load_explicit(&e->current, memory_order_acquire);
	atomic_store_explicit(&e->reader[id].seen, now, memory_order_seq_cst);
}

static inline void tt_epoch_leave(struct tt_epoch *e, uint32_t id)
{
	atomic_store_explicit(&e->reader[id].seen, 0, memory_order_release);
}

#define tt_epoch_load(slot)	  atomic_load_explicit((slot), memory_order_seq_cst)
#define tt_epoch_publish(slot, p) atomic_exchange_explicit((slot), (p), memory_order_seq_cst)

/*
 * Control thread. Takes ownership of obj; destroy(obj, ctx) runs later on the control thread.
 * Where the list is full it waits for room, bounded by one turn of the slowest worker; a worker
 * that does not leave for 2 to 5 s ends the process, as the watchdog would.
 */
void tt_epoch_retire(struct tt_epoch *e, void *obj, void (*destroy)(void *obj, void *ctx),
		     void *ctx);
/* Frees what no reader can see. Returns how many are still waiting. */
uint32_t tt_epoch_reclaim(struct tt_epoch *e);
/* Waits until everything retired so far has been destroyed (shutdown, tests). */
void tt_epoch_synchronize(struct tt_epoch *e);

#endif

/* SPDX-License-Identifier: MIT */
#include "base/epoch.h"

#include <time.h>

#define WAIT_STEP_NS 50000
/*
 * Steps, not a clock: a process that was stopped for a while must not find its time used up. With
 * the timer slack of the kernel these are 2 to 5 s; the watchdog acts on a hung worker after 2 s.
 */
#define WAIT_STEPS_MAX 40000

void tt_epoch_init(struct tt_epoch *e, uint32_t readers)
{
	tt_assert(readers <= TT_EPOCH_READERS_MAX);
	memset(e, 0, sizeof(*e));
	atomic_init(&e->current, 1);
	e->readers = readers;
	for (uint32_t i = 0; i < TT_EPOCH_READERS_MAX; i++)
		atomic_init(&e->reader[i].seen, 0);
}

/* The oldest epoch that a reader is inside of; UINT64_MAX where all are outside. */
static uint64_t oldest_reader(const struct tt_epoch *e)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < e->readers; i++) {
		uint64_t seen = atomic_load_explicit(&e->reader[i].seen, memory_order_seq_cst);

		if (seen != 0 && seen < oldest)
			oldest = seen;
	}
	return oldest;
}

uint32_t tt_epoch_reclaim(struct tt_epoch *e)
{
	uint64_t oldest = oldest_reader(e);

	while (e->count > 0 && e->retired[e->head].epoch < oldest) {
		/* a copy, taken off the ring first: the destructor may retire something itself */
		struct tt_epoch_retired r = e->retired[e->head];

		e->head = (e->head + 1) % TT_EPOCH_RETIRED_MAX;
		e->count--;
		r.destroy(r.obj, r.ctx);
	}
	return e->count;
}

static void reclaim_until(struct tt_epoch *e, uint32_t count)
{
	const struct timespec step = {0, WAIT_STEP_NS};
	uint32_t steps = 0;

	while (tt_epoch_reclaim(e) > count) {
		tt_assert(steps++ < WAIT_STEPS_MAX);
		nanosleep(&step, NULL);
	}
}

void tt_epoch_retire(struct tt_epoch *e, void *obj, void (*destroy)(void *obj, void *ctx),
		     void *ctx)
{
	if (e->count == TT_EPOCH_RETIRED_MAX)
		reclaim_until(e, TT_EPOCH_RETIRED_MAX - 1);
	/*
	 * A reader that enters from here on reads the incremented epoch and, with it, the pointer
	 * published before; so only readers at or below the old value can still hold obj.
	 */
	uint64_t epoch = atomic_fetch_add_explicit(&e->current, 1, memory_order_seq_cst);

	e->retired[(e->head + e->count) % TT_EPOCH_RETIRED_MAX] =
		(struct tt_epoch_retired){epoch, destroy, obj, ctx};
	e->count++;
}

void tt_epoch_synchronize(struct tt_epoch *e)
{
	reclaim_until(e, 0);
}

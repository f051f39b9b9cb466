/* SPDX-License-Identifier: MIT */
#include "base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include "tt_test.h"

static void count_destroyed(void *obj, void *ctx)
{
	(void)obj;
	++*(int *)ctx;
}

static void waits_for_those_inside(void)
{
	static struct tt_epoch e;
	int destroyed = 0;

	tt_epoch_init(&e, 2);
	tt_epoch_enter(&e, 0);
	tt_epoch_retire(&e, NULL, count_destroyed, &destroyed);
	CU_ASSERT_EQUAL(tt_epoch_reclaim(&e), 1);
	/* one that enters later does not hold it back */
	tt_epoch_enter(&e, 1);
	CU_ASSERT_EQUAL(destroyed, 0);
	tt_epoch_leave(&e, 0);
	CU_ASSERT_EQUAL(tt_epoch_reclaim(&e), 0);
	CU_ASSERT_EQUAL(destroyed, 1);
	tt_epoch_leave(&e, 1);
}

static void oldest_first(void)
{
	static struct tt_epoch e;
	int destroyed = 0;

	tt_epoch_init(&e, 2);
	tt_epoch_retire(&e, NULL, count_destroyed, &destroyed);
	tt_epoch_enter(&e, 1);
	tt_epoch_retire(&e, NULL, count_destroyed, &destroyed);
	tt_epoch_retire(&e, NULL, count_destroyed, &destroyed);
	CU_ASSERT_EQUAL(tt_epoch_reclaim(&e), 2);
	CU_ASSERT_EQUAL(destroyed, 1);
	tt_epoch_leave(&e, 1);
	tt_epoch_synchronize(&e);
	CU_ASSERT_EQUAL(destroyed, 3);
}

static void full_list_makes_room(void)
{
	static struct tt_epoch e;
	int destroyed = 0;

	tt_epoch_init(&e, 1);
	for (int i = 0; i < 3 * TT_EPOCH_RETIRED_MAX; i++)
		tt_epoch_retire(&e, NULL, count_destroyed, &destroyed);
	tt_epoch_synchronize(&e);
	CU_ASSERT_EQUAL(destroyed, 3 * TT_EPOCH_RETIRED_MAX);
}

/* A destructor that retires another object, as a peer does with its session. */
static struct tt_epoch nested;
static void retire_another(void *obj, void *ctx)
{
	count_destroyed(obj, ctx);
	if (*(int *)ctx < 5)
		tt_epoch_retire(&nested, NULL, retire_another, ctx);
}

static void destructor_may_retire(void)
{
	int destroyed = 0;

	tt_epoch_init(&nested, 1);
	tt_epoch_retire(&nested, NULL, retire_another, &destroyed);
	tt_epoch_synchronize(&nested);
	CU_ASSERT_EQUAL(destroyed, 5);
}

/* --- threads: no reader ever sees a destroyed snapshot ------------------------------------------
 */

#define READERS	  3
#define SNAPSHOTS 20000
#define POOL	  (2 * TT_EPOCH_RETIRED_MAX)
#define ALIVE	  0x600dcafe

struct snapshot {
	uint32_t state; /* plain: the sanitizer reports an unordered write by the destructor */
	uint32_t number;
};

static struct tt_epoch shared;
static _Atomic(struct snapshot *) current;
static atomic_bool stop;
static atomic_uint wrong;

static void *reader(void *arg)
{
	uint32_t id = (uint32_t)(uintptr_t)arg, last = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		tt_epoch_enter(&shared, id);
		struct snapshot *s = tt_epoch_load(&current);
		if (s->number < last)
			atomic_fetch_add(&wrong, 1);
		last = s->number;
		for (int i = 0; i < 20; i++)
			if (s->state != ALIVE)
				atomic_fetch_add(&wrong, 1);
		tt_epoch_leave(&shared, id);
	}
	return NULL;
}

static void bury(void *obj, void *ctx)
{
	((struct snapshot *)obj)->state = 0;
	++*(uint32_t *)ctx;
}

static void readers_and_writer(void)
{
	static struct snapshot pool[POOL];
	pthread_t threads[READERS];
	uint32_t buried = 0;

	tt_epoch_init(&shared, READERS);
	pool[0] = (struct snapshot){ALIVE, 0};
	atomic_store(&current, &pool[0]);
	for (uintptr_t i = 0; i < READERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, reader, (void *)i), 0);
	for (uint32_t n = 1; n <= SNAPSHOTS; n++) {
		struct snapshot *next = &pool[n % POOL];

		*next = (struct snapshot){ALIVE, n};
		tt_epoch_retire(&shared, tt_epoch_publish(&current, next), bury, &buried);
		if (n % 16 == 0)
			tt_epoch_reclaim(&shared);
		if (n % 256 == 0)
			sched_yield();
	}
	tt_epoch_synchronize(&shared);
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(buried, SNAPSHOTS);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
}

TT_TESTS("base/epoch", {"waits for those inside", waits_for_those_inside},
	 {"oldest first", oldest_first}, {"full list makes room", full_list_makes_room},
	 {"destructor may retire", destructor_may_retire},
	 {"readers and writer", readers_and_writer})

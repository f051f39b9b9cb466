/* SPDX-License-Identifier: MIT
 *
 * A thread that waits for a CPU is told from one that runs, and from one that sleeps.
 */
#include "plat/thread_state.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "plat/thread.h"
#include "tt_test.h"

#define LOOKS	40
#define LOOK_MS 50
#define HOGS	3

static _Atomic bool stop;

/* Spins on the first CPU that is allowed. */
static void hog(void *arg)
{
	const struct sched_param none = {0};

	plat_thread_pin(0);
	if (arg)
		pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	while (!stop)
		;
}

/* Until the pipe is closed. It wants no CPU before, which it would wait for on a busy machine. */
static void sleeper(void *arg)
{
	char none;

	while (read(*(int *)arg, &none, 1) > 0)
		;
}

/* The portable fallback cannot look at threads; that is said, and not a failure. */
static bool unsupported(void)
{
	struct plat_thread_state s;

	if (plat_thread_state_open(&s, "tt-nobody") != -ENOTSUP)
		return false;
	tt_test_skip(1, "this platform does not show what a thread waits for");
	return true;
}

static unsigned starved_looks(const char *name)
{
	struct plat_thread_state s;
	unsigned n = 0;

	/* a thread gives itself its name */
	for (unsigned i = 0; plat_thread_state_open(&s, name) == -ENOENT && i < 100; i++)
		poll(NULL, 0, 10);
	CU_ASSERT_TRUE_FATAL(s.fd >= 0);
	for (unsigned i = 0; i < LOOKS; i++) {
		poll(NULL, 0, LOOK_MS);
		n += plat_thread_state_starved(&s);
	}
	plat_thread_state_close(&s);
	return n;
}

static void starved(void)
{
	struct plat_thread idle, others[HOGS];

	if (unsupported())
		return;
	stop = false;
	CU_ASSERT_EQUAL_FATAL(plat_thread_start(&idle, "tt-idle", hog, &idle), 0);
	for (unsigned i = 0; i < HOGS; i++)
		CU_ASSERT_EQUAL_FATAL(plat_thread_start(&others[i], "tt-hog", hog, NULL), 0);
	CU_ASSERT(starved_looks("tt-idle") > LOOKS / 4);
	stop = true;
	plat_thread_join(&idle);
	for (unsigned i = 0; i < HOGS; i++)
		plat_thread_join(&others[i]);
}

static void asleep(void)
{
	struct plat_thread t;
	int ends[2];

	if (unsupported())
		return;
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	CU_ASSERT_EQUAL_FATAL(plat_thread_start(&t, "tt-sleeper", sleeper, &ends[0]), 0);
	/* it may be caught on its way to sleep */
	CU_ASSERT(starved_looks("tt-sleeper") < LOOKS / 4);
	close(ends[1]);
	plat_thread_join(&t);
	close(ends[0]);
}

static void nobody(void)
{
	struct plat_thread_state s;

	if (unsupported())
		return;
	CU_ASSERT_EQUAL(plat_thread_state_open(&s, "tt-nobody"), -ENOENT);
	CU_ASSERT_FALSE(plat_thread_state_starved(&s));
	plat_thread_state_close(&s);
}

TT_TESTS("thread_state", {"starved", starved}, {"asleep", asleep}, {"nobody", nobody})

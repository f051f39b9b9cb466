/* SPDX-License-Identifier: MIT */
#include "plat/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "handle of a thread");

static void *thread_entry(void *arg)
{
	struct plat_thread *t = arg;

	t->fn(t->arg);
	return NULL;
}

int plat_thread_start(struct plat_thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
	sigset_t all, before;
	pthread_t id;

	t->fn = fn;
	t->arg = arg;
	memset(t->name, 0, sizeof(t->name));
	memcpy(t->name, name, TT_MIN(strlen(name), sizeof(t->name) - 1));
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int err = pthread_create(&id, NULL, thread_entry, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		t->handle = (uintptr_t)id;
	return -err;
}

void plat_thread_join(struct plat_thread *t)
{
	pthread_join((pthread_t)t->handle, NULL);
}

uint64_t plat_thread_cpu_ns(const struct plat_thread *t)
{
#if defined(_POSIX_THREAD_CPUTIME) && _POSIX_THREAD_CPUTIME >= 0
	struct timespec ts;
	clockid_t clock;

	if (pthread_getcpuclockid((pthread_t)t->handle, &clock) == 0 &&
	    clock_gettime(clock, &ts) == 0)
		return (uint64_t)ts.tv_sec * TT_NS_PER_SEC + (uint64_t)ts.tv_nsec;
#endif
	(void)t;
	return 0;
}

void plat_thread_yield(void)
{
	sched_yield();
}

void plat_thread_rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)TT_NS_PER_MS}, NULL);
}

unsigned plat_thread_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned)n;
}

int plat_thread_pin(unsigned n)
{
	(void)n;
	return -ENOTSUP;
}

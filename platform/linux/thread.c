/* SPDX-License-Identifier: MIT */
#include "plat/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#define TIMER_SLACK_NS 1000ul

static void *thread_entry(void *arg)
{
	struct plat_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	/* a wait of 60 us is not to be one of 110 */
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
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
	struct timespec ts;
	clockid_t clock;

	if (pthread_getcpuclockid((pthread_t)t->handle, &clock) != 0 ||
	    clock_gettime(clock, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * TT_NS_PER_SEC + (uint64_t)ts.tv_nsec;
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
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

int plat_thread_pin(unsigned n)
{
	cpu_set_t allowed, one;
	unsigned seen = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	n %= (unsigned)TT_MAX(CPU_COUNT(&allowed), 1);
	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && seen++ == n)
			CPU_SET(cpu, &one);
	return -pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

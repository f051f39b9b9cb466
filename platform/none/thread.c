/* SPDX-License-Identifier: MIT */
#include "plat/thread.h"

#include <errno.h>

int plat_thread_start(struct plat_thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
	(void)t;
	(void)name;
	(void)fn;
	(void)arg;
	return -ENOSYS;
}

void plat_thread_join(struct plat_thread *t)
{
	(void)t;
}

uint64_t plat_thread_cpu_ns(const struct plat_thread *t)
{
	(void)t;
	return 0;
}

void plat_thread_yield(void)
{
}

void plat_thread_rest(void)
{
}

unsigned plat_thread_cpus(void)
{
	return 1;
}

int plat_thread_pin(unsigned n)
{
	(void)n;
	return -ENOSYS;
}

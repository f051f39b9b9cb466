/* SPDX-License-Identifier: MIT */
#include "plat/wait.h"

#include <errno.h>

int plat_event_open(struct plat_event *e)
{
	e->fd = e->raise_fd = -1;
	return -ENOSYS;
}

void plat_event_close(struct plat_event *e)
{
	(void)e;
}

void plat_event_raise(const struct plat_event *e)
{
	(void)e;
}

void plat_event_clear(const struct plat_event *e)
{
	(void)e;
}

int plat_waiter_open(struct plat_waiter *w)
{
	w->fd = -1;
	return -ENOSYS;
}

void plat_waiter_close(struct plat_waiter *w)
{
	(void)w;
}

int plat_waiter_set(struct plat_waiter *w, unsigned slot, int fd)
{
	(void)w;
	(void)slot;
	(void)fd;
	return -ENOSYS;
}

uint32_t plat_waiter_wait(struct plat_waiter *w, uint64_t timeout_ns)
{
	(void)w;
	(void)timeout_ns;
	return 0;
}

uint32_t plat_waiter_wait_without(struct plat_waiter *w, unsigned slot, uint64_t timeout_ns)
{
	(void)w;
	(void)slot;
	(void)timeout_ns;
	return 0;
}

void plat_waiter_wake(struct plat_waiter *w)
{
	(void)w;
}

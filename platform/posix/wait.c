/* SPDX-License-Identifier: MIT */
#include "plat/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

static int event_prepare(int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int plat_event_open(struct plat_event *e)
{
	int fd[2], err;

	e->fd = e->raise_fd = -1;
	if (pipe(fd) < 0)
		return -errno;
	e->fd = fd[0];
	e->raise_fd = fd[1];
	err = event_prepare(fd[0]);
	if (!err)
		err = event_prepare(fd[1]);
	if (err)
		plat_event_close(e);
	return err;
}

void plat_event_close(struct plat_event *e)
{
	if (e->fd >= 0)
		close(e->fd);
	if (e->raise_fd >= 0)
		close(e->raise_fd);
	e->fd = e->raise_fd = -1;
}

void plat_event_raise(const struct plat_event *e)
{
	ssize_t n;

	/* Who raises says so once: what a signal interrupts here would never be heard of. */
	do
		n = write(e->raise_fd, "", 1);
	while (n < 0 && errno == EINTR); /* EAGAIN: the pipe is full, so it is raised */
}

void plat_event_clear(const struct plat_event *e)
{
	char sink[64];

	while (read(e->fd, sink, sizeof(sink)) == (ssize_t)sizeof(sink))
		;
}

int plat_waiter_open(struct plat_waiter *w)
{
	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		w->slot[i] = -1;
	w->fd = -1;
	return plat_event_open(&w->wake);
}

void plat_waiter_close(struct plat_waiter *w)
{
	plat_event_close(&w->wake);
}

int plat_waiter_set(struct plat_waiter *w, unsigned slot, int fd)
{
	w->slot[slot] = fd;
	return 0;
}

/* without: a slot that is not looked at, or PLAT_WAITER_SLOTS. */
static uint32_t waiter_poll(struct plat_waiter *w, unsigned without, uint64_t timeout_ns)
{
	struct pollfd p[PLAT_WAITER_SLOTS + 1];
	uint64_t ms = timeout_ns / TT_NS_PER_MS + (timeout_ns % TT_NS_PER_MS != 0);
	int timeout = timeout_ns == PLAT_WAITER_FOREVER ? -1 : (int)TT_MIN(ms, (uint64_t)INT_MAX);
	uint32_t ready = 0;

	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		p[i] = (struct pollfd){.fd = i == without ? -1 : w->slot[i], .events = POLLIN};
	p[PLAT_WAITER_SLOTS] = (struct pollfd){.fd = w->wake.fd, .events = POLLIN};
	if (poll(p, PLAT_WAITER_SLOTS + 1, timeout) <= 0)
		return 0;
	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		if (p[i].revents)
			ready |= 1u << i;
	if (p[PLAT_WAITER_SLOTS].revents) {
		plat_event_clear(&w->wake);
		ready |= PLAT_WAITER_WOKEN;
	}
	return ready;
}

uint32_t plat_waiter_wait(struct plat_waiter *w, uint64_t timeout_ns)
{
	return waiter_poll(w, PLAT_WAITER_SLOTS, timeout_ns);
}

uint32_t plat_waiter_wait_without(struct plat_waiter *w, unsigned slot, uint64_t timeout_ns)
{
	return waiter_poll(w, slot, timeout_ns);
}

void plat_waiter_wake(struct plat_waiter *w)
{
	plat_event_raise(&w->wake);
}

/* SPDX-License-Identifier: MIT */
#include "plat/wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int plat_event_open(struct plat_event *e)
{
	e->fd = e->raise_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return e->fd < 0 ? -errno : 0;
}

void plat_event_close(struct plat_event *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = e->raise_fd = -1;
}

void plat_event_raise(const struct plat_event *e)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Who raises says so once: what a signal interrupts here would never be heard of. */
	do
		n = write(e->raise_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR); /* EAGAIN: it is raised already */
}

void plat_event_clear(const struct plat_event *e)
{
	uint64_t count;
	ssize_t n = read(e->fd, &count, sizeof(count));
	(void)n; /* EAGAIN: it was not raised */
}

static int waiter_control(struct plat_waiter *w, int op, int fd, uint32_t tag)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(w->fd, op, fd, &ev) < 0 ? -errno : 0;
}

int plat_waiter_open(struct plat_waiter *w)
{
	int err = plat_event_open(&w->wake);

	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		w->slot[i] = -1;
	w->fd = -1;
	if (err)
		return err;
	w->fd = epoll_create1(EPOLL_CLOEXEC);
	err = w->fd < 0 ? -errno : waiter_control(w, EPOLL_CTL_ADD, w->wake.fd, PLAT_WAITER_SLOTS);
	if (err)
		plat_waiter_close(w);
	return err;
}

void plat_waiter_close(struct plat_waiter *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	plat_event_close(&w->wake);
}

int plat_waiter_set(struct plat_waiter *w, unsigned slot, int fd)
{
	if (w->slot[slot] == fd)
		return 0;
	if (w->slot[slot] >= 0)
		waiter_control(w, EPOLL_CTL_DEL, w->slot[slot], slot);
	w->slot[slot] = -1;
	if (fd < 0)
		return 0;
	int err = waiter_control(w, EPOLL_CTL_ADD, fd, slot);

	if (!err)
		w->slot[slot] = fd;
	return err;
}

uint32_t plat_waiter_wait(struct plat_waiter *w, uint64_t timeout_ns)
{
	struct epoll_event ev[PLAT_WAITER_SLOTS + 1];
	uint64_t ms = timeout_ns / TT_NS_PER_MS + (timeout_ns % TT_NS_PER_MS != 0);
	int timeout = timeout_ns == PLAT_WAITER_FOREVER ? -1 : (int)TT_MIN(ms, (uint64_t)INT_MAX);
	int n = epoll_wait(w->fd, ev, PLAT_WAITER_SLOTS + 1, timeout);
	uint32_t ready = 0;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 < PLAT_WAITER_SLOTS) {
			ready |= 1u << ev[i].data.u32;
			continue;
		}
		plat_event_clear(&w->wake);
		ready |= PLAT_WAITER_WOKEN;
	}
	return ready;
}

uint32_t plat_waiter_wait_without(struct plat_waiter *w, unsigned slot, uint64_t timeout_ns)
{
	struct pollfd p[PLAT_WAITER_SLOTS + 1];
	struct timespec t = {(time_t)(timeout_ns / TT_NS_PER_SEC),
			     (long)(timeout_ns % TT_NS_PER_SEC)};
	uint32_t ready = 0;

	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		p[i] = (struct pollfd){.fd = i == slot ? -1 : w->slot[i], .events = POLLIN};
	p[PLAT_WAITER_SLOTS] = (struct pollfd){.fd = w->wake.fd, .events = POLLIN};
	if (ppoll(p, PLAT_WAITER_SLOTS + 1, &t, NULL) <= 0)
		return 0;
	for (unsigned i = 0; i < PLAT_WAITER_SLOTS; i++)
		ready |= (uint32_t)(p[i].revents != 0) << i;
	if (p[PLAT_WAITER_SLOTS].revents) {
		plat_event_clear(&w->wake);
		ready |= PLAT_WAITER_WOKEN;
	}
	return ready;
}

void plat_waiter_wake(struct plat_waiter *w)
{
	plat_event_raise(&w->wake);
}

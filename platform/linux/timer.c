/* SPDX-License-Identifier: MIT */
#include "plat/timer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

int plat_timer_open(void)
{
	int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void plat_timer_set(int fd, struct tt_mono deadline)
{
	struct itimerspec its = {
		.it_value = {(time_t)(deadline.ns / TT_NS_PER_SEC),
			     (long)(deadline.ns % TT_NS_PER_SEC)},
	};
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
}

void plat_timer_clear(int fd)
{
	uint64_t expirations;
	ssize_t n = read(fd, &expirations, sizeof(expirations));
	(void)n; /* EAGAIN: it was re-armed in between, which is fine */
}

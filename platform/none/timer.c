/* SPDX-License-Identifier: MIT */
#include "plat/timer.h"

#include <errno.h>

int plat_timer_open(void)
{
	return -ENOTSUP;
}

void plat_timer_set(int fd, struct tt_mono deadline)
{
	(void)fd;
	(void)deadline;
}

void plat_timer_clear(int fd)
{
	(void)fd;
}

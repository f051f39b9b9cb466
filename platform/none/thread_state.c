/* SPDX-License-Identifier: MIT */
#include "plat/thread_state.h"

#include <errno.h>

int plat_thread_state_open(struct plat_thread_state *s, const char *name)
{
	(void)name;
	*s = (struct plat_thread_state){.fd = -1};
	return -ENOTSUP;
}

void plat_thread_state_close(struct plat_thread_state *s)
{
	(void)s;
}

bool plat_thread_state_starved(struct plat_thread_state *s)
{
	(void)s;
	return false;
}

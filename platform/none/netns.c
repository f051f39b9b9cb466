/* SPDX-License-Identifier: MIT */
#include "plat/netns.h"

#include <errno.h>

int plat_netns_enter(const char *name)
{
	(void)name;
	return -ENOTSUP;
}

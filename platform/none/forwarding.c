/* SPDX-License-Identifier: MIT */
#include "plat/forwarding.h"

#include <errno.h>

int plat_forwarding_get(enum tt_family family)
{
	(void)family;
	return -ENOTSUP;
}

int plat_forwarding_set(enum tt_family family, bool on)
{
	(void)family, (void)on;
	return -ENOTSUP;
}

bool plat_forwarding_costs_route(enum tt_family family, char name[PLAT_IFNAME_MAX])
{
	(void)family, (void)name;
	return false;
}

const char *plat_forwarding_name(enum tt_family family)
{
	return family == TT_FAMILY_V4 ? "IPv4 forwarding" : "IPv6 forwarding";
}

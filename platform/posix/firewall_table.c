/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "plat/firewall.h"

void plat_firewall_table(const char *ifname, const char *suffix, char out[PLAT_FIREWALL_TABLE_MAX])
{
	size_t n = (size_t)snprintf(out, PLAT_FIREWALL_TABLE_MAX, "taltun_");

	for (const char *p = ifname; *p && n + 4 < PLAT_FIREWALL_TABLE_MAX; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("_-.", *p);

		/* an interface may be named "x_route" itself */
		if (strcmp(p, "_route") == 0)
			plain = false;
		n += (size_t)snprintf(out + n, PLAT_FIREWALL_TABLE_MAX - n, plain ? "%c" : "/%02x",
				      (unsigned char)*p);
	}
	snprintf(out + n, PLAT_FIREWALL_TABLE_MAX - n, "%s", suffix);
}

/* SPDX-License-Identifier: MIT */
#include "plat/firewall.h"

#include <errno.h>
#include <stdio.h>

static int unsupported(char *reason, size_t cap)
{
	snprintf(reason, cap, "no firewall of this system is known");
	return -ENOTSUP;
}

int plat_firewall_apply(const char *script, char *reason, size_t cap)
{
	(void)script;
	return unsupported(reason, cap);
}

int plat_firewall_list(const char *table, char **text, bool *there, char *reason, size_t cap)
{
	(void)table;
	*text = NULL;
	*there = false;
	return unsupported(reason, cap);
}

int plat_firewall_watch_open(struct plat_firewall_watch *w)
{
	*w = (struct plat_firewall_watch){.fd = -1};
	return -ENOTSUP;
}

void plat_firewall_watch_close(struct plat_firewall_watch *w)
{
	(void)w;
}

int plat_firewall_watch_read(struct plat_firewall_watch *w, const char *table,
			     plat_firewall_change_fn fn, void *arg)
{
	(void)w, (void)table, (void)fn, (void)arg;
	return -ENOTSUP;
}

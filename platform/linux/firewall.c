/* SPDX-License-Identifier: MIT */
#include "plat/firewall.h"

#include <errno.h>
#include <stdio.h>

#include "nft.h"

/* What nft says for itself is the better reason; it says nothing where it could not be run. */
static int explain(int err, char *reason, size_t cap)
{
	if (err == -ENOENT)
		snprintf(reason, cap, "nft is not installed");
	else if (err && !reason[0])
		snprintf(reason, cap, "%s", err == -EPROTO ? "nft failed" : strerror(-err));
	return err;
}

int plat_firewall_apply(const char *script, char *reason, size_t cap)
{
	return explain(nft_run(script, reason, cap), reason, cap);
}

int plat_firewall_list(const char *table, char **text, bool *there, char *reason, size_t cap)
{
	int err = nft_list(table, text, reason, cap);

	*there = err == 0;
	if (err == -EPROTO && strstr(reason, strerror(ENOENT))) {
		reason[0] = 0;
		return 0;
	}
	return explain(err, reason, cap);
}

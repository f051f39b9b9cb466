/* SPDX-License-Identifier: MIT
 *
 * Shared by netcfg.c, netcfg_default.c and netcfg_guard.c alone.
 */
#ifndef TT_PLATFORM_NETCFG_IMPL_H
#define TT_PLATFORM_NETCFG_IMPL_H

#include "plat/netcfg.h"
#include "../posix/netcfg_journal.h"
#include "netcfg_nl.h"

struct plat_netcfg {
	unsigned ifindex;
	char name[PLAT_IFNAME_MAX]; /* at the time of opening */
	char *path;		    /* of the journal file; NULL: none */
	struct nl_sock *nl;
	struct netcfg_journal journal;
	int guard_error; /* of the last try */
	char guard_reason[160];
};

/* Removes one entry from the host. 0 also where it is gone already. */
int netcfg_remove_rule(struct plat_netcfg *c, const struct netcfg_entry *e);
int netcfg_restore_src_valid_mark(struct plat_netcfg *c, const struct netcfg_entry *e);
int netcfg_guard_remove(struct plat_netcfg *c);

/* Makes the firewall table what the journal asks for; what is wrong stays in guard_error. */
void netcfg_guard_update(struct plat_netcfg *c);

#endif

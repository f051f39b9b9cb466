/* SPDX-License-Identifier: MIT
 *
 * Shared by netcfg.c and netcfg_default.c alone.
 */
#ifndef TT_PLATFORM_NETCFG_IMPL_H
#define TT_PLATFORM_NETCFG_IMPL_H

#include "plat/netcfg.h"
#include "../posix/netcfg_journal.h"
#include "netcfg_nl.h"

struct plat_netcfg {
	unsigned ifindex;
	char *path; /* of the journal file; NULL: none */
	struct nl_sock *nl;
	struct netcfg_journal journal;
};

/* Removes one entry from the host. 0 also where it is gone already. */
int netcfg_remove_rule(struct plat_netcfg *c, const struct netcfg_entry *e);
int netcfg_restore_src_valid_mark(struct plat_netcfg *c, const struct netcfg_entry *e);

#endif

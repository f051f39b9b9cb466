/* SPDX-License-Identifier: MIT
 *
 * One table of the host's firewall for each interface of ours. The text is nft(8)'s. Monitor, and
 * the command line for looking; one thread.
 */
#ifndef TT_PLAT_FIREWALL_H
#define TT_PLAT_FIREWALL_H

#include "base/types.h"

#define PLAT_FIREWALL_TABLE_MAX 80 /* "taltun_", 15 characters as /HEX at worst, a suffix */

/*
 * The name of the table (family inet) for an interface: what nft takes for no part of a name is
 * written as /HEX. suffix: "", or "_..." for a second table beside it. Two different pairs never
 * give one name.
 */
void plat_firewall_table(const char *ifname, const char *suffix, char out[PLAT_FIREWALL_TABLE_MAX]);

/*
 * Runs a script as one transaction: all of it or nothing. 5 s at most. reason gets why not, cut to
 * cap, "" on success. 0; -ENOENT: no firewall program on this host; -EPROTO: it refused;
 * -ETIMEDOUT; -ENOTSUP; or -errno.
 */
int plat_firewall_apply(const char *script, char *reason, size_t cap);
/*
 * What the kernel has of this table, as text with counters, malloc'd; errors as above.
 * *there is false, and the text NULL, where there is no such table.
 */
int plat_firewall_list(const char *table, char **text, bool *there, char *reason, size_t cap);

/* --- changes by whomever -----------------------------------------------------------------------
 */

enum plat_firewall_change {
	PLAT_FIREWALL_MADE,    /* the table was made, or made anew */
	PLAT_FIREWALL_REMOVED, /* the table is gone */
	PLAT_FIREWALL_EDITED,  /* something in it was added, changed or removed */
	PLAT_FIREWALL_LOST,    /* changes were lost: anything may have happened */
};

/* One transaction that touched the table; by: the program's name, "" where not known. */
typedef void (*plat_firewall_change_fn)(void *arg, enum plat_firewall_change change,
					const char *by);

/* State of a watch between two reads. */
struct plat_firewall_watch {
	int fd;			    /* -1: none; poll it for input */
	bool made, removed, edited; /* by the transaction that is being read */
};

/* 0, -ENOTSUP, or -errno. Needs no right. */
int plat_firewall_watch_open(struct plat_firewall_watch *w);
void plat_firewall_watch_close(struct plat_firewall_watch *w);
/*
 * Hands out what was done to the table, transaction by transaction; a bounded amount per call. 0,
 * or -errno where the descriptor is of no use any more.
 */
int plat_firewall_watch_read(struct plat_firewall_watch *w, const char *table,
			     plat_firewall_change_fn fn, void *arg);

#endif

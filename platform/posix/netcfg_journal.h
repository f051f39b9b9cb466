/* SPDX-License-Identifier: MIT
 *
 * What a netcfg object has added to the host. Shared by the implementations of plat/netcfg.h.
 */
#ifndef TT_PLATFORM_NETCFG_JOURNAL_H
#define TT_PLATFORM_NETCFG_JOURNAL_H

#include "base/addr.h"
#include "base/types.h"

/* In the order of removal. */
enum netcfg_kind {
	NETCFG_RULE_MARK, /* unmarked packets of prefix' family to `table`; at priority `metric` */
	NETCFG_RULE_MAIN, /* main table but for its default route; at priority `metric` */
	NETCFG_ROUTE,
	NETCFG_ADDR,
	NETCFG_SRC_VALID_MARK, /* `metric` is the value before */
	NETCFG_GUARD,	       /* the firewall table beside the rules, of both families */
	NETCFG_KINDS
};

/* Compared byte by byte: no padding, unused fields zero. */
struct netcfg_entry {
	uint32_t kind;
	uint32_t table;
	uint32_t metric;
	uint32_t fwmark;
	struct tt_cidr prefix;
};
_Static_assert(sizeof(struct netcfg_entry) == 16 + sizeof(struct tt_cidr), "no padding");

struct netcfg_journal {
	struct netcfg_entry *entries; /* unordered */
	uint32_t *next;		      /* per entry: the next of its bucket; UINT32_MAX: last */
	uint32_t *buckets;	      /* capacity of them */
	uint32_t count, capacity;     /* capacity is 0 or a power of two */
};

void netcfg_journal_free(struct netcfg_journal *j);
bool netcfg_journal_has(const struct netcfg_journal *j, const struct netcfg_entry *e);
/* 0 (also where it is there already), or -ENOMEM. */
int netcfg_journal_add(struct netcfg_journal *j, const struct netcfg_entry *e);
/* e may point into the journal. Moves the last entry to its place. */
void netcfg_journal_remove(struct netcfg_journal *j, const struct netcfg_entry *e);
/* The entry of this kind and family (TT_FAMILY_NONE: any), or NULL. Looks at all of them. */
const struct netcfg_entry *netcfg_journal_find(const struct netcfg_journal *j,
					       enum netcfg_kind kind, enum tt_family family);

/*
 * Writes what outlives the interface (rules, sysctl) to path, atomically; removes the file where
 * there is none of it. path NULL: nothing. 0 or -errno.
 */
int netcfg_journal_save(const struct netcfg_journal *j, const char *path);
/* Adds what the file lists; lines that make no sense are skipped. -ENOENT: no file. */
int netcfg_journal_load(struct netcfg_journal *j, const char *path);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The host's network configuration around one interface of ours: addresses, MTU, link state,
 * routes, policy rules. Everything added is remembered and exactly that is removed again; what is
 * not ours is never touched. Monitor only (privileged, one thread), but for the queries and the
 * watch at the end, which any process may use.
 */
#ifndef TT_PLAT_NETCFG_H
#define TT_PLAT_NETCFG_H

#include "base/addr.h"
#include "base/types.h"
#include "plat/tun.h"

#define PLAT_NETCFG_TABLE_MAIN 0 /* as an argument: the main routing table */

struct plat_netcfg;

/*
 * For the interface ifindex in the caller's network namespace. journal: path of a small file that
 * lists what would outlive a kill -9 of everything (policy rules, a sysctl, a firewall table;
 * addresses and routes vanish with the TUN); NULL: no file. A file that is there already is taken
 * as left over by a dead daemon: what it lists is removed first (the caller holds the lock of this
 * interface's name). journal is copied. 0 or -errno.
 */
int plat_netcfg_open(unsigned ifindex, const char *journal, struct plat_netcfg **out);
/* Forgets; removes nothing. NULL is allowed. */
void plat_netcfg_close(struct plat_netcfg *c);
/*
 * Removes everything that was added, in the order that never leaves a route without its rule's
 * meaning: rules, routes, addresses, sysctl, firewall table; then the journal file. Goes on past
 * errors; what is gone already is none. 0 or the first -errno.
 */
int plat_netcfg_undo(struct plat_netcfg *c);

/* -ENODEV, here and below: the interface is no longer in this namespace. */
int plat_netcfg_set_mtu(struct plat_netcfg *c, unsigned mtu);
int plat_netcfg_set_up(struct plat_netcfg *c, bool up);

/*
 * Idempotent: what we added before gives 0 again, and what this interface has already without us
 * gives 0 too but is left to whoever made it. A route of the same prefix, table and metric through
 * another interface: -EEXIST. A route needs the link up: -ENETDOWN. Removing what is not ours:
 * -ENOENT, and nothing happens.
 */
int plat_netcfg_addr_add(struct plat_netcfg *c, const struct tt_cidr *addr);
int plat_netcfg_addr_del(struct plat_netcfg *c, const struct tt_cidr *addr);
int plat_netcfg_route_add(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric);
int plat_netcfg_route_del(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric);

/*
 * The default route of a family through the interface, for all packets that do not carry fwmark
 * (our own outer ones do): a default route in `table`, a rule that sends unmarked packets there, a
 * rule before it that keeps every more specific route of the main table, and for IPv4 the sysctl
 * src_valid_mark. fwmark and table are not 0, and table is no table that others use (-EEXIST where
 * it has a default route). Asked again with the same values: 0; with others: -EBUSY, remove first.
 */
int plat_netcfg_default_add(struct plat_netcfg *c, enum tt_family family, uint32_t fwmark,
			    uint32_t table);
int plat_netcfg_default_del(struct plat_netcfg *c, enum tt_family family);
/*
 * Beside a default route stands a firewall table that lets answers to our marked packets past
 * strict reverse-path filtering, and nobody from other links at the interface's addresses. Where it
 * cannot be made the default route stands without it. 0 where it is in force or not needed; else
 * -ENOENT (no firewall program), or -errno; reason (cap bytes) says why.
 */
int plat_netcfg_guard_state(const struct plat_netcfg *c, char *reason, size_t cap);

/* --- queries: any process, any thread -------------------------------------------------------- */

struct plat_netcfg_link {
	char name[PLAT_IFNAME_MAX];
	unsigned ifindex;
	unsigned mtu;
	bool up;      /* administratively */
	bool running; /* has carrier */
};

/* By index, or by name where ifindex is 0. 0, -ENODEV, or -errno. */
int plat_netcfg_link_get(unsigned ifindex, const char *name, struct plat_netcfg_link *out);
/*
 * Where a packet with this mark to `to` would leave, and the MTU there (of the route where it has
 * one, else of the link). 0, -ENETUNREACH, or -errno.
 */
int plat_netcfg_route_get(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex,
			  unsigned *mtu);

/*
 * A routing table for the interface's own use, one of `count` from `first` on: the one in which it
 * has a route already, else the first without any. 0 or -ENOSPC, or -errno.
 */
int plat_netcfg_table_find(unsigned ifindex, uint32_t first, unsigned count, uint32_t *table);

/* --- watch: any process; one thread per descriptor -------------------------------------------- */

enum plat_netcfg_event_kind {
	PLAT_NETCFG_EVENT_LINK,
	PLAT_NETCFG_EVENT_ADDR,
	PLAT_NETCFG_EVENT_ROUTE,
	PLAT_NETCFG_EVENT_LOST, /* events were lost: anything may have changed */
};

enum plat_netcfg_link_flags {
	PLAT_NETCFG_LINK_UP = 1 << 0,
	PLAT_NETCFG_LINK_RUNNING = 1 << 1,
};

struct plat_netcfg_event {
	enum plat_netcfg_event_kind kind;
	bool removed;	  /* deleted rather than new or changed */
	uint32_t ifindex; /* ROUTE: of the outgoing interface, 0 where it has none or several */
	uint32_t flags;	  /* LINK: enum plat_netcfg_link_flags */
	uint32_t mtu;	  /* LINK: 0 where not said */
	struct tt_ip ip;  /* ADDR: the address; ROUTE: the prefix */
	uint8_t bits;	  /* length of its prefix */
};

typedef void (*plat_netcfg_event_fn)(void *arg, const struct plat_netcfg_event *ev);

/* Non-blocking, close-on-exec descriptor, readable when there are events; -ENOTSUP; -errno. */
int plat_netcfg_watch_open(void);
/*
 * Hands out what is there, a bounded amount per call (the descriptor stays readable where there is
 * more). 0, or -errno where the descriptor is of no use any more.
 */
int plat_netcfg_watch_read(int fd, plat_netcfg_event_fn cb, void *arg);

#endif

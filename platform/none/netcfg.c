/* SPDX-License-Identifier: MIT */
#include "plat/netcfg.h"

#include <errno.h>

int plat_netcfg_open(unsigned ifindex, const char *journal, struct plat_netcfg **out)
{
	(void)ifindex;
	(void)journal;
	(void)out;
	return -ENOTSUP;
}

void plat_netcfg_close(struct plat_netcfg *c)
{
	(void)c;
}

int plat_netcfg_undo(struct plat_netcfg *c)
{
	(void)c;
	return -ENOTSUP;
}

int plat_netcfg_set_mtu(struct plat_netcfg *c, unsigned mtu)
{
	(void)c;
	(void)mtu;
	return -ENOTSUP;
}

int plat_netcfg_set_up(struct plat_netcfg *c, bool up)
{
	(void)c;
	(void)up;
	return -ENOTSUP;
}

int plat_netcfg_addr_add(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	(void)c;
	(void)addr;
	return -ENOTSUP;
}

int plat_netcfg_addr_del(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	(void)c;
	(void)addr;
	return -ENOTSUP;
}

int plat_netcfg_route_add(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	(void)c;
	(void)prefix;
	(void)table;
	(void)metric;
	return -ENOTSUP;
}

int plat_netcfg_route_del(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	(void)c;
	(void)prefix;
	(void)table;
	(void)metric;
	return -ENOTSUP;
}

int plat_netcfg_default_add(struct plat_netcfg *c, enum tt_family family, uint32_t fwmark,
			    uint32_t table)
{
	(void)c;
	(void)family;
	(void)fwmark;
	(void)table;
	return -ENOTSUP;
}

int plat_netcfg_default_del(struct plat_netcfg *c, enum tt_family family)
{
	(void)c;
	(void)family;
	return -ENOTSUP;
}

int plat_netcfg_guard_state(const struct plat_netcfg *c, char *reason, size_t cap)
{
	(void)c;
	if (cap)
		reason[0] = 0;
	return 0;
}

int plat_netcfg_link_get(unsigned ifindex, const char *name, struct plat_netcfg_link *out)
{
	(void)ifindex;
	(void)name;
	(void)out;
	return -ENOTSUP;
}

int plat_netcfg_route_get(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex, unsigned *mtu)
{
	(void)to;
	(void)fwmark;
	(void)ifindex;
	(void)mtu;
	return -ENOTSUP;
}

int plat_netcfg_table_find(unsigned ifindex, uint32_t first, unsigned count, uint32_t *table)
{
	(void)ifindex;
	(void)first;
	(void)count;
	(void)table;
	return -ENOTSUP;
}

int plat_netcfg_watch_open(void)
{
	return -ENOTSUP;
}

int plat_netcfg_watch_read(int fd, plat_netcfg_event_fn cb, void *arg)
{
	(void)fd;
	(void)cb;
	(void)arg;
	return -ENOTSUP;
}

/* SPDX-License-Identifier: MIT */
#include "netcfg_impl.h"

#include <errno.h>
#include <stdlib.h>

#include <net/if.h>

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#define NETCFG_V6_METRIC 1024 /* what the kernel makes of 0 */

int plat_netcfg_open(unsigned ifindex, const char *journal, struct plat_netcfg **out)
{
	struct plat_netcfg *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->ifindex = ifindex;
	/* A device that is gone has a name no more: whoever asks for anything will be told. */
	if (!if_indextoname(ifindex, c->name))
		c->name[0] = 0;
	if (journal) {
		c->path = strdup(journal);
		if (!c->path) {
			free(c);
			return -ENOMEM;
		}
	}
	err = netcfg_nl_open(&c->nl);
	if (!err && c->path) {
		err = netcfg_journal_load(&c->journal, c->path);
		/* Also a file that lists nothing goes. */
		err = err == -ENOENT ? 0 : err ? err : plat_netcfg_undo(c);
	}
	if (err) {
		plat_netcfg_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void plat_netcfg_close(struct plat_netcfg *c)
{
	if (!c)
		return;
	netcfg_nl_close(c->nl);
	netcfg_journal_free(&c->journal);
	free(c->path);
	free(c);
}

/* --- link ------------------------------------------------------------------------------------ */

static struct nl_msg *link_message(const struct plat_netcfg *c, unsigned flags, unsigned change)
{
	struct ifinfomsg head = {
		.ifi_index = (int)c->ifindex, .ifi_flags = flags, .ifi_change = change};

	return netcfg_nl_message(RTM_NEWLINK, 0, &head, sizeof(head));
}

int plat_netcfg_set_mtu(struct plat_netcfg *c, unsigned mtu)
{
	struct nl_msg *m = link_message(c, 0, 0);

	netcfg_nl_put_u32(m, IFLA_MTU, mtu);
	return netcfg_nl_request(c->nl, m, NULL, NULL);
}

int plat_netcfg_set_up(struct plat_netcfg *c, bool up)
{
	return netcfg_nl_request(c->nl, link_message(c, up ? IFF_UP : 0, IFF_UP), NULL, NULL);
}

/* --- addresses and routes -------------------------------------------------------------------- */

static struct nl_msg *addr_message(const struct plat_netcfg *c, int type, int flags,
				   const struct tt_cidr *addr)
{
	struct ifaddrmsg head = {
		.ifa_family = netcfg_nl_family(addr->ip.family),
		.ifa_prefixlen = addr->bits,
		.ifa_index = c->ifindex,
	};
	struct nl_msg *m = netcfg_nl_message(type, flags, &head, sizeof(head));

	netcfg_nl_put_ip(m, IFA_LOCAL, &addr->ip);
	netcfg_nl_put_ip(m, IFA_ADDRESS, &addr->ip);
	return m;
}

static uint32_t route_table(uint32_t table)
{
	return table == PLAT_NETCFG_TABLE_MAIN ? RT_TABLE_MAIN : table;
}

static struct nl_msg *route_message(const struct plat_netcfg *c, int type, int flags,
				    const struct netcfg_entry *e)
{
	bool add = type == RTM_NEWROUTE, v4 = e->prefix.ip.family == TT_FAMILY_V4;
	struct rtmsg head = {
		.rtm_family = netcfg_nl_family(e->prefix.ip.family),
		.rtm_dst_len = e->prefix.bits,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = add ? (v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE) : RT_SCOPE_NOWHERE,
		.rtm_type = add ? RTN_UNICAST : RTN_UNSPEC,
	};
	struct nl_msg *m = netcfg_nl_message(type, flags, &head, sizeof(head));

	netcfg_nl_put_u32(m, RTA_TABLE, route_table(e->table));
	netcfg_nl_put_u32(m, RTA_OIF, c->ifindex);
	if (e->prefix.bits)
		netcfg_nl_put_ip(m, RTA_DST, &e->prefix.ip);
	if (e->metric)
		netcfg_nl_put_u32(m, RTA_PRIORITY, e->metric);
	return m;
}

struct route_search {
	const struct netcfg_entry *want;
	unsigned ifindex;
	bool found;
};

static uint32_t attr_u32(struct nlattr *a)
{
	return a && nla_len(a) >= (int)sizeof(uint32_t) ? nla_get_u32(a) : 0;
}

static void route_compare(void *arg, struct nlmsghdr *h)
{
	struct route_search *s = arg;
	struct nlattr *a[RTA_MAX + 1];
	const struct rtmsg *r = nlmsg_data(h);
	const struct tt_ip *ip = &s->want->prefix.ip;
	uint32_t metric = s->want->metric;

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*r), a, RTA_MAX, NULL) < 0)
		return;
	if (!metric && ip->family == TT_FAMILY_V6)
		metric = NETCFG_V6_METRIC;
	if (r->rtm_family != netcfg_nl_family(ip->family) ||
	    r->rtm_dst_len != s->want->prefix.bits ||
	    attr_u32(a[RTA_TABLE]) != route_table(s->want->table) ||
	    attr_u32(a[RTA_OIF]) != s->ifindex || attr_u32(a[RTA_PRIORITY]) != metric)
		return;
	size_t len = ip->family == TT_FAMILY_V4 ? 4 : 16;

	if (!r->rtm_dst_len || (a[RTA_DST] && (size_t)nla_len(a[RTA_DST]) == len &&
				memcmp(nla_data(a[RTA_DST]), ip->b, len) == 0))
		s->found = true;
}

/* Is this route there through our interface, made by the kernel for an address, or by hand? */
static bool route_is_on_interface(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	struct rtmsg head = {.rtm_family = netcfg_nl_family(e->prefix.ip.family)};
	struct nl_msg *m = netcfg_nl_message(RTM_GETROUTE, NLM_F_DUMP, &head, sizeof(head));
	struct route_search s = {.want = e, .ifindex = c->ifindex};

	netcfg_nl_put_u32(m, RTA_TABLE, route_table(e->table));
	netcfg_nl_put_u32(m, RTA_OIF, c->ifindex);
	return netcfg_nl_request(c->nl, m, route_compare, &s) == 0 && s.found;
}

static int netcfg_add(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	const int flags = NLM_F_CREATE | NLM_F_EXCL;
	bool ours = netcfg_journal_has(&c->journal, e);
	int err;

	/* First the memory, then the deed: nothing is ever added that could not be remembered. */
	err = netcfg_journal_add(&c->journal, e);
	if (err)
		return err;
	err = netcfg_nl_request(c->nl,
				e->kind == NETCFG_ADDR
					? addr_message(c, RTM_NEWADDR, flags, &e->prefix)
					: route_message(c, RTM_NEWROUTE, flags, e),
				NULL, NULL);
	if (!err || ours)
		return err == -EEXIST ? 0 : err;
	netcfg_journal_remove(&c->journal, e);
	if (err == -EEXIST && (e->kind == NETCFG_ADDR || route_is_on_interface(c, e)))
		return 0;
	return err;
}

static bool netcfg_is_gone(int err)
{
	return err == -ESRCH || err == -ENOENT || err == -EADDRNOTAVAIL || err == -ENODEV;
}

static int netcfg_remove_from_host(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	int err;

	switch ((enum netcfg_kind)e->kind) {
	case NETCFG_RULE_MARK:
	case NETCFG_RULE_MAIN:
		err = netcfg_remove_rule(c, e);
		break;
	case NETCFG_ROUTE:
		err = netcfg_nl_request(c->nl, route_message(c, RTM_DELROUTE, 0, e), NULL, NULL);
		break;
	case NETCFG_ADDR:
		err = netcfg_nl_request(c->nl, addr_message(c, RTM_DELADDR, 0, &e->prefix), NULL,
					NULL);
		break;
	case NETCFG_SRC_VALID_MARK:
		err = netcfg_restore_src_valid_mark(c, e);
		break;
	case NETCFG_GUARD:
		err = netcfg_guard_remove(c);
		break;
	case NETCFG_KINDS:
	default:
		err = -EINVAL;
	}
	return netcfg_is_gone(err) ? 0 : err;
}

static int netcfg_del(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	int err;

	if (!netcfg_journal_has(&c->journal, e))
		return -ENOENT;
	err = netcfg_remove_from_host(c, e);
	if (!err)
		netcfg_journal_remove(&c->journal, e);
	return err;
}

static int netcfg_entry_of(enum netcfg_kind kind, const struct tt_cidr *prefix, uint32_t table,
			   uint32_t metric, struct netcfg_entry *e)
{
	bool v4 = prefix->ip.family == TT_FAMILY_V4;

	if ((!v4 && prefix->ip.family != TT_FAMILY_V6) || prefix->bits > (v4 ? 32 : 128))
		return -EINVAL;
	/* Field by field: entries are compared byte by byte. */
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->table = table;
	e->metric = metric;
	e->prefix.ip.family = prefix->ip.family;
	memcpy(e->prefix.ip.b, prefix->ip.b, v4 ? 4 : 16);
	e->prefix.bits = prefix->bits;
	if (kind == NETCFG_ROUTE)
		tt_cidr_mask(&e->prefix);
	return 0;
}

/* The table names our addresses. */
static int netcfg_guard_after(struct plat_netcfg *c, int err)
{
	if (!err && netcfg_journal_find(&c->journal, NETCFG_RULE_MARK, TT_FAMILY_NONE))
		netcfg_guard_update(c);
	return err;
}

int plat_netcfg_addr_add(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	struct netcfg_entry e;
	int err = netcfg_entry_of(NETCFG_ADDR, addr, 0, 0, &e);

	return netcfg_guard_after(c, err ? err : netcfg_add(c, &e));
}

int plat_netcfg_addr_del(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	struct netcfg_entry e;
	int err = netcfg_entry_of(NETCFG_ADDR, addr, 0, 0, &e);

	return netcfg_guard_after(c, err ? err : netcfg_del(c, &e));
}

int plat_netcfg_route_add(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	struct netcfg_entry e;
	int err = netcfg_entry_of(NETCFG_ROUTE, prefix, table, metric, &e);

	return err ? err : netcfg_add(c, &e);
}

int plat_netcfg_route_del(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	struct netcfg_entry e;
	int err = netcfg_entry_of(NETCFG_ROUTE, prefix, table, metric, &e);

	return err ? err : netcfg_del(c, &e);
}

int plat_netcfg_undo(struct plat_netcfg *c)
{
	int first = 0, err;

	for (uint32_t kind = 0; kind < NETCFG_KINDS; kind++) {
		/* Backwards, as removing moves the last entry to the place of the removed one. */
		for (uint32_t i = c->journal.count; i-- > 0;) {
			struct netcfg_entry e = c->journal.entries[i];

			if (e.kind != kind)
				continue;
			err = netcfg_remove_from_host(c, &e);
			first = first ? first : err;
			netcfg_journal_remove(&c->journal, &e);
		}
	}
	err = netcfg_journal_save(&c->journal, c->path);
	return first ? first : err;
}

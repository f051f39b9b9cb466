/* SPDX-License-Identifier: MIT */
#include "plat/netcfg.h"

#include <errno.h>
#include <stdio.h>

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include "netcfg_nl.h"

static void link_take(void *arg, struct nlmsghdr *h)
{
	struct plat_netcfg_link *out = arg;
	struct nlattr *a[IFLA_MAX + 1];
	const struct ifinfomsg *i = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(*i), a, IFLA_MAX, NULL) < 0)
		return;
	out->ifindex = (unsigned)i->ifi_index;
	out->up = (i->ifi_flags & IFF_UP) != 0;
	out->running = (i->ifi_flags & IFF_RUNNING) != 0;
	if (a[IFLA_MTU])
		out->mtu = nla_get_u32(a[IFLA_MTU]);
	if (a[IFLA_IFNAME])
		snprintf(out->name, sizeof(out->name), "%s", nla_get_string(a[IFLA_IFNAME]));
}

static int link_get(struct nl_sock *s, unsigned ifindex, const char *name,
		    struct plat_netcfg_link *out)
{
	struct ifinfomsg head = {.ifi_index = (int)ifindex};
	struct nl_msg *m = netcfg_nl_message(RTM_GETLINK, 0, &head, sizeof(head));
	int err;

	if (m && !ifindex)
		nla_put_string(m, IFLA_IFNAME, name);
	*out = (struct plat_netcfg_link){0};
	err = netcfg_nl_request(s, m, link_take, out);
	return !err && !out->ifindex ? -ENODEV : err;
}

int plat_netcfg_link_get(unsigned ifindex, const char *name, struct plat_netcfg_link *out)
{
	struct nl_sock *s;
	int err;

	if (!ifindex && (!name || !*name || strlen(name) >= PLAT_IFNAME_MAX))
		return -EINVAL;
	err = netcfg_nl_open(&s);
	if (err)
		return err;
	err = link_get(s, ifindex, name, out);
	netcfg_nl_close(s);
	return err;
}

struct route_answer {
	bool usable;
	unsigned ifindex, mtu;
};

static void route_take(void *arg, struct nlmsghdr *h)
{
	struct route_answer *out = arg;
	struct nlattr *a[RTA_MAX + 1], *x[RTAX_MAX + 1];
	const struct rtmsg *r = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*r), a, RTA_MAX, NULL) < 0)
		return;
	/* IPv6 answers with an unreachable route where IPv4 answers with an error. */
	out->usable = r->rtm_type == RTN_UNICAST || r->rtm_type == RTN_LOCAL;
	if (a[RTA_OIF])
		out->ifindex = nla_get_u32(a[RTA_OIF]);
	if (a[RTA_METRICS] && nla_parse_nested(x, RTAX_MAX, a[RTA_METRICS], NULL) == 0 &&
	    x[RTAX_MTU])
		out->mtu = nla_get_u32(x[RTAX_MTU]);
}

static int route_get(struct nl_sock *s, const struct tt_ip *to, uint32_t fwmark,
		     struct route_answer *r)
{
	struct rtmsg head = {
		.rtm_family = netcfg_nl_family(to->family),
		.rtm_dst_len = to->family == TT_FAMILY_V4 ? 32 : 128,
	};
	struct nl_msg *m = netcfg_nl_message(RTM_GETROUTE, 0, &head, sizeof(head));
	struct plat_netcfg_link link;
	int err;

	netcfg_nl_put_ip(m, RTA_DST, to);
	if (to->scope_id)
		netcfg_nl_put_u32(m, RTA_OIF, to->scope_id);
	if (fwmark)
		netcfg_nl_put_u32(m, RTA_MARK, fwmark);
	err = netcfg_nl_request(s, m, route_take, r);
	if (err == -EHOSTUNREACH || (!err && (!r->usable || !r->ifindex)))
		return -ENETUNREACH;
	if (err || r->mtu)
		return err;
	err = link_get(s, r->ifindex, NULL, &link);
	r->mtu = link.mtu;
	return err;
}

int plat_netcfg_route_get(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex, unsigned *mtu)
{
	struct route_answer r = {0};
	struct nl_sock *s;
	int err;

	if (to->family != TT_FAMILY_V4 && to->family != TT_FAMILY_V6)
		return -EINVAL;
	err = netcfg_nl_open(&s);
	if (err)
		return err;
	err = route_get(s, to, fwmark, &r);
	netcfg_nl_close(s);
	if (!err) {
		*ifindex = r.ifindex;
		*mtu = r.mtu;
	}
	return err;
}

/* --- tables ------------------------------------------------------------------------------------
 */

struct table_survey {
	uint32_t table;
	unsigned ifindex;
	bool ours, others; /* has routes through ifindex, or any other */
};

static void table_look(void *arg, struct nlmsghdr *h)
{
	struct table_survey *t = arg;
	struct nlattr *a[RTA_MAX + 1];
	const struct rtmsg *r = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*r), a, RTA_MAX, NULL) < 0)
		return;
	/* a kernel that does not filter sends all tables */
	if (!a[RTA_TABLE] || nla_get_u32(a[RTA_TABLE]) != t->table)
		return;
	if (a[RTA_OIF] && nla_get_u32(a[RTA_OIF]) == t->ifindex)
		t->ours = true;
	else
		t->others = true;
}

static int table_survey(struct nl_sock *s, struct table_survey *t)
{
	static const enum tt_family families[] = {TT_FAMILY_V4, TT_FAMILY_V6};
	int err = 0;

	for (unsigned i = 0; !err && i < TT_ARRAY_LEN(families); i++) {
		struct rtmsg head = {.rtm_family = netcfg_nl_family(families[i])};
		struct nl_msg *m = netcfg_nl_message(RTM_GETROUTE, NLM_F_DUMP, &head, sizeof(head));

		netcfg_nl_put_u32(m, RTA_TABLE, t->table);
		err = netcfg_nl_request(s, m, table_look, t);
		/* nobody has ever put a route there, or there is no IPv6 */
		if (err == -ENOENT || err == -EAFNOSUPPORT || err == -EOPNOTSUPP)
			err = 0;
	}
	return err;
}

int plat_netcfg_table_find(unsigned ifindex, uint32_t first, unsigned count, uint32_t *table)
{
	struct nl_sock *s;
	int err = netcfg_nl_open(&s);

	if (err)
		return err;
	*table = 0;
	for (unsigned i = 0; !err && i < count; i++) {
		struct table_survey t = {.table = first + i, .ifindex = ifindex};

		err = table_survey(s, &t);
		if (!err && t.ours)
			*table = t.table;
		if (t.ours)
			break;
		if (!err && !t.others && !*table)
			*table = t.table;
	}
	netcfg_nl_close(s);
	return err ? err : *table ? 0 : -ENOSPC;
}

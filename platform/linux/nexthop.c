/* SPDX-License-Identifier: MIT
 *
 * Asks the kernel: its answer to RTM_GETROUTE has rules, metrics, source selection and learned path
 * MTUs in it. What the answer leaves out is asked for separately: whether the route has several
 * paths (the kernel picks one by hash and does not say so), the interface, the neighbour.
 */
#include "nexthop.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include "netcfg_nl.h"

#define SOCKET_UID 0 /* rules by uid see the monitor's: it opened the sockets */

/* --- one route -------------------------------------------------------------------------------- */

struct route {
	uint8_t type; /* RTN_...; RTN_UNSPEC: none */
	uint32_t oif, mtu;
	struct tt_ip gateway, prefsrc;
	bool multipath, encapsulated;
};

static struct tt_ip attr_ip(const struct nlattr *a)
{
	if (a && nla_len(a) == 4)
		return tt_ip_v4(nla_data(a));
	if (a && nla_len(a) == 16)
		return tt_ip_v6(nla_data(a));
	return (struct tt_ip){0};
}

/* An IPv4 route through an IPv6 neighbour. */
static struct tt_ip attr_via(const struct nlattr *a)
{
	const struct rtvia *v = a ? nla_data(a) : NULL;

	if (v && v->rtvia_family == AF_INET6 && nla_len(a) >= (int)sizeof(*v) + 16)
		return tt_ip_v6(v->rtvia_addr);
	return (struct tt_ip){0};
}

static void route_take(void *arg, struct nlmsghdr *h)
{
	struct nlattr *a[RTA_MAX + 1], *x[RTAX_MAX + 1];
	const struct rtmsg *r = nlmsg_data(h);
	struct route *out = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*r), a, RTA_MAX, NULL) < 0)
		return;
	out->type = r->rtm_type;
	out->oif = a[RTA_OIF] ? nla_get_u32(a[RTA_OIF]) : 0;
	out->gateway = a[RTA_VIA] ? attr_via(a[RTA_VIA]) : attr_ip(a[RTA_GATEWAY]);
	out->prefsrc = attr_ip(a[RTA_PREFSRC]);
	out->multipath = a[RTA_MULTIPATH] || (a[RTA_NH_ID] && !a[RTA_OIF]);
	out->encapsulated = a[RTA_ENCAP] || a[RTA_ENCAP_TYPE];
	if (a[RTA_METRICS] && nla_parse_nested(x, RTAX_MAX, a[RTA_METRICS], NULL) == 0 &&
	    x[RTAX_MTU])
		out->mtu = nla_get_u32(x[RTAX_MTU]);
}

static void put(struct nl_msg *m, int attr, const void *data, int len)
{
	int err = m ? nla_put(m, attr, len, data) : 0;

	tt_assert(err == 0); /* the message has a page; ours take 100 bytes */
}

static int route_ask(struct plat_nexthops *n, const struct plat_nexthop_query *q, unsigned flags,
		     struct route *out)
{
	uint8_t bits = q->to.ip.family == TT_FAMILY_V4 ? 32 : 128, protocol = IPPROTO_UDP;
	bool with_from = q->from.family == q->to.ip.family;
	struct rtmsg head = {
		.rtm_family = netcfg_nl_family(q->to.ip.family),
		.rtm_dst_len = bits,
		.rtm_src_len = with_from ? bits : 0,
		.rtm_flags = flags,
	};
	struct nl_msg *m = netcfg_nl_message(RTM_GETROUTE, 0, &head, sizeof(head));
	uint32_t oif = q->ifindex ? q->ifindex : q->to.ip.scope_id;
	be16 to_port = be16_from(q->to.udp_port), from_port = be16_from(q->from_udp_port);

	*out = (struct route){0};
	netcfg_nl_put_ip(m, RTA_DST, &q->to.ip);
	if (with_from)
		netcfg_nl_put_ip(m, RTA_SRC, &q->from);
	if (oif)
		netcfg_nl_put_u32(m, RTA_OIF, oif);
	if (q->fwmark)
		netcfg_nl_put_u32(m, RTA_MARK, q->fwmark);
	netcfg_nl_put_u32(m, RTA_UID, SOCKET_UID);
	put(m, RTA_IP_PROTO, &protocol, sizeof(protocol));
	if (q->to.udp_port)
		put(m, RTA_DPORT, &to_port, sizeof(to_port));
	if (q->from_udp_port)
		put(m, RTA_SPORT, &from_port, sizeof(from_port));
	return netcfg_nl_request(n->ask, m, route_take, out);
}

/* --- one link --------------------------------------------------------------------------------- */

struct link {
	uint32_t ifindex, mtu, parent;
	uint16_t arp_type, vlan_id, vlan_proto;
	unsigned flags;
	bool other_netns; /* the parent is in another one */
	char kind[16];	  /* empty: a plain device */
	uint8_t mac[6];
};

static void link_vlan(const struct nlattr *data, struct link *out)
{
	struct nlattr *v[IFLA_VLAN_MAX + 1];

	if (!data || nla_parse_nested(v, IFLA_VLAN_MAX, (struct nlattr *)data, NULL) < 0)
		return;
	if (v[IFLA_VLAN_ID])
		out->vlan_id = nla_get_u16(v[IFLA_VLAN_ID]);
	out->vlan_proto = v[IFLA_VLAN_PROTOCOL]
				  ? __builtin_bswap16(nla_get_u16(v[IFLA_VLAN_PROTOCOL]))
				  : ETH_P_8021Q;
}

static void link_kind(const struct nlattr *info, struct link *out)
{
	struct nlattr *i[IFLA_INFO_MAX + 1];

	if (nla_parse_nested(i, IFLA_INFO_MAX, (struct nlattr *)info, NULL) < 0)
		return;
	if (i[IFLA_INFO_KIND])
		nla_strlcpy(out->kind, i[IFLA_INFO_KIND], sizeof(out->kind));
	if (strcmp(out->kind, "vlan") == 0)
		link_vlan(i[IFLA_INFO_DATA], out);
}

static void link_take(void *arg, struct nlmsghdr *h)
{
	struct nlattr *a[IFLA_MAX + 1];
	const struct ifinfomsg *i = nlmsg_data(h);
	struct link *out = arg;

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(*i), a, IFLA_MAX, NULL) < 0)
		return;
	out->ifindex = (uint32_t)i->ifi_index;
	out->arp_type = i->ifi_type;
	out->flags = i->ifi_flags;
	if (a[IFLA_MTU])
		out->mtu = nla_get_u32(a[IFLA_MTU]);
	if (a[IFLA_LINK])
		out->parent = nla_get_u32(a[IFLA_LINK]);
	out->other_netns = a[IFLA_LINK_NETNSID] != NULL;
	if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == 6)
		memcpy(out->mac, nla_data(a[IFLA_ADDRESS]), 6);
	if (a[IFLA_LINKINFO])
		link_kind(a[IFLA_LINKINFO], out);
}

static int link_ask(struct plat_nexthops *n, uint32_t ifindex, struct link *out)
{
	struct ifinfomsg head = {.ifi_index = (int)ifindex};
	struct nl_msg *m = netcfg_nl_message(RTM_GETLINK, 0, &head, sizeof(head));
	int err;

	*out = (struct link){0};
	err = netcfg_nl_request(n->ask, m, link_take, out);
	return !err && !out->ifindex ? -ENODEV : err;
}

/* A device whose queue can be given an Ethernet frame, and that sends it as it is. */
static bool link_is_plain(const struct link *l)
{
	return l->arp_type == ARPHRD_ETHER && !(l->flags & IFF_LOOPBACK) &&
	       (l->kind[0] == 0 || strcmp(l->kind, "veth") == 0);
}

static enum plat_nexthop_why link_why(const struct link *l)
{
	static const char *const masters[] = {"bond", "team", "bridge", "vrf", "openvswitch"};

	if (l->flags & IFF_LOOPBACK)
		return PLAT_NEXTHOP_WHY_LOCAL;
	for (unsigned i = 0; i < TT_ARRAY_LEN(masters); i++)
		if (strcmp(l->kind, masters[i]) == 0)
			return PLAT_NEXTHOP_WHY_MASTER;
	if (l->arp_type != ARPHRD_ETHER || l->parent == 0)
		return PLAT_NEXTHOP_WHY_TUNNEL;
	return PLAT_NEXTHOP_WHY_STACKED;
}

/* --- the neighbour ---------------------------------------------------------------------------- */

static void neighbour_take(void *arg, struct nlmsghdr *h)
{
	struct nexthop_neighbour nb;

	if (h->nlmsg_type == RTM_NEWNEIGH && nexthop_parse_neighbour(h, &nb))
		*(struct nexthop_neighbour *)arg = nb;
}

static int neighbour_ask(struct plat_nexthops *n, uint32_t ifindex, const struct tt_ip *ip,
			 struct nexthop_neighbour *out)
{
	struct ndmsg head = {
		.ndm_family = netcfg_nl_family(ip->family),
		.ndm_ifindex = (int)ifindex,
	};
	struct nl_msg *m = netcfg_nl_message(RTM_GETNEIGH, 0, &head, sizeof(head));
	int err;

	*out = (struct nexthop_neighbour){0};
	netcfg_nl_put_ip(m, NDA_DST, ip);
	err = netcfg_nl_request(n->ask, m, neighbour_take, out);
	if (err && err != -ENOENT)
		return err;
	if (err || out->ip.family == TT_FAMILY_NONE)
		*out = (struct nexthop_neighbour){0};
	/* As asked for, whatever the answer says of scopes: events are compared with it. */
	out->ip = *ip;
	out->ip.scope_id = 0;
	out->ifindex = ifindex;
	return 0;
}

/* --- putting it together -----------------------------------------------------------------------
 */

static int ambiguous(struct plat_nexthop *out, enum plat_nexthop_why why)
{
	out->verdict = PLAT_NEXTHOP_AMBIGUOUS;
	out->why = why;
	return 0;
}

/* The ways in which the kernel says that there is no route. */
static bool is_no_route(int err)
{
	return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EACCES || err == -EINVAL ||
	       err == -EADDRNOTAVAIL || err == -ENODEV;
}

static enum plat_nexthop_why route_why(const struct route *r, const struct route *matched)
{
	if (r->type == RTN_LOCAL)
		return PLAT_NEXTHOP_WHY_LOCAL;
	if (r->type == RTN_BROADCAST || r->type == RTN_MULTICAST || r->type == RTN_ANYCAST)
		return PLAT_NEXTHOP_WHY_MULTICAST;
	if (matched->multipath)
		return PLAT_NEXTHOP_WHY_MULTIPATH;
	return r->encapsulated || matched->encapsulated ? PLAT_NEXTHOP_WHY_TUNNEL
							: PLAT_NEXTHOP_WHY_NONE;
}

/* Down to the device whose queue sends: itself, or what a VLAN lies on. */
static int take_link(struct plat_nexthops *n, const struct route *r, struct plat_nexthop *out)
{
	struct link l, below;
	int err = link_ask(n, r->oif, &l);

	if (err)
		return err;
	out->ifindex = out->route_ifindex = l.ifindex;
	out->path_mtu = r->mtu ? TT_MIN(r->mtu, l.mtu) : l.mtu;
	memcpy(out->src_mac, l.mac, sizeof(l.mac));
	if (link_is_plain(&l))
		return 0;
	if (strcmp(l.kind, "vlan") != 0 || l.other_netns || !l.parent)
		return ambiguous(out, link_why(&l));
	err = link_ask(n, l.parent, &below);
	if (err)
		return err;
	if (!link_is_plain(&below))
		return ambiguous(out, PLAT_NEXTHOP_WHY_STACKED);
	out->ifindex = below.ifindex;
	out->path_mtu = TT_MIN(out->path_mtu, below.mtu);
	out->vlan_id = l.vlan_id;
	out->vlan_proto = l.vlan_proto;
	return 0;
}

static int take_neighbour(struct plat_nexthops *n, struct plat_nexthop *out)
{
	struct nexthop_neighbour nb;
	int err = neighbour_ask(n, out->route_ifindex, &out->via, &nb);

	if (err)
		return err;
	nexthop_remember(n, &nb);
	memcpy(out->dst_mac, nb.mac, sizeof(nb.mac));
	out->verdict = nb.usable ? PLAT_NEXTHOP_RESOLVED : PLAT_NEXTHOP_UNRESOLVED;
	return 0;
}

static int lookup(struct plat_nexthops *n, const struct plat_nexthop_query *q,
		  struct plat_nexthop *out)
{
	struct route r, matched;
	int err = route_ask(n, q, 0, &r);

	if (!err && (r.type == RTN_UNICAST || r.type == RTN_LOCAL || r.type == RTN_BROADCAST ||
		     r.type == RTN_MULTICAST || r.type == RTN_ANYCAST))
		err = route_ask(n, q, RTM_F_FIB_MATCH, &matched);
	else if (!err)
		return 0; /* unreachable, prohibited, thrown away */
	if (err)
		return is_no_route(err) ? 0 : err;
	if (route_why(&r, &matched) != PLAT_NEXTHOP_WHY_NONE)
		return ambiguous(out, route_why(&r, &matched));
	out->from = q->from.family == q->to.ip.family ? q->from : r.prefsrc;
	out->via = r.gateway.family ? r.gateway : q->to.ip;
	err = take_link(n, &r, out);
	return err || out->verdict == PLAT_NEXTHOP_AMBIGUOUS ? err : take_neighbour(n, out);
}

int plat_nexthops_lookup(struct plat_nexthops *n, const struct plat_nexthop_query *q,
			 struct plat_nexthop *out)
{
	int err = -EINVAL;

	*out = (struct plat_nexthop){0};
	if (q->to.ip.family == TT_FAMILY_V4 || q->to.ip.family == TT_FAMILY_V6)
		err = lookup(n, q, out);
	if (err)
		*out = (struct plat_nexthop){0};
	return err;
}

int plat_nexthops_open(struct plat_nexthops **out)
{
	struct plat_nexthops *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	n->generation = 1;
	/* Listening begins before the first question, so that no change falls between. */
	err = n->watch = nexthop_watch_open();
	if (err >= 0)
		err = netcfg_nl_open(&n->ask);
	if (err < 0) {
		plat_nexthops_close(n);
		return err;
	}
	*out = n;
	return 0;
}

void plat_nexthops_close(struct plat_nexthops *n)
{
	if (!n)
		return;
	netcfg_nl_close(n->ask);
	if (n->watch >= 0)
		close(n->watch);
	free(n);
}

int plat_nexthops_fd(const struct plat_nexthops *n)
{
	return n->watch;
}

uint64_t plat_nexthops_generation(const struct plat_nexthops *n)
{
	return n->generation;
}

const char *plat_nexthop_verdict_name(enum plat_nexthop_verdict v)
{
	static const char *const names[] = {"unreachable", "ambiguous", "unresolved", "resolved"};

	return v < TT_ARRAY_LEN(names) ? names[v] : "unknown";
}

const char *plat_nexthop_why_name(enum plat_nexthop_why w)
{
	static const char *const names[] = {"none",   "multipath", "tunnel",   "local",
					    "master", "stacked",   "multicast"};

	return w < TT_ARRAY_LEN(names) ? names[w] : "unknown";
}

/* SPDX-License-Identifier: MIT
 *
 * A plain netlink socket in the multicast groups of links, addresses and routes. It needs no right,
 * so the engine opens it for itself.
 */
#include "plat/netcfg.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#define WATCH_READS_MAX 32    /* datagrams per call */
#define WATCH_BUF_SIZE	32768 /* the kernel's largest notification */
#define WATCH_RCVBUF	(1 << 20)

int plat_netcfg_watch_open(void)
{
	struct sockaddr_nl a = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int size = WATCH_RCVBUF;

	if (fd < 0)
		return -errno;
	/* A smaller buffer only loses events sooner, and that is told. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static bool attr_ip(struct nlattr *a, unsigned family, struct tt_ip *ip)
{
	if (a && family == AF_INET && nla_len(a) == 4)
		*ip = tt_ip_v4(nla_data(a));
	else if (a && family == AF_INET6 && nla_len(a) == 16)
		*ip = tt_ip_v6(nla_data(a));
	else
		return false;
	return true;
}

static bool watch_link(struct nlmsghdr *h, struct plat_netcfg_event *ev)
{
	struct nlattr *a[IFLA_MAX + 1];
	const struct ifinfomsg *i = nlmsg_data(h);

	if (nlmsg_parse(h, sizeof(*i), a, IFLA_MAX, NULL) < 0 || i->ifi_family == AF_BRIDGE)
		return false;
	ev->kind = PLAT_NETCFG_EVENT_LINK;
	ev->removed = h->nlmsg_type == RTM_DELLINK;
	ev->ifindex = (uint32_t)i->ifi_index;
	ev->flags = (i->ifi_flags & IFF_UP ? PLAT_NETCFG_LINK_UP : 0) |
		    (i->ifi_flags & IFF_RUNNING ? PLAT_NETCFG_LINK_RUNNING : 0);
	if (a[IFLA_MTU] && nla_len(a[IFLA_MTU]) >= 4)
		ev->mtu = nla_get_u32(a[IFLA_MTU]);
	return true;
}

static bool watch_addr(struct nlmsghdr *h, struct plat_netcfg_event *ev)
{
	struct nlattr *a[IFA_MAX + 1];
	const struct ifaddrmsg *i = nlmsg_data(h);

	if (nlmsg_parse(h, sizeof(*i), a, IFA_MAX, NULL) < 0)
		return false;
	ev->kind = PLAT_NETCFG_EVENT_ADDR;
	ev->removed = h->nlmsg_type == RTM_DELADDR;
	ev->ifindex = i->ifa_index;
	ev->bits = i->ifa_prefixlen;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	return attr_ip(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], i->ifa_family, &ev->ip);
}

static bool watch_route(struct nlmsghdr *h, struct plat_netcfg_event *ev)
{
	struct nlattr *a[RTA_MAX + 1];
	const struct rtmsg *r = nlmsg_data(h);

	if (nlmsg_parse(h, sizeof(*r), a, RTA_MAX, NULL) < 0 || (r->rtm_flags & RTM_F_CLONED))
		return false;
	ev->kind = PLAT_NETCFG_EVENT_ROUTE;
	ev->removed = h->nlmsg_type == RTM_DELROUTE;
	ev->bits = r->rtm_dst_len;
	if (a[RTA_OIF] && nla_len(a[RTA_OIF]) >= 4)
		ev->ifindex = nla_get_u32(a[RTA_OIF]);
	if (!attr_ip(a[RTA_DST], r->rtm_family, &ev->ip))
		ev->ip.family = r->rtm_family == AF_INET ? TT_FAMILY_V4 : TT_FAMILY_V6;
	return true;
}

static bool watch_message(struct nlmsghdr *h, struct plat_netcfg_event *ev)
{
	*ev = (struct plat_netcfg_event){0};
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return watch_link(h, ev);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return watch_addr(h, ev);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return watch_route(h, ev);
	default:
		return false;
	}
}

static void watch_datagram(void *buf, int len, plat_netcfg_event_fn cb, void *arg)
{
	struct plat_netcfg_event ev;

	for (struct nlmsghdr *h = buf; nlmsg_ok(h, len); h = nlmsg_next(h, &len))
		if (watch_message(h, &ev))
			cb(arg, &ev);
}

int plat_netcfg_watch_read(int fd, plat_netcfg_event_fn cb, void *arg)
{
	_Alignas(8) uint8_t buf[WATCH_BUF_SIZE] __attribute__((uninitialized));
	const struct plat_netcfg_event lost = {.kind = PLAT_NETCFG_EVENT_LOST};

	for (unsigned i = 0; i < WATCH_READS_MAX; i++) {
		struct sockaddr_nl from = {0};
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr h = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1};
		ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if ((n < 0 && errno == ENOBUFS) || (n >= 0 && (h.msg_flags & MSG_TRUNC)))
			cb(arg, &lost);
		else if (n < 0)
			return -errno;
		else if (from.nl_pid == 0) /* the kernel, and nobody else */
			watch_datagram(buf, (int)n, cb, arg);
	}
	return 0;
}

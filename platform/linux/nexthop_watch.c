/* SPDX-License-Identifier: MIT
 *
 * Listens for whatever may change an answer. Neighbour entries change state all the time on a busy
 * network; only those that an answer was built on count, and only where the answer would differ.
 */
#include "nexthop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#define WATCH_READS_MAX 32
#define WATCH_BUF_SIZE	32768
#define WATCH_RCVBUF	(1 << 20)
#define NUD_USABLE	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)

static bool join(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0;
}

int nexthop_watch_open(void)
{
	static const int groups[] = {RTNLGRP_LINK,	  RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
				     RTNLGRP_IPV4_RULE,	  RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int size = WATCH_RCVBUF, err = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		err = -errno;
	for (unsigned i = 0; !err && i < TT_ARRAY_LEN(groups); i++)
		if (!join(fd, groups[i]))
			err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* --- neighbours ------------------------------------------------------------------------------- */

bool nexthop_parse_neighbour(struct nlmsghdr *h, struct nexthop_neighbour *out)
{
	struct nlattr *a[NDA_MAX + 1];
	const struct ndmsg *m = nlmsg_data(h);

	if (nlmsg_parse(h, sizeof(*m), a, NDA_MAX, NULL) < 0 || !a[NDA_DST])
		return false;
	*out = (struct nexthop_neighbour){.ifindex = (uint32_t)m->ndm_ifindex};
	if (m->ndm_family == AF_INET && nla_len(a[NDA_DST]) == 4)
		out->ip = tt_ip_v4(nla_data(a[NDA_DST]));
	else if (m->ndm_family == AF_INET6 && nla_len(a[NDA_DST]) == 16)
		out->ip = tt_ip_v6(nla_data(a[NDA_DST]));
	else
		return false;
	if (!(m->ndm_state & NUD_USABLE) || !a[NDA_LLADDR] || nla_len(a[NDA_LLADDR]) != 6)
		return true;
	memcpy(out->mac, nla_data(a[NDA_LLADDR]), 6);
	/* Sending to a group address would reach everybody. */
	out->usable = !(out->mac[0] & 1);
	return true;
}

static unsigned place_of(const struct nexthop_neighbour *nb)
{
	uint64_t h = nb->ifindex;

	for (unsigned i = 0; i < sizeof(nb->ip.b); i += 8)
		h = (h ^ tt_load_le64(nb->ip.b + i)) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(h >> 32) & (NEXTHOP_NEIGHBOURS - 1);
}

/* The neighbour's entry, or the free place where it would go. One in four places is free. */
static struct nexthop_neighbour *seen_find(struct plat_nexthops *n,
					   const struct nexthop_neighbour *nb)
{
	unsigned i = place_of(nb);

	while (n->seen[i].ip.family != TT_FAMILY_NONE &&
	       (n->seen[i].ifindex != nb->ifindex || memcmp(n->seen[i].ip.b, nb->ip.b, 16) != 0))
		i = (i + 1) & (NEXTHOP_NEIGHBOURS - 1);
	return &n->seen[i];
}

void nexthop_remember(struct plat_nexthops *n, const struct nexthop_neighbour *nb)
{
	struct nexthop_neighbour *e = seen_find(n, nb);

	if (e->ip.family == TT_FAMILY_NONE) {
		if (n->n_seen >= NEXTHOP_NEIGHBOURS / 4 * 3) {
			n->seen_overflow = true;
			return;
		}
		n->n_seen++;
	}
	*e = *nb;
}

static bool neighbour_counts(struct plat_nexthops *n, struct nlmsghdr *h)
{
	const struct nexthop_neighbour *e;
	struct nexthop_neighbour nb;

	if (!nexthop_parse_neighbour(h, &nb))
		return false;
	if (n->seen_overflow)
		return true;
	if (h->nlmsg_type == RTM_DELNEIGH)
		nb.usable = false;
	e = seen_find(n, &nb);
	if (e->ip.family == TT_FAMILY_NONE)
		return false;
	return e->usable != nb.usable || (nb.usable && memcmp(e->mac, nb.mac, 6) != 0);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Wireless drivers tell of scans as of link changes. */
static bool link_counts(struct nlmsghdr *h)
{
	struct nlattr *a[IFLA_MAX + 1];
	const struct ifinfomsg *i = nlmsg_data(h);

	return nlmsg_parse(h, sizeof(*i), a, IFLA_MAX, NULL) == 0 && i->ifi_family != AF_BRIDGE &&
	       !a[IFLA_WIRELESS];
}

static bool message_counts(struct plat_nexthops *n, struct nlmsghdr *h)
{
	const struct rtmsg *r = nlmsg_data(h);

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return link_counts(h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return neighbour_counts(n, h);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return nlmsg_datalen(h) >= (int)sizeof(*r) && !(r->rtm_flags & RTM_F_CLONED);
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return true;
	default:
		return false;
	}
}

static bool datagram_counts(struct plat_nexthops *n, void *buf, int len)
{
	for (struct nlmsghdr *h = buf; nlmsg_ok(h, len); h = nlmsg_next(h, &len))
		if (message_counts(n, h))
			return true;
	return false;
}

/* All answers are asked for again, and remember their neighbours anew. */
static void raise_generation(struct plat_nexthops *n)
{
	n->generation++;
	memset(n->seen, 0, sizeof(n->seen));
	n->n_seen = 0;
	n->seen_overflow = false;
}

int plat_nexthops_read(struct plat_nexthops *n)
{
	_Alignas(8) uint8_t buf[WATCH_BUF_SIZE] __attribute__((uninitialized));
	bool changed = false;
	int err = 0;

	for (unsigned i = 0; i < WATCH_READS_MAX; i++) {
		struct sockaddr_nl from = {0};
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr h = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1};
		ssize_t len = recvmsg(n->watch, &h, MSG_DONTWAIT);

		if (len < 0 && errno == EAGAIN)
			break;
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno != ENOBUFS) {
			err = -errno;
			break;
		}
		/* Lost or cut: anything may have changed. */
		if (len < 0 || (h.msg_flags & MSG_TRUNC))
			changed = true;
		else if (!changed && from.nl_pid == 0)
			changed = datagram_counts(n, buf, (int)len);
	}
	if (changed)
		raise_generation(n);
	return err;
}

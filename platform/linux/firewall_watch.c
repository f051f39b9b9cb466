/* SPDX-License-Identifier: MIT
 *
 * The group of nfnetlink that tells of every change of the nftables ruleset, by whomever. What a
 * transaction did comes first, then one message with the number of the new generation and the name
 * of the program.
 */
#include "plat/firewall.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#define WATCH_READS_MAX 64
#define WATCH_BUF_SIZE	32768
#define WATCH_RCVBUF	(1 << 20)

/* The attribute with the table's name has this number in messages of every kind. */
#define ATTR_TABLE 1
_Static_assert(NFTA_TABLE_NAME == ATTR_TABLE && NFTA_CHAIN_TABLE == ATTR_TABLE &&
		       NFTA_RULE_TABLE == ATTR_TABLE && NFTA_SET_TABLE == ATTR_TABLE &&
		       NFTA_SET_ELEM_LIST_TABLE == ATTR_TABLE && NFTA_OBJ_TABLE == ATTR_TABLE &&
		       NFTA_FLOWTABLE_TABLE == ATTR_TABLE,
	       "see above");

int plat_firewall_watch_open(struct plat_firewall_watch *w)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int group = NFNLGRP_NFTABLES, size = WATCH_RCVBUF;

	*w = (struct plat_firewall_watch){.fd = socket(AF_NETLINK,
						       SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
						       NETLINK_NETFILTER)};
	if (w->fd < 0)
		return -errno;
	/*
	 * The making of our own table has to fit, or it would be put back for ever: 590 KB where it
	 * has most prefixes. With no right to more than the host's rmem_max, changes are lost
	 * sooner, and that is told.
	 */
	if (setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(w->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    setsockopt(w->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		int err = -errno;

		plat_firewall_watch_close(w);
		return err;
	}
	return 0;
}

void plat_firewall_watch_close(struct plat_firewall_watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* The text of attribute `type`, or NULL. */
static const char *attr_text(const struct nlmsghdr *h, unsigned type)
{
	size_t left = h->nlmsg_len < NLMSG_SPACE(sizeof(struct nfgenmsg))
			      ? 0
			      : h->nlmsg_len - NLMSG_SPACE(sizeof(struct nfgenmsg));
	const uint8_t *p = (const uint8_t *)h + NLMSG_SPACE(sizeof(struct nfgenmsg));

	while (left > NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)p;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > left)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return memchr(p + NLA_HDRLEN, 0, a->nla_len - NLA_HDRLEN)
				       ? (const char *)p + NLA_HDRLEN
				       : NULL;
		p += TT_MIN(step, left);
		left -= TT_MIN(step, left);
	}
	return NULL;
}

static void transaction_end(struct plat_firewall_watch *w, const struct nlmsghdr *h,
			    plat_firewall_change_fn fn, void *arg)
{
	const char *by = attr_text(h, NFTA_GEN_PROC_NAME);

	/* "delete, then make" is one transaction of a tool that replaces its table */
	if (w->made)
		fn(arg, PLAT_FIREWALL_MADE, by ? by : "");
	else if (w->removed)
		fn(arg, PLAT_FIREWALL_REMOVED, by ? by : "");
	else if (w->edited)
		fn(arg, PLAT_FIREWALL_EDITED, by ? by : "");
	w->made = w->removed = w->edited = false;
}

static void watch_message(struct plat_firewall_watch *w, const struct nlmsghdr *h,
			  const char *table, plat_firewall_change_fn fn, void *arg)
{
	const struct nfgenmsg *g = (const void *)((const char *)h + NLMSG_HDRLEN);
	const char *name;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof(*g)))
		return;
	if (NFNL_MSG_TYPE(h->nlmsg_type) == NFT_MSG_NEWGEN) {
		transaction_end(w, h, fn, arg);
		return;
	}
	name = g->nfgen_family == NFPROTO_INET ? attr_text(h, ATTR_TABLE) : NULL;
	if (!name || strcmp(name, table) != 0)
		return;
	w->made |= NFNL_MSG_TYPE(h->nlmsg_type) == NFT_MSG_NEWTABLE;
	w->removed |= NFNL_MSG_TYPE(h->nlmsg_type) == NFT_MSG_DELTABLE;
	w->edited = true;
}

static void watch_datagram(struct plat_firewall_watch *w, const void *buf, size_t len,
			   const char *table, plat_firewall_change_fn fn, void *arg)
{
	const char *p = buf;

	while (len >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *h = (const void *)p;
		size_t step = NLMSG_ALIGN((size_t)h->nlmsg_len);

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len)
			return;
		watch_message(w, h, table, fn, arg);
		p += TT_MIN(step, len);
		len -= TT_MIN(step, len);
	}
}

int plat_firewall_watch_read(struct plat_firewall_watch *w, const char *table,
			     plat_firewall_change_fn fn, void *arg)
{
	_Alignas(8) uint8_t buf[WATCH_BUF_SIZE] __attribute__((uninitialized));

	for (unsigned i = 0; i < WATCH_READS_MAX && w->fd >= 0; i++) {
		struct sockaddr_nl from = {0};
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr h = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1};
		ssize_t n = recvmsg(w->fd, &h, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if ((n < 0 && errno == ENOBUFS) || (n >= 0 && (h.msg_flags & MSG_TRUNC))) {
			w->made = w->removed = w->edited = false;
			fn(arg, PLAT_FIREWALL_LOST, "");
		} else if (n < 0) {
			return -errno;
		} else if (from.nl_pid == 0) { /* the kernel, and nobody else */
			watch_datagram(w, buf, (size_t)n, table, fn, arg);
		}
	}
	return 0;
}

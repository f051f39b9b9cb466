/* SPDX-License-Identifier: MIT */
#include "netcfg_nl.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

/* A dump that changes while it is read begins anew; a host that changes all the time gives up. */
#define DUMP_TRIES 5

int netcfg_nl_open(struct nl_sock **out)
{
	struct nl_sock *s = nl_socket_alloc();
	int on = 1;

	if (!s)
		return -ENOMEM;
	if (nl_connect(s, NETLINK_ROUTE) < 0) {
		int err = errno ? -errno : -EIO;

		nl_socket_free(s);
		return err;
	}
	/* Dumps filtered by the kernel; without it (before Linux 4.20) we see and skip the rest. */
	(void)setsockopt(nl_socket_get_fd(s), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*out = s;
	return 0;
}

void netcfg_nl_close(struct nl_sock *s)
{
	if (s)
		nl_socket_free(s);
}

struct nl_msg *netcfg_nl_message(int type, int flags, const void *head, size_t len)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, flags);

	if (m && nlmsg_append(m, (void *)head, len, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(m);
		return NULL;
	}
	return m;
}

/*
 * An attribute that finds no room would silently change the meaning of the request. The default
 * message is a page long and our largest uses 100 bytes of it.
 */
static void nl_put(struct nl_msg *m, int attr, const void *data, size_t len)
{
	int err = m ? nla_put(m, attr, (int)len, data) : 0;

	tt_assert(err == 0);
}

void netcfg_nl_put_u32(struct nl_msg *m, int attr, uint32_t value)
{
	nl_put(m, attr, &value, sizeof(value));
}

void netcfg_nl_put_ip(struct nl_msg *m, int attr, const struct tt_ip *ip)
{
	nl_put(m, attr, ip->b, ip->family == TT_FAMILY_V4 ? 4 : 16);
}

struct nl_answer {
	netcfg_nl_fn fn;
	void *arg;
	int err;
	bool done;
};

static int nl_on_valid(struct nl_msg *m, void *arg)
{
	struct nl_answer *a = arg;

	if (a->fn)
		a->fn(a->arg, nlmsg_hdr(m));
	return NL_OK;
}

static int nl_on_end(struct nl_msg *m, void *arg)
{
	struct nl_answer *a = arg;

	(void)m;
	a->done = true;
	return NL_STOP;
}

static int nl_on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct nl_answer *a = arg;

	(void)from;
	a->err = e->error;
	a->done = true;
	return NL_STOP;
}

static int nl_receive(struct nl_sock *s, struct nl_answer *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int r = 0;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, nl_on_valid, a);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, nl_on_end, a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, nl_on_end, a);
	nl_cb_err(cb, NL_CB_CUSTOM, nl_on_error, a);
	while (!a->done && r >= 0)
		r = nl_recvmsgs(s, cb);
	nl_cb_put(cb);
	if (a->done)
		return a->err;
	return r == -NLE_DUMP_INTR ? -EINTR : -EIO;
}

int netcfg_nl_request(struct nl_sock *s, struct nl_msg *m, netcfg_nl_fn fn, void *arg)
{
	bool dump;
	int err;

	if (!m)
		return -ENOMEM;
	dump = (nlmsg_hdr(m)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	for (unsigned tries = 0;; tries++) {
		struct nl_answer a = {.fn = fn, .arg = arg};
		int sent;

		nlmsg_hdr(m)->nlmsg_seq = NL_AUTO_SEQ;
		/* receiving is tried again by libnl itself */
		do
			sent = nl_send_auto(s, m);
		while (sent == -NLE_INTR);
		if (sent < 0) {
			err = -EIO;
			break;
		}
		err = nl_receive(s, &a);
		if (err != -EINTR || !dump || tries == DUMP_TRIES)
			break;
	}
	nlmsg_free(m);
	return err;
}

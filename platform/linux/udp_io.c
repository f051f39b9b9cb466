/* SPDX-License-Identifier: MIT */
#include "plat/udp_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include "plat/thread.h"

/* Pktinfo of either family, segment size or ECN, and room for one more of the larger kind. */
#define UDP_CONTROL_MAX	 128
#define UDP_SEND_WAIT_MS 1
/* Errors of earlier datagrams that recvmmsg may hand out before it reads. */
#define UDP_PENDING_ERRORS_MAX 8
/* The arrays of a batch are filled as far as they are used; zeroing 16 KB per call is not free. */
#define UDP_UNINITIALIZED __attribute__((uninitialized))

union udp_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

_Static_assert(sizeof(union udp_address) <= sizeof(((struct plat_udp_dest *)0)->sockaddr),
	       "sockaddr of a destination");
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) <=
		       sizeof(((struct plat_udp_dest *)0)->control),
	       "control of a destination");
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) <=
		       UDP_CONTROL_MAX,
	       "control of a message");

/* --- receiving ------------------------------------------------------------------------------- */

static void udp_source(const union udp_address *a, struct tt_endpoint *e)
{
	*e = (struct tt_endpoint){0};
	if (a->sa.sa_family == AF_INET) {
		e->ip.family = TT_FAMILY_V4;
		memcpy(e->ip.b, &a->v4.sin_addr, 4);
		e->udp_port = ntohs(a->v4.sin_port);
	} else if (a->sa.sa_family == AF_INET6) {
		e->ip = tt_ip_v6(a->v6.sin6_addr.s6_addr);
		/* The kernel sets it for link-local addresses only. */
		e->ip.scope_id = a->v6.sin6_scope_id;
		e->udp_port = ntohs(a->v6.sin6_port);
	}
}

static void udp_control_v4(const struct cmsghdr *c, struct plat_udp_rx *rx)
{
	if (c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		rx->dst.family = TT_FAMILY_V4;
		/* ipi_spec_dst, not ipi_addr: for a broadcast it is the address to answer from. */
		memcpy(rx->dst.b, &info.ipi_spec_dst, 4);
		rx->ifindex = (uint32_t)info.ipi_ifindex;
	} else if (c->cmsg_type == IP_TOS) {
		rx->ecn = *CMSG_DATA(c) & 3;
	}
}

static void udp_control_v6(const struct cmsghdr *c, struct plat_udp_rx *rx)
{
	if (c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		rx->dst.family = TT_FAMILY_V6;
		memcpy(rx->dst.b, &info.ipi6_addr, 16);
		rx->ifindex = info.ipi6_ifindex;
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			rx->dst.scope_id = info.ipi6_ifindex;
	} else if (c->cmsg_type == IPV6_TCLASS) {
		int tclass;

		memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
		rx->ecn = tclass & 3;
	}
}

static void udp_result(struct msghdr *h, unsigned len, struct plat_udp_rx *rx)
{
	rx->len = len;
	rx->segment = len;
	rx->ecn = 0;
	rx->truncated = (h->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	rx->dst = (struct tt_ip){0};
	rx->ifindex = 0;
	udp_source(h->msg_name, &rx->src);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP) {
			udp_control_v4(c, rx);
		} else if (c->cmsg_level == IPPROTO_IPV6) {
			udp_control_v6(c, rx);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int segment;

			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			if (segment > 0 && (unsigned)segment < len)
				rx->segment = (uint32_t)segment;
		}
	}
}

int plat_udp_recv(int fd, struct plat_udp_rx *rx, unsigned n)
{
	struct mmsghdr m[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	struct iovec iov[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	union udp_address name[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	_Alignas(8) uint8_t control[PLAT_UDP_BATCH_MAX][UDP_CONTROL_MAX] UDP_UNINITIALIZED;
	int got;

	n = TT_MIN(n, (unsigned)PLAT_UDP_BATCH_MAX);
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){rx[i].buf, rx[i].cap};
		m[i].msg_hdr = (struct msghdr){&name[i],   sizeof(name[i]),    &iov[i], 1,
					       control[i], sizeof(control[i]), 0};
	}
	for (unsigned tries = 0;; tries++) {
		got = recvmmsg(fd, m, n, MSG_DONTWAIT, NULL);
		if (got >= 0)
			break;
		int err = -errno;
		if (err == -EAGAIN)
			return err;
		if (tries == UDP_PENDING_ERRORS_MAX || err == -EBADF || err == -ENOTSOCK ||
		    err == -EFAULT || err == -ENOMEM || err == -ENOBUFS) {
			/* what is there stays there: whoever waits for it is woken at once */
			plat_thread_rest();
			return err;
		}
	}
	for (int i = 0; i < got; i++)
		udp_result(&m[i].msg_hdr, m[i].msg_len, &rx[i]);
	return got;
}

/* --- sending --------------------------------------------------------------------------------- */

static void udp_put_control(struct msghdr *h, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)h->msg_control + h->msg_controllen);

	/* The padding goes to the kernel as well. */
	memset((uint8_t *)c + CMSG_SPACE(len) - 8, 0, 8);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	h->msg_controllen += CMSG_SPACE(len);
}

void plat_udp_dest_prepare(struct plat_udp_dest *d)
{
	struct msghdr h = {.msg_control = d->control};
	union udp_address a = {0};

	memset(d->control, 0, sizeof(d->control));
	if (d->to.ip.family == TT_FAMILY_V4) {
		struct in_pktinfo info = {.ipi_ifindex = (int)d->from_ifindex};

		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(d->to.udp_port);
		memcpy(&a.v4.sin_addr, d->to.ip.b, 4);
		d->sockaddr_len = sizeof(a.v4);
		memcpy(&info.ipi_spec_dst, d->from.b, 4);
		if (d->from.family == TT_FAMILY_V4)
			udp_put_control(&h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_ifindex = d->from_ifindex};

		if (!info.ipi6_ifindex) /* a link-local address means nothing without its link */
			info.ipi6_ifindex = d->from.scope_id;

		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(d->to.udp_port);
		a.v6.sin6_scope_id = d->to.ip.scope_id;
		memcpy(&a.v6.sin6_addr, d->to.ip.b, 16);
		d->sockaddr_len = sizeof(a.v6);
		memcpy(&info.ipi6_addr, d->from.b, 16);
		if (d->from.family == TT_FAMILY_V6)
			udp_put_control(&h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	memcpy(d->sockaddr, &a, d->sockaddr_len);
	d->control_len = (uint8_t)h.msg_controllen;
}

struct udp_message {
	struct iovec iov;
	_Alignas(8) uint8_t control[UDP_CONTROL_MAX];
};

static void udp_build(struct msghdr *h, struct udp_message *s, const struct plat_udp_tx *tx,
		      bool with_source)
{
	const struct plat_udp_dest *d = tx->dest;
	bool gso = tx->segment < tx->len;

	s->iov = (struct iovec){(void *)tx->buf, tx->len};
	*h = (struct msghdr){.msg_name = (void *)d->sockaddr,
			     .msg_namelen = d->sockaddr_len,
			     .msg_iov = &s->iov,
			     .msg_iovlen = 1,
			     .msg_control = (void *)d->control,
			     .msg_controllen = with_source ? d->control_len : 0};
	if (!gso && !tx->ecn)
		return;
	memcpy(s->control, d->control, h->msg_controllen);
	h->msg_control = s->control;
	if (gso) {
		uint16_t segment = (uint16_t)tx->segment;

		udp_put_control(h, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	if (tx->ecn) {
		int tos = tx->ecn;
		bool v4 = d->to.ip.family == TT_FAMILY_V4;

		udp_put_control(h, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos,
				sizeof(tos));
	}
}

static bool udp_source_lost(int err)
{
	return err == -EINVAL || err == -ENETUNREACH || err == -EHOSTUNREACH ||
	       err == -EADDRNOTAVAIL;
}

/* EIO: egress without checksum offload (before Linux 6.11); the others: segment above the MTU. */
static bool udp_gso_refused(int err)
{
	return err == -EIO || err == -EINVAL || err == -EMSGSIZE;
}

static int udp_send_one(int fd, const struct plat_udp_tx *tx, bool with_source)
{
	struct udp_message s;
	struct msghdr h;
	ssize_t n;

	udp_build(&h, &s, tx, with_source);
	do
		n = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* State of one plat_udp_send() call. */
struct udp_send {
	int fd;
	bool waited; /* at most one wait for room per call */
	bool lost_source;
};

static void udp_send_batch(struct udp_send *call, struct plat_udp_tx *tx, unsigned n);

/* The datagrams of a super-datagram one by one, so that the kernel can fragment each. */
static int udp_send_apart(struct udp_send *call, struct plat_udp_tx *tx)
{
	struct plat_udp_tx part[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	uint32_t at = 0;
	int err = 0;

	while (at < tx->len) {
		unsigned n = 0;

		for (; n < PLAT_UDP_BATCH_MAX && at < tx->len; n++) {
			uint32_t len = TT_MIN(tx->segment, tx->len - at);

			part[n] = *tx;
			part[n].buf = tx->buf + at;
			part[n].len = part[n].segment = len;
			at += len;
		}
		udp_send_batch(call, part, n);
		for (unsigned i = 0; i < n; i++) {
			err = err ? err : part[i].error;
			tx->lost_source |= part[i].lost_source;
		}
	}
	return err;
}

/* What can still be done for a message that the kernel refused with err. Its final result. */
static int udp_send_refused(struct udp_send *call, struct plat_udp_tx *tx, int err)
{
	if (udp_source_lost(err) && tx->dest->control_len) {
		err = udp_send_one(call->fd, tx, false);
		if (!err) {
			tx->lost_source = call->lost_source = true;
			return 0;
		}
	}
	if (tx->segment && tx->segment < tx->len && udp_gso_refused(err)) {
		tx->gso_refused = true;
		return udp_send_apart(call, tx);
	}
	return err;
}

static void udp_wait_writable(struct udp_send *call)
{
	struct pollfd p = {.fd = call->fd, .events = POLLOUT};

	call->waited = true;
	poll(&p, 1, UDP_SEND_WAIT_MS);
}

/* Messages that went, or -1: alone, one has the shorter way. */
static int udp_submit(int fd, struct mmsghdr *m, unsigned n)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (n > 1)
		return sendmmsg(fd, m, n, flags);
	return sendmsg(fd, &m->msg_hdr, flags) < 0 ? -1 : 1;
}

/*
 * sendmmsg stops before the message that fails and returns its error only when that message is the
 * first, so the loop meets every failing message as the first one.
 */
static void udp_send_batch(struct udp_send *call, struct plat_udp_tx *tx, unsigned n)
{
	struct mmsghdr m[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	struct udp_message s[PLAT_UDP_BATCH_MAX] UDP_UNINITIALIZED;
	int err = 0;

	for (unsigned i = 0; i < n; i++) {
		tx[i].error = 0;
		tx[i].gso_refused = tx[i].lost_source = false;
		udp_build(&m[i].msg_hdr, &s[i], &tx[i], true);
	}
	for (unsigned at = 0; at < n;) {
		int done = udp_submit(call->fd, m + at, n - at);

		if (done > 0) {
			at += (unsigned)done;
			continue;
		}
		err = done < 0 ? -errno : -EIO;
		if (err == -EINTR)
			continue;
		if ((err == -EAGAIN || err == -ENOBUFS) && !call->waited) {
			udp_wait_writable(call);
			continue;
		}
		/* A full send buffer stays full for the messages that follow. */
		for (; err == -EAGAIN && at < n; at++)
			tx[at].error = err;
		if (at < n) {
			tx[at].error = udp_send_refused(call, &tx[at], err);
			at++;
		}
	}
}

unsigned plat_udp_send(int fd, struct plat_udp_tx *tx, unsigned n, bool *lost_source)
{
	struct udp_send call = {.fd = fd};
	unsigned sent = 0;

	for (unsigned at = 0; at < n; at += PLAT_UDP_BATCH_MAX)
		udp_send_batch(&call, tx + at, TT_MIN(n - at, (unsigned)PLAT_UDP_BATCH_MAX));
	for (unsigned i = 0; i < n; i++)
		sent += tx[i].error == 0;
	*lost_source = call.lost_source;
	return sent;
}

/* Sockets are opened with DONT (udp_setup.c), which is what they go back to. */
static int udp_set_df(int fd, bool v4, bool on)
{
	int value = v4 ? (on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT)
		       : (on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, name = v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;

	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int plat_udp_send_probe(int fd, const struct plat_udp_dest *dest, const void *data, size_t len)
{
	bool v4 = dest->to.ip.family == TT_FAMILY_V4;
	struct plat_udp_tx tx = {
		.buf = data, .len = (uint32_t)len, .segment = (uint32_t)len, .dest = dest};
	int err = udp_set_df(fd, v4, true);

	if (err)
		return err;
	err = udp_send_one(fd, &tx, true);
	udp_set_df(fd, v4, false);
	return err;
}

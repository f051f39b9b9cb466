/* SPDX-License-Identifier: MIT
 *
 * One datagram per system call, nothing but POSIX: no source addresses, no ECN, no GSO or GRO.
 */
#include "plat/udp_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/thread.h"

#define UDP_SEND_WAIT_MS 1

union udp_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

_Static_assert(sizeof(union udp_address) <= sizeof(((struct plat_udp_dest *)0)->sockaddr),
	       "sockaddr of a destination");

static socklen_t udp_address_from(const struct tt_endpoint *e, union udp_address *a)
{
	*a = (union udp_address){0};
	if (e->ip.family == TT_FAMILY_V4) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(e->udp_port);
		memcpy(&a->v4.sin_addr, e->ip.b, 4);
		return sizeof(a->v4);
	}
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(e->udp_port);
	a->v6.sin6_scope_id = e->ip.scope_id;
	memcpy(&a->v6.sin6_addr, e->ip.b, 16);
	return sizeof(a->v6);
}

static void udp_address_to(const union udp_address *a, struct tt_endpoint *e)
{
	*e = (struct tt_endpoint){0};
	if (a->sa.sa_family == AF_INET) {
		e->ip.family = TT_FAMILY_V4;
		memcpy(e->ip.b, &a->v4.sin_addr, 4);
		e->udp_port = ntohs(a->v4.sin_port);
	} else if (a->sa.sa_family == AF_INET6) {
		e->ip = tt_ip_v6(a->v6.sin6_addr.s6_addr);
		e->ip.scope_id = a->v6.sin6_scope_id;
		e->udp_port = ntohs(a->v6.sin6_port);
	}
}

static int udp_set_options(int fd, const struct plat_udp_options *opt)
{
	int on = 1;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (opt->family == TT_FAMILY_V6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (opt->reuseport) {
#ifdef SO_REUSEPORT
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
			return -errno;
#else
		return -ENOTSUP;
#endif
	}
	if (opt->buffer_bytes > 0) {
		int bytes = opt->buffer_bytes;

		/* Smaller buffers lose more under load; nothing else depends on them. */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
	return opt->fwmark ? -ENOTSUP : 0;
}

static int udp_bind(int fd, const struct plat_udp_options *opt, uint16_t *bound_port)
{
	struct tt_endpoint local = {.ip = opt->local, .udp_port = opt->udp_port};
	union udp_address a;
	socklen_t len;

	if (local.ip.family != TT_FAMILY_NONE && local.ip.family != opt->family)
		return -EINVAL;
	local.ip.family = opt->family; /* zero: any */
	len = udp_address_from(&local, &a);
	if (bind(fd, &a.sa, len) < 0 || getsockname(fd, &a.sa, &len) < 0)
		return -errno;
	*bound_port = ntohs(opt->family == TT_FAMILY_V4 ? a.v4.sin_port : a.v6.sin6_port);
	return 0;
}

int plat_udp_open(const struct plat_udp_options *opt, uint16_t *bound_port)
{
	int fd, err;

	if (opt->family != TT_FAMILY_V4 && opt->family != TT_FAMILY_V6)
		return -EINVAL;
	fd = socket(opt->family == TT_FAMILY_V4 ? AF_INET : AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	err = udp_set_options(fd, opt);
	if (!err)
		err = udp_bind(fd, opt, bound_port);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int plat_udp_set_fwmark(int fd, uint32_t fwmark)
{
	(void)fd;
	return fwmark ? -ENOTSUP : 0;
}

int plat_udp_steer_without(int fd, unsigned workers, uint32_t without)
{
	(void)without;
	return plat_udp_steer(fd, workers);
}

int plat_udp_steer(int fd, unsigned workers)
{
	(void)fd;
	(void)workers;
	return -ENOTSUP;
}

unsigned plat_udp_probe(void)
{
	return 0;
}

unsigned plat_udp_probe_offloads(struct plat_udp_offloads *out)
{
	*out = (struct plat_udp_offloads){PLAT_OFFLOAD_REFUSED, PLAT_OFFLOAD_REFUSED};
	return 0;
}

int plat_udp_enable_gro(int fd, bool on)
{
	(void)fd;
	return on ? -ENOTSUP : 0;
}

void plat_udp_dest_prepare(struct plat_udp_dest *d)
{
	union udp_address a;

	d->sockaddr_len = (uint8_t)udp_address_from(&d->to, &a);
	d->control_len = 0;
	memcpy(d->sockaddr, &a, sizeof(a));
}

/* recvmsg rather than recvfrom: only it says that the datagram was longer than the buffer. */
static int udp_recv_one(int fd, struct plat_udp_rx *rx)
{
	union udp_address from;
	struct iovec iov = {rx->buf, rx->cap};
	struct msghdr h = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do
		n = recvmsg(fd, &h, 0);
	while (n < 0 && (errno == EINTR || errno == ECONNREFUSED));
	if (n < 0)
		return -errno;
	rx->len = rx->segment = (uint32_t)n;
	rx->ecn = 0;
	rx->truncated = (h.msg_flags & MSG_TRUNC) != 0;
	rx->dst = (struct tt_ip){0};
	rx->ifindex = 0;
	udp_address_to(&from, &rx->src);
	return 0;
}

int plat_udp_recv(int fd, struct plat_udp_rx *rx, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int err = udp_recv_one(fd, &rx[i]);

		/* What stopped us is met again by the next call. */
		if (err == -ENOMEM || err == -ENOBUFS)
			plat_thread_rest();
		if (err)
			return i ? (int)i : err;
	}
	return (int)n;
}

static int udp_send_datagram(int fd, const struct plat_udp_dest *d, const uint8_t *buf,
			     uint32_t len, bool *waited)
{
	union udp_address a;

	memcpy(&a, d->sockaddr, sizeof(a));
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (sendto(fd, buf, len, 0, &a.sa, d->sockaddr_len) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if ((errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) || *waited)
			return -errno;
		*waited = true;
		poll(&p, 1, UDP_SEND_WAIT_MS);
	}
}

static int udp_send_message(int fd, struct plat_udp_tx *tx, bool *waited)
{
	uint32_t at = 0;
	int err = 0;

	tx->gso_refused = tx->segment && tx->segment < tx->len;
	if (!tx->gso_refused)
		return udp_send_datagram(fd, tx->dest, tx->buf, tx->len, waited);
	for (; at < tx->len; at += TT_MIN(tx->segment, tx->len - at)) {
		uint32_t len = TT_MIN(tx->segment, tx->len - at);
		int e = udp_send_datagram(fd, tx->dest, tx->buf + at, len, waited);

		err = err ? err : e;
	}
	return err;
}

unsigned plat_udp_send(int fd, struct plat_udp_tx *tx, unsigned n, bool *lost_source)
{
	bool waited = false;
	unsigned sent = 0;

	*lost_source = false;
	for (unsigned i = 0; i < n; i++) {
		tx[i].lost_source = false;
		tx[i].error = udp_send_message(fd, &tx[i], &waited);
		sent += tx[i].error == 0;
	}
	return sent;
}

/* POSIX has no word for DF. */
int plat_udp_send_probe(int fd, const struct plat_udp_dest *dest, const void *data, size_t len)
{
	(void)fd;
	(void)dest;
	(void)data;
	(void)len;
	return -ENOTSUP;
}

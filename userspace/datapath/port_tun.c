/* SPDX-License-Identifier: MIT */
#include "datapath/port_tun.h"

#include <errno.h>
#include <stdlib.h>

static int port_tun_fd(const struct dp_inner_port *port)
{
	return ((const struct dp_port_tun *)port)->fd;
}

static ssize_t port_tun_rx(struct dp_inner_port *port, uint8_t **pkt, struct plat_vnet_hdr *vnet)
{
	struct dp_port_tun *t = (struct dp_port_tun *)port;

	if (t->fd < 0)
		return -EAGAIN;
	ssize_t n = plat_tun_read(t->fd, t->buf, DP_TUN_BUFFER);

	if (n <= 0)
		return n ? n : -EAGAIN;
	if (!(port->flags & PLAT_TUN_VNET_HDR)) {
		*vnet = (struct plat_vnet_hdr){0};
		*pkt = t->buf;
		return n;
	}
	if (n <= (ssize_t)sizeof(*vnet))
		return -EIO;
	memcpy(vnet, t->buf, sizeof(*vnet));
	*pkt = t->buf + sizeof(*vnet);
	return n - (ssize_t)sizeof(*vnet);
}

static ssize_t port_tun_write(struct dp_inner_port *port, const struct iovec *iov, int n)
{
	struct dp_port_tun *t = (struct dp_port_tun *)port;

	return t->fd < 0 ? -EIO : plat_tun_writev(t->fd, iov, n);
}

static const struct dp_inner_ops port_tun_ops = {
	.fd = port_tun_fd,
	.rx = port_tun_rx,
	.write = port_tun_write,
};

int dp_port_tun_init(struct dp_port_tun *t, int fd, unsigned tun_flags)
{
	t->port = (struct dp_inner_port){&port_tun_ops, tun_flags};
	t->fd = fd;
	t->buf = aligned_alloc(TT_CACHELINE, DP_TUN_BUFFER);
	return t->buf ? 0 : -ENOMEM;
}

void dp_port_tun_destroy(struct dp_port_tun *t)
{
	free(t->buf);
	t->buf = NULL;
}

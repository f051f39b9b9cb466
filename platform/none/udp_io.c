/* SPDX-License-Identifier: MIT */
#include "plat/udp_io.h"

#include <errno.h>

int plat_udp_open(const struct plat_udp_options *opt, uint16_t *bound_port)
{
	(void)opt;
	(void)bound_port;
	return -ENOTSUP;
}

int plat_udp_set_fwmark(int fd, uint32_t fwmark)
{
	(void)fd;
	(void)fwmark;
	return -ENOTSUP;
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
	(void)on;
	return -ENOTSUP;
}

void plat_udp_dest_prepare(struct plat_udp_dest *d)
{
	d->sockaddr_len = 0;
	d->control_len = 0;
}

int plat_udp_recv(int fd, struct plat_udp_rx *rx, unsigned n)
{
	(void)fd;
	(void)rx;
	(void)n;
	return -ENOTSUP;
}

int plat_udp_send_probe(int fd, const struct plat_udp_dest *dest, const void *data, size_t len)
{
	(void)fd;
	(void)dest;
	(void)data;
	(void)len;
	return -ENOTSUP;
}

unsigned plat_udp_send(int fd, struct plat_udp_tx *tx, unsigned n, bool *lost_source)
{
	(void)fd;
	for (unsigned i = 0; i < n; i++) {
		tx[i].error = -ENOTSUP;
		tx[i].gso_refused = tx[i].lost_source = false;
	}
	*lost_source = false;
	return 0;
}

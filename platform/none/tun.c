/* SPDX-License-Identifier: MIT */
#include "plat/tun.h"

#include <errno.h>

int plat_tun_create(const char *name, unsigned queues, unsigned want_flags,
		    struct plat_tun_info *out)
{
	(void)name;
	(void)queues;
	(void)want_flags;
	(void)out;
	return -ENOTSUP;
}

void plat_tun_close(struct plat_tun_info *t)
{
	t->queues = 0;
}

enum plat_tun_state plat_tun_state(int fd)
{
	(void)fd;
	return PLAT_TUN_GONE;
}

int plat_tun_queue_detach(int fd)
{
	(void)fd;
	return -ENOTSUP;
}

int plat_tun_queue_attach(int fd)
{
	(void)fd;
	return -ENOTSUP;
}

ssize_t plat_tun_read(int fd, void *buf, size_t cap)
{
	(void)fd;
	(void)buf;
	(void)cap;
	return -ENOTSUP;
}

ssize_t plat_tun_writev(int fd, const struct iovec *iov, int n)
{
	(void)fd;
	(void)iov;
	(void)n;
	return -ENOTSUP;
}

void plat_tun_probe(struct plat_tun_offloads *out)
{
	*out = (struct plat_tun_offloads){PLAT_OFFLOAD_REFUSED, PLAT_OFFLOAD_REFUSED};
}

void plat_tun_probe_between(const struct plat_tun_info *from, const struct plat_tun_info *to,
			    struct plat_tun_offloads *out)
{
	(void)from;
	(void)to;
	plat_tun_probe(out);
}

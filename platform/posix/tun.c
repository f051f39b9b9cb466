/* SPDX-License-Identifier: MIT
 *
 * A plain TUN: one queue, one bare packet per read and write. Opening the device is the one thing
 * no standard covers; it is here for Linux, where this platform is tested, and a port to another
 * system begins with its own tun.c.
 */
#include "plat/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "plat/thread.h"

#ifdef __linux__
#include <sys/ioctl.h>
#include <linux/if_tun.h>

static int tun_open(const char *name, char name_out[PLAT_IFNAME_MAX])
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = errno == EBUSY ? -EEXIST : -errno;
		close(fd);
		return err;
	}
	snprintf(name_out, PLAT_IFNAME_MAX, "%s", ifr.ifr_name);
	return fd;
}
#else
static int tun_open(const char *name, char name_out[PLAT_IFNAME_MAX])
{
	(void)name;
	(void)name_out;
	return -ENOTSUP;
}
#endif

int plat_tun_create(const char *name, unsigned queues, unsigned want_flags,
		    struct plat_tun_info *out)
{
	struct plat_tun_info t = {.queues = 1};

	(void)want_flags;
	if (queues < 1 || strlen(name) >= PLAT_IFNAME_MAX)
		return -EINVAL;
	if (name[0] && !strchr(name, '%') && if_nametoindex(name) != 0)
		return -EEXIST;
	t.fd[0] = tun_open(name, t.name);
	if (t.fd[0] < 0)
		return t.fd[0];
	t.ifindex = if_nametoindex(t.name);
	*out = t;
	return 0;
}

void plat_tun_close(struct plat_tun_info *t)
{
	for (unsigned i = 0; i < t->queues; i++)
		close(t->fd[i]);
	t->queues = 0;
}

enum plat_tun_state plat_tun_state(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (poll(&p, 1, 0) < 0 && errno == EINTR)
		;
	if (p.revents & (POLLERR | POLLNVAL))
		return PLAT_TUN_GONE;
	return p.revents & POLLOUT ? PLAT_TUN_UP : PLAT_TUN_DOWN;
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
	ssize_t n;

	do
		n = read(fd, buf, cap);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	int err = -errno;
	/* what is there stays there: whoever waits for it is woken at once */
	if (err != -EAGAIN)
		plat_thread_rest();
	return err;
}

ssize_t plat_tun_writev(int fd, const struct iovec *iov, int n)
{
	ssize_t done;

	do
		done = writev(fd, iov, n);
	while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
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

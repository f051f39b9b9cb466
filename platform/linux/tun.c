/* SPDX-License-Identifier: MIT */
#include "plat/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "plat/thread.h"

/* Debian 12's headers are older than these (Linux 6.2). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/*
 * Packets the kernel may queue for us per TUN queue. A queue that is full drops at its tail, and
 * the kernel tells the sending socket nothing. Measured with 64-byte datagrams at 100 kpps and a
 * reader that shares its CPU: 500, the kernel's default, loses 16 to 32 % of them, 1000 6 to 12 %,
 * 2000 2 to 8 %, 4000 hardly less, and as super-packets of 64 KiB they would take 256 MiB.
 */
#define TUN_TX_QUEUE_LEN 2000

static int tun_open_queue(const char *name, short flags, char name_out[IFNAMSIZ])
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		/* ENOENT: no device node; ENXIO, ENODEV: a node without the driver behind it. */
		return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	memcpy(name_out, ifr.ifr_name, IFNAMSIZ);
	name_out[IFNAMSIZ - 1] = 0;
	return fd;
}

/* The kernel takes USO4 and USO6 only together, and both only with CSUM. */
static unsigned tun_set_offload(int fd, unsigned want)
{
	const unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	if ((want & PLAT_TUN_TSO) && (want & PLAT_TUN_USO) &&
	    ioctl(fd, TUNSETOFFLOAD, (unsigned long)(tso | TUN_F_USO4 | TUN_F_USO6)) == 0)
		return PLAT_TUN_TSO | PLAT_TUN_USO;
	if ((want & PLAT_TUN_TSO) && ioctl(fd, TUNSETOFFLOAD, (unsigned long)tso) == 0)
		return PLAT_TUN_TSO;
	if ((want & PLAT_TUN_USO) && !(want & PLAT_TUN_TSO) &&
	    ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6)) == 0)
		return PLAT_TUN_USO;
	ioctl(fd, TUNSETOFFLOAD, 0UL);
	return 0;
}

static int tun_set_header(int fd, unsigned want, unsigned *granted)
{
	int size = sizeof(struct plat_vnet_hdr), little = 1;

	if (!(*granted & PLAT_TUN_VNET_HDR))
		return 0;
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return -errno;
	/* Already so on little-endian machines; kernels built without the choice refuse the call.
	 */
	ioctl(fd, TUNSETVNETLE, &little);
	*granted |= tun_set_offload(fd, want);
	return 0;
}

static int tun_finish_device(struct plat_tun_info *t)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, t->name, sizeof(t->name));
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		err = -errno;
	else
		t->ifindex = (unsigned)ifr.ifr_ifindex;
	/* A shorter queue costs packets under load, but nothing works worse for it. */
	ifr.ifr_qlen = TUN_TX_QUEUE_LEN;
	if (!err)
		ioctl(fd, SIOCSIFTXQLEN, &ifr);
	close(fd);
	return err;
}

static bool tun_name_exists(const char *name)
{
	return name[0] && !strchr(name, '%') && if_nametoindex(name) != 0;
}

static int tun_open_first(const char *name, unsigned *queues, unsigned want,
			  struct plat_tun_info *t)
{
	short flags = IFF_TUN | IFF_NO_PI;
	int fd;

	if (want & PLAT_TUN_VNET_HDR) {
		flags |= IFF_VNET_HDR;
		t->flags |= PLAT_TUN_VNET_HDR;
	}
	if (*queues > 1) {
		/* TUNSETQUEUE works on devices made with IFF_MULTI_QUEUE only. */
		fd = tun_open_queue(name, flags | IFF_MULTI_QUEUE, t->name);
		if (fd != -EINVAL)
			return fd;
		*queues = 1;
	}
	return tun_open_queue(name, flags, t->name);
}

int plat_tun_create(const char *name, unsigned queues, unsigned want_flags,
		    struct plat_tun_info *out)
{
	struct plat_tun_info t = {0};
	char same[IFNAMSIZ];
	short flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE;
	int err;

	_Static_assert(PLAT_IFNAME_MAX == IFNAMSIZ, "interface name");
	if (queues < 1 || queues > PLAT_TUN_QUEUES_MAX || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	/*
	 * TUNSETIFF would join a persistent TUN, or add a queue to one of another process of ours.
	 * Between this look and the call a same-named device can still appear; then either the call
	 * says EBUSY, or it is a TUN that somebody with our rights made on purpose.
	 */
	if (tun_name_exists(name))
		return -EEXIST;
	t.fd[0] = tun_open_first(name, &queues, want_flags, &t);
	if (t.fd[0] < 0)
		return t.fd[0] == -EBUSY ? -EEXIST : t.fd[0];
	t.queues = 1;
	err = tun_set_header(t.fd[0], want_flags, &t.flags);
	if (err)
		goto err_close;
	if (t.flags & PLAT_TUN_VNET_HDR)
		flags |= IFF_VNET_HDR;
	for (; t.queues < queues; t.queues++) {
		int fd = tun_open_queue(t.name, flags, same);

		if (fd == -E2BIG) /* this kernel has fewer: go on with what there is */
			break;
		if (fd < 0) {
			err = fd;
			goto err_close;
		}
		t.fd[t.queues] = fd;
	}
	err = tun_finish_device(&t);
	if (err)
		goto err_close;
	*out = t;
	return 0;

err_close:
	plat_tun_close(&t);
	return err;
}

void plat_tun_close(struct plat_tun_info *t)
{
	for (unsigned i = 0; i < t->queues; i++)
		close(t->fd[i]);
	t->queues = 0;
}

/*
 * The driver reports a descriptor as writable only while the interface is up, and answers every
 * request with EBADFD once it is deleted. Both hold from any network namespace.
 */
enum plat_tun_state plat_tun_state(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct ifreq ifr;

	while (poll(&p, 1, 0) < 0 && errno == EINTR)
		;
	if ((p.revents & (POLLERR | POLLNVAL)) && ioctl(fd, TUNGETIFF, &ifr) < 0)
		return PLAT_TUN_GONE;
	return p.revents & POLLOUT ? PLAT_TUN_UP : PLAT_TUN_DOWN;
}

static int tun_set_queue(int fd, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};

	return ioctl(fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

int plat_tun_queue_detach(int fd)
{
	return tun_set_queue(fd, IFF_DETACH_QUEUE);
}

int plat_tun_queue_attach(int fd)
{
	return tun_set_queue(fd, IFF_ATTACH_QUEUE);
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

/* SPDX-License-Identifier: MIT */
#include "plat/forwarding.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char *path_of(enum tt_family family)
{
	return family == TT_FAMILY_V4 ? "/proc/sys/net/ipv4/ip_forward"
				      : "/proc/sys/net/ipv6/conf/all/forwarding";
}

const char *plat_forwarding_name(enum tt_family family)
{
	return family == TT_FAMILY_V4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
}

int plat_forwarding_get(enum tt_family family)
{
	int fd = open(path_of(family), O_RDONLY | O_CLOEXEC), err;
	char value;

	if (fd < 0)
		return -errno;
	err = read(fd, &value, 1) == 1 ? value != '0' : -EIO;
	close(fd);
	return err;
}

int plat_forwarding_set(enum tt_family family, bool on)
{
	int fd = open(path_of(family), O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, on ? "1" : "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

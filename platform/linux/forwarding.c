/* SPDX-License-Identifier: MIT */
#include "plat/forwarding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/ipv6_route.h>

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

/* "2": also as a router. */
static bool listens_as_router(const char *name)
{
	char path[96], value = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	(void)!read(fd, &value, 1);
	close(fd);
	return value == '2';
}

bool plat_forwarding_costs_route(enum tt_family family, char name[PLAT_IFNAME_MAX])
{
	const unsigned learnt = RTF_DEFAULT | RTF_ADDRCONF;
	char line[256];
	bool costs = false;
	FILE *f = family == TT_FAMILY_V6 ? fopen("/proc/net/ipv6_route", "re") : NULL;

	_Static_assert(PLAT_IFNAME_MAX == 16, "the width below");
	while (f && !costs && fgets(line, sizeof(line), f)) {
		unsigned bits, flags;

		/* destination, source, next hop, metric, two counts, flags, interface */
		costs = sscanf(line, "%*32s %x %*32s %*x %*32s %*x %*x %*x %x %15s", &bits, &flags,
			       name) == 3 &&
			bits == 0 && (flags & learnt) == learnt && !listens_as_router(name);
	}
	if (f)
		fclose(f);
	return costs;
}

/* SPDX-License-Identifier: MIT
 *
 * The interface attribute "threaded". Only sysfs has it for a whole device on all kernels since
 * 5.12, and /sys shows the interfaces of the namespace it was mounted in, which need not be ours:
 * so it is mounted anew, where nobody sees it.
 */
#include "xdp_threaded.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/types.h"

static int sysfs_mount(void)
{
	int fs = fsopen("sysfs", FSOPEN_CLOEXEC), dir;

	if (fs < 0)
		return -errno;
	dir = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (dir >= 0)
		dir = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (dir < 0)
		dir = -errno;
	close(fs);
	return dir;
}

static int attribute_open(uint32_t ifindex, int flags)
{
	char name[IF_NAMESIZE], path[sizeof("class/net//threaded") + IF_NAMESIZE];
	int dir, fd;

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	dir = sysfs_mount();
	if (dir < 0)
		return dir;
	snprintf(path, sizeof(path), "class/net/%s/threaded", name);
	fd = openat(dir, path, flags | O_CLOEXEC);
	if (fd < 0)
		fd = errno == ENOENT ? -ENOTSUP : -errno;
	close(dir);
	return fd;
}

int xdp_threaded_read(uint32_t ifindex)
{
	int fd = attribute_open(ifindex, O_RDONLY);
	char c = 0;

	if (fd < 0)
		return fd;
	ssize_t n = read(fd, &c, 1);
	int err = n < 0 ? -errno : -EIO;

	close(fd);
	return n == 1 ? c != '0' : err;
}

int xdp_threaded_write(uint32_t ifindex, bool on)
{
	int fd = attribute_open(ifindex, O_WRONLY);

	if (fd < 0)
		return fd;
	int err = write(fd, on ? "1" : "0", 1) == 1 ? 0 : -errno;

	close(fd);
	return err;
}

/* SPDX-License-Identifier: MIT */
#include "plat/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int plat_netns_enter(const char *name)
{
	char path[PATH_MAX];

	if (!name[0] || strchr(name, '/') || strlen(name) > NAME_MAX)
		return -ENOENT;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int err = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;

	close(fd);
	return err;
}

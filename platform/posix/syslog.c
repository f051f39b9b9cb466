/* SPDX-License-Identifier: MIT */
#include "plat/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int plat_syslog_reconnect(int fd)
{
	const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

int plat_syslog_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), err;

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	err = plat_syslog_reconnect(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

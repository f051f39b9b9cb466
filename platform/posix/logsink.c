/* SPDX-License-Identifier: MIT */
#include "plat/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int syslog_connect(int fd)
{
	const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

int plat_logsink_syslog_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), err;

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	err = syslog_connect(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

size_t plat_logsink_syslog_write(int fd, int level, const char *line, size_t len)
{
	/* severities of syslog(3), in the facility of daemons */
	static const char *const head[] = {
		"<27>taltund: ", "<28>taltund: ", "<30>taltund: ", "<31>taltund: "};
	const struct iovec part[] = {{(void *)(size_t)head[level & 3], strlen(head[level & 3])},
				     {(void *)(size_t)line, len - 1}};
	ssize_t n = writev(fd, part, 2);

	if (n < 0 && errno != EAGAIN && syslog_connect(fd) == 0)
		n = writev(fd, part, 2);
	return n > 0 ? len : 0;
}

bool plat_logsink_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(fd, &st) == 0 &&
	       (unsigned long long)st.st_dev == dev && (unsigned long long)st.st_ino == ino;
}

size_t plat_logsink_small_write(int fd, int level, const char *line, size_t len)
{
	struct stat st;
	ssize_t n;

	(void)level;
	if (fstat(fd, &st) == 0 && st.st_size > (off_t)PLAT_LOGSINK_SMALL && ftruncate(fd, 0) < 0)
		return 0;
	n = write(fd, line, len);
	return n > 0 ? (size_t)n : 0;
}

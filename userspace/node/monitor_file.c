/* SPDX-License-Identifier: MIT
 *
 * Small files of the monitor's.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int node_monitor_mkdir(const char *path, mode_t mode)
{
	mode_t before = umask(0);
	int err = mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;

	umask(before);
	return err;
}

int node_monitor_path(char out[MONITOR_PATH_MAX], const char *dir, const char *name,
		      const char *suffix)
{
	int n = snprintf(out, MONITOR_PATH_MAX, "%s/%s%s", dir, name, suffix);

	return n < 0 || n >= MONITOR_PATH_MAX ? -ENAMETOOLONG : 0;
}

int node_monitor_write(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int node_monitor_replace(const char *path, const char *text, mode_t mode)
{
	char temp[MONITOR_PATH_MAX + sizeof(".new")];
	int fd, err;

	snprintf(temp, sizeof(temp), "%s.new", path);
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	/* whatever umask the daemon was started with */
	err = fchmod(fd, mode) < 0 ? -errno : node_monitor_write(fd, text, strlen(text));
	close(fd);
	if (!err && rename(temp, path) < 0)
		err = -errno;
	if (err)
		(void)unlink(temp);
	return err;
}

/* SPDX-License-Identifier: MIT
 *
 * One daemon per interface name: RUN_DIR/IFNAME.lock, held by flock, with the pid for the message.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file may be unlinked by its owner between our open and our lock: then it locks nothing. */
static bool lock_is_of_path(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int lock_acquire(const char *path)
{
	for (;;) {
		/* whoever may open it may hold it, also after a kill, and keep us from starting */
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int err = errno == EWOULDBLOCK ? -EBUSY : -errno;
			close(fd);
			return err;
		}
		if (lock_is_of_path(fd, path))
			return fd;
		close(fd);
	}
}

static long lock_owner(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtol(text, NULL, 10);
}

static void lock_write_owner(int fd)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	/* only for a message: a full disk does not matter */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
		tt_log(TT_LOG_DEBUG, "lock.write", TT_F_ERRNO("error", errno));
}

int node_monitor_lock(struct node_monitor *m, char *text, size_t cap)
{
	int fd = node_monitor_mkdir(m->run_dir, 0755);

	if (!fd)
		fd = node_monitor_path(m->lock_path, m->run_dir, m->name, ".lock");
	if (!fd)
		fd = lock_acquire(m->lock_path);
	if (fd == -EBUSY)
		snprintf(text, cap, "taltund is already running for %s (pid %ld)", m->name,
			 lock_owner(m->lock_path));
	else if (fd < 0)
		snprintf(text, cap, "%s: %s", m->run_dir, strerror(-fd));
	if (fd < 0)
		return fd;
	lock_write_owner(fd);
	m->lock_fd = fd;
	return 0;
}

void node_monitor_unlock(struct node_monitor *m)
{
	if (m->lock_fd < 0)
		return;
	unlink(m->lock_path);
	close(m->lock_fd);
	m->lock_fd = -1;
}

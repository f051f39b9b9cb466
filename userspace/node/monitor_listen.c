/* SPDX-License-Identifier: MIT
 *
 * Listening unix sockets: where wg(8) and taltun(8) find the node.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 16

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* 0: nobody listens there (any more) and the path is free; -EADDRINUSE: somebody does. */
static int listen_clear_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = unix_socket();
	if (fd < 0)
		return fd;
	/* a full backlog (EAGAIN) has a listener behind it as well */
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno != ECONNREFUSED && errno != ENOENT)
		err = -errno;
	close(fd);
	if (!err && unlink(addr->sun_path) < 0 && errno != ENOENT)
		err = -errno;
	return err;
}

/* With its mode from the first moment: no window for others between bind and chmod. */
static int listen_bind(int fd, const struct sockaddr_un *addr, mode_t umask_bits)
{
	mode_t before = umask(umask_bits);
	int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;

	umask(before);
	if (!err && listen(fd, LISTEN_BACKLOG) < 0)
		err = -errno;
	return err;
}

int node_monitor_listen_at(struct node_monitor_listen *l, mode_t umask_bits)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, err;

	if (strlen(l->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, l->path);
	err = listen_clear_stale(&addr);
	if (err)
		return err;
	fd = unix_socket();
	if (fd < 0)
		return fd;
	err = listen_bind(fd, &addr, umask_bits);
	if (err) {
		close(fd);
		return err;
	}
	if (lstat(l->path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	l->fd = fd;
	return 0;
}

static int listen_open(struct node_monitor_listen *l, const char *dir, const char *name)
{
	int err = node_monitor_path(l->path, dir, name, ".sock");

	if (!err)
		err = node_monitor_mkdir(dir, 0755);
	return err ? err : node_monitor_listen_at(l, 0177);
}

int node_monitor_listen(struct node_monitor *m, struct node_monitor_listen *l, const char *dir,
			struct node_priv_reply *reply)
{
	int err;

	if (l->fd >= 0)
		return 0;
	err = listen_open(l, dir, m->name);
	if (err == -EADDRINUSE)
		return node_monitor_fail(reply, err, "another program serves %s", l->path);
	if (err == -EEXIST)
		return node_monitor_fail(reply, err, "%s exists and is no socket", l->path);
	if (err)
		return node_monitor_fail(reply, err, "cannot listen on %s: %s", l->path,
					 strerror(-err));
	tt_log(TT_LOG_INFO, "socket.listening", TT_F_STR("path", l->path));
	return 0;
}

void node_monitor_listen_close(struct node_monitor_listen *l)
{
	struct stat st;

	if (l->fd < 0)
		return;
	if (l->path[0] && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	close(l->fd);
	l->fd = -1;
}

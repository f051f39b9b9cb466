/* SPDX-License-Identifier: MIT */
#include "hub/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static int close_with(int fd, int err)
{
	close(fd);
	return err;
}

int hub_listen_tcp(const struct tt_endpoint *at)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
	bool is_v6 = at->ip.family == TT_FAMILY_V6;
	int one = 1;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (is_v6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(at->udp_port);
		v6->sin6_scope_id = at->ip.scope_id;
		memcpy(&v6->sin6_addr, at->ip.b, 16);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(at->udp_port);
		memcpy(&v4->sin_addr, at->ip.b, 4);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, is_v6 ? sizeof(*v6) : sizeof(*v4)) < 0)
		return close_with(fd, -errno);
	return fd;
}

static bool address(const char *path, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(un->sun_path))
		return false;
	memcpy(un->sun_path, path, strlen(path) + 1);
	return true;
}

/* 0: nobody listens there any more; -EADDRINUSE, or why that is not known. Does not wait. */
static int nobody_answers(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;

	if (fd < 0)
		return -errno;
	/* a full queue (EAGAIN) has somebody behind it as well */
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno != ECONNREFUSED && errno != ENOENT)
		err = -errno;
	return close_with(fd, err);
}

int hub_listen_unix(const char *path, mode_t mode)
{
	struct sockaddr_un un;
	struct stat st;

	if (!address(path, &un))
		return -ENAMETOOLONG;
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		int answer = nobody_answers(&un);
		if (answer)
			return answer;
		unlink(path);
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mode_t before = umask(~mode & 0777);
	int err = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	umask(before);
	if (!err && listen(fd, BACKLOG) < 0)
		err = -errno;
	return err ? close_with(fd, err) : fd;
}

/* SPDX-License-Identifier: MIT */
#include "plat/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int plat_tcp_socket(enum tt_family family, uint32_t fwmark)
{
	bool v6 = family == TT_FAMILY_V6;
	int err = 0;

	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (v6)
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* messages are small, and somebody waits for them */
	if (!err)
		err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err)
		err = set_int(fd, IPPROTO_TCP, TCP_MAXSEG,
			      v6 ? PLAT_TCP_SEGMENT_V6 : PLAT_TCP_SEGMENT_V4);
	if (!err && fwmark && setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)) < 0)
		err = -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

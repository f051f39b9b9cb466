/* SPDX-License-Identifier: MIT */
#include "plat/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
	struct sockaddr_un to;
	socklen_t len; /* 0: nobody listens */
	uint64_t watchdog_ns;
} notify;

/* A path, or with @ in front the name of an abstract socket. */
static void take_address(const char *text)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(notify.to.sun_path))
		return;
	notify.to.sun_family = AF_UNIX;
	memcpy(notify.to.sun_path, text, len);
	if (text[0] == '@')
		notify.to.sun_path[0] = 0;
	/* the end of an abstract name is the end of the address; a path ends with its zero */
	notify.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
}

static uint64_t number_of(const char *text)
{
	char *end;
	unsigned long long n;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	return errno || *end ? 0 : n;
}

void plat_notify_begin(bool listen)
{
	const char *address = getenv("NOTIFY_SOCKET"), *pid = getenv("WATCHDOG_PID");
	uint64_t usec = number_of(getenv("WATCHDOG_USEC"));

	memset(&notify, 0, sizeof(notify));
	if (listen && address)
		take_address(address);
	if (notify.len && usec <= UINT64_MAX / 1000 &&
	    (!pid || number_of(pid) == (uint64_t)getpid()))
		notify.watchdog_ns = usec * 1000;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

bool plat_notify(const char *lines)
{
	size_t len = strlen(lines);
	ssize_t n;
	int fd;

	if (!notify.len)
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		return false;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = sendto(fd, lines, len, 0, (const struct sockaddr *)&notify.to, notify.len);
	close(fd);
	return n == (ssize_t)len;
}

bool plat_notify_reloading(void)
{
	struct timespec ts;
	char lines[64];

	/* of this clock, and no other: the manager compares it with its own */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
	return plat_notify(lines);
}

uint64_t plat_notify_watchdog_ns(void)
{
	return notify.watchdog_ns;
}

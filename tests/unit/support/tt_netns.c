/* SPDX-License-Identifier: MIT */
#include "tt_netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tt_test.h"

static int first = -1;

bool tt_netns_enter(unsigned tests)
{
	if (first < 0)
		first = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (first < 0 || unshare(CLONE_NEWNET) < 0) {
		tt_test_skip(tests, "no right to make a network namespace");
		return false;
	}
	if (tt_sh("ip link set lo up") != 0) {
		tt_test_skip(tests, "no ip(8)");
		tt_netns_leave();
		return false;
	}
	return true;
}

void tt_netns_leave(void)
{
	if (setns(first, CLONE_NEWNET) < 0)
		abort();
}

int tt_sh(const char *format, ...)
{
	char given[900], command[1024];
	va_list ap;
	int n, status;

	va_start(ap, format);
	n = vsnprintf(given, sizeof(given), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(given))
		abort();
	snprintf(command, sizeof(command), "{ %s; } >/dev/null 2>&1", given);
	status = system(command);
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* SPDX-License-Identifier: MIT */
#include "plat/process.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void plat_process_die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* it may have ended before the order was given */
	if (getppid() != parent)
		_exit(1);
}

void plat_process_name(const char *name)
{
	prctl(PR_SET_NAME, name);
}

/* The smallest kept descriptor that is not below `from`, or UINT_MAX. */
static unsigned process_next_kept(const int *keep, unsigned n, unsigned from)
{
	unsigned next = UINT_MAX;

	for (unsigned i = 0; i < n; i++)
		if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
			next = (unsigned)keep[i];
	return next;
}

static void process_close_range(unsigned first, unsigned last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* before Linux 5.9 */
	long max = sysconf(_SC_OPEN_MAX);
	for (unsigned fd = first; fd <= last && (long)fd < max; fd++)
		close((int)fd);
}

void plat_process_never_wait_for(int fd)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return;
	/* opened once more: the flag belongs to the opening, which a shell shares with us */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return;
	dup2(own, fd);
	close(own);
}

void plat_process_keep_fds(const int *keep, unsigned n)
{
	unsigned from = 3;

	for (;;) {
		unsigned next = process_next_kept(keep, n, from);

		if (next == UINT_MAX)
			break;
		if (next > from)
			process_close_range(from, next - 1);
		from = next + 1;
	}
	process_close_range(from, UINT_MAX);
}

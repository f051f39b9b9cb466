/* SPDX-License-Identifier: MIT */
#include "plat/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors beyond this are not expected where nothing was opened yet that was not ours. */
#define PROCESS_FDS_MAX 65536

void plat_process_die_with_parent(pid_t parent)
{
	if (getppid() != parent)
		_exit(1);
}

void plat_process_name(const char *name)
{
	(void)name;
}

static int process_keeps(int fd, const int *keep, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (keep[i] == fd)
			return 1;
	return 0;
}

void plat_process_never_wait_for(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void plat_process_keep_fds(const int *keep, unsigned n)
{
	long max = sysconf(_SC_OPEN_MAX);

	if (max < 0 || max > PROCESS_FDS_MAX)
		max = PROCESS_FDS_MAX;
	for (int fd = 3; fd < max; fd++)
		if (!process_keeps(fd, keep, n))
			close(fd);
}

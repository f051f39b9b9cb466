/* SPDX-License-Identifier: MIT */
#include "plat/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
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

/*
 * The highest descriptor by /dev/fd; -1 where that does not tell. Some systems list the first three
 * only: what lists all of them lists the one it is read by.
 */
static int process_highest_fd(void)
{
	DIR *d = opendir("/dev/fd");
	const struct dirent *e;
	int highest = -1, lists_itself = 0;

	while (d && (e = readdir(d)) != NULL) {
		int fd = atoi(e->d_name);

		highest = fd > highest ? fd : highest;
		lists_itself |= fd == dirfd(d);
	}
	if (d)
		closedir(d);
	return lists_itself ? highest : -1;
}

void plat_process_keep_fds(const int *keep, unsigned n)
{
	long max = sysconf(_SC_OPEN_MAX), highest = process_highest_fd();

	if (max < 0 || max > PROCESS_FDS_MAX)
		max = PROCESS_FDS_MAX;
	if (highest >= 0)
		max = highest + 1;
	for (int fd = 3; fd < max; fd++)
		if (!process_keeps(fd, keep, n))
			close(fd);
}

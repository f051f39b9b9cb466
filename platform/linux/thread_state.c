/* SPDX-License-Identifier: MIT */
#include "plat/thread_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS "/proc/self/task"

static bool has_name(const char *task, const char *name)
{
	char path[64], comm[32] = "";
	int fd;

	snprintf(path, sizeof(path), TASKS "/%.16s/comm", task);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 && strcspn(comm, "\n") == strlen(name) &&
	       strncmp(comm, name, strlen(name)) == 0;
}

int plat_thread_state_open(struct plat_thread_state *s, const char *name)
{
	DIR *tasks = opendir(TASKS);
	struct dirent *d;
	int err = -ENOENT;

	*s = (struct plat_thread_state){.fd = -1};
	if (!tasks)
		return -errno;
	while (err == -ENOENT && (d = readdir(tasks))) {
		char path[64];

		if (d->d_name[0] == '.' || !has_name(d->d_name, name))
			continue;
		snprintf(path, sizeof(path), TASKS "/%.16s/stat", d->d_name);
		s->fd = open(path, O_RDONLY | O_CLOEXEC);
		err = s->fd < 0 ? -errno : 0;
	}
	closedir(tasks);
	if (!err)
		(void)plat_thread_state_starved(s);
	return err;
}

void plat_thread_state_close(struct plat_thread_state *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool plat_thread_state_starved(struct plat_thread_state *s)
{
	unsigned long long user, kernel;
	char text[512], state;
	ssize_t n = s->fd < 0 ? -1 : pread(s->fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = 0;
	/* the name may hold anything but ends with the last parenthesis; user and system time are
	 * fields 14 and 15 */
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			     &state, &user, &kernel) != 3)
		return false;
	bool idle = user + kernel == s->spent;

	s->spent = user + kernel;
	return idle && state == 'R';
}

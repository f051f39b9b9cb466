/* SPDX-License-Identifier: MIT */
#include "wire/uv.h"

#include <errno.h>
#include <unistd.h>

#include "base/types.h"

#define NEEDED 10 /* epoll, the pipes for signals, what wakes it up; and some */

int wire_uv_loop_init(uv_loop_t *loop)
{
	int fd[NEEDED], pipes[2], err = 0;
	unsigned n = 0;

	/* of something that is there whatever is open already */
	if (pipe(pipes) < 0)
		return -errno;
	while (!err && n < NEEDED) {
		fd[n] = dup(pipes[0]);
		if (fd[n] < 0)
			err = -errno;
		else
			n++;
	}
	while (n)
		close(fd[--n]);
	close(pipes[0]);
	close(pipes[1]);
	return err ? err : uv_loop_init(loop);
}

/* SPDX-License-Identifier: MIT
 *
 * A forked child for work that blocks or parses: the loop goes on, and a child that hangs or
 * crashes is an error reply.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "plat/clock.h"

#define JOB_SEC_MAX 30

_Static_assert(sizeof(struct node_monitor_job_result) <= 4096, "PIPE_BUF: arrives whole");

static _Noreturn void job_child(struct node_monitor *m, const struct node_monitor_job *job,
				const char *process, node_monitor_work work, uint32_t len,
				pid_t parent, int pipe_fd)
{
	struct node_monitor_job_result result = {0};
	const int keep[] = {pipe_fd, job->fd};

	node_monitor_child_begin(process, parent, keep, TT_ARRAY_LEN(keep));
	work(m, job, len, &result);
	ssize_t n = write(pipe_fd, &result, sizeof(result));
	_exit(n == sizeof(result) ? 0 : 1);
}

int node_monitor_job_start(struct node_monitor *m, struct node_monitor_job *job,
			   const char *process, node_monitor_work work, uint32_t id, int fd,
			   uint32_t len)
{
	struct tt_mono now = plat_clock_mono();
	pid_t parent = getpid(), pid;
	int p[2], err;

	if (pipe(p) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	fcntl(p[0], F_SETFD, FD_CLOEXEC);
	fcntl(p[1], F_SETFD, FD_CLOEXEC);
	*job = (struct node_monitor_job){.pipe = p[0],
					 .fd = fd,
					 .id = id,
					 .wanted = true,
					 .deadline =
						 tt_mono_add_ns(now, JOB_SEC_MAX * TT_NS_PER_SEC)};
	pid = fork();
	if (pid == 0)
		job_child(m, job, process, work, len, parent, p[1]);
	err = pid < 0 ? -errno : 0;
	close(p[1]);
	job->pid = pid;
	if (err) {
		close(p[0]);
		close(fd);
		*job = (struct node_monitor_job){.pipe = -1, .fd = -1};
	}
	return err;
}

void node_monitor_job_finish(struct node_monitor *m, struct node_monitor_job *job,
			     struct node_monitor_job_result *result)
{
	bool late = !tt_mono_before(plat_clock_mono(), job->deadline);
	ssize_t n = 0;

	(void)m;
	fcntl(job->pipe, F_SETFL, O_NONBLOCK);
	do
		n = read(job->pipe, result, sizeof(*result));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(*result)) {
		*result = (struct node_monitor_job_result){.result = late ? -ETIMEDOUT : -EIO};
		snprintf(result->error, sizeof(result->error),
			 late ? "did not finish within 30 s" : "the child process crashed");
		if (job->pid)
			kill(job->pid, SIGKILL);
	}
	result->error[sizeof(result->error) - 1] = 0;
	result->name[sizeof(result->name) - 1] = 0;
	close(job->pipe);
	/* the loop reaps it */
	job->pipe = -1;
	job->pid = 0;
}

void node_monitor_job_abandon(struct node_monitor_job *job)
{
	if (job->pid)
		kill(job->pid, SIGKILL);
	if (job->pipe >= 0)
		close(job->pipe);
	if (job->fd >= 0)
		close(job->fd);
	*job = (struct node_monitor_job){.pipe = -1, .fd = -1};
}

/* SPDX-License-Identifier: MIT */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/monitor.h"
#include "options.h"

#define LOG_KEPT_BYTES 16384

/* The end of the log of a node that starts; shown only where it says more than the report does. */
struct kept_log {
	char text[LOG_KEPT_BYTES];
	size_t len;
};

static void log_keep(struct kept_log *log, int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)
		return;
	if (log->len + (size_t)n > sizeof(log->text)) {
		size_t drop = TT_MIN(log->len, log->len + (size_t)n - sizeof(log->text));
		memmove(log->text, log->text + drop, log->len - drop);
		log->len -= drop;
	}
	memcpy(log->text + log->len, buf, (size_t)n);
	log->len += (size_t)n;
}

/* Reads log lines until the report (1) or the end of the node (0). */
static int wait_for_report(int ready_fd, int log_fd, struct kept_log *log,
			   struct node_monitor_report *report)
{
	for (;;) {
		struct pollfd p[2] = {{ready_fd, POLLIN, 0}, {log_fd, POLLIN, 0}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 0;
		if (p[1].revents & POLLIN)
			log_keep(log, log_fd);
		else if (p[1].revents)
			log_fd = -1;
		/* the log lines that were written before the report come first */
		else if (p[0].revents)
			return read(ready_fd, report, sizeof(*report)) == sizeof(*report);
	}
}

static _Noreturn void wait_in_foreground(int ready_fd, int log_fd, pid_t child)
{
	static struct kept_log log;
	static struct node_monitor_report report;
	int status = 0;

	if (wait_for_report(ready_fd, log_fd, &log, &report)) {
		report.text[sizeof(report.text) - 1] = 0;
		if (report.status == 0)
			_exit(TALTUND_EXIT_OK);
	} else {
		waitpid(child, &status, 0);
		report.status = TALTUND_EXIT_FAILED;
		snprintf(report.text, sizeof(report.text),
			 "the daemon ended without a word (%s %d)",
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	if (report.text[0])
		fprintf(stderr, "taltund: %s\n", report.text);
	else if (log.len)
		fprintf(stderr, "taltund: could not start:\n%.*s", (int)log.len, log.text);
	else
		fprintf(stderr, "taltund: could not start; see the log\n");
	_exit(report.status);
}

static int open_pipe(int p[2])
{
	if (pipe(p) < 0)
		return -errno;
	fcntl(p[0], F_SETFD, FD_CLOEXEC);
	fcntl(p[1], F_SETFD, FD_CLOEXEC);
	return 0;
}

int taltund_background(int *ready_fd, int start_log)
{
	int ready[2], log[2] = {-1, -1}, null, err;
	pid_t pid;

	err = open_pipe(ready);
	if (!err && start_log >= 0)
		err = open_pipe(log);
	if (err)
		return err;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ready[1]);
		close(log[1]);
		wait_in_foreground(ready[0], log[0], pid);
	}
	close(ready[0]);
	close(log[0]);
	setsid();
	if (chdir("/") < 0)
		return -errno;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	/* read by the waiting process; when that has gone, writing to it is as to /dev/null */
	if (start_log >= 0)
		dup2(log[1], start_log);
	close(null);
	close(log[1]);
	*ready_fd = ready[1];
	return 0;
}

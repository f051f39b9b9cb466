/* SPDX-License-Identifier: MIT */
#include "nft.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NFT_SECONDS_MAX 5
#define NFT_LIST_MAX	(16 << 20)

extern char **environ;

/* A file in memory: a pipe could fill up before anybody reads. */
static int nft_script_open(const char *script)
{
	size_t len = strlen(script), done = 0;
	int fd = memfd_create("nft", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = write(fd, script + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			goto err_undo_open;
		done += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) == 0)
		return fd;
err_undo_open:
	err = errno ? -errno : -EIO;
	close(fd);
	return err;
}

static int nft_spawn(char *const argv[], const int fds[3], pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < 3; i++) {
		if (fds[i] < 0)
			posix_spawn_file_actions_addopen(&files, i, "/dev/null", O_RDWR, 0);
		else
			posix_spawn_file_actions_adddup2(&files, fds[i], i);
	}
	err = -posix_spawnp(pid, "nft", &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return err;
}

static long nft_ms_left(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return NFT_SECONDS_MAX * 1000 - (now.tv_sec - start->tv_sec) * 1000 -
	       (now.tv_nsec - start->tv_nsec) / 1000000;
}

/* The first line says what is wrong; nft goes on with the script's text. True at its end. */
static bool nft_keep(char *reason, size_t cap, size_t *len, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n' || *len + 1 >= cap)
			return true;
		reason[(*len)++] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
	}
	return false;
}

/* Until nobody holds the other end any more, which is the end of nft. */
static int nft_listen(int fd, char *reason, size_t cap)
{
	struct timespec start;
	size_t len = 0;
	bool kept = false;
	char text[512];

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		long left = nft_ms_left(&start);
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return ready ? -errno : -ETIMEDOUT;
		ssize_t n = read(fd, text, sizeof(text));

		if (n <= 0)
			break;
		/* it may come in pieces */
		if (!kept)
			kept = nft_keep(reason, cap, &len, text, (size_t)n);
	}
	reason[len] = 0;
	return 0;
}

static int nft_finish(pid_t pid, int err)
{
	int status;

	if (err)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err ? err : -errno;
	if (err)
		return err;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

/* in, out: descriptors or -1; reason gets what it says on standard error. */
static int nft_exec(char *const argv[], int in, int out, char *reason, size_t cap)
{
	int said[2], err;
	pid_t pid;

	reason[0] = 0;
	if (pipe2(said, O_CLOEXEC) < 0)
		return -errno;
	err = nft_spawn(argv, (const int[3]){in, out, said[1]}, &pid);
	close(said[1]);
	if (!err)
		err = nft_finish(pid, nft_listen(said[0], reason, cap));
	close(said[0]);
	if (!err)
		reason[0] = 0;
	return err;
}

int nft_run(const char *script, char *reason, size_t cap)
{
	static char *const argv[] = {"nft", "-f", "-", NULL};
	int in = nft_script_open(script), err;

	reason[0] = 0;
	if (in < 0)
		return in;
	err = nft_exec(argv, in, -1, reason, cap);
	close(in);
	return err;
}

static char *nft_read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size < 0 || size > NFT_LIST_MAX ? NULL : malloc((size_t)size + 1);
	size_t done = 0;

	while (text && done < (size_t)size) {
		ssize_t n = pread(fd, text + done, (size_t)size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (text)
		text[done] = 0;
	return text;
}

int nft_list(const char *table, char **text, char *reason, size_t cap)
{
	char *const argv[] = {"nft", "list", "table", "inet", (char *)(uintptr_t)table, NULL};
	int out = memfd_create("nft", MFD_CLOEXEC), err;

	*text = NULL;
	reason[0] = 0;
	if (out < 0)
		return -errno;
	err = nft_exec(argv, -1, out, reason, cap);
	if (!err) {
		*text = nft_read_all(out);
		err = *text ? 0 : -ENOMEM;
	}
	close(out);
	return err;
}

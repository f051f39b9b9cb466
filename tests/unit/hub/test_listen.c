/* SPDX-License-Identifier: MIT */
#include "hub/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tt_test.h"

static const char *path(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "/tmp/tt-listen-%d.sock", (int)getpid());
	return text;
}

static void with_its_mode(void)
{
	struct stat st;
	int fd = hub_listen_unix(path(), 0640);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(stat(path(), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0640);
	CU_ASSERT_EQUAL(hub_listen_unix(path(), 0600), -EADDRINUSE);
	close(fd);
	/* its owner is gone */
	fd = hub_listen_unix(path(), 0600);
	CU_ASSERT(fd >= 0);
	close(fd);
	unlink(path());
}

/* A hub that hangs lets its queue run full: who looks whether it is there does not wait for it. */
static void behind_a_full_queue(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd[8], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, path());
	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&un, sizeof(un)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(fd[i], (struct sockaddr *)&un, sizeof(un));
	}
	CU_ASSERT_EQUAL(errno, EAGAIN);
	alarm(10);
	CU_ASSERT_EQUAL(hub_listen_unix(path(), 0600), -EADDRINUSE);
	alarm(0);
	CU_ASSERT_EQUAL(access(path(), F_OK), 0);
	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++)
		close(fd[i]);
	close(listener);
	unlink(path());
}

static void what_is_no_socket(void)
{
	static char longest[200];
	int fd = open(path(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL(hub_listen_unix(path(), 0600), -EEXIST);
	CU_ASSERT_EQUAL(access(path(), F_OK), 0);
	close(fd);
	unlink(path());
	memset(longest, 'a', sizeof(longest) - 1);
	CU_ASSERT_EQUAL(hub_listen_unix(longest, 0600), -ENAMETOOLONG);
}

TT_TESTS("hub_listen", {"with its mode", with_its_mode},
	 {"behind a full queue", behind_a_full_queue}, {"what is no socket", what_is_no_socket})

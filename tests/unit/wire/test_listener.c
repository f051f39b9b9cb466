/* SPDX-License-Identifier: MIT
 *
 * A listener over a real Unix socket and a real loop.
 */
#include "wire/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tt_test.h"

#define CLIENTS 8

static uv_loop_t loop;
static struct wire_listener listener;
static struct sockaddr_un at = {.sun_family = AF_UNIX};
static int accepted[64];
static unsigned count, none, waits, closed;
static bool hold_after_one;

static void on_accepted(void *ctx, int fd)
{
	(void)ctx;
	accepted[count++] = fd;
	if (hold_after_one)
		wire_listener_hold(&listener, true);
}

static void on_no_descriptor(void *ctx, bool waiting)
{
	(void)ctx;
	none++;
	waits += waiting;
}

static void on_closed(void *ctx)
{
	(void)ctx;
	closed++;
}

static int bound(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/tt-listener-%d", (int)getpid());
	unlink(at.sun_path);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int start(int fd, unsigned per_turn)
{
	struct wire_listener_options opt = {.name = "test",
					    .fd = fd,
					    .backlog = 64,
					    .per_turn = per_turn,
					    .accepted = on_accepted,
					    .no_descriptor = on_no_descriptor,
					    .closed = on_closed};

	count = none = waits = closed = 0;
	hold_after_one = false;
	uv_loop_init(&loop);
	return wire_listener_start(&listener, &loop, &opt);
}

static void end(void)
{
	wire_listener_stop(&listener);
	while (uv_run(&loop, UV_RUN_NOWAIT))
		;
	CU_ASSERT_EQUAL(closed, 1);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	for (unsigned i = 0; i < count; i++)
		close(accepted[i]);
	unlink(at.sun_path);
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void clients(int fd[CLIENTS])
{
	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = client();
}

static void clients_close(const int fd[CLIENTS])
{
	for (unsigned i = 0; i < CLIENTS; i++)
		close(fd[i]);
}

static unsigned told_to_go(const int fd[CLIENTS])
{
	unsigned n = 0;
	char c;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += recv(fd[i], &c, 1, 0) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
	return n;
}

/* The next descriptor is one too many. */
static void limit(struct rlimit *before)
{
	int lowest = dup(0);
	struct rlimit now;

	close(lowest);
	getrlimit(RLIMIT_NOFILE, before);
	now = *before;
	now.rlim_cur = (rlim_t)lowest;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void test_accepts_some_in_a_turn(void)
{
	int fd[CLIENTS];

	CU_ASSERT_EQUAL_FATAL(start(bound(), 3), 0);
	clients(fd);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 3);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 6);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, CLIENTS);
	CU_ASSERT(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
	CU_ASSERT(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
	clients_close(fd);
	end();
}

static void test_holds(void)
{
	int fd[CLIENTS];

	CU_ASSERT_EQUAL_FATAL(start(bound(), 64), 0);
	wire_listener_hold(&listener, true);
	clients(fd);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 0);
	hold_after_one = true;
	wire_listener_hold(&listener, false);
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 1);
	clients_close(fd);
	end();
}

static void test_without_descriptors_turns_away(void)
{
	struct rlimit before;
	int fd[CLIENTS], late;

	CU_ASSERT_EQUAL_FATAL(start(bound(), 64), 0);
	clients(fd);
	limit(&before);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(none, CLIENTS);
	CU_ASSERT_EQUAL(waits, 0);
	CU_ASSERT_EQUAL(told_to_go(fd), CLIENTS);
	setrlimit(RLIMIT_NOFILE, &before);
	late = client();
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 1);
	close(late);
	clients_close(fd);
	end();
}

/* The reserve is gone as well: nobody is turned away, nothing spins, and who came is taken when
 * there are descriptors. */
static void test_without_reserve_rests(void)
{
	struct rlimit before;
	int fd[CLIENTS];

	CU_ASSERT_EQUAL_FATAL(start(bound(), 64), 0);
	clients(fd);
	close(listener.reserve);
	listener.reserve = -1;
	limit(&before);
	for (unsigned i = 0; i < 100; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT(none >= 1 && none <= 3); /* a slow machine rests more than once */
	CU_ASSERT_EQUAL(waits, none);
	CU_ASSERT_EQUAL(told_to_go(fd), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	for (unsigned i = 0; i < 20 && count < CLIENTS; i++)
		uv_run(&loop, UV_RUN_ONCE);
	CU_ASSERT_EQUAL(count, CLIENTS);
	CU_ASSERT(listener.reserve >= 0);
	clients_close(fd);
	end();
}

static void test_what_cannot_listen(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CU_ASSERT(start(fd, 1) < 0);
	CU_ASSERT(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

TT_TESTS("listener", {"accepts some in a turn", test_accepts_some_in_a_turn}, {"holds", test_holds},
	 {"case 35: without descriptors it turns away", test_without_descriptors_turns_away},
	 {"case 35: without a reserve it rests", test_without_reserve_rests},
	 {"what cannot listen", test_what_cannot_listen})

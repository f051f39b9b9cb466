/* SPDX-License-Identifier: MIT
 *
 * The UAPI socket over a real Unix socket and a real loop: clients come, stay silent, and go.
 */
#include "node/uapi.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_sim.h"
#include "tt_test.h"

#define KEY	    "a8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556a"
#define PSK	    "d8dc2c0b9c3f1d5e7f00112233445566778899aabbccddeeff0011223344556d"
#define MAPPING_MAX (1ul << 28) /* larger ones are a sanitizer's shadow, and mostly holes */
#define MANY	    (NODE_UAPI_CLIENTS_MAX + 1)

static struct node_sim sim;
static uv_loop_t loop;
static struct node_uapi *uapi;
static char path[64];

static void changed(void *ctx)
{
	(void)ctx;
}

static void serve(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	signal(SIGPIPE, SIG_IGN); /* as the monitor does for its children */
	node_sim_open(&sim);
	snprintf(path, sizeof(path), "/tmp/tt-uapi.%d", (int)getpid());
	unlink(path);
	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	uv_loop_init(&loop);
	CU_ASSERT_EQUAL_FATAL(node_uapi_serve(&loop, fd, sim.device, changed, NULL, &uapi), 0);
}

static void unserve(void)
{
	node_uapi_stop(uapi);
	while (uv_run(&loop, UV_RUN_NOWAIT))
		;
	uv_loop_close(&loop);
	unlink(path);
	node_sim_close(&sim);
}

static void turn(void)
{
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	turn();
	return fd;
}

static void tell(int fd, const char *text)
{
	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	turn();
}

static bool answers(int fd)
{
	char buf[65536];
	ssize_t n;

	tell(fd, "get=1\n\n");
	n = read(fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	return strstr(buf, "errno=0\n\n") != NULL;
}

static bool is_closed(int fd)
{
	char byte;

	turn();
	return read(fd, &byte, 1) == 0;
}

static void close_all(const int *fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
	turn();
}

/* Whoever was silent longest makes room; the others stay. */
static void silent_clients_make_room(void)
{
	int fd[MANY + 1];

	serve();
	for (unsigned i = 0; i < NODE_UAPI_CLIENTS_MAX; i++)
		fd[i] = dial();
	CU_ASSERT(answers(fd[0])); /* so the second is the one */
	fd[MANY - 1] = dial();
	CU_ASSERT(answers(fd[MANY - 1]));
	CU_ASSERT(is_closed(fd[1]));
	for (unsigned i = 2; i < NODE_UAPI_CLIENTS_MAX; i++)
		CU_ASSERT(answers(fd[i]));
	CU_ASSERT(answers(fd[0]));
	/* Again and again: a burst of newcomers exhausts nothing. */
	for (unsigned i = 0; i < 10 * MANY; i++) {
		fd[MANY] = dial();
		CU_ASSERT(answers(fd[MANY]));
		close(fd[MANY]);
	}
	close_all(fd, MANY);
	unserve();
}

/* Nobody is thrown out in the middle of an operation, of a line even. */
static void busy_clients_stay(void)
{
	static const char *const begun[] = {"set=1\n", "get=1\n", "se"};
	int fd[MANY];

	serve();
	for (unsigned i = 0; i < NODE_UAPI_CLIENTS_MAX; i++) {
		fd[i] = dial();
		tell(fd[i], begun[i % 3]);
	}
	fd[MANY - 1] = dial();
	CU_ASSERT(is_closed(fd[MANY - 1]));
	close(fd[MANY - 1]);
	tell(fd[0], "public_key=" KEY "\npreshared_key=" PSK "\n\n");
	/* the first is between two operations now */
	fd[MANY - 1] = dial();
	CU_ASSERT(answers(fd[MANY - 1]));
	for (unsigned i = 1; i < NODE_UAPI_CLIENTS_MAX; i++)
		tell(fd[i], i % 3 == 2 ? "t=1\n\n" : "\n");
	close_all(fd, MANY);
	unserve();
}

/* Whether the text is anywhere in our memory that can be written, but for what the test has. */
static unsigned copies_of(const char *needle, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static char page[1 << 16];
	unsigned found = 0;
	char line[512];

	while (maps && mem >= 0 && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char mode[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w')
			continue;
		if (to - from > MAPPING_MAX)
			continue;
		for (unsigned long at = from; at < to; at += sizeof(page)) {
			size_t want = TT_MIN(to - at, sizeof(page));
			ssize_t n = pread(mem, page, want, (off_t)at);
			bool own = at < (unsigned long)page + sizeof(page) &&
				   (unsigned long)page < at + want;

			for (char *p = page;
			     !own && n > 0 && (p = memmem(p, (size_t)(page + n - p), needle, len));
			     p++)
				found++;
		}
	}
	if (maps)
		fclose(maps);
	if (mem >= 0)
		close(mem);
	return found;
}

/* The key as text, in what was read and in what was written, is gone when the answer is out. */
static void keys_are_wiped(void)
{
	char text[] = "set=1\npublic_key=" KEY "\npreshared_key=" PSK "\n\n", buf[65536] = "";
	char needle[33];

	serve();
	int fd = dial();
	tell(fd, text);
	CU_ASSERT(read(fd, buf, sizeof(buf)) > 0);
	tell(fd, "get=1\n\n");
	CU_ASSERT(read(fd, buf, sizeof(buf)) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf, PSK));
	memset(buf, 0, sizeof(buf));
	memset(text, 0, sizeof(text));
	/* Put together here, so that the search does not find what it looks for. */
	for (unsigned i = 0; i < 32; i++)
		needle[i] = (char)(PSK[i + 16] ^ 1);
	for (unsigned i = 0; i < 32; i++)
		needle[i] ^= 1;
	CU_ASSERT_EQUAL(copies_of(needle, 32), 1); /* needle itself */
	close(fd);
	turn();
	unserve();
}

TT_TESTS("uapi_server", {"case 40: silent clients make room", silent_clients_make_room},
	 {"case 40: busy clients stay", busy_clients_stay}, {"keys are wiped", keys_are_wiped})

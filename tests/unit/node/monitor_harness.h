/* SPDX-License-Identifier: MIT
 *
 * A monitor with an engine made for the test: in a process, a network namespace and directories of
 * its own. The engine runs as in the product (own uid, no capability) and notes what it saw in
 * memory shared with the test. Included by one test program at a time.
 */
#ifndef TT_TEST_MONITOR_HARNESS_H
#define TT_TEST_MONITOR_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "node/monitor.h"
#include "node/priv_wire.h"
#include "plat/clock.h"
#include "plat/tun.h"
#include "tt_test.h"

#define HARNESS_SEC_MAX 20

/* Seen by test and engines alike. Numbers are what the tests agree on with their engines. */
struct shared {
	_Atomic int starts; /* of engines */
	_Atomic int step;   /* an engine's progress; what the test waits for */
	_Atomic int go;	    /* the test's word to the engine */
	_Atomic int failed; /* line of the first check that failed in an engine */
	_Atomic int engine_pid;
	_Atomic long n[16];
	char text[NODE_PRIV_ERROR_MAX];
	char log[64];
};

static struct shared *shared;
static char harness_dir[64];
static struct node_priv_client *priv; /* in the engine */

/* In an engine: notes the line and ends as a failed start. */
#define ENGINE_CHECK(cond)                         \
	do {                                       \
		if (!(cond)) {                     \
			shared->failed = __LINE__; \
			return NODE_EXIT_FAILED;   \
		}                                  \
	} while (0)

static inline bool harness_possible(unsigned tests)
{
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
		tt_test_skip(tests, "needs root and /dev/net/tun");
		return false;
	}
	return true;
}

/*
 * Whether this is the portable platform: one TUN queue, no seals, no AF_XDP, no marks, and a
 * sandbox that only changes the user.
 */
static inline bool harness_portable(void)
{
	return plat_tun_queue_detach(-1) == -ENOTSUP;
}

static inline int harness_prepare(const struct node_engine_start *start)
{
	shared->starts++;
	shared->engine_pid = getpid();
	return node_priv_client_create(start->priv_fd, &priv);
}

static inline void harness_reset(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(shared, 0, sizeof(*shared));
	if (!harness_dir[0])
		snprintf(harness_dir, sizeof(harness_dir), "/tmp/tt-test-%d", getpid());
	mkdir(harness_dir, 0755);
}

static inline void harness_remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", harness_dir);
	if (system(command) != 0)
		printf("  could not remove %s\n", harness_dir);
}

static inline const char *harness_path(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", harness_dir, name);
	return p;
}

static inline struct node_monitor_options
harness_options(int (*run)(const struct node_engine_start *))
{
	return (struct node_monitor_options){.mode = NODE_MODE_UAPI,
					     .name = "ttest0",
					     .ready_fd = -1,
					     .run_dir = harness_dir,
					     .wg_dir = harness_dir,
					     .state_dir = harness_dir,
					     .engine_prepare = harness_prepare,
					     .engine_run = run};
}

/* Starts the monitor in a namespace of its own. */
static inline pid_t harness_start(const struct node_monitor_options *opt)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid == 0) {
		int log = open(harness_path("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, STDERR_FILENO);
		if (unshare(CLONE_NEWNET) < 0)
			_exit(99);
		_exit(node_monitor_run(opt));
	}
	return pid;
}

static inline void nap_ms(unsigned ms)
{
	poll(NULL, 0, (int)ms);
}

/* The monitor's exit status, or -1 (after killing it) where it does not end. */
static inline int harness_wait(pid_t pid)
{
	int status;

	for (int i = 0; i < HARNESS_SEC_MAX * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		nap_ms(10);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static inline bool harness_reached(int step)
{
	for (int i = 0; i < HARNESS_SEC_MAX * 100 && shared->step < step; i++)
		nap_ms(10);
	return shared->step >= step;
}

static inline int harness_run(int (*run)(const struct node_engine_start *))
{
	struct node_monitor_options opt = harness_options(run);

	return harness_wait(harness_start(&opt));
}

static inline void harness_show_log(void)
{
	char buf[8192];
	int fd = open(harness_path("log"), O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (n > 0)
		printf("%.*s", (int)n, buf);
	if (fd >= 0)
		close(fd);
}

/* Whether text stands in the log so far. */
static inline bool harness_logged(const char *text)
{
	static char buf[1 << 16];
	int fd = open(harness_path("log"), O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return strstr(buf, text) != NULL;
}

#define HARNESS_ASSERT_RUN(run, want)                                                      \
	do {                                                                               \
		int harness_status_ = harness_run(run);                                    \
		CU_ASSERT_EQUAL(harness_status_, (want));                                  \
		CU_ASSERT_EQUAL(shared->failed, 0);                                        \
		if (harness_status_ != (want) || shared->failed) {                         \
			printf("  status %d, engine failed at line %d\n", harness_status_, \
			       shared->failed);                                            \
			harness_show_log();                                                \
		}                                                                          \
		harness_remove_dir();                                                      \
	} while (0)

/* A Unix socket connected to path, or -1. */
static inline int harness_connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- in the engine ------------------------------------------------------------------------------
 */

static inline int ask(uint32_t op, struct node_priv_request *req, struct node_priv_reply *reply,
		      int *fds)
{
	req->op = op;
	return node_priv_call(priv, req, -1, reply, fds);
}

static inline int tell(uint32_t op)
{
	struct node_priv_request req = {0};
	struct node_priv_reply reply;

	return ask(op, &req, &reply, NULL);
}

static inline int leave(int status)
{
	struct node_priv_request req = {.u.exit.status = status};
	struct node_priv_reply reply;

	ask(NODE_PRIV_EXIT, &req, &reply, NULL);
	return status;
}

static inline int ask_tun(struct node_priv_reply *reply, int *fds, unsigned queues)
{
	struct node_priv_request req = {0};

	strcpy(req.u.tun.name, "ttest0");
	req.u.tun.queues = queues;
	req.u.tun.want_flags = PLAT_TUN_VNET_HDR | PLAT_TUN_TSO;
	return ask(NODE_PRIV_TUN_OPEN, &req, reply, fds);
}

static inline int ask_udp(struct node_priv_reply *reply, int *fds, uint16_t port, uint16_t workers)
{
	struct node_priv_request req = {.u.udp = {.udp_port = port, .workers = workers}};

	return ask(NODE_PRIV_UDP_OPEN, &req, reply, fds);
}

#endif

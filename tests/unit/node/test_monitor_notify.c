/* SPDX-License-Identifier: MIT
 *
 * What a service manager hears of a monitor and its engine.
 */
#include "monitor_harness.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "plat/notify.h"

#define WATCHDOG_USEC "300000"

static int manager_open(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", harness_path("notify"));
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	setenv("WATCHDOG_USEC", WATCHDOG_USEC, 1);
	plat_notify_begin(true);
	return fd;
}

/* Whether a message that begins so comes within ms; others are read over. */
static bool hears(int fd, const char *want, int ms)
{
	struct tt_mono end = tt_mono_add_ns(plat_clock_mono(), (uint64_t)ms * TT_NS_PER_MS);
	char buf[256];

	while (tt_mono_before(plat_clock_mono(), end)) {
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 20) <= 0)
			continue;
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		buf[n > 0 ? n : 0] = 0;
		if (strncmp(buf, want, strlen(want)) == 0)
			return true;
	}
	return false;
}

static bool next_signal(const struct node_engine_start *start, char want)
{
	struct pollfd p = {start->signal_fd, POLLIN, 0};
	char byte;

	do {
		if (poll(&p, 1, 10000) != 1 || read(start->signal_fd, &byte, 1) != 1)
			return false;
	} while (byte == NODE_SIGNAL_PING && want != byte);
	return byte == want;
}

static int engine_answers_a_while(const struct node_engine_start *start)
{
	ENGINE_CHECK(getenv("NOTIFY_SOCKET") == NULL);
	ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
	while (!shared->go) {
		ENGINE_CHECK(next_signal(start, NODE_SIGNAL_PING));
		ENGINE_CHECK(tell(NODE_PRIV_ALIVE) == 0);
	}
	/* gets pings, and says nothing */
	shared->step = 1;
	ENGINE_CHECK(next_signal(start, NODE_SIGNAL_STOP));
	return NODE_EXIT_OK;
}

static void watchdog_follows_the_engine(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	int fd = manager_open();
	struct node_monitor_options opt = harness_options(engine_answers_a_while);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(hears(fd, "READY=1\nSTATUS=Serving ttest0", 10000));
	for (int i = 0; i < 4; i++)
		CU_ASSERT_TRUE(hears(fd, "WATCHDOG=1", 5000));
	shared->go = 1;
	CU_ASSERT_TRUE(harness_reached(1));
	while (hears(fd, "WATCHDOG=1", 50))
		;
	CU_ASSERT_FALSE(hears(fd, "WATCHDOG=1", 500));
	kill(pid, SIGTERM);
	CU_ASSERT_TRUE(hears(fd, "STOPPING=1", 5000));
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	close(fd);
	harness_remove_dir();
}

static int engine_crashes_once(const struct node_engine_start *start)
{
	ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
	if (start->restarts == 0) {
		kill(getpid(), SIGSEGV);
		nap_ms(10000);
	}
	shared->step = 1;
	ENGINE_CHECK(next_signal(start, NODE_SIGNAL_STOP));
	return NODE_EXIT_OK;
}

static void crash_is_told(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	int fd = manager_open();
	struct node_monitor_options opt = harness_options(engine_crashes_once);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(hears(fd, "READY=1", 10000));
	CU_ASSERT_TRUE(hears(fd, "STATUS=The engine crashed", 10000));
	CU_ASSERT_TRUE(hears(fd, "READY=1\nSTATUS=Serving ttest0", 10000));
	CU_ASSERT_TRUE(harness_reached(1));
	kill(pid, SIGTERM);
	CU_ASSERT_TRUE(hears(fd, "STOPPING=1", 5000));
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	close(fd);
	harness_remove_dir();
}

TT_TESTS("monitor_notify", {"watchdog follows the engine", watchdog_follows_the_engine},
	 {"a crash is told", crash_is_told})

/* SPDX-License-Identifier: MIT
 *
 * A service manager's socket, by path and by abstract name.
 */
#include "plat/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tt_test.h"

static int manager_open(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct timeval soon = {.tv_usec = 200000};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = 0;
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static bool hears(int fd, const char *want)
{
	char buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return false;
	buf[n] = 0;
	return strcmp(buf, want) == 0;
}

static void tells(const char *name)
{
	int fd = manager_open(name);

	plat_notify_begin(true);
	CU_ASSERT_PTR_NULL(getenv("NOTIFY_SOCKET"));
	CU_ASSERT_TRUE(plat_notify("READY=1\nSTATUS=serving tt0"));
	CU_ASSERT_TRUE(hears(fd, "READY=1\nSTATUS=serving tt0"));
	CU_ASSERT_TRUE(plat_notify("WATCHDOG=1"));
	CU_ASSERT_TRUE(hears(fd, "WATCHDOG=1"));
	close(fd);
	CU_ASSERT_FALSE(plat_notify("STOPPING=1"));
}

static void socket_by_path(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/tmp/tt-notify-%d", getpid());
	tells(name);
	unlink(name);
}

static void socket_by_abstract_name(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@tt-notify-%d", getpid());
	tells(name);
}

static unsigned long long now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000;
}

static void reloading_has_its_time(void)
{
	char name[64], buf[128] = "";
	unsigned long long before = now_usec(), usec = 0;

	snprintf(name, sizeof(name), "@tt-notify-%d", getpid());
	int fd = manager_open(name);
	plat_notify_begin(true);
	CU_ASSERT_TRUE(plat_notify_reloading());
	CU_ASSERT(recv(fd, buf, sizeof(buf) - 1, 0) > 0);
	CU_ASSERT_EQUAL(sscanf(buf, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	CU_ASSERT(usec >= before && usec <= now_usec());
	close(fd);
}

static void watchdog_of(const char *usec, const char *pid, uint64_t want_ns)
{
	setenv("NOTIFY_SOCKET", "@nobody", 1);
	setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	plat_notify_begin(true);
	CU_ASSERT_EQUAL(plat_notify_watchdog_ns(), want_ns);
	CU_ASSERT_PTR_NULL(getenv("WATCHDOG_USEC"));
	CU_ASSERT_PTR_NULL(getenv("WATCHDOG_PID"));
}

static void watchdog(void)
{
	char own[16];

	snprintf(own, sizeof(own), "%d", getpid());
	watchdog_of("30000000", NULL, UINT64_C(30000000000));
	watchdog_of("30000000", own, UINT64_C(30000000000));
	watchdog_of("30000000", "1", 0); /* meant for another process */
	watchdog_of("0", NULL, 0);
	watchdog_of("-1", NULL, 0);
	watchdog_of("30s", NULL, 0);
	watchdog_of("99999999999999999999999", NULL, 0);
	watchdog_of("18446744073709551615", NULL, 0);
}

static void nobody_listens(void)
{
	static const char *const wrong[] = {"", "@", "/", "name", "vsock:2:1"};
	char longer[200];

	unsetenv("NOTIFY_SOCKET");
	plat_notify_begin(true);
	CU_ASSERT_FALSE(plat_notify("READY=1"));
	CU_ASSERT_EQUAL(plat_notify_watchdog_ns(), 0);
	for (size_t i = 0; i < TT_ARRAY_LEN(wrong); i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		plat_notify_begin(true);
		CU_ASSERT_FALSE(plat_notify("READY=1"));
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = 0;
	setenv("NOTIFY_SOCKET", longer, 1);
	plat_notify_begin(true);
	CU_ASSERT_FALSE(plat_notify("READY=1"));
	CU_ASSERT_FALSE(plat_notify_reloading());
}

/* A daemon in the background is not the process that the manager knows. */
static void only_forgotten(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@tt-notify-%d", getpid());
	int fd = manager_open(name);
	setenv("WATCHDOG_USEC", "1000", 1);
	plat_notify_begin(false);
	CU_ASSERT_FALSE(plat_notify("READY=1"));
	CU_ASSERT_PTR_NULL(getenv("NOTIFY_SOCKET"));
	CU_ASSERT_EQUAL(plat_notify_watchdog_ns(), 0);
	close(fd);
}

TT_TESTS("notify", {"a socket by path", socket_by_path},
	 {"an abstract socket", socket_by_abstract_name},
	 {"a reload has its time", reloading_has_its_time}, {"watchdog", watchdog},
	 {"nobody listens", nobody_listens}, {"only forgotten", only_forgotten})

/* SPDX-License-Identifier: MIT
 *
 * Preloaded into a daemon, moves its clocks by what the file named in TT_CLOCKS holds: seconds of
 * wall time and seconds since boot, as two binary 64-bit integers that may change at any time.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moved;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timerfd_settime)(int, int, const struct itimerspec *, struct itimerspec *);

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("TT_CLOCKS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	real_clock_gettime =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_timerfd_settime = (int (*)(int, int, const struct itimerspec *,
					struct itimerspec *))dlsym(RTLD_NEXT, "timerfd_settime");
	if (fd < 0)
		return;
	void *map = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		moved = map;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	/* libraries may ask before start() has run */
	int r = real_clock_gettime ? real_clock_gettime(id, t)
				   : (int)syscall(SYS_clock_gettime, id, t);

	if (r == 0 && moved && id == CLOCK_REALTIME)
		t->tv_sec += moved[0];
	if (r == 0 && moved && id == CLOCK_BOOTTIME)
		t->tv_sec += moved[1];
	return r;
}

/* OpenSSL goes by this one. The kernel's own is not asked through the library. */
time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

/* Absolute deadlines are of the moved clock; the kernel knows only the real one. */
int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *was)
{
	struct itimerspec its = *at;

	if (moved && (flags & TFD_TIMER_ABSTIME) && (its.it_value.tv_sec || its.it_value.tv_nsec)) {
		its.it_value.tv_sec -= moved[1];
		if (its.it_value.tv_sec < 0)
			its.it_value = (struct timespec){0, 1};
	}
	return real_timerfd_settime(fd, flags, &its, was);
}

/* SPDX-License-Identifier: MIT */
#include "plat/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t ns_of(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * TT_NS_PER_SEC + (uint64_t)t->tv_usec * TT_NS_PER_US;
}

/* The whole of a small file; false where it cannot be read. */
static bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0)
		buf[n] = 0;
	return n > 0;
}

static uint64_t now_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / TT_NS_PER_MS;
}

/* Who counts changes of it counts restarts: only a step of the wall clock moves it, and not what
 * passes between the looks at two clocks. */
static uint64_t steady(uint64_t started_ms)
{
	static _Atomic uint64_t told;
	uint64_t was = atomic_load(&told);

	if (started_ms < was + 1000 && was < started_ms + 1000)
		return was;
	atomic_store(&told, started_ms);
	return started_ms;
}

/* Memory, and the start in ticks since boot: fields 22 to 24. */
static void from_stat(struct plat_usage *out)
{
	unsigned long long start, size;
	long pages, ticks = sysconf(_SC_CLK_TCK);
	char text[1024];

	if (!read_text("/proc/self/stat", text, sizeof(text)))
		return;
	/* the name may hold anything but ends with the last parenthesis */
	const char *after = strrchr(text, ')');
	if (!after || ticks <= 0 ||
	    sscanf(after + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu %llu %ld",
		   &start, &size, &pages) != 3)
		return;
	uint64_t age_ms = now_ms(CLOCK_BOOTTIME) - start * 1000 / (unsigned long)ticks;
	out->started_ms = steady(now_ms(CLOCK_REALTIME) - age_ms);
	out->virtual_bytes = size;
	out->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint32_t count_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	uint32_t n = 0;

	if (!fds)
		return 0;
	for (struct dirent *d; (d = readdir(fds));)
		n += d->d_name[0] != '.';
	closedir(fds);
	return n - 1; /* that of the look itself */
}

void plat_usage_get(struct plat_usage *out)
{
	struct rusage r;
	struct rlimit l;

	*out = (struct plat_usage){0};
	if (getrusage(RUSAGE_SELF, &r) == 0)
		out->cpu_ns = ns_of(&r.ru_utime) + ns_of(&r.ru_stime);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0)
		out->max_fds = (uint32_t)TT_MIN((uint64_t)l.rlim_cur, (uint64_t)UINT32_MAX);
	from_stat(out);
	out->open_fds = count_fds();
}

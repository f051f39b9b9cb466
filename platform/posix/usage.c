/* SPDX-License-Identifier: MIT */
#include "plat/usage.h"

#include <sys/resource.h>

static uint64_t ns_of(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * TT_NS_PER_SEC + (uint64_t)t->tv_usec * TT_NS_PER_US;
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
}

/* SPDX-License-Identifier: MIT */
#include "plat/nexthop.h"

#include <errno.h>

const char *plat_nexthop_verdict_name(enum plat_nexthop_verdict v)
{
	(void)v;
	return "unreachable";
}

const char *plat_nexthop_why_name(enum plat_nexthop_why w)
{
	(void)w;
	return "none";
}

int plat_nexthops_open(struct plat_nexthops **out)
{
	(void)out;
	return -ENOTSUP;
}

void plat_nexthops_close(struct plat_nexthops *n)
{
	(void)n;
}

int plat_nexthops_lookup(struct plat_nexthops *n, const struct plat_nexthop_query *q,
			 struct plat_nexthop *out)
{
	(void)n;
	(void)q;
	*out = (struct plat_nexthop){0};
	return -ENOTSUP;
}

int plat_nexthops_fd(const struct plat_nexthops *n)
{
	(void)n;
	return -1;
}

int plat_nexthops_read(struct plat_nexthops *n)
{
	(void)n;
	return -ENOTSUP;
}

uint64_t plat_nexthops_generation(const struct plat_nexthops *n)
{
	(void)n;
	return 0;
}

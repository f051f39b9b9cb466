/* SPDX-License-Identifier: MIT */
#include "hub/policy.h"

static bool name_is_valid(const char *name)
{
	size_t n = 0;

	if (name[0] < 'a' || name[0] > 'z')
		return false;
	for (; name[n]; n++)
		if (!((name[n] >= 'a' && name[n] <= 'z') || (name[n] >= '0' && name[n] <= '9') ||
		      name[n] == '-'))
			return false;
	return n < HUB_GROUP_NAME_MAX;
}

int hub_policy_group(struct hub_policy *p, const char *name, bool make)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (strcmp(p->group[i], name) == 0)
			return (int)i;
	if (!make || p->count == HUB_GROUPS_MAX || !name_is_valid(name))
		return -1;
	memcpy(p->group[p->count], name, strlen(name) + 1);
	p->joined[p->count] = 0;
	return (int)p->count++;
}

void hub_policy_allow(struct hub_policy *p, unsigned a, unsigned b)
{
	p->joined[a] |= UINT64_C(1) << b;
	p->joined[b] |= UINT64_C(1) << a;
}

void hub_policy_deny(struct hub_policy *p, unsigned a, unsigned b)
{
	p->joined[a] &= ~(UINT64_C(1) << b);
	p->joined[b] &= ~(UINT64_C(1) << a);
}

uint64_t hub_policy_reach(const struct hub_policy *p, uint64_t groups)
{
	uint64_t reach = 0;

	for (uint32_t i = 0; i < p->count; i++)
		if (groups >> i & 1)
			reach |= p->joined[i];
	return reach;
}

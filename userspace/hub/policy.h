/* SPDX-License-Identifier: MIT
 *
 * Who may see whom. Gateways see everybody and are seen by everybody; clients see each other only
 * where a rule joins their groups. Plain data, all zero to begin with, compared as bytes; pure.
 */
#ifndef TT_HUB_POLICY_H
#define TT_HUB_POLICY_H

#include "base/types.h"

#define HUB_GROUPS_MAX	   64
#define HUB_GROUP_NAME_MAX 32 /* with the terminating zero */

struct hub_policy {
	uint32_t count;
	char group[HUB_GROUPS_MAX][HUB_GROUP_NAME_MAX];
	uint64_t joined[HUB_GROUPS_MAX]; /* groups that this one may see; symmetrical */
};

/* The group's number, new where there is none and `make`; -1: none, or no room, or a bad name
 * ([a-z0-9-], a letter first). */
int hub_policy_group(struct hub_policy *p, const char *name, bool make);
/* Joins two groups, or one with itself; and parts them. */
void hub_policy_allow(struct hub_policy *p, unsigned a, unsigned b);
void hub_policy_deny(struct hub_policy *p, unsigned a, unsigned b);
/* What members of these groups may see. */
uint64_t hub_policy_reach(const struct hub_policy *p, uint64_t groups);

#endif

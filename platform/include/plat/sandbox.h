/* SPDX-License-Identifier: MIT
 *
 * Giving up rights for ever: for the engine and the resolver, before their first untrusted byte.
 */
#ifndef TT_PLAT_SANDBOX_H
#define TT_PLAT_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

struct plat_sandbox_user {
	uid_t uid;
	gid_t gid;
	char name[32];
	bool fallback; /* the wanted user does not exist */
};

/*
 * The user `wanted`, else "nobody", else uid and gid 65534. A caller that is not root and cannot
 * change its uid stays who it is. Reads the user database: before any fork, never in a child.
 */
void plat_sandbox_user(const char *wanted, struct plat_sandbox_user *out);
/* No core dumps, no reading of this process' memory by others of the same uid. */
void plat_sandbox_hide(void);
/*
 * Groups, gid, uid, capabilities (bounding and ambient sets too), no new privileges, hide. Verified
 * afterwards. 0, or -errno: the caller must end, not go on.
 */
int plat_sandbox_drop(uid_t uid, gid_t gid);

#endif

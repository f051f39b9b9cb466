/* SPDX-License-Identifier: MIT */
#include "plat/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

void plat_sandbox_hide(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

int plat_sandbox_drop(uid_t uid, gid_t gid)
{
	plat_sandbox_hide();
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		return -errno;
	/* nothing may bring it back */
	return uid != 0 && setuid(0) == 0 ? -EPERM : 0;
}

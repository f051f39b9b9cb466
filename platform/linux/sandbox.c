/* SPDX-License-Identifier: MIT */
#include "plat/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void plat_sandbox_hide(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int sandbox_change_user(uid_t uid, gid_t gid)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

/* True where nothing is left and nothing brings it back. */
static bool sandbox_is_tight(uid_t uid)
{
	capng_get_caps_process();
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return false;
	return uid == 0 || (setuid(0) < 0 && geteuid() == uid);
}

int plat_sandbox_drop(uid_t uid, gid_t gid)
{
	int err;

	/* the bounding set goes first: emptying it is itself a privilege, without which the library
	 * complains where nobody asked; nothing is gained from that set once there are no new ones
	 */
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		capng_clear(CAPNG_SELECT_ALL);
		capng_apply(CAPNG_SELECT_BOUNDS);
	}
	capng_clear(CAPNG_SELECT_ALL);
	capng_apply(CAPNG_SELECT_AMBIENT);
	err = sandbox_change_user(uid, gid);
	if (err)
		return err;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* after the change of uid, which sets it anew */
	plat_sandbox_hide();
	return sandbox_is_tight(geteuid()) ? 0 : -EPERM;
}

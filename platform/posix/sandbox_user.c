/* SPDX-License-Identifier: MIT */
#include "plat/sandbox.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static bool sandbox_find(const char *name, struct plat_sandbox_user *out)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw || pw->pw_uid == 0)
		return false;
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	snprintf(out->name, sizeof(out->name), "%s", name);
	return true;
}

void plat_sandbox_user(const char *wanted, struct plat_sandbox_user *out)
{
	out->fallback = false;
	if (geteuid() != 0) {
		out->uid = geteuid();
		out->gid = getegid();
		snprintf(out->name, sizeof(out->name), "%u", (unsigned)out->uid);
		return;
	}
	if (sandbox_find(wanted, out))
		return;
	out->fallback = true;
	if (sandbox_find("nobody", out))
		return;
	out->uid = 65534;
	out->gid = 65534;
	snprintf(out->name, sizeof(out->name), "65534");
}

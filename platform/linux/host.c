/* SPDX-License-Identifier: MIT */
#include "plat/host.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>

#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static uint64_t effective_capabilities(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	return caps;
}

static uint32_t host_rights(void)
{
	static const struct {
		int cap;
		uint32_t right;
	} map[] = {
		{CAP_NET_ADMIN, PLAT_HOST_NET_ADMIN},
		{CAP_NET_RAW, PLAT_HOST_NET_RAW},
		{CAP_BPF, PLAT_HOST_BPF},
		{CAP_SYS_ADMIN, PLAT_HOST_BPF},
		{CAP_IPC_LOCK, PLAT_HOST_IPC_LOCK},
		{CAP_SYS_RESOURCE, PLAT_HOST_RESOURCE},
	};
	uint64_t caps = effective_capabilities();
	uint32_t rights = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(map); i++)
		if (caps >> map[i].cap & 1)
			rights |= map[i].right;
	return rights;
}

static enum plat_host_answer file_there(const char *path)
{
	return access(path, F_OK) == 0 ? PLAT_HOST_YES : PLAT_HOST_NO;
}

static enum plat_host_answer has_af_xdp(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		close(fd);
		return PLAT_HOST_YES;
	}
	return errno == EAFNOSUPPORT ? PLAT_HOST_NO
	       : errno == EPERM	     ? PLAT_HOST_YES
				     : PLAT_HOST_UNKNOWN;
}

/* An invalid command: refused as such, or the whole call is missing. */
static enum plat_host_answer has_bpf(void)
{
	union bpf_attr a = {0};

	if (syscall(SYS_bpf, -1, &a, sizeof(a)) >= 0)
		return PLAT_HOST_YES;
	return errno == ENOSYS ? PLAT_HOST_NO : PLAT_HOST_YES;
}

static enum plat_host_answer has_jit(void)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int on = -1;

	if (!f)
		return PLAT_HOST_UNKNOWN;
	if (fscanf(f, "%d", &on) != 1)
		on = -1;
	fclose(f);
	return on < 0 ? PLAT_HOST_UNKNOWN : on ? PLAT_HOST_YES : PLAT_HOST_NO;
}

void plat_host_get(struct plat_host *out)
{
	struct utsname u;
	struct rlimit limit;

	*out = (struct plat_host){.rights = host_rights()};
	if (uname(&u) == 0) {
		snprintf(out->system, sizeof(out->system), "%.31s", u.sysname);
		snprintf(out->release, sizeof(out->release), "%.63s", u.release);
		if (sscanf(u.release, "%u.%u", &out->major, &out->minor) != 2)
			out->major = out->minor = 0;
	}
	out->memlock = getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY
			       ? UINT64_MAX
			       : limit.rlim_cur;
	out->tun = file_there("/dev/net/tun");
	out->btf = file_there("/sys/kernel/btf/vmlinux");
	out->bpf = has_bpf();
	out->bpf_jit = has_jit();
	out->af_xdp = has_af_xdp();
}

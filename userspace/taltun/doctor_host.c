/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "plat/host.h"
#include "taltun/doctor.h"

#define KERNEL_XDP_MAJOR 5
#define KERNEL_XDP_MINOR 19 /* unprivileged use of map descriptors */
#define MEMLOCK_NEEDED	 (64u << 20)

static void kernel(json_t *r, const struct plat_host *h)
{
	bool old = h->major < KERNEL_XDP_MAJOR ||
		   (h->major == KERNEL_XDP_MAJOR && h->minor < KERNEL_XDP_MINOR);

	if (old)
		doctor_add(r, DOCTOR_NOTE, "kernel", "",
			   "packets go by the UDP sockets; a kernel of 6.1 or later has AF_XDP "
			   "as it is needed here",
			   "%s %s: too old for AF_XDP (5.19 is the least)", h->system, h->release);
	else
		doctor_add(r, DOCTOR_OK, "kernel", "", "", "%s %s", h->system, h->release);
}

static void option(json_t *r, enum plat_host_answer a, const char *check,
		   enum doctor_result without, const char *what, const char *hint)
{
	if (a == PLAT_HOST_NO)
		doctor_add(r, without, check, "", hint, "no %s", what);
	else
		doctor_add(r, DOCTOR_OK, check, "", "", "%s%s", what,
			   a == PLAT_HOST_UNKNOWN ? ": cannot tell" : "");
}

static void options(json_t *r, const struct plat_host *h)
{
	option(r, h->tun, "tun", DOCTOR_PROBLEM, "/dev/net/tun",
	       "modprobe tun; in a container, pass the device in");
	option(r, h->af_xdp, "af_xdp", DOCTOR_NOTE, "AF_XDP sockets",
	       "the kernel was built without CONFIG_XDP_SOCKETS: packets go by the UDP sockets");
	option(r, h->bpf, "bpf", DOCTOR_NOTE, "bpf() system call",
	       "the kernel was built without CONFIG_BPF_SYSCALL: packets go by the UDP sockets");
	option(r, h->bpf_jit, "bpf_jit", DOCTOR_NOTE, "BPF just-in-time compiler",
	       "sysctl net.core.bpf_jit_enable=1: the steering program is interpreted otherwise");
	option(r, h->btf, "btf", DOCTOR_NOTE, "kernel BTF (/sys/kernel/btf/vmlinux)",
	       "steering works without it; tools that look at programs do not");
}

static void rights(json_t *r, const struct plat_host *h)
{
	static const struct {
		uint32_t right;
		enum doctor_result without;
		const char *name, *hint;
	} want[] = {
		{PLAT_HOST_NET_ADMIN, DOCTOR_PROBLEM, "CAP_NET_ADMIN",
		 "run taltund as root or from its unit: interfaces and routes need it"},
		{PLAT_HOST_NET_RAW, DOCTOR_NOTE, "CAP_NET_RAW", "AF_XDP sockets need it"},
		{PLAT_HOST_BPF, DOCTOR_NOTE, "CAP_BPF", "the steering program needs it"},
		{PLAT_HOST_IPC_LOCK, DOCTOR_NOTE, "CAP_IPC_LOCK",
		 "keys stay out of swap, and packet memory is locked, with it"},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(want); i++)
		doctor_add(r, h->rights & want[i].right ? DOCTOR_OK : want[i].without, "rights", "",
			   h->rights & want[i].right ? "" : want[i].hint, "%s%s",
			   h->rights & want[i].right ? "" : "no ", want[i].name);
}

static void memlock(json_t *r, const struct plat_host *h)
{
	if (h->memlock == UINT64_MAX)
		doctor_add(r, DOCTOR_OK, "memlock", "", "", "locked memory without limit");
	else if (h->rights & PLAT_HOST_IPC_LOCK)
		doctor_add(r, DOCTOR_OK, "memlock", "", "",
			   "locked memory: %llu KiB, which CAP_IPC_LOCK lifts",
			   (unsigned long long)h->memlock >> 10);
	else
		doctor_add(r, h->memlock < MEMLOCK_NEEDED ? DOCTOR_NOTE : DOCTOR_OK, "memlock", "",
			   "LimitMEMLOCK=infinity in the unit, or CAP_IPC_LOCK: a queue of AF_XDP "
			   "locks 16 MiB",
			   "locked memory: at most %llu KiB", (unsigned long long)h->memlock >> 10);
}

void doctor_host(json_t *report)
{
	struct plat_host h;

	plat_host_get(&h);
	kernel(report, &h);
	options(report, &h);
	rights(report, &h);
	memlock(report, &h);
}

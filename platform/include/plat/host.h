/* SPDX-License-Identifier: MIT
 *
 * What this system can do and what this process may do, found by asking and trying. For diagnosis
 * only: nothing decides by it.
 */
#ifndef TT_PLAT_HOST_H
#define TT_PLAT_HOST_H

#include "base/types.h"

enum plat_host_right {
	PLAT_HOST_NET_ADMIN = 1 << 0,
	PLAT_HOST_NET_RAW = 1 << 1,
	PLAT_HOST_BPF = 1 << 2, /* or the older right that includes it */
	PLAT_HOST_IPC_LOCK = 1 << 3,
	PLAT_HOST_RESOURCE = 1 << 4, /* may raise its limits */
};

enum plat_host_answer { PLAT_HOST_UNKNOWN, PLAT_HOST_NO, PLAT_HOST_YES };

struct plat_host {
	char system[32]; /* "Linux" */
	char release[64];
	unsigned major, minor; /* of the release; 0.0 where it is written otherwise */
	uint32_t rights;       /* enum plat_host_right */
	uint64_t memlock;      /* limit of locked memory, bytes; UINT64_MAX: none */
	enum plat_host_answer tun, bpf, bpf_jit, btf, af_xdp;
};

void plat_host_get(struct plat_host *out);

#endif

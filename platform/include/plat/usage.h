/* SPDX-License-Identifier: MIT
 *
 * What the calling process takes of the host.
 */
#ifndef TT_PLAT_USAGE_H
#define TT_PLAT_USAGE_H

#include "base/types.h"

/* 0: not known on this platform, or not now (no descriptor to look with). */
struct plat_usage {
	uint64_t cpu_ns; /* user and system, of all threads */
	uint64_t resident_bytes, virtual_bytes;
	uint32_t open_fds, max_fds;
	uint64_t started_ms; /* wall time, milliseconds since 1970 */
};

/* Opens /proc where there is one. Any thread. */
void plat_usage_get(struct plat_usage *out);

#endif

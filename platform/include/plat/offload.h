/* SPDX-License-Identifier: MIT
 *
 * What is known about an offload of the kernel: what it grants is one thing, what comes out
 * another.
 */
#ifndef TT_PLAT_OFFLOAD_H
#define TT_PLAT_OFFLOAD_H

#include <stdbool.h>

enum plat_offload {
	PLAT_OFFLOAD_REFUSED,  /* the kernel does not have it */
	PLAT_OFFLOAD_BROKEN,   /* granted, but packets came out wrong or not at all */
	PLAT_OFFLOAD_UNPROVED, /* granted; a probe was not possible here */
	PLAT_OFFLOAD_PROVED,
	PLAT_OFFLOADS
};

static inline bool plat_offload_is_on(enum plat_offload o)
{
	return o == PLAT_OFFLOAD_UNPROVED || o == PLAT_OFFLOAD_PROVED;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * One locked, guarded, non-dumpable slab of equal objects for secrets (design section 8). The
 * address range is reserved and locked on fault at start, while the right to lock is still held;
 * pages are populated only as objects are used.
 */
#ifndef TT_PLAT_SECMEM_H
#define TT_PLAT_SECMEM_H

#include "base/types.h"

struct plat_secmem;

/*
 * object_size is rounded up to 64. Guard pages on both ends; MADV_DONTDUMP, MADV_WIPEONFORK where
 * the system has them: a child of fork() sees zeros. *locked says whether the whole slab is locked;
 * where not, pages are locked as they come into use and as far as RLIMIT_MEMLOCK goes (the caller
 * logs it). 0 or -errno. The slab itself is not thread safe: one thread allocates and frees.
 */
int plat_secmem_create(size_t object_size, size_t max_objects, struct plat_secmem **out,
		       bool *locked);
/* Wipes and unmaps everything. NULL is allowed. */
void plat_secmem_destroy(struct plat_secmem *m);
/* Zeroed object, 64-byte aligned, or NULL where all are taken. */
void *plat_secmem_alloc(struct plat_secmem *m);
/* Wipes the object. NULL is allowed; what is no object of m, or is free already, ends the process.
 */
void plat_secmem_free(struct plat_secmem *m, void *obj);

#endif

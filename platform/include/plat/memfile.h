/* SPDX-License-Identifier: MIT
 *
 * Memory shared through a descriptor (a memfd): configuration from the loader, and the memory that
 * outlives a crashed engine.
 */
#ifndef TT_PLAT_MEMFILE_H
#define TT_PLAT_MEMFILE_H

#include "base/types.h"

/* New sparse memory file of `bytes`; descriptor or -errno. */
int plat_memfile_create(const char *name, size_t bytes);
/* Size of the file behind fd, or -errno. */
int64_t plat_memfile_size(int fd);
/* Fixes the size for ever, and where `contents` the bytes too, where the system can. 0 or -errno.
 */
int plat_memfile_seal(int fd, bool contents);
/*
 * Maps `bytes` of fd. writable: shared and, where the right to lock is still held, locked page by
 * page as it is used and left out of core dumps. 0 or -errno.
 */
int plat_memfile_map(int fd, size_t bytes, bool writable, void **out);
void plat_memfile_unmap(void *map, size_t bytes);

#endif

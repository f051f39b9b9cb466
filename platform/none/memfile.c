/* SPDX-License-Identifier: MIT */
#include "plat/memfile.h"

#include <errno.h>

int plat_memfile_create(const char *name, size_t bytes)
{
	(void)name;
	(void)bytes;
	return -ENOTSUP;
}

int64_t plat_memfile_size(int fd)
{
	(void)fd;
	return -ENOTSUP;
}

int plat_memfile_seal(int fd, bool contents)
{
	(void)fd;
	(void)contents;
	return 0;
}

int plat_memfile_map(int fd, size_t bytes, bool writable, void **out)
{
	(void)fd;
	(void)bytes;
	(void)writable;
	(void)out;
	return -ENOTSUP;
}

void plat_memfile_unmap(void *map, size_t bytes)
{
	(void)map;
	(void)bytes;
}

/* SPDX-License-Identifier: MIT */
#include "plat/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* An unlinked file in memory-backed /tmp or /var/tmp; shm_open has a name space of its own to clash
 * in. */
int plat_memfile_create(const char *name, size_t bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/%.24s.XXXXXX", name);
	int fd = mkstemp(path);
	if (fd < 0)
		return -errno;
	unlink(path);
	/* nothing of it for a hook or a command that is run */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int64_t plat_memfile_size(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

int plat_memfile_seal(int fd, bool contents)
{
	(void)fd;
	(void)contents;
	return 0;
}

int plat_memfile_map(int fd, size_t bytes, bool writable, void **out)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	void *p = mmap(NULL, bytes, prot, writable ? MAP_SHARED : MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

void plat_memfile_unmap(void *map, size_t bytes)
{
	if (map)
		munmap(map, bytes);
}

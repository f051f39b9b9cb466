/* SPDX-License-Identifier: MIT */
#include "plat/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int plat_memfile_create(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0) {
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
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (contents ? F_SEAL_WRITE : 0);

	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int plat_memfile_map(int fd, size_t bytes, bool writable, void **out)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	void *p = mmap(NULL, bytes, prot, writable ? MAP_SHARED : MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	if (writable) {
		/* best effort: the limit may forbid it, and the data is as safe as the swap then */
		(void)mlock2(p, bytes, MLOCK_ONFAULT);
		(void)madvise(p, bytes, MADV_DONTDUMP);
	}
	*out = p;
	return 0;
}

void plat_memfile_unmap(void *map, size_t bytes)
{
	if (map)
		munmap(map, bytes);
}

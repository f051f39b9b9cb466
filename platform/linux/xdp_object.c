/* SPDX-License-Identifier: MIT */
#include "xdp_object.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* The build passes the path of the object and rebuilds this file when it changes. */
__asm__(".pushsection .rodata\n"
	".balign 8\n"
	".type xdp_object_start, @object\n"
	"xdp_object_start:\n"
	".incbin \"" TT_STEER_OBJECT "\"\n"
	"xdp_object_end:\n"
	".size xdp_object_start, xdp_object_end - xdp_object_start\n"
	".popsection\n");

extern const uint8_t xdp_object_start[] __attribute__((visibility("hidden")));
extern const uint8_t xdp_object_end[] __attribute__((visibility("hidden")));

const void *xdp_object(size_t *len)
{
	*len = (size_t)(xdp_object_end - xdp_object_start);
	return xdp_object_start;
}

static size_t page_up(size_t bytes)
{
	return TT_ALIGN_UP(bytes, (size_t)sysconf(_SC_PAGESIZE));
}

int xdp_map_mmap(int fd, size_t bytes, void **out)
{
	void *p = mmap(NULL, page_up(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

void xdp_map_munmap(void *map, size_t bytes)
{
	if (map)
		munmap(map, page_up(bytes));
}

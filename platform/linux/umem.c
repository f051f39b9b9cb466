/* SPDX-License-Identifier: MIT
 *
 * The monitor's part of an AF_XDP socket: what needs rights. The memory is a memory file, so that
 * the engine can map the very pages that are pinned here.
 */
#include "plat/xsk.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_xdp.h>
#include "plat/memfile.h"

/*
 * In copy mode each packet on its way is charged to the send buffer, with the kernel's overhead at
 * most twice its frame. With less room than that, sending stops although frames are there.
 */
static void size_send_buffer(int fd, uint32_t umem_bytes)
{
	int bytes = umem_bytes < (1u << 29) ? (int)(2 * umem_bytes) : 1 << 30;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* Pins the pages; they stay so after the mapping is gone. */
static int register_umem(const struct plat_xsk_offer *o)
{
	void *p = mmap(NULL, o->umem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       o->umem_fd, 0);
	struct xdp_umem_reg reg = {
		.addr = (uint64_t)(uintptr_t)p,
		.len = o->umem_bytes,
		.chunk_size = PLAT_XSK_FRAME,
	};
	int err = 0;

	if (p == MAP_FAILED)
		return -errno;
	if (setsockopt(o->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0)
		err = -errno;
	munmap(p, o->umem_bytes);
	return err;
}

int plat_xsk_offer_open(uint32_t umem_bytes, struct plat_xsk_offer *out)
{
	int err;

	*out = (struct plat_xsk_offer){.fd = -1, .umem_fd = -1, .umem_bytes = umem_bytes};
	if (umem_bytes == 0 || umem_bytes % PLAT_XSK_FRAME || umem_bytes > PLAT_XSK_UMEM_MAX)
		return -EINVAL;
	out->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (out->fd < 0)
		return -errno;
	size_send_buffer(out->fd, umem_bytes);
	err = out->umem_fd = plat_memfile_create("taltun-umem", umem_bytes);
	if (err >= 0)
		err = plat_memfile_seal(out->umem_fd, false);
	if (!err)
		err = register_umem(out);
	if (err)
		plat_xsk_offer_close(out);
	return err;
}

void plat_xsk_offer_close(struct plat_xsk_offer *o)
{
	if (o->fd >= 0)
		close(o->fd);
	if (o->umem_fd >= 0)
		close(o->umem_fd);
	o->fd = o->umem_fd = -1;
}

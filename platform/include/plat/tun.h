/* SPDX-License-Identifier: MIT
 *
 * The TUN device. Creating and configuring it is the monitor's (privileged); reading and writing
 * queues is the workers'. All descriptors are non-blocking.
 */
#ifndef TT_PLAT_TUN_H
#define TT_PLAT_TUN_H

#include <sys/types.h>
#include <sys/uio.h>
#include "base/types.h"
#include "plat/offload.h"

#define PLAT_IFNAME_MAX	    16
#define PLAT_TUN_QUEUES_MAX 16

/* What the kernel agreed to; without VNET_HDR a packet stands alone in the buffer. */
enum plat_tun_flags {
	PLAT_TUN_VNET_HDR = 1 << 0, /* struct plat_vnet_hdr in front of every packet */
	PLAT_TUN_TSO = 1 << 1,	    /* TCP super-packets, both families */
	PLAT_TUN_USO = 1 << 2,	    /* UDP super-packets, both families */
};

/* virtio_net_hdr as of the virtio specification 1.2, section 5.1.6; little-endian, 10 bytes. */
struct plat_vnet_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};
_Static_assert(sizeof(struct plat_vnet_hdr) == 10, "virtio_net_hdr");

#define PLAT_VNET_F_NEEDS_CSUM 1
#define PLAT_VNET_F_DATA_VALID 2
#define PLAT_VNET_GSO_NONE     0
#define PLAT_VNET_GSO_TCPV4    1
#define PLAT_VNET_GSO_UDP      3 /* deprecated UFO; never offered, never accepted */
#define PLAT_VNET_GSO_TCPV6    4
#define PLAT_VNET_GSO_UDP_L4   5
#define PLAT_VNET_GSO_ECN      0x80 /* or'ed in: TCP CWR, which only the first segment carries */

struct plat_tun_info {
	char name[PLAT_IFNAME_MAX];
	unsigned ifindex;
	unsigned flags; /* enum plat_tun_flags */
	unsigned queues;
	int fd[PLAT_TUN_QUEUES_MAX];
};

enum plat_tun_state {
	PLAT_TUN_DOWN,
	PLAT_TUN_UP,
	PLAT_TUN_GONE, /* deleted, possibly in another network namespace */
};

/*
 * Creates the device with up to `queues` queues (fewer where the system has no multi-queue).
 * name may hold "%d" or be empty: the kernel chooses, out->name says what.
 * want_flags: offloads to ask for (TSO and USO need VNET_HDR); what was granted is in out->flags.
 * The new device is down and without addresses. -EEXIST: a device of this name exists; -EPERM: not
 * allowed; -ENODEV: no TUN driver or no /dev/net/tun; -EINVAL: bad name or number of queues.
 */
int plat_tun_create(const char *name, unsigned queues, unsigned want_flags,
		    struct plat_tun_info *out);

struct plat_tun_offloads {
	enum plat_offload tso, uso;
};

/*
 * Proves what TSO and USO are worth on this kernel, in a process and a network namespace of their
 * own, in 2 s at most and mostly in 10 ms. UNPROVED where that is not allowed (and where
 * the offload may then be refused by plat_tun_create()). Monitor, before there are threads.
 */
void plat_tun_probe(struct plat_tun_offloads *out);
/*
 * The proof itself: what is written to `from` (198.18.0.2 to 198.19.0.2, fd00:0:0:1::2 to
 * fd00:0:0:2::2) has to be forwarded to `to`, which has no offloads and no vnet header.
 */
void plat_tun_probe_between(const struct plat_tun_info *from, const struct plat_tun_info *to,
			    struct plat_tun_offloads *out);
/* The device goes when the last descriptor, in any process, is closed. */
void plat_tun_close(struct plat_tun_info *t);
/*
 * State through the descriptor alone, so that it holds after the device moved to another network
 * namespace or was renamed. A detached queue says GONE: ask one that is attached.
 */
enum plat_tun_state plat_tun_state(int fd);
/*
 * Takes a queue out of the kernel's flow steering, or puts it back; what it held is lost. 0 or
 * -errno: -EINVAL where it is so already or the device has one queue, -ENOTSUP.
 */
int plat_tun_queue_detach(int fd);
int plat_tun_queue_attach(int fd);

/*
 * One packet (with its plat_vnet_hdr where granted); what exceeds cap is lost. Bytes, or -EAGAIN,
 * or -errno (-EBADFD: gone or detached), which took a millisecond: it may be the next answer, too.
 */
ssize_t plat_tun_read(int fd, void *buf, size_t cap);
/* One packet gathered from n pieces, header first. Bytes, or -errno (-EIO: link down). */
ssize_t plat_tun_writev(int fd, const struct iovec *iov, int n);

#endif

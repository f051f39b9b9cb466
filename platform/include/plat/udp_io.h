/* SPDX-License-Identifier: MIT
 *
 * UDP sockets with batches: many datagrams per system call, super-datagrams (GSO/GRO) where the
 * kernel has them, ECN and sticky source addresses. One socket is used by one thread.
 */
#ifndef TT_PLAT_UDP_IO_H
#define TT_PLAT_UDP_IO_H

#include <sys/types.h>
#include "base/addr.h"
#include "base/types.h"

#define PLAT_UDP_BATCH_MAX 64
#define PLAT_UDP_GSO_SEGS_MAX 64

enum plat_udp_flags {
	PLAT_UDP_GSO = 1 << 0,
	PLAT_UDP_GRO = 1 << 1,
};

struct plat_udp_options {
	enum tt_family family;
	uint16_t udp_port; /* 0: the kernel picks */
	uint32_t fwmark;   /* 0: none */
	bool reuseport;    /* join or open a SO_REUSEPORT group */
	int buffer_bytes;  /* receive and send; the …FORCE variants are tried first */
};

/*
 * Monitor. Opens, binds and prepares one socket: non-blocking, close-on-exec, pktinfo, ECN on
 * receive, IPv6 only v6, path-MTU policy "fragment where needed", GRO where asked. Descriptor or
 * -errno. *bound_port is the number the kernel gave.
 */
int plat_udp_open(const struct plat_udp_options *opt, uint16_t *bound_port);
int plat_udp_set_fwmark(int fd, uint32_t fwmark);
/*
 * Attaches to a SO_REUSEPORT group (any member's fd; members count in order of binding): data
 * packets (type 4) go to member `receiver index mod workers`, all others to member `workers`.
 * -ENOTSUP where the system cannot; then every member must accept every packet.
 */
int plat_udp_steer(int fd, unsigned workers);
/* Probes what this kernel really does with GSO and GRO over loopback; result: plat_udp_flags. */
unsigned plat_udp_probe(void);
int plat_udp_enable_gro(int fd, bool on);

/* Where to send: destination and, where known, our own address to send from (sticky source). */
struct plat_udp_dest {
	struct tt_endpoint to;
	struct tt_ip from;    /* family NONE: the kernel chooses */
	uint32_t from_ifindex; /* 0: any */
	/* Prebuilt by plat_udp_dest_prepare(), private to the platform. */
	uint8_t sockaddr[28];
	uint8_t sockaddr_len;
	uint8_t control_len;
	_Alignas(8) uint8_t control[48];
};
void plat_udp_dest_prepare(struct plat_udp_dest *d);

struct plat_udp_rx {
	/* in */
	uint8_t *buf;
	uint32_t cap;
	/* out */
	uint32_t len;
	uint32_t segment; /* size of each datagram in buf but the last; == len where it is one */
	uint8_t ecn;      /* outer ECN codepoint, 0..3 */
	bool truncated;
	struct tt_endpoint src;
	struct tt_ip dst; /* our address it came to */
	uint32_t ifindex;
};

/* Up to n messages; returns their number, -EAGAIN, or -errno. buf/cap of each are the caller's. */
int plat_udp_recv(int fd, struct plat_udp_rx *rx, unsigned n);

struct plat_udp_tx {
	const uint8_t *buf;
	uint32_t len;
	uint32_t segment; /* == len: one datagram; smaller: GSO (needs PLAT_UDP_GSO) */
	uint8_t ecn;
	const struct plat_udp_dest *dest;
	int error; /* out: 0 or -errno of this message */
};

/*
 * Sends n messages with as few system calls as possible; a failing message does not stop the
 * others. Returns how many were sent. Where the source address has vanished (EINVAL, ENETUNREACH,
 * EHOSTUNREACH, EADDRNOTAVAIL) that message is tried once more without source: its error is then 0
 * and *lost_source set true. -EIO on a GSO message: the egress cannot; the caller turns GSO off and
 * sends again.
 */
unsigned plat_udp_send(int fd, struct plat_udp_tx *tx, unsigned n, bool *lost_source);

#endif

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
#include "plat/offload.h"

#define PLAT_UDP_BATCH_MAX    64
#define PLAT_UDP_GSO_SEGS_MAX 64

enum plat_udp_flags {
	PLAT_UDP_GSO = 1 << 0,
	PLAT_UDP_GRO = 1 << 1,
};

struct plat_udp_options {
	enum tt_family family;
	uint16_t udp_port;  /* 0: the kernel picks */
	uint32_t fwmark;    /* 0: none */
	bool reuseport;	    /* join or open a SO_REUSEPORT group */
	int buffer_bytes;   /* receive and send; the …FORCE variants are tried first */
	struct tt_ip local; /* bound to this address of the family; NONE: any */
};

/*
 * Monitor. Opens, binds and prepares one socket: non-blocking, close-on-exec,
 * pktinfo, ECN on receive, IPv6 only v6, path-MTU policy "fragment where needed", no GRO yet.
 * Descriptor or -errno: -EAFNOSUPPORT where the host lacks the family, -EADDRINUSE, -EPERM
 * (fwmark). *bound_port is the number the kernel gave.
 */
int plat_udp_open(const struct plat_udp_options *opt, uint16_t *bound_port);
int plat_udp_set_fwmark(int fd, uint32_t fwmark);
/*
 * Attaches to a SO_REUSEPORT group (any member's fd; members count in order of binding): data
 * packets (type 4), bare or behind the header of a relay (0xa7, type 0), go to member `receiver
 * index mod workers`, all others to member `workers`.
 * -ENOTSUP where the system cannot; then every member must accept every packet. 1..255 workers.
 *
 * Steering is a hint, not a promise: a super-datagram goes where its first datagram goes, and until
 * the program is attached the kernel spreads by hash. Closing a member moves the last one into its
 * place, so a group is opened anew as a whole. GRO is switched for all members or none: the
 * kernel's look at it happens before steering, and not at the member the packet then goes to.
 */
int plat_udp_steer(int fd, unsigned workers);
/*
 * The same, but the members of this set (bit per worker, the first 32) get nothing new: the next
 * one that is not in it gets their share. Needs no rights: any owner of a member's descriptor may.
 * -EINVAL where nobody is left.
 */
int plat_udp_steer_without(int fd, unsigned workers, uint32_t without);

struct plat_udp_offloads {
	enum plat_offload gso, gro;
};

/*
 * Probes what this kernel really does with GSO and GRO over loopback; result: plat_udp_flags of
 * what is on. The second says how each of them fared.
 */
unsigned plat_udp_probe(void);
unsigned plat_udp_probe_offloads(struct plat_udp_offloads *out);
int plat_udp_enable_gro(int fd, bool on);

/* Where to send: destination and, where known, our own address to send from (sticky source). */
struct plat_udp_dest {
	struct tt_endpoint to;
	struct tt_ip from; /* family NONE: the kernel chooses */
	/*
	 * 0: the kernel routes (right but for link-local addresses). Otherwise the datagram leaves
	 * by this interface whatever the routes say.
	 */
	uint32_t from_ifindex;
	/* Prebuilt by plat_udp_dest_prepare(), private to the platform. */
	uint8_t sockaddr[28];
	uint8_t sockaddr_len;
	uint8_t control_len;
	_Alignas(8) uint8_t control[48];
};
/* Fills the private part from to, from, from_ifindex; after every change of them. Any thread. */
void plat_udp_dest_prepare(struct plat_udp_dest *d);

struct plat_udp_rx {
	/* in */
	uint8_t *buf;
	uint32_t cap;
	/* out */
	uint32_t len;
	uint32_t segment; /* each datagram in buf but the last; == len (so maybe 0) where it is one
			   */
	uint8_t ecn;	  /* outer ECN codepoint, 0..3 */
	bool truncated;
	struct tt_endpoint src;
	struct tt_ip dst; /* our address it came to */
	uint32_t ifindex;
};

/* Up to n messages; returns their number, -EAGAIN, or -errno, which took a millisecond where it may
 * well be the next answer, too. buf/cap of each are the caller's. */
int plat_udp_recv(int fd, struct plat_udp_rx *rx, unsigned n);

struct plat_udp_tx {
	const uint8_t *buf;
	uint32_t len;
	/* == len: one datagram. Smaller: GSO, PLAT_UDP_GSO_SEGS_MAX datagrams at most. */
	uint32_t segment;
	uint8_t ecn;
	const struct plat_udp_dest *dest;
	/* out */
	int error;	  /* 0 or -errno of this message */
	bool gso_refused; /* went out one by one: the kernel cannot, or segment is above the MTU */
	bool lost_source; /* went out without dest's source address, which has vanished */
};

/*
 * Sends n messages with as few system calls as possible; a failing message does not stop the
 * others. Returns how many were sent. Where the source address has vanished (EINVAL, ENETUNREACH,
 * EHOSTUNREACH, EADDRNOTAVAIL) that message is tried once more without source: its error is then 0
 * and its lost_source true; *lost_source says whether any message's is. A GSO message that the
 * kernel refuses is sent datagram by datagram and marked gso_refused; a caller that sees it often
 * turns GSO off for that destination. Full buffers: waits for room once per call, at most 1 ms;
 * then -EAGAIN or -ENOBUFS.
 */
unsigned plat_udp_send(int fd, struct plat_udp_tx *tx, unsigned n, bool *lost_source);

/*
 * Sends one datagram that is not to be fragmented, neither here nor on its way, to learn what fits
 * a path. The kernel's own opinion of the path is not asked; only the interface's MTU bounds it. 0;
 * -EMSGSIZE: it does not even fit the interface; -ENOTSUP: the system cannot (nothing was sent);
 * -errno. DF is the socket's for the time of the call: a thread that sends on the same socket at
 * that moment sends with DF too.
 */
int plat_udp_send_probe(int fd, const struct plat_udp_dest *dest, const void *data, size_t len);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Packet ports. An *outer* port carries WireGuard messages: a pair of UDP sockets, an AF_XDP queue,
 * memory. An *inner* port carries IP packets: a TUN queue, memory. One worker owns a port; every
 * call is the owner's.
 */
#ifndef TT_DATAPATH_PORT_H
#define TT_DATAPATH_PORT_H

#include "base/drop.h"
#include "datapath/peer.h"
#include "plat/tun.h"
#include "plat/udp_io.h"

/* Wire lengths beyond this fit no datagram (IPv4; IPv6 takes 20 more). */
#define DP_WIRE_MAX_V4 (65535 - 20 - 8)
#define DP_WIRE_MAX_V6 (65535 - 8)

/* Where a received message came from. */
struct dp_origin {
	struct tt_endpoint src;
	struct tt_ip dst;
	uint32_t ifindex;
};

/* One received datagram. The port owns the bytes; they may be changed until rx_release(). */
struct dp_frame {
	uint8_t *data;
	uint32_t len;
	uint8_t ecn;
	bool truncated;
	const struct dp_origin *origin; /* of the datagram; via a relay: the relay's */
	uint32_t tag;			/* as in struct dp_roam, and: */
	uint8_t via;			/* enum dp_via */
};

/* What became of the messages of one flush. */
#define DP_TX_LOST_MAX 8
struct dp_tx_report {
	uint32_t failed[TT_DROP_COUNT]; /* datagrams, by reason */
	bool gso_off;			/* super-datagrams are refused altogether: now off */
	bool queue_failed;		/* an AF_XDP queue does not send: interface down or gone */
	unsigned lost_sources;		/* peers whose source address is gone */
	struct dp_peer *lost_source[DP_TX_LOST_MAX];
};

struct dp_outer_port {
	const struct dp_outer_ops *ops;
};

#define DP_UDP_LANES   2 /* one per family */
#define DP_OUTER_LANES (DP_UDP_LANES + DP_XSK_LANES)

struct dp_outer_ops {
	/* Descriptor to wait for, or -1. Lane 0: IPv4, lane 1: IPv6, from lane 2 on AF_XDP queues;
	 * a port without families has one. */
	int (*fd)(const struct dp_outer_port *port, unsigned lane);
	/*
	 * Next frames of the current batch, receiving one where there is none. 0: the batch is
	 * exhausted, or nothing is there. Frames stay valid until rx_release(), which ends a batch
	 * and says whether there may be more at once.
	 */
	unsigned (*rx)(struct dp_outer_port *port, unsigned lane, struct dp_frame *f, unsigned max);
	bool (*rx_release)(struct dp_outer_port *port);
	/* Bit per lane that has something to receive for sure, found without a system call. NULL:
	 * the port cannot tell. */
	uint32_t (*peek)(const struct dp_outer_port *port);
	/*
	 * Memory for one message of exactly len bytes to this path; NULL: flush first, then ask
	 * again; still NULL: it cannot go this way. Slots are provisional until tx_commit();
	 * tx_abort() forgets those since the last commit. peer is for the report only.
	 */
	uint8_t *(*tx_slot)(struct dp_outer_port *port, struct dp_peer *peer, struct dp_path *path,
			    uint8_t ecn, uint32_t len);
	void (*tx_commit)(struct dp_outer_port *port);
	void (*tx_abort)(struct dp_outer_port *port);
	/* Bytes committed and not flushed. */
	uint32_t (*tx_pending)(const struct dp_outer_port *port);
	void (*tx_flush)(struct dp_outer_port *port, struct dp_tx_report *report);
	/*
	 * Tries again what a flush handed over and the kernel has not taken (its buffers were
	 * full). True: some of it still waits; call it again soon, also where nothing else happens.
	 * NULL: a flush always ends.
	 */
	bool (*tx_retry)(struct dp_outer_port *port);
	/* The same, but what more packets would be sent together with may stay. NULL: no such
	 * thing. */
	void (*tx_flush_full)(struct dp_outer_port *port, struct dp_tx_report *report);
};

struct dp_inner_port {
	const struct dp_inner_ops *ops;
	unsigned flags; /* enum plat_tun_flags */
};

struct dp_inner_ops {
	int (*fd)(const struct dp_inner_port *port);
	/*
	 * One packet and its vnet header (zero where the port has none): *pkt stays valid, and may
	 * be changed, until the next rx(). Length > 0, -EAGAIN or -errno.
	 */
	ssize_t (*rx)(struct dp_inner_port *port, uint8_t **pkt, struct plat_vnet_hdr *vnet);
	/* One packet as plat_tun_writev() takes it. Bytes or -errno. */
	ssize_t (*write)(struct dp_inner_port *port, const struct iovec *iov, int n);
};

#endif

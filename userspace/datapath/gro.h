/* SPDX-License-Identifier: MIT
 *
 * Inbound receive offload in software: decrypted packets of a batch that continue one another leave
 * as one super-packet, so that the kernel's stack and the TUN write are paid once.
 *
 *	dp_gro_init(&g, tun.flags);                 // once
 *	for each packet of the batch:
 *		dp_gro_add(&g, pkt, &in);           // after source check and ECN
 *	n = dp_gro_flush(&g, &outs);
 *	for (i = 0; i < n; i++)
 *		plat_tun_writev(fd, outs[i].iov, outs[i].n);
 *	dp_gro_reset(&g);
 *
 * Nothing is copied: an output gathers pieces of the packets' own buffers, which therefore stay
 * untouched by the caller until it has been written. The vnet header is written into the 10 bytes
 *in front of the first packet (with WireGuard: the tail of its 16-byte header), so a single packet
 * is one piece. One owner thread; fixed size; no allocation.
 *
 * Merged are packets of one TCP or UDP flow that differ in nothing but what segmentation produces:
 * everything else (ECN, DSCP, TTL, flow label, window, acknowledgement, TCP options) is equal, and
 * each checksum was verified. All other packets pass alone and untouched, their checksum left to
 * the kernel. Packets of one flow are never reordered against each other; outputs come in the order
 *of their first packet.
 */
#ifndef TT_DATAPATH_GRO_H
#define TT_DATAPATH_GRO_H

#include <sys/uio.h>
#include "datapath/inner.h"
#include "plat/tun.h"

#define DP_GRO_PACKETS_MAX  512
#define DP_GRO_UDP_SEGS_MAX 64				 /* what every kernel with USO takes */
#define DP_GRO_HEADROOM	    sizeof(struct plat_vnet_hdr) /* writable bytes in front of a packet */
#define DP_GRO_SLOTS	    128				 /* of the flow table; a power of two */

/* One TUN write. */
struct dp_gro_out {
	struct iovec *iov;
	uint32_t n;	    /* pieces, >= 1, <= DP_GRO_PACKETS_MAX */
	uint32_t len;	    /* bytes in all, vnet header included */
	uint32_t packets;   /* how many packets went into it (for counters) */
	uint32_t inner_len; /* bytes of the packets as they were received (for counters) */
};

/* A group of merged packets that grows; private. */
struct dp_gro_group {
	uint8_t *head; /* first packet */
	struct dp_inner in;
	uint32_t hash;
	uint32_t total_len; /* of the super-packet */
	uint32_t inner_len;
	uint32_t next_seq; /* TCP */
	uint16_t gso_size;
	uint16_t packets;
	uint16_t first, last; /* packet numbers; 0xffff ends the chain */
	bool id_fixed;	      /* IPv4 id of all packets is the head's */
	bool psh;	      /* the last packet pushes */
	bool checked;	      /* the head's checksums hold */
	bool closed;	      /* nothing more fits behind it */
};

struct dp_gro {
	unsigned tun_flags;
	uint32_t packets;
	uint32_t groups;
	uint16_t slot[DP_GRO_SLOTS]; /* group number + 1; 0: free */
	struct iovec
		piece[DP_GRO_PACKETS_MAX]; /* payload of packets that were merged into a group */
	uint16_t next[DP_GRO_PACKETS_MAX];
	struct dp_gro_group group[DP_GRO_PACKETS_MAX];
	struct iovec iov[DP_GRO_PACKETS_MAX];
	struct dp_gro_out out[DP_GRO_PACKETS_MAX];
};

/*
 * tun_flags: enum plat_tun_flags as granted. Without PLAT_TUN_VNET_HDR no vnet header is written
 * and nothing is merged; without PLAT_TUN_TSO no TCP, without PLAT_TUN_USO no UDP.
 */
void dp_gro_init(struct dp_gro *g, unsigned tun_flags);
/* Forgets the batch; the outputs of the last flush are gone. */
void dp_gro_reset(struct dp_gro *g);

/*
 * Adds a packet that dp_inner_parse() accepted; its buffer stays the caller's but is not
 * touched until the outputs are written. *in is copied. false: the batch is full
 * (DP_GRO_PACKETS_MAX), flush first.
 */
bool dp_gro_add(struct dp_gro *g, uint8_t *pkt, const struct dp_inner *in);

/* Number of outputs and, in *outs, where they are; valid until dp_gro_reset(). No add after it. */
uint32_t dp_gro_flush(struct dp_gro *g, const struct dp_gro_out **outs);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Outbound segmentation: one TUN read (struct plat_vnet_hdr and a packet of up to 64 KiB) becomes
 * inner packets of the size the peer's kernel would have sent, each with valid checksums, in one
 * copy-and-checksum pass over the payload:
 *
 *	if (dp_inner_parse(pkt, len, &in) == TT_DROP_NONE &&
 *	    (drop = dp_segmenter_init(&sg, &vnet, pkt, &in)) == TT_DROP_NONE)
 *		while (sg.left)
 *			len = dp_segmenter_next(&sg, slot());   // dp_segmenter_len(&sg) bytes
 *
 * A packet that is no super-packet yields itself as the only segment. Pure; no allocation.
 */
#ifndef TT_DATAPATH_SEGMENT_H
#define TT_DATAPATH_SEGMENT_H

#include "datapath/inner.h"
#include "plat/tun.h"

#define DP_SEGMENTS_MAX 8192 /* of one super-packet; 64 KiB at the smallest MSS a kernel uses */
#define DP_SEGMENT_HDR_MAX \
	256 /* IP header chain and L4 header of a super-packet; more is refused */

struct dp_segmenter {
	/* for the caller */
	uint32_t count;	   /* segments in all, >= 1 */
	uint32_t left;	   /* not yet taken */
	uint32_t full_len; /* inner length of every segment but the last */
	uint32_t last_len; /* inner length of the last one, <= full_len */
	/* private */
	const uint8_t *payload; /* of the next segment */
	uint32_t hdr_len;
	uint32_t l4_off;
	uint32_t csum_off; /* of the L4 checksum field in the packet; 0: nothing to fill in */
	uint32_t l4_sum;   /* pseudo header and L4 header, without what differs per segment */
	uint32_t ip_sum;   /* IPv4 header without total length, id, checksum */
	uint32_t seq;
	uint16_t ip_id;
	uint8_t family;
	uint8_t proto;
	uint8_t tcp_flags;
	bool super; /* segments are cut; false: the packet goes as it is */
	uint8_t hdr[DP_SEGMENT_HDR_MAX];
};

/*
 * Checks the vnet header against the packet, whose dp_inner_parse() succeeded. The packet stays
 * where it is until the last segment is taken. TT_DROP_NONE; or TT_DROP_TUN_BAD_VNET_HDR where the
 * two contradict each other or the kind was never offered to the kernel.
 * vnet->hdr_len is a hint that kernels fill differently; it is not looked at.
 */
enum tt_drop dp_segmenter_init(struct dp_segmenter *sg, const struct plat_vnet_hdr *vnet,
			       const uint8_t *pkt, const struct dp_inner *in);

/* Bytes that the next dp_segmenter_next() writes, while sg->left. */
static inline uint32_t dp_segmenter_len(const struct dp_segmenter *sg)
{
	return sg->left > 1 ? sg->full_len : sg->last_len;
}

/*
 * Writes the next segment to dst (room for dp_segmenter_len() bytes; padding is the caller's) and
 * returns its length; 0 after the last. dst does not overlap the super-packet.
 */
uint32_t dp_segmenter_next(struct dp_segmenter *sg, uint8_t *dst);

/*
 * For a packet that is no super-packet: fills in the checksum the kernel left open, in place, so
 * that it can be encrypted out of the TUN buffer without a copy. Nothing to do without NEEDS_CSUM.
 * TT_DROP_TUN_BAD_VNET_HDR as above, and for a super-packet.
 */
enum tt_drop dp_segment_complete_csum(const struct plat_vnet_hdr *vnet, uint8_t *pkt,
				      const struct dp_inner *in);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Inner packets: what an IP packet says about itself, checked against the bytes there are. All
 * later stages (segment, gro, ecn, icmp) trust a struct dp_inner and read no length again.
 */
#ifndef TT_DATAPATH_INNER_H
#define TT_DATAPATH_INNER_H

#include "base/addr.h"
#include "base/drop.h"
#include "base/types.h"

enum dp_proto {
	DP_PROTO_ICMP = 1,
	DP_PROTO_TCP = 6,
	DP_PROTO_UDP = 17,
	DP_PROTO_ICMPV6 = 58,
};

enum dp_inner_flags {
	DP_INNER_L4 = 1 << 0,	    /* a whole TCP or UDP header is there: l4_hdr_len is set */
	DP_INNER_FRAGMENT = 1 << 1, /* any fragment, the first included */
	DP_INNER_LATER_FRAGMENT = 1 << 2, /* offset > 0: no L4 header in it */
	DP_INNER_OPTIONS = 1 << 3,	  /* IPv4 options or IPv6 extension headers */
	DP_INNER_DF = 1 << 4,		  /* IPv4 don't-fragment; always set for IPv6 */
};

struct dp_inner {
	const uint8_t *src; /* addresses inside the packet, 4 or 16 bytes */
	const uint8_t *dst;
	uint32_t total_len; /* of the IP packet, header included; what follows it is padding */
	uint16_t l3_len;    /* fixed header with IPv4 options; 40 for IPv6 */
	uint16_t l4_off;    /* after all extension headers */
	uint16_t l4_len;    /* total_len - l4_off */
	uint8_t l4_hdr_len; /* TCP with options, UDP 8; 0 without DP_INNER_L4 */
	uint8_t family;	    /* enum tt_family */
	uint8_t proto;	    /* last next-header value reached; of a later fragment: of the whole */
	uint8_t tos;	    /* DSCP << 2 | ECN */
	uint8_t ttl;	    /* or hop limit */
	uint8_t flags;	    /* enum dp_inner_flags */
};

/*
 * Parses the packet in pkt[0, len). TT_DROP_NONE and *in filled; or TT_DROP_INNER_INVALID where it
 * is no IPv4 or IPv6 packet or its lengths do not fit into len (outbound callers count
 * TT_DROP_TX_INNER_INVALID instead). Never reads past len. The pointers in *in point into pkt.
 */
enum tt_drop dp_inner_parse(const uint8_t *pkt, size_t len, struct dp_inner *in);

static inline bool dp_inner_is_v4(const struct dp_inner *in)
{
	return in->family == TT_FAMILY_V4;
}

/* Whether two addresses of this packet's family are the same: of a length known here, or each
 * comparison would be a call. */
static inline bool dp_inner_address_equal(const struct dp_inner *in, const uint8_t *a,
					  const uint8_t *b)
{
	return memcmp(a, b, 4) == 0 && (dp_inner_is_v4(in) || memcmp(a + 4, b + 4, 12) == 0);
}

/*
 * One hop further (peer to peer, without TUN): decrements TTL or hop limit, patches the IPv4
 * checksum and in->ttl. TT_DROP_TTL_EXCEEDED with the packet untouched where none is left.
 */
enum tt_drop dp_inner_ttl_decrement(uint8_t *pkt, struct dp_inner *in);

#endif

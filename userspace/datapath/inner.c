/* SPDX-License-Identifier: MIT */
#include "datapath/inner.h"

#include "datapath/csum.h"

enum {
	V4_HDR_MIN = 20,
	V6_HDR = 40,
	TCP_HDR_MIN = 20,
	UDP_HDR = 8,
	V6_EXT_MAX = 16, /* headers in a chain; real packets have two or three */
};

enum v6_ext {
	V6_EXT_HOP_BY_HOP = 0,
	V6_EXT_ROUTING = 43,
	V6_EXT_FRAGMENT = 44,
	V6_EXT_AUTH = 51,
	V6_EXT_DEST = 60,
};

/* Sets DP_INNER_L4 where TCP's or UDP's own header is whole; its absence is no reason to drop. */
static void parse_l4(const uint8_t *pkt, struct dp_inner *in)
{
	if (in->flags & DP_INNER_LATER_FRAGMENT)
		return;
	if (in->proto == DP_PROTO_TCP && in->l4_len >= TCP_HDR_MIN) {
		unsigned hdr = (pkt[in->l4_off + 12] >> 4) * 4u;
		if (hdr < TCP_HDR_MIN || hdr > in->l4_len)
			return;
		in->l4_hdr_len = (uint8_t)hdr;
		in->flags |= DP_INNER_L4;
	} else if (in->proto == DP_PROTO_UDP && in->l4_len >= UDP_HDR) {
		in->l4_hdr_len = UDP_HDR;
		in->flags |= DP_INNER_L4;
	}
}

static enum tt_drop parse_v4(const uint8_t *pkt, size_t len, struct dp_inner *in)
{
	if (len < V4_HDR_MIN)
		return TT_DROP_INNER_INVALID;
	unsigned hdr = (pkt[0] & 0xf) * 4u;
	unsigned total = tt_load_be16(pkt + 2);
	if (hdr < V4_HDR_MIN || total < hdr || total > len)
		return TT_DROP_INNER_INVALID;

	unsigned frag = tt_load_be16(pkt + 6);
	uint8_t flags = 0;
	if (frag & 0x4000)
		flags |= DP_INNER_DF;
	if (frag & 0x3fff)
		flags |= DP_INNER_FRAGMENT;
	if (frag & 0x1fff)
		flags |= DP_INNER_LATER_FRAGMENT;
	if (hdr != V4_HDR_MIN)
		flags |= DP_INNER_OPTIONS;
	*in = (struct dp_inner){
		.src = pkt + 12,
		.dst = pkt + 16,
		.total_len = total,
		.l3_len = (uint16_t)hdr,
		.l4_off = (uint16_t)hdr,
		.l4_len = (uint16_t)(total - hdr),
		.family = TT_FAMILY_V4,
		.proto = pkt[9],
		.tos = pkt[1],
		.ttl = pkt[8],
		.flags = flags,
	};
	parse_l4(pkt, in);
	return TT_DROP_NONE;
}

/* Length of an extension header of which at least 8 bytes are there; 0: it is no such header. */
static unsigned ext_len(uint8_t type, const uint8_t *ext)
{
	switch (type) {
	case V6_EXT_HOP_BY_HOP:
	case V6_EXT_ROUTING:
	case V6_EXT_DEST:
		return (ext[1] + 1u) * 8;
	case V6_EXT_AUTH:
		return (ext[1] + 2u) * 4;
	case V6_EXT_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static bool is_ext(uint8_t type)
{
	return type == V6_EXT_HOP_BY_HOP || type == V6_EXT_ROUTING || type == V6_EXT_FRAGMENT ||
	       type == V6_EXT_AUTH || type == V6_EXT_DEST;
}

/* Follows the chain up to the upper layer or a later fragment; false where it leaves the packet. */
static bool walk_v6(const uint8_t *pkt, struct dp_inner *in)
{
	uint32_t off = V6_HDR;
	for (unsigned n = 0; is_ext(in->proto); n++) {
		if (n == V6_EXT_MAX || in->total_len - off < 8)
			return false;
		const uint8_t *ext = pkt + off;
		unsigned len = ext_len(in->proto, ext);
		if (in->total_len - off < len)
			return false;
		in->flags |= DP_INNER_OPTIONS;
		if (in->proto == V6_EXT_FRAGMENT) {
			in->flags |= DP_INNER_FRAGMENT;
			if (tt_load_be16(ext + 2) & 0xfff8)
				in->flags |= DP_INNER_LATER_FRAGMENT;
		}
		in->proto = ext[0];
		off += len;
		if (in->flags & DP_INNER_LATER_FRAGMENT)
			break;
	}
	in->l4_off = (uint16_t)off;
	in->l4_len = (uint16_t)(in->total_len - off);
	return true;
}

static enum tt_drop parse_v6(const uint8_t *pkt, size_t len, struct dp_inner *in)
{
	if (len < V6_HDR)
		return TT_DROP_INNER_INVALID;
	unsigned payload = tt_load_be16(pkt + 4);
	if (payload > len - V6_HDR)
		return TT_DROP_INNER_INVALID;
	*in = (struct dp_inner){
		.src = pkt + 8,
		.dst = pkt + 24,
		.total_len = V6_HDR + payload,
		.l3_len = V6_HDR,
		.l4_off = V6_HDR,
		.l4_len = (uint16_t)payload,
		.family = TT_FAMILY_V6,
		.proto = pkt[6],
		.tos = (uint8_t)(tt_load_be16(pkt) >> 4),
		.ttl = pkt[7],
		.flags = DP_INNER_DF,
	};
	if (tt_unlikely(is_ext(in->proto)) && !walk_v6(pkt, in))
		return TT_DROP_INNER_INVALID;
	parse_l4(pkt, in);
	return TT_DROP_NONE;
}

enum tt_drop dp_inner_parse(const uint8_t *pkt, size_t len, struct dp_inner *in)
{
	if (tt_unlikely(len == 0))
		return TT_DROP_INNER_INVALID;
	switch (pkt[0] >> 4) {
	case 4:
		return parse_v4(pkt, len, in);
	case 6:
		return parse_v6(pkt, len, in);
	default:
		return TT_DROP_INNER_INVALID;
	}
}

enum tt_drop dp_inner_ttl_decrement(uint8_t *pkt, struct dp_inner *in)
{
	if (in->ttl <= 1)
		return TT_DROP_TTL_EXCEEDED;
	in->ttl--;
	if (!dp_inner_is_v4(in)) {
		pkt[7] = in->ttl;
		return TT_DROP_NONE;
	}
	uint16_t old_word, new_word;
	memcpy(&old_word, pkt + 8, sizeof(old_word));
	pkt[8] = in->ttl;
	memcpy(&new_word, pkt + 8, sizeof(new_word));
	dp_csum_patch(pkt + 10, old_word, new_word);
	return TT_DROP_NONE;
}

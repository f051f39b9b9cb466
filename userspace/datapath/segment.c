/* SPDX-License-Identifier: MIT */
#include "datapath/segment.h"

#include "datapath/csum.h"

enum {
	TCP_SEQ = 4,
	TCP_FLAGS = 13,
	TCP_CHECK = 16,
	UDP_LEN = 4,
	UDP_CHECK = 6,
	V4_LEN = 2,
	V4_ID = 4,
	V4_CHECK = 10,
	V6_LEN = 4,
	V4_HDR_MIN = 20,
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
};

static uint16_t l4_check_off(uint8_t proto)
{
	return proto == DP_PROTO_TCP ? TCP_CHECK : UDP_CHECK;
}

static uint32_t pseudo(const struct dp_inner *in, uint16_t l4_len)
{
	return dp_inner_is_v4(in) ? dp_csum_pseudo_v4(in->src, in->dst, in->proto, l4_len)
				  : dp_csum_pseudo_v6(in->src, in->dst, in->proto, l4_len);
}

/* A computed UDP checksum of zero would mean "none"; for others both zeros are the same number. */
static void store_check(uint8_t *field, uint32_t sum)
{
	uint16_t check = dp_csum_fold(sum);
	if (check == 0)
		check = 0xffff;
	memcpy(field, &check, sizeof(check));
}

/* The open checksum of a packet that is not cut lies inside it, behind its IP header. */
static bool csum_fits(const struct plat_vnet_hdr *vnet, const struct dp_inner *in)
{
	return vnet->csum_start >= in->l3_len && vnet->csum_offset % 2 == 0 &&
	       (uint32_t)vnet->csum_start + vnet->csum_offset + 2 <= in->total_len;
}

static bool gso_kind_fits(const struct plat_vnet_hdr *vnet, const struct dp_inner *in)
{
	switch (vnet->gso_type) {
	case PLAT_VNET_GSO_TCPV4:
	case PLAT_VNET_GSO_TCPV4 | PLAT_VNET_GSO_ECN:
		return dp_inner_is_v4(in) && in->proto == DP_PROTO_TCP;
	case PLAT_VNET_GSO_TCPV6:
	case PLAT_VNET_GSO_TCPV6 | PLAT_VNET_GSO_ECN:
		return !dp_inner_is_v4(in) && in->proto == DP_PROTO_TCP;
	case PLAT_VNET_GSO_UDP_L4:
		return in->proto == DP_PROTO_UDP;
	default:
		return false;
	}
}

static bool super_fits(const struct plat_vnet_hdr *vnet, const struct dp_inner *in)
{
	if (!gso_kind_fits(vnet, in) || vnet->gso_size == 0)
		return false;
	if (!(in->flags & DP_INNER_L4) || (in->flags & DP_INNER_FRAGMENT))
		return false;
	if ((uint32_t)in->l4_off + in->l4_hdr_len > DP_SEGMENT_HDR_MAX)
		return false;
	/* Without NEEDS_CSUM the checksums are whole; computing them again does no harm. */
	return !(vnet->flags & PLAT_VNET_F_NEEDS_CSUM) ||
	       (vnet->csum_start == in->l4_off && vnet->csum_offset == l4_check_off(in->proto));
}

/*
 * Takes out of the header what differs from segment to segment and sums the rest up once: per
 * segment only the few changed words are added again.
 */
static void make_template(struct dp_segmenter *sg, const uint8_t *pkt, const struct dp_inner *in)
{
	uint8_t *hdr = sg->hdr, *l4 = hdr + sg->l4_off;
	memcpy(hdr, pkt, sg->hdr_len);
	if (dp_inner_is_v4(in)) {
		sg->ip_id = tt_load_be16(hdr + V4_ID);
		tt_store_be32(hdr + V4_LEN, 0);
		tt_store_be16(hdr + V4_CHECK, 0);
		sg->ip_sum = dp_csum_partial(hdr, in->l3_len, 0);
	}
	tt_store_be16(l4 + l4_check_off(in->proto), 0);
	if (in->proto == DP_PROTO_TCP) {
		sg->seq = tt_load_be32(l4 + TCP_SEQ);
		sg->tcp_flags = l4[TCP_FLAGS];
		tt_store_be32(l4 + TCP_SEQ, 0);
		l4[TCP_FLAGS] = 0;
	} else {
		tt_store_be16(l4 + UDP_LEN, 0);
	}
	sg->l4_sum = dp_csum_partial(l4, in->l4_hdr_len, pseudo(in, 0));
}

static enum tt_drop init_super(struct dp_segmenter *sg, const struct plat_vnet_hdr *vnet,
			       const uint8_t *pkt, const struct dp_inner *in)
{
	if (!super_fits(vnet, in))
		return TT_DROP_TUN_BAD_VNET_HDR;
	uint32_t hdr_len = (uint32_t)in->l4_off + in->l4_hdr_len;
	uint32_t payload = in->total_len - hdr_len;
	uint32_t count = payload ? (payload + vnet->gso_size - 1) / vnet->gso_size : 1;
	if (count > DP_SEGMENTS_MAX)
		return TT_DROP_TUN_BAD_VNET_HDR;

	sg->super = true;
	sg->count = sg->left = count;
	sg->last_len = hdr_len + payload - (count - 1) * vnet->gso_size;
	sg->full_len = count > 1 ? hdr_len + vnet->gso_size : sg->last_len;
	sg->payload = pkt + hdr_len;
	sg->hdr_len = hdr_len;
	sg->l4_off = in->l4_off;
	sg->csum_off = (uint32_t)in->l4_off + l4_check_off(in->proto);
	sg->family = in->family;
	sg->proto = in->proto;
	make_template(sg, pkt, in);
	return TT_DROP_NONE;
}

enum tt_drop dp_segmenter_init(struct dp_segmenter *sg, const struct plat_vnet_hdr *vnet,
			       const uint8_t *pkt, const struct dp_inner *in)
{
	if (vnet->flags & ~(PLAT_VNET_F_NEEDS_CSUM | PLAT_VNET_F_DATA_VALID))
		return TT_DROP_TUN_BAD_VNET_HDR;
	if (vnet->gso_type != PLAT_VNET_GSO_NONE)
		return init_super(sg, vnet, pkt, in);

	sg->super = false;
	sg->count = sg->left = 1;
	sg->full_len = sg->last_len = in->total_len;
	sg->payload = pkt;
	sg->csum_off = 0;
	if (vnet->flags & PLAT_VNET_F_NEEDS_CSUM) {
		if (!csum_fits(vnet, in))
			return TT_DROP_TUN_BAD_VNET_HDR;
		sg->l4_off = vnet->csum_start;
		sg->csum_off = (uint32_t)vnet->csum_start + vnet->csum_offset;
	}
	return TT_DROP_NONE;
}

static uint32_t next_plain(struct dp_segmenter *sg, uint8_t *dst)
{
	sg->left = 0;
	if (!sg->csum_off) {
		memcpy(dst, sg->payload, sg->last_len);
		return sg->last_len;
	}
	memcpy(dst, sg->payload, sg->l4_off);
	uint32_t sum = dp_csum_copy(dst + sg->l4_off, sg->payload + sg->l4_off,
				    sg->last_len - sg->l4_off, 0);
	store_check(dst + sg->csum_off, sum);
	return sg->last_len;
}

static void write_l3(struct dp_segmenter *sg, uint8_t *dst, uint32_t len)
{
	if (sg->family != TT_FAMILY_V4) {
		tt_store_be16(dst + V6_LEN, (uint16_t)(len - 40));
		return;
	}
	uint16_t id = sg->ip_id++;
	tt_store_be16(dst + V4_LEN, (uint16_t)len);
	tt_store_be16(dst + V4_ID, id);
	uint32_t sum = dp_csum_add(sg->ip_sum, dp_csum_be16((uint16_t)len) + dp_csum_be16(id));
	uint16_t check = dp_csum_fold(sum);
	memcpy(dst + V4_CHECK, &check, sizeof(check));
}

/* Fills the L4 fields in and returns what they and the pseudo header's length add to the sum. */
static uint32_t write_l4(struct dp_segmenter *sg, uint8_t *l4, uint16_t l4_len)
{
	uint32_t sum = dp_csum_be16(l4_len);
	if (sg->proto == DP_PROTO_UDP) {
		tt_store_be16(l4 + UDP_LEN, l4_len);
		return 2 * sum;
	}
	uint8_t flags = sg->tcp_flags;
	if (sg->left != sg->count)
		flags &= (uint8_t)~TCP_CWR;
	if (sg->left != 1)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	l4[TCP_FLAGS] = flags;
	tt_store_be32(l4 + TCP_SEQ, sg->seq);
	return dp_csum_add(sum + dp_csum_be16(flags), __builtin_bswap32(sg->seq));
}

uint32_t dp_segmenter_next(struct dp_segmenter *sg, uint8_t *dst)
{
	if (sg->left == 0)
		return 0;
	if (!sg->super)
		return next_plain(sg, dst);

	uint32_t len = dp_segmenter_len(sg);
	uint32_t payload = len - sg->hdr_len;
	memcpy(dst, sg->hdr, sg->hdr_len);
	write_l3(sg, dst, len);
	uint32_t sum = write_l4(sg, dst + sg->l4_off, (uint16_t)(len - sg->l4_off));
	sum = dp_csum_add(sg->l4_sum, sum);
	sum = dp_csum_copy(dst + sg->hdr_len, sg->payload, payload, sum);
	store_check(dst + sg->csum_off, sum);

	sg->payload += payload;
	sg->seq += payload;
	sg->left--;
	return len;
}

enum tt_drop dp_segment_complete_csum(const struct plat_vnet_hdr *vnet, uint8_t *pkt,
				      const struct dp_inner *in)
{
	if (vnet->gso_type != PLAT_VNET_GSO_NONE ||
	    (vnet->flags & ~(PLAT_VNET_F_NEEDS_CSUM | PLAT_VNET_F_DATA_VALID)))
		return TT_DROP_TUN_BAD_VNET_HDR;
	if (!(vnet->flags & PLAT_VNET_F_NEEDS_CSUM))
		return TT_DROP_NONE;
	if (!csum_fits(vnet, in))
		return TT_DROP_TUN_BAD_VNET_HDR;
	uint8_t *start = pkt + vnet->csum_start;
	uint32_t sum = dp_csum_partial(start, in->total_len - vnet->csum_start, 0);
	store_check(start + vnet->csum_offset, sum);
	return TT_DROP_NONE;
}

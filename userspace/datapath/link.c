/* SPDX-License-Identifier: MIT */
#include "datapath/link.h"

#include "datapath/csum.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

#define ETHERNET_HEADER 14
#define VLAN_HEADER	4
#define IPV4_HEADER	20
#define IPV6_HEADER	40
#define UDP_HEADER	8
#define PROTO_UDP	17
#define HOP_LIMIT	64

/* --- sending ---------------------------------------------------------------------------------- */

static uint8_t *put_ethernet(struct dp_link *l, const struct plat_nexthop *hop)
{
	uint8_t *p = l->header;
	uint16_t ethertype = l->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;

	memcpy(p, hop->dst_mac, 6);
	memcpy(p + 6, hop->src_mac, 6);
	p += 12;
	if (hop->vlan_proto) {
		tt_store_be16(p, hop->vlan_proto);
		tt_store_be16(p + 2, hop->vlan_id & 0x0fff);
		p += VLAN_HEADER;
	}
	tt_store_be16(p, ethertype);
	return p + 2;
}

static uint8_t *put_ipv4(uint8_t *p, const struct tt_ip *from, const struct tt_ip *to)
{
	memset(p, 0, IPV4_HEADER);
	p[0] = 0x45;
	p[8] = HOP_LIMIT;
	p[9] = PROTO_UDP;
	memcpy(p + 12, from->b, 4);
	memcpy(p + 16, to->b, 4);
	return p + IPV4_HEADER;
}

static uint8_t *put_ipv6(uint8_t *p, const struct tt_ip *from, const struct tt_ip *to)
{
	memset(p, 0, 8);
	p[0] = 0x60;
	p[6] = PROTO_UDP;
	p[7] = HOP_LIMIT;
	memcpy(p + 8, from->b, 16);
	memcpy(p + 24, to->b, 16);
	return p + IPV6_HEADER;
}

bool dp_link_build(struct dp_link *l, const struct plat_nexthop *hop, const struct tt_endpoint *to,
		   uint16_t from_udp_port)
{
	memset(l, 0, sizeof(*l));
	if (hop->verdict != PLAT_NEXTHOP_RESOLVED || hop->from.family != to->ip.family)
		return false;
	l->v6 = to->ip.family == TT_FAMILY_V6;
	uint32_t ip_len = l->v6 ? IPV6_HEADER : IPV4_HEADER;
	if (hop->path_mtu <= ip_len + UDP_HEADER)
		return false;
	uint8_t *p = put_ethernet(l, hop);
	l->ip_off = (uint8_t)(p - l->header);
	p = l->v6 ? put_ipv6(p, &hop->from, &to->ip) : put_ipv4(p, &hop->from, &to->ip);
	tt_store_be16(p, from_udp_port);
	tt_store_be16(p + 2, to->udp_port);
	l->header_len = (uint8_t)(p + UDP_HEADER - l->header);
	l->max_len = hop->path_mtu - ip_len - UDP_HEADER;
	size_t addresses = l->v6 ? 32 : 8;
	l->pseudo_sum = dp_csum_partial(p - addresses, addresses, dp_csum_be16(PROTO_UDP));
	l->ifindex = hop->ifindex;
	return true;
}

void dp_link_set_df(struct dp_link *l)
{
	l->header[l->ip_off + 6] = 0x40;
}

static void finish_ipv4(uint8_t *ip, uint32_t udp_len, uint8_t ecn, uint16_t ip_id)
{
	ip[1] = ecn;
	tt_store_be16(ip + 2, (uint16_t)(IPV4_HEADER + udp_len));
	tt_store_be16(ip + 4, ip_id);
	uint16_t sum = dp_csum_fold(dp_csum_partial(ip, IPV4_HEADER, 0));
	memcpy(ip + 10, &sum, 2);
}

static void finish_ipv6(uint8_t *ip, uint32_t udp_len, uint8_t ecn)
{
	ip[1] = (uint8_t)(ecn << 4);
	tt_store_be16(ip + 4, (uint16_t)udp_len);
}

void dp_link_write(const struct dp_link *l, uint8_t *message, uint32_t len, uint8_t ecn,
		   uint16_t ip_id)
{
	uint8_t *header = message - l->header_len, *ip = header + l->ip_off;
	uint8_t *udp = message - UDP_HEADER;
	uint32_t udp_len = UDP_HEADER + len;

	memcpy(header, l->header, l->header_len);
	if (l->v6)
		finish_ipv6(ip, udp_len, ecn);
	else
		finish_ipv4(ip, udp_len, ecn, ip_id);
	tt_store_be16(udp + 4, (uint16_t)udp_len);
	uint32_t sum = dp_csum_add(l->pseudo_sum, dp_csum_be16((uint16_t)udp_len));
	uint16_t check = dp_csum_fold(dp_csum_partial(udp, udp_len, sum));

	/* zero would say "none", which IPv6 forbids and which keeps the receiver from coalescing */
	if (!check)
		check = 0xffff;
	memcpy(udp + 6, &check, 2);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool parse_ipv4(const uint8_t *ip, uint32_t left, struct dp_link_rx *out)
{
	if (left < IPV4_HEADER || ip[0] != 0x45 || ip[9] != PROTO_UDP)
		return false;
	if (tt_load_be16(ip + 6) & 0x3fff) /* more fragments, or an offset */
		return false;
	uint32_t total = tt_load_be16(ip + 2);
	if (total < IPV4_HEADER + UDP_HEADER || total > left)
		return false;
	out->ecn = ip[1] & 3;
	out->src.ip = tt_ip_v4(ip + 12);
	out->dst = tt_ip_v4(ip + 16);
	out->message_len = total - IPV4_HEADER;
	return true;
}

static bool parse_ipv6(const uint8_t *ip, uint32_t left, struct dp_link_rx *out)
{
	if (left < IPV6_HEADER || ip[0] >> 4 != 6 || ip[6] != PROTO_UDP)
		return false;
	uint32_t payload = tt_load_be16(ip + 4);
	if (payload < UDP_HEADER || payload > left - IPV6_HEADER)
		return false;
	out->ecn = (ip[1] >> 4) & 3;
	out->src.ip = tt_ip_v6(ip + 8);
	out->dst = tt_ip_v6(ip + 24);
	out->message_len = payload;
	return true;
}

bool dp_link_parse(const uint8_t *frame, uint32_t len, struct dp_link_rx *out)
{
	uint32_t off = ETHERNET_HEADER;

	memset(out, 0, sizeof(*out));
	if (len < ETHERNET_HEADER + VLAN_HEADER)
		return false;
	uint16_t ethertype = tt_load_be16(frame + 12);
	if (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) {
		ethertype = tt_load_be16(frame + 16);
		off += VLAN_HEADER;
	}
	const uint8_t *ip = frame + off;
	bool v6 = ethertype == ETHERTYPE_IPV6;
	if (!v6 && ethertype != ETHERTYPE_IPV4)
		return false;
	if (v6 ? !parse_ipv6(ip, len - off, out) : !parse_ipv4(ip, len - off, out))
		return false;
	const uint8_t *udp = ip + (v6 ? IPV6_HEADER : IPV4_HEADER);
	/* the UDP length counts; what the IP length has beyond it is nobody's */
	uint32_t udp_len = tt_load_be16(udp + 4);
	if (udp_len < UDP_HEADER || udp_len > out->message_len)
		return false;
	out->src.udp_port = tt_load_be16(udp);
	out->message_off = (uint32_t)(udp + UDP_HEADER - frame);
	out->message_len = udp_len - UDP_HEADER;
	return true;
}

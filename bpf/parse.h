/* SPDX-License-Identifier: MIT
 *
 * The pinhole: says whether a packet is, to the last length field, a WireGuard data message that
 * the worker would parse the same way. Everything that is not exactly that belongs to the kernel.
 *
 * Cheap tests first: most of what passes here is other traffic of the host, and it leaves at the
 * protocol or at the udp_port. All pointer arithmetic is with constants, and lengths come from a
 * helper, so that loading needs no right to leak pointers (CAP_PERFMON).
 */
#ifndef TT_STEER_PARSE_H
#define TT_STEER_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "shared.h"

#define STEER_WG_DATA	  4  /* message type, little-endian, the reserved bytes zero */
#define STEER_WG_DATA_MIN 32 /* a keepalive */
#define STEER_IPPROTO_UDP 17
#define STEER_FRAGMENT	  0x3fff /* more fragments, or an offset */

struct steer_vlan {
	__be16 tci;
	__be16 proto;
};

struct steer_wg {
	uint32_t type;
	uint32_t receiver_index;
};

struct steer_packet {
	struct steer_address to __attribute__((aligned(8)));
	uint32_t receiver_index;
	uint32_t frame_len;
};

/* Found by the caller: is this udp_port a tunnel's? */
static __always_inline int steer_is_tunnel(uint16_t udp_port);

/*
 * From the UDP header on. l3_len: what the IP header says is behind the start of the UDP header;
 * l4_offset: where that is in the frame. The frame may be longer (Ethernet padding), never shorter.
 */
static __always_inline enum steer_reason steer_parse_udp(struct xdp_md *ctx, const struct udphdr *u,
							 const void *end, uint32_t l4_offset,
							 uint32_t l3_len, struct steer_packet *p)
{
	const struct steer_wg *w = (const void *)(u + 1);
	uint32_t udp_len, index;

	if ((const void *)(w + 1) > end)
		return (const void *)(u + 1) <= end && !steer_is_tunnel(bpf_ntohs(u->dest))
			       ? STEER_PASS_UDP_PORT
			       : STEER_PASS_LENGTH;
	if (!steer_is_tunnel(bpf_ntohs(u->dest)))
		return STEER_PASS_UDP_PORT;
	if (w->type != STEER_WG_DATA)
		return STEER_PASS_TYPE;
	udp_len = bpf_ntohs(u->len);
	index = w->receiver_index;
	/* Keeps the loads of the IPv4 and IPv6 copies apart; joined, they have a variable offset.
	 */
	__asm__ volatile("" : "+r"(udp_len), "+r"(index));
	p->frame_len = (uint32_t)bpf_xdp_get_buff_len(ctx);
	if (udp_len != l3_len || udp_len < sizeof(*u) + STEER_WG_DATA_MIN ||
	    p->frame_len < l4_offset + udp_len)
		return STEER_PASS_LENGTH;
	p->receiver_index = index;
	return STEER_REDIRECTED;
}

static __always_inline enum steer_reason steer_parse_v4(struct xdp_md *ctx, const struct iphdr *ip,
							const void *end, uint32_t l3_offset,
							struct steer_packet *p)
{
	uint64_t *to = (uint64_t *)p->to.b;

	if ((const void *)(ip + 1) > end)
		return STEER_PASS_NOT_IP;
	if (ip->protocol != STEER_IPPROTO_UDP)
		return STEER_PASS_NOT_UDP;
	if (ip->version != 4)
		return STEER_PASS_NOT_IP;
	if (ip->ihl != 5)
		return STEER_PASS_OPTIONS;
	if (ip->frag_off & bpf_htons(STEER_FRAGMENT))
		return STEER_PASS_FRAGMENT;
	/* By whole words: Linux 6.1 takes half of one that it has seen written for a pointer's. */
	to[0] = 0;
	to[1] = bpf_cpu_to_be64(UINT64_C(0xffff) << 32 | bpf_ntohl(ip->daddr));
	/* A total length below 20 wraps to a number that no UDP length equals. */
	return steer_parse_udp(ctx, (const void *)(ip + 1), end, l3_offset + sizeof(*ip),
			       (uint32_t)bpf_ntohs(ip->tot_len) - (uint32_t)sizeof(*ip), p);
}

static __always_inline enum steer_reason steer_parse_v6(struct xdp_md *ctx,
							const struct ipv6hdr *ip, const void *end,
							uint32_t l3_offset, struct steer_packet *p)
{
	if ((const void *)(ip + 1) > end)
		return STEER_PASS_NOT_IP;
	if (ip->nexthdr != STEER_IPPROTO_UDP)
		return STEER_PASS_NOT_UDP;
	if (ip->version != 6)
		return STEER_PASS_NOT_IP;
	/* The address map holds IPv4 in this form: it is no destination of an IPv6 packet. */
	if (!ip->daddr.s6_addr32[0] && !ip->daddr.s6_addr32[1] &&
	    ip->daddr.s6_addr32[2] == bpf_htonl(0xffff))
		return STEER_PASS_ADDRESS;
	__builtin_memcpy(&p->to, &ip->daddr, sizeof(p->to));
	return steer_parse_udp(ctx, (const void *)(ip + 1), end, l3_offset + sizeof(*ip),
			       bpf_ntohs(ip->payload_len), p);
}

/* STEER_REDIRECTED: the pinhole's, p is filled. Otherwise why it is the kernel's. */
static __always_inline enum steer_reason steer_parse(struct xdp_md *ctx, struct steer_packet *p)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)(long)ctx->data;
	const struct steer_vlan *vlan = (const void *)(eth + 1);
	const void *l3 = vlan;
	uint32_t l3_offset = sizeof(*eth);
	__be16 proto;

	if ((const void *)(eth + 1) > end)
		return STEER_PASS_NOT_IP;
	if (eth->h_dest[0] & 1)
		return STEER_PASS_MULTICAST;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		if ((const void *)(vlan + 1) > end)
			return STEER_PASS_NOT_IP;
		proto = vlan->proto;
		l3 = vlan + 1;
		l3_offset += sizeof(*vlan);
	}
	if (proto == bpf_htons(ETH_P_IP))
		return steer_parse_v4(ctx, l3, end, l3_offset, p);
	if (proto == bpf_htons(ETH_P_IPV6))
		return steer_parse_v6(ctx, l3, end, l3_offset, p);
	return STEER_PASS_NOT_IP;
}

#endif

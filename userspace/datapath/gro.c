/* SPDX-License-Identifier: MIT */
#include "datapath/gro.h"

#include "datapath/csum.h"

enum {
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_FLAGS_WORD = 12, /* data offset, flags, window */
	TCP_FLAGS = 13,
	TCP_CHECK = 16,
	TCP_URGENT = 18,
	TCP_HDR_MIN = 20,
	UDP_LEN = 4,
	UDP_CHECK = 6,
	V4_LEN = 2,
	V4_ID = 4,
	V4_CHECK = 10,
	V4_HDR = 20,
	V6_LEN = 4,
	SUPER_LEN_MAX = 65535,
	CHAIN_END = 0xffff,
	PROBES = 4,
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_ACK_BIT = 0x10,
};

_Static_assert((DP_GRO_SLOTS & (DP_GRO_SLOTS - 1)) == 0, "the flow table is indexed by a mask");
_Static_assert(DP_GRO_PACKETS_MAX < CHAIN_END, "packet numbers are 16 bits");

void dp_gro_init(struct dp_gro *g, unsigned tun_flags)
{
	g->tun_flags = tun_flags;
	dp_gro_reset(g);
}

void dp_gro_reset(struct dp_gro *g)
{
	g->packets = 0;
	g->groups = 0;
	memset(g->slot, 0, sizeof(g->slot));
}

/* --- flows ------------------------------------------------------------------------------------ */

/* Source and destination lie side by side in both families, and so do the udp_ports. */
static uint32_t flow_hash(const uint8_t *pkt, const struct dp_inner *in)
{
	uint64_t h = tt_load_le64(in->src);
	if (!dp_inner_is_v4(in))
		h ^= (tt_load_le64(in->src + 8) * 3) ^ (tt_load_le64(in->src + 16) * 5) ^
		     (tt_load_le64(in->src + 24) * 7);
	h ^= (uint64_t)tt_load_le32(pkt + in->l4_off) << 16;
	h = (h + in->proto) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static bool same_flow(const struct dp_gro_group *gr, const uint8_t *pkt, const struct dp_inner *in,
		      uint32_t hash)
{
	return gr->hash == hash && gr->in.family == in->family && gr->in.proto == in->proto &&
	       memcmp(gr->head + gr->in.l4_off, pkt + in->l4_off, 4) == 0 &&
	       dp_inner_address_equal(in, gr->in.src, in->src) &&
	       dp_inner_address_equal(in, gr->in.dst, in->dst);
}

/* The slot of this flow, or else one where it may go; *found tells which. */
static uint16_t *find_slot(struct dp_gro *g, const uint8_t *pkt, const struct dp_inner *in,
			   uint32_t hash, bool *found)
{
	uint16_t *empty = NULL;
	for (unsigned i = 0; i < PROBES; i++) {
		uint16_t *slot = &g->slot[(hash + i) & (DP_GRO_SLOTS - 1)];
		*found = *slot && same_flow(&g->group[*slot - 1], pkt, in, hash);
		if (*found)
			return slot;
		if (!*slot && !empty)
			empty = slot;
	}
	/* Pushing another flow out only ends its group; order is kept. */
	return empty ? empty : &g->slot[hash & (DP_GRO_SLOTS - 1)];
}

/* --- may this packet be part of a super-packet at all ------------------------------------------
 */

static uint32_t payload_off(const struct dp_inner *in)
{
	return (uint32_t)in->l4_off + in->l4_hdr_len;
}

static uint32_t payload_len(const struct dp_inner *in)
{
	return in->total_len - payload_off(in);
}

static bool tcp_mergeable(const uint8_t *tcp)
{
	return (tcp[TCP_FLAGS] & ~TCP_PSH) == TCP_ACK_BIT;
}

/* A checksum of zero ("none") would turn into one when the kernel completes it. */
static bool udp_mergeable(const uint8_t *udp, const struct dp_inner *in)
{
	return tt_load_be16(udp + UDP_LEN) == in->l4_len && tt_load_be16(udp + UDP_CHECK) != 0;
}

static bool mergeable(const uint8_t *pkt, const struct dp_inner *in)
{
	const uint8_t *l4 = pkt + in->l4_off;
	if ((in->flags & DP_INNER_OPTIONS) || payload_len(in) == 0 || in->total_len > SUPER_LEN_MAX)
		return false;
	return in->proto == DP_PROTO_TCP ? tcp_mergeable(l4) : udp_mergeable(l4, in);
}

static bool granted(const struct dp_gro *g, const struct dp_inner *in)
{
	unsigned need = in->proto == DP_PROTO_TCP ? PLAT_TUN_TSO : PLAT_TUN_USO;
	return (g->tun_flags & PLAT_TUN_VNET_HDR) && (g->tun_flags & need);
}

/* --- does it continue this group -----------------------------------------------------------------
 */

/*
 * The id counts up, as segmentation will make it again, or stays where DF says that nobody looks at
 * it. The second packet decides, and the rest of the group keeps to it.
 */
static bool v4_id_continues(struct dp_gro_group *gr, const uint8_t *pkt)
{
	uint16_t id = tt_load_be16(pkt + V4_ID);
	uint16_t first = tt_load_be16(gr->head + V4_ID);
	bool df = gr->in.flags & DP_INNER_DF;
	if (gr->packets == 1)
		gr->id_fixed = df && id == first;
	return id == (gr->id_fixed ? first : (uint16_t)(first + gr->packets));
}

static bool l3_continues(struct dp_gro_group *gr, const uint8_t *pkt, const struct dp_inner *in)
{
	if (!dp_inner_is_v4(in)) /* version, traffic class and flow label are one word */
		return memcmp(gr->head, pkt, 4) == 0 && gr->in.ttl == in->ttl;
	return gr->in.tos == in->tos && gr->in.ttl == in->ttl &&
	       memcmp(gr->head + 6, pkt + 6, 2) == 0 && v4_id_continues(gr, pkt);
}

static bool tcp_continues(const struct dp_gro_group *gr, const uint8_t *tcp,
			  const struct dp_inner *in)
{
	const uint8_t *head = gr->head + gr->in.l4_off;
	uint32_t differ = tt_load_be32(head + TCP_FLAGS_WORD) ^ tt_load_be32(tcp + TCP_FLAGS_WORD);
	if (differ & ~((uint32_t)TCP_PSH << 16))
		return false;
	return tt_load_be32(tcp + TCP_SEQ) == gr->next_seq &&
	       memcmp(head + TCP_ACK, tcp + TCP_ACK, 4) == 0 &&
	       memcmp(head + TCP_URGENT, tcp + TCP_URGENT, 2) == 0 &&
	       memcmp(head + TCP_HDR_MIN, tcp + TCP_HDR_MIN, in->l4_hdr_len - TCP_HDR_MIN) == 0;
}

static bool continues(struct dp_gro_group *gr, const uint8_t *pkt, const struct dp_inner *in)
{
	uint32_t len = payload_len(in);
	if (gr->closed || len > gr->gso_size || gr->total_len + len > SUPER_LEN_MAX)
		return false;
	if (in->proto == DP_PROTO_UDP && gr->packets >= DP_GRO_UDP_SEGS_MAX)
		return false;
	if (!l3_continues(gr, pkt, in))
		return false;
	return in->proto == DP_PROTO_UDP || tcp_continues(gr, pkt + in->l4_off, in);
}

static uint32_t pseudo(const struct dp_inner *in, uint32_t l4_len)
{
	return dp_inner_is_v4(in) ? dp_csum_pseudo_v4(in->src, in->dst, in->proto, (uint16_t)l4_len)
				  : dp_csum_pseudo_v6(in->src, in->dst, in->proto, l4_len);
}

/* What a super-packet replaces must have been right, or a broken packet would become a good one. */
static bool checksums_hold(const uint8_t *pkt, const struct dp_inner *in)
{
	if (dp_inner_is_v4(in) && dp_csum_fold(dp_csum_v4_header(pkt)) != 0)
		return false;
	return dp_csum_fold(
		       dp_csum_partial(pkt + in->l4_off, in->l4_len, pseudo(in, in->l4_len))) == 0;
}

/* --- groups ------------------------------------------------------------------------------------
 */

static struct dp_gro_group *open_group(struct dp_gro *g, uint8_t *pkt, const struct dp_inner *in)
{
	struct dp_gro_group *gr = &g->group[g->groups++];
	gr->head = pkt;
	gr->in = *in;
	gr->total_len = in->total_len;
	gr->inner_len = in->total_len;
	gr->packets = 1;
	gr->first = gr->last = CHAIN_END;
	return gr;
}

static bool ends_run(const struct dp_gro_group *gr, const uint8_t *pkt, const struct dp_inner *in)
{
	if (payload_len(in) < gr->gso_size)
		return true;
	return in->proto == DP_PROTO_TCP && (pkt[in->l4_off + TCP_FLAGS] & TCP_PSH);
}

/* A group that others may join. Reads the packet's headers: only for mergeable packets. */
static void start_run(struct dp_gro_group *gr, const uint8_t *pkt, const struct dp_inner *in,
		      uint32_t hash)
{
	gr->hash = hash;
	gr->gso_size = (uint16_t)payload_len(in);
	gr->checked = false;
	gr->closed = ends_run(gr, pkt, in);
	if (in->proto == DP_PROTO_TCP)
		gr->next_seq = tt_load_be32(pkt + in->l4_off + TCP_SEQ) + payload_len(in);
}

/* Joins the packet to the group; false where one of the two has a wrong checksum. */
static bool join(struct dp_gro *g, struct dp_gro_group *gr, uint8_t *pkt, const struct dp_inner *in)
{
	if (!gr->checked && !checksums_hold(gr->head, &gr->in))
		return false;
	gr->checked = true;
	if (!checksums_hold(pkt, in))
		return false;

	uint16_t n = (uint16_t)g->packets;
	uint32_t len = payload_len(in);
	g->piece[n] = (struct iovec){pkt + payload_off(in), len};
	g->next[n] = CHAIN_END;
	if (gr->last == CHAIN_END)
		gr->first = n;
	else
		g->next[gr->last] = n;
	gr->last = n;
	gr->packets++;
	gr->total_len += len;
	gr->inner_len += in->total_len;
	gr->next_seq += len;
	gr->closed = ends_run(gr, pkt, in);
	if (in->proto == DP_PROTO_TCP)
		gr->psh = pkt[in->l4_off + TCP_FLAGS] & TCP_PSH;
	return true;
}

static void add_flow(struct dp_gro *g, uint8_t *pkt, const struct dp_inner *in)
{
	bool found, can = mergeable(pkt, in);
	uint32_t hash = flow_hash(pkt, in);
	uint16_t *slot = find_slot(g, pkt, in, hash, &found);
	if (found && can) {
		struct dp_gro_group *gr = &g->group[*slot - 1];
		if (continues(gr, pkt, in) && join(g, gr, pkt, in))
			return;
	}
	struct dp_gro_group *gr = open_group(g, pkt, in);
	if (can) {
		start_run(gr, pkt, in, hash);
		*slot = (uint16_t)g->groups;
	} else if (found) {
		*slot = 0; /* what follows must not overtake this one */
	}
}

bool dp_gro_add(struct dp_gro *g, uint8_t *pkt, const struct dp_inner *in)
{
	if (g->packets == DP_GRO_PACKETS_MAX)
		return false;
	if ((in->flags & (DP_INNER_L4 | DP_INNER_FRAGMENT)) == DP_INNER_L4 && granted(g, in)) {
		add_flow(g, pkt, in);
	} else {
		open_group(g, pkt, in);
		/* A fragment may belong to any flow between its addresses, and is rare. */
		if (in->flags & DP_INNER_FRAGMENT)
			memset(g->slot, 0, sizeof(g->slot));
	}
	g->packets++;
	return true;
}

/* --- output ------------------------------------------------------------------------------------
 */

static void write_super_l3(const struct dp_gro_group *gr)
{
	uint8_t *pkt = gr->head;
	if (!dp_inner_is_v4(&gr->in)) {
		tt_store_be16(pkt + V6_LEN, (uint16_t)(gr->total_len - gr->in.l3_len));
		return;
	}
	tt_store_be16(pkt + V4_LEN, (uint16_t)gr->total_len);
	tt_store_be16(pkt + V4_CHECK, 0);
	uint16_t check = dp_csum_fold(dp_csum_v4_header(pkt));
	memcpy(pkt + V4_CHECK, &check, sizeof(check));
}

static uint8_t gso_type(const struct dp_inner *in)
{
	if (in->proto == DP_PROTO_UDP)
		return PLAT_VNET_GSO_UDP_L4;
	return dp_inner_is_v4(in) ? PLAT_VNET_GSO_TCPV4 : PLAT_VNET_GSO_TCPV6;
}

/* Makes the head's headers those of the super-packet, as the kernel would hand it to a device. */
static void write_super(const struct dp_gro_group *gr, struct plat_vnet_hdr *vnet)
{
	const struct dp_inner *in = &gr->in;
	uint8_t *l4 = gr->head + in->l4_off;
	uint32_t l4_len = gr->total_len - in->l4_off;
	uint16_t check_off = in->proto == DP_PROTO_TCP ? TCP_CHECK : UDP_CHECK;
	uint16_t sum = dp_csum_fold_plain(pseudo(in, l4_len));

	write_super_l3(gr);
	memcpy(l4 + check_off, &sum, sizeof(sum));
	if (in->proto == DP_PROTO_UDP)
		tt_store_be16(l4 + UDP_LEN, (uint16_t)l4_len);
	else if (gr->psh)
		l4[TCP_FLAGS] |= TCP_PSH;
	*vnet = (struct plat_vnet_hdr){
		.flags = PLAT_VNET_F_NEEDS_CSUM,
		.gso_type = gso_type(in),
		.hdr_len = (uint16_t)payload_off(in),
		.gso_size = gr->gso_size,
		.csum_start = in->l4_off,
		.csum_offset = check_off,
	};
}

static struct iovec *emit(struct dp_gro *g, const struct dp_gro_group *gr, struct dp_gro_out *out,
			  struct iovec *iov)
{
	struct plat_vnet_hdr vnet = {0};
	uint32_t room = g->tun_flags & PLAT_TUN_VNET_HDR ? DP_GRO_HEADROOM : 0;
	if (gr->packets > 1)
		write_super(gr, &vnet);
	memcpy(gr->head - room, &vnet, room);
	*out = (struct dp_gro_out){
		.iov = iov,
		.n = gr->packets,
		.len = gr->total_len + room,
		.packets = gr->packets,
		.inner_len = gr->inner_len,
	};
	*iov++ = (struct iovec){gr->head - room, gr->in.total_len + room};
	for (uint16_t n = gr->first; n != CHAIN_END; n = g->next[n])
		*iov++ = g->piece[n];
	return iov;
}

uint32_t dp_gro_flush(struct dp_gro *g, const struct dp_gro_out **outs)
{
	struct iovec *iov = g->iov;
	for (uint32_t i = 0; i < g->groups; i++)
		iov = emit(g, &g->group[i], &g->out[i], iov);
	*outs = g->out;
	return g->groups;
}

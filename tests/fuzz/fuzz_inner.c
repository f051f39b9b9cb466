/* SPDX-License-Identifier: MIT
 *
 * Inner packets from either side. First byte, lowest bit:
 *	0: outbound, then a vnet header (10 bytes) and a packet: parse, ECN, TTL, ICMP,
 *segmentation, MSS and fragments with gso_size as the MTU. 1: inbound, then operations that fill a
 *batch for GRO; what comes out is cut again and must be the packets that went in. Upper bits: what
 *the TUN granted.
 */
#include <stdint.h>
#include <stdlib.h>

#include "datapath/csum.h"
#include "datapath/ecn.h"
#include "datapath/fragment.h"
#include "datapath/gro.h"
#include "datapath/icmp.h"
#include "datapath/mss.h"
#include "datapath/segment.h"
#include "packets.h"

#define BATCH_MAX 64
#define SLOT	  2048
#define HEADROOM  16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t *exact_copy(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	tt_assert(copy);
	memcpy(copy, data, len);
	return copy;
}

/* --- outbound ----------------------------------------------------------------------------------
 */

static void check_segment(const uint8_t *seg, uint32_t len, const struct dp_inner *whole,
			  bool super)
{
	struct dp_inner in;
	tt_assert(dp_inner_parse(seg, len, &in) == TT_DROP_NONE);
	tt_assert(in.total_len == len && in.l4_off == whole->l4_off && in.proto == whole->proto);
	if (super)
		tt_assert(pk_intact(seg, len, in.l4_off, in.proto));
}

static void cut(const struct plat_vnet_hdr *vnet, const uint8_t *pkt, const struct dp_inner *in)
{
	struct dp_segmenter sg;
	if (dp_segmenter_init(&sg, vnet, pkt, in) != TT_DROP_NONE)
		return;
	tt_assert(sg.count >= 1 && sg.count <= DP_SEGMENTS_MAX && sg.left == sg.count);
	bool super = vnet->gso_type != PLAT_VNET_GSO_NONE;
	uint64_t payload = 0, hdr = super ? (uint64_t)in->l4_off + in->l4_hdr_len : 0;
	while (sg.left) {
		uint32_t len = dp_segmenter_len(&sg);
		uint8_t *dst = malloc(len);
		tt_assert(dst && dp_segmenter_next(&sg, dst) == len);
		/* an open checksum may lie anywhere behind the IP header, an extension header too
		 */
		if (super)
			check_segment(dst, len, in, super);
		payload += len - hdr;
		free(dst);
	}
	tt_assert(payload == in->total_len - hdr);
	tt_assert(dp_segmenter_next(&sg, NULL) == 0);
}

static void answer(const uint8_t *pkt, const struct dp_inner *in, uint32_t mtu)
{
	static const enum dp_icmp_kind kinds[] = {DP_ICMP_NO_ROUTE, DP_ICMP_ADDR_UNREACHABLE,
						  DP_ICMP_PROHIBITED, DP_ICMP_TOO_BIG,
						  DP_ICMP_TIME_EXCEEDED};
	uint8_t *out = malloc(DP_ICMP_MAX);
	struct dp_inner got;
	for (size_t i = 0; i < TT_ARRAY_LEN(kinds); i++) {
		size_t len = dp_icmp_build(out, kinds[i], pkt, in, mtu, NULL);
		tt_assert(len <= DP_ICMP_MAX);
		tt_assert(!len || dp_inner_parse(out, len, &got) == TT_DROP_NONE);
		tt_assert(!len || got.total_len == len);
		/* never an error about an error */
		tt_assert(!len || dp_icmp_build(out, kinds[i], out, &got, mtu, NULL) == 0);
	}
	free(out);
}

/* The sum of the segment is what it was before, whatever that was; both zeros are one. */
static void clamp(const uint8_t *data, size_t len, uint32_t mtu)
{
	struct dp_inner in;
	uint8_t *pkt = exact_copy(data, len);
	tt_assert(dp_inner_parse(pkt, len, &in) == TT_DROP_NONE);
	if (dp_mss_is_syn(pkt, &in)) {
		uint16_t before = pk_naive_fold(pk_naive_sum(pkt + in.l4_off, in.l4_len, 0));
		bool clamped = dp_mss_clamp(pkt, &in, mtu, false);
		uint16_t after = pk_naive_fold(pk_naive_sum(pkt + in.l4_off, in.l4_len, 0));
		tt_assert(before % 0xffff == after % 0xffff);
		tt_assert(clamped || memcmp(pkt, data, len) == 0);
		tt_assert(!dp_mss_clamp(pkt, &in, mtu, true));
	}
	free(pkt);
}

static void fragments(const uint8_t *pkt, const struct dp_inner *whole, uint32_t mtu)
{
	struct dp_fragmenter f;
	struct dp_inner in;
	uint32_t at = whole->l3_len;
	if (!dp_fragmenter_init(&f, pkt, whole, mtu))
		return;
	uint32_t first = tt_load_be16(pkt + 6) & 0x1fff;
	while (f.left) {
		uint32_t len = dp_fragmenter_len(&f);
		uint8_t *dst = malloc(len);
		tt_assert(len <= mtu && dst && dp_fragmenter_next(&f, dst) == len);
		tt_assert(dp_inner_parse(dst, len, &in) == TT_DROP_NONE && in.total_len == len);
		tt_assert(pk_naive_fold(pk_naive_sum(dst, in.l3_len, 0)) == 0xffff);
		tt_assert((tt_load_be16(dst + 6) & 0x1fffu) == first + (at - whole->l3_len) / 8);
		tt_assert(memcmp(dst + in.l3_len, pkt + at, len - in.l3_len) == 0);
		at += len - in.l3_len;
		free(dst);
	}
	tt_assert(at == whole->total_len);
}

static void outbound(const uint8_t *data, size_t len)
{
	struct plat_vnet_hdr vnet;
	struct dp_inner in, again;
	if (len < sizeof(vnet) + 1)
		return;
	memcpy(&vnet, data, sizeof(vnet));
	uint8_t outer_tos = data[sizeof(vnet)];
	data += sizeof(vnet) + 1;
	len -= sizeof(vnet) + 1;
	uint8_t *pkt = exact_copy(data, len);
	if (dp_inner_parse(pkt, len, &in) == TT_DROP_NONE) {
		tt_assert(in.total_len <= len && in.l4_off + in.l4_len == in.total_len);
		tt_assert(in.l4_hdr_len <= in.l4_len && in.l3_len <= in.l4_off);
		cut(&vnet, pkt, &in);
		answer(pkt, &in, vnet.gso_size);
		clamp(data, len, vnet.gso_size);
		fragments(pkt, &in, vnet.gso_size);
		(void)dp_ecn_decap(pkt, &in, outer_tos);
		(void)dp_inner_ttl_decrement(pkt, &in);
		tt_assert(dp_inner_parse(pkt, len, &again) == TT_DROP_NONE);
		tt_assert(in.tos == again.tos && in.ttl == again.ttl && in.flags == again.flags);
		(void)dp_segment_complete_csum(&vnet, pkt, &in);
	}
	free(pkt);
}

/* --- inbound -----------------------------------------------------------------------------------
 */

struct batch {
	unsigned n;
	uint32_t len[BATCH_MAX];
	bool taken[BATCH_MAX];
	uint8_t was[BATCH_MAX][SLOT];
	uint8_t buf[BATCH_MAX][SLOT];
};

static struct batch batch;
static struct dp_gro gro;

/* A fuzzer finds no checksum: this makes them right. */
static void fix_checksums(uint8_t *pkt, const struct dp_inner *in)
{
	if (dp_inner_is_v4(in)) {
		tt_store_be16(pkt + 10, 0);
		tt_store_be16(pkt + 10, (uint16_t)~pk_naive_fold(pk_naive_sum(pkt, in->l3_len, 0)));
	}
	if (!(in->flags & DP_INNER_L4))
		return;
	uint8_t *l4 = pkt + in->l4_off, *field = l4 + (in->proto == DP_PROTO_TCP ? 16 : 6);
	tt_store_be16(field, 0);
	uint64_t sum = pk_pseudo(pkt, in->proto, in->l4_len);
	uint16_t check = (uint16_t)~pk_naive_fold(pk_naive_sum(l4, in->l4_len, sum));
	tt_store_be16(field, check ? check : 0xffff);
}

static void put(uint8_t *pkt, size_t len, bool fix)
{
	struct dp_inner in;
	unsigned n = batch.n;
	if (dp_inner_parse(pkt, len, &in) != TT_DROP_NONE)
		return;
	if (fix)
		fix_checksums(pkt, &in);
	memcpy(batch.was[n], pkt, in.total_len);
	uint8_t *home = batch.buf[n] + HEADROOM;
	memcpy(home, pkt, in.total_len);
	batch.len[n] = in.total_len;
	batch.taken[n] = false;
	tt_assert(dp_inner_parse(home, in.total_len, &in) == TT_DROP_NONE);
	tt_assert(dp_gro_add(&gro, home, &in));
	batch.n++;
}

/* What a sender would send after packet number `of`, with one byte changed. */
static void put_next(unsigned of, uint8_t at, uint8_t flip, bool fix)
{
	struct dp_inner in;
	uint8_t pkt[SLOT];
	memcpy(pkt, batch.was[of], batch.len[of]);
	tt_assert(dp_inner_parse(pkt, batch.len[of], &in) == TT_DROP_NONE);
	if (dp_inner_is_v4(&in))
		tt_store_be16(pkt + 4, (uint16_t)(tt_load_be16(pkt + 4) + 1));
	if ((in.flags & DP_INNER_L4) && in.proto == DP_PROTO_TCP) {
		uint8_t *seq = pkt + in.l4_off + 4;
		tt_store_be32(seq, tt_load_be32(seq) + in.l4_len - in.l4_hdr_len);
	}
	pkt[at % batch.len[of]] ^= flip;
	put(pkt, batch.len[of], fix);
}

static void put_literal(const uint8_t *data, size_t len, bool fix)
{
	uint8_t pkt[SLOT];
	memcpy(pkt, data, len);
	put(pkt, len, fix);
}

static void fill(const uint8_t *data, size_t len)
{
	while (len >= 3 && batch.n < BATCH_MAX) {
		uint8_t op = data[0];
		if (op & 1 && batch.n) {
			put_next(op >> 2 ? batch.n - 1 : 0, data[1], data[2], !(op & 2));
			data += 3;
			len -= 3;
			continue;
		}
		size_t take = (size_t)(data[1] | data[2] << 8) % (SLOT - HEADROOM);
		data += 3;
		len -= 3;
		take = TT_MIN(take, len);
		put_literal(data, take, !(op & 2));
		data += take;
		len -= take;
	}
}

/* Both zeros of a checksum are one number, and an IPv4 id means nothing under DF. */
static void normalise(uint8_t *pkt, const struct dp_inner *in)
{
	size_t fields[2] = {10, in->l4_off + (in->proto == DP_PROTO_TCP ? 16u : 6u)};
	for (unsigned i = dp_inner_is_v4(in) ? 0 : 1; i < 2; i++)
		if (tt_load_be16(pkt + fields[i]) == 0xffff)
			tt_store_be16(pkt + fields[i], 0);
	if (dp_inner_is_v4(in) && (in->flags & DP_INNER_DF)) {
		tt_store_be16(pkt + 4, 0);
		tt_store_be16(pkt + 10, 0);
	}
}

static bool same(unsigned i, const uint8_t *seg, uint32_t len, bool merged)
{
	uint8_t a[SLOT], b[SLOT];
	struct dp_inner in;
	if (batch.taken[i] || batch.len[i] != len)
		return false;
	memcpy(a, batch.was[i], len);
	memcpy(b, seg, len);
	if (merged) {
		tt_assert(dp_inner_parse(b, len, &in) == TT_DROP_NONE);
		normalise(a, &in);
		normalise(b, &in);
	}
	return memcmp(a, b, len) == 0;
}

/* The segment is one of the packets, behind the one before it; returns its number + 1. */
static unsigned take(unsigned from, const uint8_t *seg, uint32_t len, bool merged)
{
	for (unsigned i = from; i < batch.n; i++)
		if (same(i, seg, len, merged)) {
			batch.taken[i] = true;
			return i + 1;
		}
	tt_assert(!"a packet came out that did not go in");
}

static void check_output(const struct dp_gro_out *out, bool vnet_granted)
{
	static uint8_t flat[66000], seg[66000];
	struct plat_vnet_hdr vnet = {0};
	struct dp_inner in;
	struct dp_segmenter sg;
	uint32_t len = 0, skip = vnet_granted ? sizeof(vnet) : 0;
	for (uint32_t i = 0; i < out->n; i++) {
		memcpy(flat + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += (uint32_t)out->iov[i].iov_len;
	}
	tt_assert(len == out->len && len - skip <= 65575);
	memcpy(&vnet, flat, skip);
	tt_assert(dp_inner_parse(flat + skip, len - skip, &in) == TT_DROP_NONE);
	tt_assert(dp_segmenter_init(&sg, &vnet, flat + skip, &in) == TT_DROP_NONE);
	tt_assert(sg.count == out->packets && (sg.count > 1) == (vnet.flags != 0));
	for (unsigned from = 0; sg.left;) {
		uint32_t n = dp_segmenter_next(&sg, seg);
		from = take(from, seg, n, sg.count > 1);
	}
}

static void inbound(unsigned flags, const uint8_t *data, size_t len)
{
	const struct dp_gro_out *outs;
	uint32_t packets = 0;
	batch.n = 0;
	dp_gro_init(&gro, flags);
	fill(data, len);
	uint32_t n = dp_gro_flush(&gro, &outs);
	for (uint32_t i = 0; i < n; i++) {
		check_output(&outs[i], flags & PLAT_TUN_VNET_HDR);
		packets += outs[i].packets;
	}
	tt_assert(packets == batch.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	if (!ready)
		dp_csum_init();
	ready = true;
	if (len == 0)
		return 0;
	if (data[0] & 1)
		inbound(data[0] >> 1 & 7, data + 1, len - 1);
	else
		outbound(data + 1, len - 1);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "datapath/inner.h"
#include "packets.h"

/* Parses an exact-size heap copy, so that the sanitizers see any over-read. */
static enum tt_drop parse_exact(const uint8_t *pkt, size_t len, struct dp_inner *in)
{
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, pkt, len);
	enum tt_drop drop = dp_inner_parse(copy, len, in);
	if (drop == TT_DROP_NONE) { /* the pointers go back to the caller's bytes */
		in->src = pkt + (in->src - copy);
		in->dst = pkt + (in->dst - copy);
	}
	free(copy);
	return drop;
}

static bool invalid(const uint8_t *pkt, size_t len)
{
	struct dp_inner in;
	return parse_exact(pkt, len, &in) == TT_DROP_INNER_INVALID;
}

static void good_packets(void)
{
	uint8_t pkt[256];
	struct dp_inner in;
	for (int v6 = 0; v6 < 2; v6++) {
		struct pk k = pk_tcp(v6);
		k.tos = 0xb9;
		k.opts_len = 12;
		size_t len = pk_build(pkt, &k, "payload", 7, false);
		CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
		CU_ASSERT(in.family == (v6 ? TT_FAMILY_V6 : TT_FAMILY_V4) && in.proto == 6);
		CU_ASSERT(in.total_len == len && in.l3_len == pk_l3_len(&k));
		CU_ASSERT(in.l4_off == in.l3_len && in.l4_len == len - in.l3_len);
		CU_ASSERT(in.l4_hdr_len == 32 && in.tos == 0xb9 && in.ttl == 64);
		CU_ASSERT(in.flags == (DP_INNER_L4 | DP_INNER_DF));
		CU_ASSERT(in.src == pkt + (v6 ? 8 : 12) && in.dst == pkt + (v6 ? 24 : 16));
		/* padding is trimmed by the inner length */
		memset(pkt + len, 0, 15);
		CU_ASSERT_EQUAL(parse_exact(pkt, len + 15, &in), TT_DROP_NONE);
		CU_ASSERT_EQUAL(in.total_len, len);
		k.proto = 17;
		len = pk_build(pkt, &k, "x", 1, false);
		CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
		CU_ASSERT(in.l4_hdr_len == 8 && (in.flags & DP_INNER_L4));
	}
}

static void bad_lengths(void)
{
	uint8_t pkt[256];
	struct pk k4 = pk_tcp(false), k6 = pk_tcp(true);
	size_t len = pk_build(pkt, &k4, "payload", 7, false);
	for (size_t cut = 0; cut < len; cut++)
		CU_ASSERT(invalid(pkt, cut));
	for (unsigned total = 0; total < 20; total++) {
		tt_store_be16(pkt + 2, (uint16_t)total);
		CU_ASSERT(invalid(pkt, len));
	}
	tt_store_be16(pkt + 2, (uint16_t)(len + 1));
	CU_ASSERT(invalid(pkt, len));
	tt_store_be16(pkt + 2, 0xffff);
	CU_ASSERT(invalid(pkt, len));

	len = pk_build(pkt, &k6, "payload", 7, false);
	for (size_t cut = 0; cut < len; cut++)
		CU_ASSERT(invalid(pkt, cut));
	tt_store_be16(pkt + 4, (uint16_t)(len - 40 + 1));
	CU_ASSERT(invalid(pkt, len));
	tt_store_be16(pkt + 4, 0xffff);
	CU_ASSERT(invalid(pkt, len));
}

static void versions(void)
{
	uint8_t pkt[64];
	struct pk k = pk_tcp(false);
	size_t len = pk_build(pkt, &k, "0123456789012345678", 19, false);
	for (unsigned v = 0; v < 16; v++) {
		pkt[0] = (uint8_t)(v << 4 | 5);
		CU_ASSERT(v == 4 || v == 6 || invalid(pkt, len));
	}
	for (unsigned ihl = 0; ihl < 5; ihl++) {
		pkt[0] = (uint8_t)(0x40 | ihl);
		CU_ASSERT(invalid(pkt, len));
	}
	pkt[0] = 0x4f; /* 60 bytes of header do not fit */
	tt_store_be16(pkt + 2, 59);
	CU_ASSERT(invalid(pkt, 59));
}

static void v4_options_and_fragments(void)
{
	uint8_t pkt[64] = {0x46};
	struct dp_inner in;
	tt_store_be16(pkt + 2, 32);
	pkt[9] = 17;
	CU_ASSERT_EQUAL(parse_exact(pkt, 32, &in), TT_DROP_NONE);
	CU_ASSERT(in.l4_off == 24 && in.l3_len == 24 && in.l4_hdr_len == 8);
	CU_ASSERT_EQUAL(in.flags, DP_INNER_OPTIONS | DP_INNER_L4);
	tt_store_be16(pkt + 6, 0x2000); /* first fragment */
	CU_ASSERT_EQUAL(parse_exact(pkt, 32, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.flags, DP_INNER_OPTIONS | DP_INNER_L4 | DP_INNER_FRAGMENT);
	tt_store_be16(pkt + 6, 0x0001); /* last fragment */
	CU_ASSERT_EQUAL(parse_exact(pkt, 32, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.flags, DP_INNER_OPTIONS | DP_INNER_FRAGMENT | DP_INNER_LATER_FRAGMENT);
}

static void short_l4_headers(void)
{
	uint8_t pkt[128];
	struct pk k = pk_tcp(false);
	struct dp_inner in;
	pk_build(pkt, &k, "", 0, false);
	for (unsigned total = 20; total < 40; total++) {
		tt_store_be16(pkt + 2, (uint16_t)total);
		CU_ASSERT_EQUAL(parse_exact(pkt, total, &in), TT_DROP_NONE);
		CU_ASSERT_EQUAL(in.flags, DP_INNER_DF);
		CU_ASSERT_EQUAL(in.l4_hdr_len, 0);
	}
	tt_store_be16(pkt + 2, 40);
	for (unsigned doff = 0; doff < 16; doff++) {
		pkt[32] = (uint8_t)(doff << 4);
		CU_ASSERT_EQUAL(parse_exact(pkt, 40, &in), TT_DROP_NONE);
		CU_ASSERT_EQUAL(in.l4_hdr_len, doff == 5 ? 20 : 0);
	}
	pkt[9] = 17;
	for (unsigned total = 20; total < 28; total++) {
		tt_store_be16(pkt + 2, (uint16_t)total);
		CU_ASSERT_EQUAL(parse_exact(pkt, total, &in), TT_DROP_NONE);
		CU_ASSERT_EQUAL(in.l4_hdr_len, 0);
	}
}

/* An IPv6 packet of `chain` (types in order, the last the upper layer), each header 8 bytes long.
 */
static size_t v6_chain(uint8_t *pkt, const uint8_t *chain, size_t n, size_t upper_len)
{
	struct pk k = pk_udp(true);
	size_t total = 40 + 8 * (n - 1) + upper_len;
	memset(pkt, 0, total);
	pk_put_l3(pkt, &k, total);
	pkt[6] = chain[0];
	for (size_t i = 0; i + 1 < n; i++)
		pkt[40 + 8 * i] = chain[i + 1];
	return total;
}

static void v6_chains(void)
{
	uint8_t pkt[2048];
	struct dp_inner in;
	size_t len = v6_chain(pkt, (uint8_t[]){0, 60, 43, 17}, 4, 8);
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(in.proto == 17 && in.l4_off == 64 && in.l4_len == 8);
	CU_ASSERT_EQUAL(in.flags, DP_INNER_L4 | DP_INNER_OPTIONS | DP_INNER_DF);

	pkt[41] = 255; /* the first header claims 2048 bytes */
	CU_ASSERT(invalid(pkt, len));
	pkt[41] = 3; /* exactly to the end: nothing of the upper layer is left */
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_INNER_INVALID);
	pkt[40] = 17;
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(in.proto == 17 && in.l4_len == 0 && !(in.flags & DP_INNER_L4));

	len = v6_chain(pkt, (uint8_t[]){51, 6}, 2, 20); /* AH counts in 4 bytes, less 2 */
	pkt[41] = 0;
	pkt[48 + 12] = 0x50;
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(in.proto == 6 && in.l4_off == 48 && in.l4_hdr_len == 20);

	len = v6_chain(pkt, (uint8_t[]){0}, 1, 7); /* less than a header is left */
	CU_ASSERT(invalid(pkt, len));
	len = v6_chain(pkt, (uint8_t[]){0}, 1, 0); /* a jumbogram without its option */
	CU_ASSERT(invalid(pkt, len));
	len = v6_chain(pkt, (uint8_t[]){59}, 1, 4); /* "no next header" is none of ours */
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.proto, 59);
	len = v6_chain(pkt, (uint8_t[]){50}, 1, 40); /* ESP ends what can be read */
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.proto, 50);

	uint8_t chain[100];
	memset(chain, 60, sizeof(chain));
	chain[16] = 17;
	CU_ASSERT(!invalid(pkt, v6_chain(pkt, chain, 17, 8)));
	chain[16] = 60;
	chain[17] = 17;
	CU_ASSERT(invalid(pkt, v6_chain(pkt, chain, 18, 8)));
}

static void v6_fragments(void)
{
	uint8_t pkt[256];
	struct dp_inner in;
	size_t len = v6_chain(pkt, (uint8_t[]){44, 17}, 2, 8);
	tt_store_be16(pkt + 42, 0x0001); /* first, more to come */
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(in.flags & DP_INNER_FRAGMENT && !(in.flags & DP_INNER_LATER_FRAGMENT));
	tt_store_be16(pkt + 42, 0x0008);
	pkt[40] = 60; /* what looks like a chain is data */
	pkt[49] = 255;
	CU_ASSERT_EQUAL(parse_exact(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(in.flags & DP_INNER_LATER_FRAGMENT && !(in.flags & DP_INNER_L4));
	CU_ASSERT(in.proto == 60 && in.l4_off == 48);
}

static void largest(void)
{
	static uint8_t pkt[65576];
	struct pk k = pk_udp(true);
	struct dp_inner in;
	pk_put_l3(pkt, &k, 65575);
	CU_ASSERT_EQUAL(dp_inner_parse(pkt, 65575, &in), TT_DROP_NONE);
	CU_ASSERT(in.total_len == 65575 && in.l4_len == 65535);
	CU_ASSERT_EQUAL(dp_inner_parse(pkt, 65574, &in), TT_DROP_INNER_INVALID);
	k.v6 = false;
	pk_put_l3(pkt, &k, 65535);
	CU_ASSERT_EQUAL(dp_inner_parse(pkt, 65576, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.total_len, 65535);
}

static void ttl(void)
{
	uint8_t pkt[64], want[64];
	struct dp_inner in;
	for (int v6 = 0; v6 < 2; v6++)
		for (unsigned left = 0; left < 256; left++) {
			struct pk k = pk_udp(v6);
			k.ttl = (uint8_t)left;
			size_t len = pk_build(pkt, &k, "abc", 3, false);
			memcpy(want, pkt, len);
			CU_ASSERT_EQUAL(dp_inner_parse(pkt, len, &in), TT_DROP_NONE);
			enum tt_drop got = dp_inner_ttl_decrement(pkt, &in);
			CU_ASSERT_EQUAL(got, left <= 1 ? TT_DROP_TTL_EXCEEDED : TT_DROP_NONE);
			if (left > 1) {
				k.ttl--;
				pk_build(want, &k, "abc", 3, false);
			}
			CU_ASSERT(memcmp(pkt, want, len) == 0 && in.ttl == k.ttl);
		}
}

TT_TESTS("inner", {"good packets", good_packets}, {"case 16: lengths that lie", bad_lengths},
	 {"case 16: versions and header lengths", versions},
	 {"IPv4 options and fragments", v4_options_and_fragments},
	 {"short TCP and UDP headers", short_l4_headers},
	 {"case 16: IPv6 header chains", v6_chains}, {"IPv6 fragments", v6_fragments},
	 {"largest packets", largest}, {"hop count", ttl})

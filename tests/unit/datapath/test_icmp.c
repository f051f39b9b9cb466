/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "datapath/icmp.h"
#include "packets.h"

static uint8_t pkt[4096], reply[DP_ICMP_MAX + 1];
static const uint8_t payload[2000] = "payload";

static size_t build(size_t len, enum dp_icmp_kind kind, uint32_t mtu, const struct tt_ip *from)
{
	struct dp_inner in;
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(pkt, len, &in), TT_DROP_NONE);
	reply[DP_ICMP_MAX] = 0xa5;
	size_t got = dp_icmp_build(reply, kind, pkt, &in, mtu, from);
	CU_ASSERT_EQUAL(reply[DP_ICMP_MAX], 0xa5);
	return got;
}

static bool v4_reply_intact(size_t len)
{
	return tt_load_be16(reply + 2) == len &&
	       pk_naive_fold(pk_naive_sum(reply, 20, 0)) == 0xffff &&
	       pk_naive_fold(pk_naive_sum(reply + 20, len - 20, 0)) == 0xffff;
}

/* Host unreachable about a UDP packet of 28 + 4 bytes, byte for byte. */
static void v4_golden(void)
{
	static const uint8_t want[] = {
		0x45, 0xc0, 0x00, 0x3c, 0x00, 0x00, 0x00, 0x00, 0x40, 0x01, 0x55,
		0xed, 10,   9,	  8,	2,    10,   9,	  8,	1, /* the packet's target to its
								      source */
		3,    1,    0x21, 0x31, 0x00, 0x00, 0x00, 0x00,
	};
	struct pk k = pk_udp(false);
	size_t len = pk_build(pkt, &k, "abcd", 4, false);
	CU_ASSERT_EQUAL(build(len, DP_ICMP_NO_ROUTE, 0, NULL), 28 + len);
	CU_ASSERT(v4_reply_intact(28 + len));
	CU_ASSERT_EQUAL(memcmp(reply, want, sizeof(want)), 0);
	CU_ASSERT_EQUAL(memcmp(reply + 28, pkt, len), 0);
}

static void v6_golden(void)
{
	static const uint8_t want[] = {0x60, 0, 0, 0, 0, 60, 58, 64};
	struct pk k = pk_udp(true);
	size_t len = pk_build(pkt, &k, "abcd", 4, false);
	CU_ASSERT_EQUAL(build(len, DP_ICMP_ADDR_UNREACHABLE, 0, NULL), 48 + len);
	CU_ASSERT_EQUAL(memcmp(reply, want, sizeof(want)), 0);
	CU_ASSERT_EQUAL(memcmp(reply + 8, pkt + 24, 16), 0);
	CU_ASSERT_EQUAL(memcmp(reply + 24, pkt + 8, 16), 0);
	CU_ASSERT(reply[40] == 1 && reply[41] == 3 && tt_load_be32(reply + 44) == 0);
	CU_ASSERT(pk_intact(reply, 48 + len, 40, 58));
	CU_ASSERT_EQUAL(memcmp(reply + 48, pkt, len), 0);
}

static void kinds(void)
{
	static const struct {
		enum dp_icmp_kind kind;
		uint8_t v4[2], v6[2];
	} t[] = {
		{DP_ICMP_NO_ROUTE, {3, 1}, {1, 0}},
		{DP_ICMP_ADDR_UNREACHABLE, {3, 1}, {1, 3}},
		{DP_ICMP_PROHIBITED, {3, 13}, {1, 1}},
		{DP_ICMP_TOO_BIG, {3, 4}, {2, 0}},
		{DP_ICMP_TIME_EXCEEDED, {11, 0}, {3, 0}},
	};
	for (size_t i = 0; i < TT_ARRAY_LEN(t); i++) {
		struct pk k = pk_tcp(false);
		size_t len = build(pk_build(pkt, &k, payload, 1400, false), t[i].kind, 1380, NULL);
		CU_ASSERT_EQUAL(len, DP_ICMP_V4_MAX);
		CU_ASSERT(v4_reply_intact(len) && memcmp(reply + 20, t[i].v4, 2) == 0);
		CU_ASSERT_EQUAL(tt_load_be32(reply + 24), t[i].kind == DP_ICMP_TOO_BIG ? 1380 : 0);
		k.v6 = true;
		len = build(pk_build(pkt, &k, payload, 1400, false), t[i].kind, 1380, NULL);
		CU_ASSERT_EQUAL(len, 1280);
		CU_ASSERT(pk_intact(reply, len, 40, 58) && memcmp(reply + 40, t[i].v6, 2) == 0);
		CU_ASSERT_EQUAL(tt_load_be32(reply + 44), t[i].kind == DP_ICMP_TOO_BIG ? 1380 : 0);
	}
}

static void mtu_limits(void)
{
	struct pk k4 = pk_tcp(false), k6 = pk_tcp(true);
	size_t len = pk_build(pkt, &k4, payload, 1400, false);
	build(len, DP_ICMP_TOO_BIG, 100000, NULL);
	CU_ASSERT_EQUAL(tt_load_be16(reply + 26), 65535);
	build(len, DP_ICMP_TOO_BIG, 0, NULL);
	CU_ASSERT_EQUAL(tt_load_be16(reply + 26), 68);
	k4.df = false; /* may be fragmented: nobody is to be told */
	len = pk_build(pkt, &k4, payload, 1400, false);
	CU_ASSERT_EQUAL(build(len, DP_ICMP_TOO_BIG, 1380, NULL), 0);
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, NULL) > 0);
	len = pk_build(pkt, &k6, payload, 1400, false);
	build(len, DP_ICMP_TOO_BIG, 600, NULL); /* IPv6 is never told less than 1280 */
	CU_ASSERT_EQUAL(tt_load_be32(reply + 44), 1280);
}

static void source_address(void)
{
	struct pk k = pk_udp(false);
	struct tt_ip v4 = tt_ip_v4((const uint8_t[]){192, 0, 2, 1});
	struct tt_ip v6 = {.family = TT_FAMILY_V6, .b = {0x20, 1, 0xd, 0xb8}};
	struct tt_ip none = {0};
	size_t len = pk_build(pkt, &k, payload, 10, false);
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, &v4) && memcmp(reply + 12, v4.b, 4) == 0);
	CU_ASSERT(v4_reply_intact(38 + 28));
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, &v6) && memcmp(reply + 12, pkt + 16, 4) == 0);
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, &none) && memcmp(reply + 12, pkt + 16, 4) == 0);
	k.v6 = true;
	len = pk_build(pkt, &k, payload, 10, false);
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, &v6) && memcmp(reply + 8, v6.b, 16) == 0);
	CU_ASSERT(pk_intact(reply, 48 + len, 40, 58));
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, &v4) && memcmp(reply + 8, pkt + 24, 16) == 0);
}

static size_t about_v4_addrs(const uint8_t src[4], const uint8_t dst[4])
{
	struct pk k = pk_udp(false);
	size_t len = pk_build(pkt, &k, payload, 10, false);
	memcpy(pkt + 12, src, 4);
	memcpy(pkt + 16, dst, 4);
	return build(len, DP_ICMP_NO_ROUTE, 0, NULL);
}

static void never_about_v4(void)
{
	static const uint8_t ok[4] = {10, 0, 0, 1};
	static const uint8_t no[][4] = {{0, 0, 0, 0},	{0, 1, 2, 3},	      {127, 0, 0, 1},
					{224, 0, 0, 1}, {239, 255, 255, 255}, {255, 255, 255, 255},
					{240, 0, 0, 1}};
	CU_ASSERT(about_v4_addrs(ok, ok) > 0);
	for (size_t i = 0; i < TT_ARRAY_LEN(no); i++) {
		CU_ASSERT_EQUAL(about_v4_addrs(no[i], ok), 0);
		CU_ASSERT_EQUAL(about_v4_addrs(ok, no[i]), 0);
	}
	struct pk k = pk_udp(false);
	size_t len = pk_build(pkt, &k, payload, 10, false);
	tt_store_be16(pkt + 6, 0x2000);
	CU_ASSERT(build(len, DP_ICMP_NO_ROUTE, 0, NULL) > 0); /* first fragment */
	tt_store_be16(pkt + 6, 0x0010);
	CU_ASSERT_EQUAL(build(len, DP_ICMP_NO_ROUTE, 0, NULL), 0);
	tt_store_be16(pkt + 6, 0);
	pkt[9] = 1;
	for (unsigned type = 0; type < 256; type++) {
		bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
		pkt[20] = (uint8_t)type;
		CU_ASSERT_EQUAL(build(len, DP_ICMP_NO_ROUTE, 0, NULL) == 0, error);
	}
	tt_store_be16(pkt + 2, 20); /* no type to be seen */
	CU_ASSERT_EQUAL(build(20, DP_ICMP_NO_ROUTE, 0, NULL), 0);
}

static size_t about_v6_addrs(const uint8_t src[16], const uint8_t dst[16])
{
	struct pk k = pk_udp(true);
	size_t len = pk_build(pkt, &k, payload, 10, false);
	memcpy(pkt + 8, src, 16);
	memcpy(pkt + 24, dst, 16);
	return build(len, DP_ICMP_NO_ROUTE, 0, NULL);
}

static void never_about_v6(void)
{
	static const uint8_t ok[16] = {0xfd, [15] = 1};
	static const uint8_t no[][16] = {{0}, {[15] = 1}, {0xff, 2, [15] = 1}};
	CU_ASSERT(about_v6_addrs(ok, ok) > 0);
	for (size_t i = 0; i < TT_ARRAY_LEN(no); i++) {
		CU_ASSERT_EQUAL(about_v6_addrs(no[i], ok), 0);
		CU_ASSERT_EQUAL(about_v6_addrs(ok, no[i]), 0);
	}
	struct pk k = pk_udp(true);
	size_t len = pk_build(pkt, &k, payload, 10, false);
	pkt[6] = 58;
	for (unsigned type = 0; type < 256; type++) {
		pkt[40] = (uint8_t)type;
		CU_ASSERT_EQUAL(build(len, DP_ICMP_NO_ROUTE, 0, NULL) == 0,
				type < 128 || type == 137);
	}
}

static void rate(void)
{
	struct dp_icmp_bucket b = {0};
	struct tt_mono now = {TT_NS_PER_SEC};
	unsigned allowed = 0;
	for (unsigned i = 0; i < 1000; i++)
		allowed += dp_icmp_allow(&b, now);
	CU_ASSERT_EQUAL(allowed, DP_ICMP_BURST);
	for (unsigned i = 0; i < 10 * 100000; i++) { /* ten seconds of trying every 10 us */
		now = tt_mono_add_ns(now, 10 * TT_NS_PER_US);
		allowed += dp_icmp_allow(&b, now);
	}
	CU_ASSERT_EQUAL(allowed, DP_ICMP_BURST + 10 * DP_ICMP_RATE_PER_SEC);
	now = tt_mono_add_ns(now,
			     3600 * TT_NS_PER_SEC); /* an idle hour saves up one burst, no more */
	allowed = 0;
	for (unsigned i = 0; i < 1000; i++)
		allowed += dp_icmp_allow(&b, now);
	CU_ASSERT_EQUAL(allowed, DP_ICMP_BURST);
}

TT_TESTS("icmp", {"IPv4, byte for byte", v4_golden}, {"IPv6, byte for byte", v6_golden},
	 {"types and codes", kinds}, {"MTU limits", mtu_limits}, {"source address", source_address},
	 {"never about, IPv4", never_about_v4}, {"never about, IPv6", never_about_v6},
	 {"rate", rate})

/* SPDX-License-Identifier: MIT */
#include "datapath/icmp.h"

#include "datapath/csum.h"

enum {
	V4_HDR = 20,
	V6_HDR = 40,
	ICMP_HDR = 8,
	REPLY_TTL = 64,
	V6_MTU_MIN = 1280,
	V4_MTU_MIN = 68,
	TOS_INTERNETWORK_CONTROL = 0xc0, /* RFC 1812 4.3.2.5 */
};

struct icmp_code {
	uint8_t type, code;
};

static const struct icmp_code v4_codes[] = {
	[DP_ICMP_NO_ROUTE] = {3, 1},	   [DP_ICMP_ADDR_UNREACHABLE] = {3, 1},
	[DP_ICMP_PROHIBITED] = {3, 13},	   [DP_ICMP_TOO_BIG] = {3, 4},
	[DP_ICMP_TIME_EXCEEDED] = {11, 0},
};

static const struct icmp_code v6_codes[] = {
	[DP_ICMP_NO_ROUTE] = {1, 0},	  [DP_ICMP_ADDR_UNREACHABLE] = {1, 3},
	[DP_ICMP_PROHIBITED] = {1, 1},	  [DP_ICMP_TOO_BIG] = {2, 0},
	[DP_ICMP_TIME_EXCEEDED] = {3, 0},
};

/* --- whether to answer -------------------------------------------------------------------------
 */

/* Nothing that stands for more or less than one host: RFC 1122 3.2.2, RFC 1812 4.3.2.7. */
static bool v4_is_one_host(const uint8_t *a)
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool v6_is_one_host(const uint8_t *a)
{
	static const uint8_t zeros[15];
	if (a[0] == 0xff)
		return false;
	return memcmp(a, zeros, sizeof(zeros)) != 0 || a[15] > 1; /* :: and ::1 */
}

/* An error, or something that cannot be told from one. */
static bool is_icmp_error(const uint8_t *pkt, const struct dp_inner *in)
{
	uint8_t own = dp_inner_is_v4(in) ? DP_PROTO_ICMP : DP_PROTO_ICMPV6;
	if (in->proto != own)
		return false;
	if (in->l4_len < 1)
		return true;
	uint8_t type = pkt[in->l4_off];
	if (!dp_inner_is_v4(in))
		return type < 128 || type == 137;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool may_answer(enum dp_icmp_kind kind, const uint8_t *pkt, const struct dp_inner *in)
{
	if ((in->flags & DP_INNER_LATER_FRAGMENT) || is_icmp_error(pkt, in))
		return false;
	if (!dp_inner_is_v4(in))
		return v6_is_one_host(in->src) && v6_is_one_host(in->dst);
	if (kind == DP_ICMP_TOO_BIG && !(in->flags & DP_INNER_DF))
		return false;
	return v4_is_one_host(in->src) && v4_is_one_host(in->dst);
}

/* --- building ----------------------------------------------------------------------------------
 */

static const uint8_t *reply_source(const struct dp_inner *in, const struct tt_ip *from)
{
	return from && from->family == in->family ? from->b : in->dst;
}

static size_t build_v4(uint8_t *out, enum dp_icmp_kind kind, const uint8_t *pkt,
		       const struct dp_inner *in, uint32_t mtu, const uint8_t *src)
{
	size_t quote = TT_MIN(in->total_len, (uint32_t)(DP_ICMP_V4_MAX - V4_HDR - ICMP_HDR));
	size_t len = V4_HDR + ICMP_HDR + quote;
	uint8_t *icmp = out + V4_HDR;

	memset(out, 0, V4_HDR + ICMP_HDR);
	out[0] = 0x45;
	out[1] = TOS_INTERNETWORK_CONTROL;
	tt_store_be16(out + 2, (uint16_t)len);
	out[8] = REPLY_TTL;
	out[9] = DP_PROTO_ICMP;
	memcpy(out + 12, src, 4);
	memcpy(out + 16, in->src, 4);
	uint16_t check = dp_csum_fold(dp_csum_partial(out, V4_HDR, 0));
	memcpy(out + 10, &check, sizeof(check));

	icmp[0] = v4_codes[kind].type;
	icmp[1] = v4_codes[kind].code;
	if (kind == DP_ICMP_TOO_BIG)
		tt_store_be16(icmp + 6, (uint16_t)TT_MIN(TT_MAX(mtu, V4_MTU_MIN), 65535u));
	uint32_t sum = dp_csum_partial(icmp, ICMP_HDR, 0);
	check = dp_csum_fold(dp_csum_copy(icmp + ICMP_HDR, pkt, quote, sum));
	memcpy(icmp + 2, &check, sizeof(check));
	return len;
}

static size_t build_v6(uint8_t *out, enum dp_icmp_kind kind, const uint8_t *pkt,
		       const struct dp_inner *in, uint32_t mtu, const uint8_t *src)
{
	size_t quote = TT_MIN(in->total_len, (uint32_t)(DP_ICMP_MAX - V6_HDR - ICMP_HDR));
	uint32_t l4_len = (uint32_t)(ICMP_HDR + quote);
	uint8_t *icmp = out + V6_HDR;

	memset(out, 0, V6_HDR + ICMP_HDR);
	out[0] = 0x60;
	tt_store_be16(out + 4, (uint16_t)l4_len);
	out[6] = DP_PROTO_ICMPV6;
	out[7] = REPLY_TTL;
	memcpy(out + 8, src, 16);
	memcpy(out + 24, in->src, 16);

	icmp[0] = v6_codes[kind].type;
	icmp[1] = v6_codes[kind].code;
	if (kind == DP_ICMP_TOO_BIG)
		tt_store_be32(icmp + 4, TT_MAX(mtu, V6_MTU_MIN));
	uint32_t sum = dp_csum_pseudo_v6(out + 8, out + 24, DP_PROTO_ICMPV6, l4_len);
	sum = dp_csum_partial(icmp, ICMP_HDR, sum);
	uint16_t check = dp_csum_fold(dp_csum_copy(icmp + ICMP_HDR, pkt, quote, sum));
	memcpy(icmp + 2, &check, sizeof(check));
	return V6_HDR + l4_len;
}

size_t dp_icmp_build(uint8_t *out, enum dp_icmp_kind kind, const uint8_t *pkt,
		     const struct dp_inner *in, uint32_t mtu, const struct tt_ip *from)
{
	if (!may_answer(kind, pkt, in))
		return 0;
	const uint8_t *src = reply_source(in, from);
	return dp_inner_is_v4(in) ? build_v4(out, kind, pkt, in, mtu, src)
				  : build_v6(out, kind, pkt, in, mtu, src);
}

/* --- rate --------------------------------------------------------------------------------------
 */

bool dp_icmp_allow(struct dp_icmp_bucket *b, struct tt_mono now)
{
	const uint64_t token_ns = TT_NS_PER_SEC / DP_ICMP_RATE_PER_SEC;
	uint64_t back = tt_mono_since(now, b->last);
	b->spent_ns -= TT_MIN(back, b->spent_ns);
	b->last = now;
	if (b->spent_ns > token_ns * (DP_ICMP_BURST - 1))
		return false;
	b->spent_ns += token_ns;
	return true;
}

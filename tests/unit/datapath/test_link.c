/* SPDX-License-Identifier: MIT */
#include "datapath/link.h"

#include <string.h>

#include "datapath/csum.h"
#include "tt_test.h"

static struct plat_nexthop hop_v4(void)
{
	struct plat_nexthop h = {.verdict = PLAT_NEXTHOP_RESOLVED,
				 .ifindex = 7,
				 .path_mtu = 1500,
				 .src_mac = {2, 0, 0, 0, 0, 1},
				 .dst_mac = {2, 0, 0, 0, 0, 2}};
	tt_ip_parse("192.0.2.1", &h.from);
	return h;
}

static struct plat_nexthop hop_v6(void)
{
	struct plat_nexthop h = hop_v4();
	tt_ip_parse("2001:db8::1", &h.from);
	return h;
}

/* One's complement sum of the UDP datagram with its pseudo header, the slow way. */
static uint16_t naive_udp_sum(const uint8_t *ip, bool v6)
{
	const uint8_t *udp = ip + (v6 ? 40 : 20);
	uint32_t len = tt_load_be16(udp + 4), sum = 17 + len;

	for (unsigned i = 0; i < (v6 ? 32u : 8u); i += 2)
		sum += tt_load_be16(ip + (v6 ? 8 : 12) + i);
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += tt_load_be16(udp + i);
	if (len & 1)
		sum += (uint32_t)udp[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void round_trip(const struct plat_nexthop *hop, const char *to_text, bool v6)
{
	struct dp_link l;
	struct dp_link_rx rx;
	struct tt_endpoint to;
	uint8_t buf[2048];

	CU_ASSERT_EQUAL_FATAL(tt_endpoint_parse(to_text, &to), 0);
	CU_ASSERT_FATAL(dp_link_build(&l, hop, &to, 51820));
	CU_ASSERT_EQUAL(l.max_len, 1500u - (v6 ? 48 : 28));
	for (uint32_t len = 0; len <= l.max_len; len += len < 70 ? 1 : 61) {
		uint8_t *message = buf + l.header_len;
		for (uint32_t i = 0; i < len; i++)
			message[i] = (uint8_t)(i * 7 + len);
		dp_link_write(&l, message, len, (uint8_t)(len & 3), (uint16_t)len);
		CU_ASSERT_FATAL(dp_link_parse(buf, l.header_len + len, &rx));
		CU_ASSERT_EQUAL(rx.message_off, l.header_len);
		CU_ASSERT_EQUAL(rx.message_len, len);
		CU_ASSERT_EQUAL(rx.ecn, len & 3);
		CU_ASSERT(tt_ip_equal(&rx.dst, &to.ip));
		CU_ASSERT(tt_ip_equal(&rx.src.ip, &hop->from));
		CU_ASSERT_EQUAL(rx.src.udp_port, 51820);
		CU_ASSERT_EQUAL(naive_udp_sum(buf + l.ip_off, v6), 0xffff);
		CU_ASSERT_NOT_EQUAL(tt_load_be16(message - 2), 0);
		if (!v6)
			CU_ASSERT_EQUAL(dp_csum_fold(dp_csum_partial(buf + l.ip_off, 20, 0)), 0);
		/* Ethernet padding behind it is nobody's; every truncation is refused */
		CU_ASSERT(dp_link_parse(buf, l.header_len + len + 18, &rx));
		CU_ASSERT_EQUAL(rx.message_len, len);
		for (uint32_t cut = 0; cut < l.header_len + len; cut += cut < 80 ? 1 : 97)
			CU_ASSERT(!dp_link_parse(buf, cut, &rx));
	}
}

static void both_families(void)
{
	struct plat_nexthop v4 = hop_v4(), v6 = hop_v6();

	dp_csum_init();
	round_trip(&v4, "198.51.100.7:4500", false);
	round_trip(&v6, "[2001:db8::99]:4500", true);
	v4.vlan_proto = v6.vlan_proto = 0x8100;
	v4.vlan_id = v6.vlan_id = 42;
	round_trip(&v4, "198.51.100.7:4500", false);
	round_trip(&v6, "[2001:db8::99]:4500", true);
}

static void not_for_everybody(void)
{
	struct plat_nexthop h = hop_v4();
	struct tt_endpoint to;
	struct dp_link l;

	tt_endpoint_parse("[2001:db8::99]:4500", &to);
	CU_ASSERT(!dp_link_build(&l, &h, &to, 1));
	tt_endpoint_parse("198.51.100.7:4500", &to);
	h.verdict = PLAT_NEXTHOP_UNRESOLVED;
	CU_ASSERT(!dp_link_build(&l, &h, &to, 1));
	CU_ASSERT_EQUAL(l.ifindex, 0);
	h = hop_v4();
	h.path_mtu = 28;
	CU_ASSERT(!dp_link_build(&l, &h, &to, 1));
}

/* What the steering program passes to the kernel is not taken here either. */
static void odd_frames(void)
{
	struct plat_nexthop h = hop_v4();
	struct tt_endpoint to;
	struct dp_link l;
	struct dp_link_rx rx;
	uint8_t good[256] = {0}, bad[256];

	tt_endpoint_parse("198.51.100.7:4500", &to);
	CU_ASSERT_FATAL(dp_link_build(&l, &h, &to, 1));
	dp_link_write(&l, good + l.header_len, 64, 0, 1);
	const uint32_t len = l.header_len + 64u;
	static const struct {
		unsigned at;
		uint8_t value;
	} spoil[] = {
		{14, 0x46}, /* options */
		{14, 0x65}, /* version 6 in IPv4's place */
		{20, 0x20}, /* more fragments */
		{21, 0x01}, /* an offset */
		{23, 6},    /* TCP */
		{16, 0xff}, /* total length beyond the frame */
		{17, 20},   /* too short for UDP */
		{38, 0xff}, /* UDP length beyond the IP length */
		{39, 7},    /* shorter than its header */
		{12, 0x09}, /* another ethertype */
	};
	for (size_t i = 0; i < TT_ARRAY_LEN(spoil); i++) {
		memcpy(bad, good, sizeof(bad));
		bad[spoil[i].at] = spoil[i].value;
		CU_ASSERT(!dp_link_parse(bad, len, &rx));
	}
	CU_ASSERT(dp_link_parse(good, len, &rx));
}

TT_TESTS("link", {"both families, tagged and not, every length", both_families},
	 {"a next hop that is none", not_for_everybody}, {"odd frames", odd_frames})

/* SPDX-License-Identifier: MIT
 *
 * What the WAN emulator knows of IP: headers, checksums, and the errors a router sends.
 */
#ifndef TT_TOOLS_WAN_IP_H
#define TT_TOOLS_WAN_IP_H

#include <netinet/in.h>
#include "base/types.h"

static inline uint32_t wan_ip_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += tt_load_be16(p);
	return len ? sum + ((uint32_t)*p << 8) : sum;
}

static inline uint16_t wan_ip_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline size_t wan_ip4_header_len(const uint8_t *ip)
{
	return (size_t)(ip[0] & 15) * 4;
}

static inline bool wan_ip_is4(const uint8_t *ip, size_t len)
{
	return len >= 20 && ip[0] >> 4 == 4 && wan_ip4_header_len(ip) >= 20 &&
	       wan_ip4_header_len(ip) <= len;
}

static inline bool wan_ip_is6(const uint8_t *ip, size_t len)
{
	return len >= 40 && ip[0] >> 4 == 6;
}

static inline bool wan_ip_is_icmp_error(const uint8_t *ip, size_t len)
{
	if (wan_ip_is4(ip, len) && ip[9] == IPPROTO_ICMP && len > wan_ip4_header_len(ip)) {
		uint8_t type = ip[wan_ip4_header_len(ip)];
		return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
	}
	return wan_ip_is6(ip, len) && len > 40 && ip[6] == IPPROTO_ICMPV6 && ip[40] < 128;
}

/* The router answers under the address the packet was going to: it is always routable. */
static inline size_t wan_ip4_too_big(uint8_t *out, const uint8_t *ip, size_t len, uint32_t mtu)
{
	size_t quoted = TT_MIN(len, wan_ip4_header_len(ip) + 8);
	size_t total = 28 + quoted;

	memset(out, 0, 28);
	out[0] = 0x45;
	tt_store_be16(out + 2, (uint16_t)total);
	out[8] = 64;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, ip + 16, 4);
	memcpy(out + 16, ip + 12, 4);
	tt_store_be16(out + 10, wan_ip_fold(wan_ip_sum(out, 20, 0)));
	out[20] = 3;
	out[21] = 4;
	tt_store_be16(out + 26, (uint16_t)mtu);
	memcpy(out + 28, ip, quoted);
	tt_store_be16(out + 22, wan_ip_fold(wan_ip_sum(out + 20, total - 20, 0)));
	return total;
}

static inline size_t wan_ip6_too_big(uint8_t *out, const uint8_t *ip, size_t len, uint32_t mtu)
{
	size_t quoted = TT_MIN(len, (size_t)1280 - 48);
	size_t payload = 8 + quoted;

	memset(out, 0, 48);
	out[0] = 0x60;
	tt_store_be16(out + 4, (uint16_t)payload);
	out[6] = IPPROTO_ICMPV6;
	out[7] = 64;
	memcpy(out + 8, ip + 24, 16);
	memcpy(out + 24, ip + 8, 16);
	out[40] = 2;
	tt_store_be32(out + 44, mtu);
	memcpy(out + 48, ip, quoted);
	uint32_t sum = wan_ip_sum(out + 8, 32, (uint32_t)payload + IPPROTO_ICMPV6);
	tt_store_be16(out + 42, wan_ip_fold(wan_ip_sum(out + 40, payload, sum)));
	return 40 + payload;
}

#endif

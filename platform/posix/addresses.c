/* SPDX-License-Identifier: MIT */
#include "plat/addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

static bool is_loopback(const struct tt_ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return ip->family == TT_FAMILY_V4 ? ip->b[0] == 127 : memcmp(ip->b, one, sizeof(one)) == 0;
}

/* A loopback interface may have addresses that are reached from outside, by routes to this host. */
static bool take(const struct ifaddrs *a, struct tt_ip *ip)
{
	const struct sockaddr *sa = a->ifa_addr;

	*ip = (struct tt_ip){0};
	if (!sa)
		return false;
	if (sa->sa_family == AF_INET) {
		ip->family = TT_FAMILY_V4;
		memcpy(ip->b, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return !is_loopback(ip);
	}
	if (sa->sa_family == AF_INET6) {
		ip->family = TT_FAMILY_V6;
		memcpy(ip->b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return !is_loopback(ip);
	}
	return false;
}

static bool present(const struct tt_ip *list, unsigned n, const struct tt_ip *ip)
{
	for (unsigned i = 0; i < n; i++)
		if (tt_ip_equal(&list[i], ip))
			return true;
	return false;
}

int plat_addresses_get(struct tt_ip *out, unsigned max)
{
	struct ifaddrs *all;
	unsigned n = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		struct tt_ip ip;

		if (!take(a, &ip) || present(out, TT_MIN(n, max), &ip))
			continue;
		if (n < max)
			out[n] = ip;
		n++;
	}
	freeifaddrs(all);
	return (int)n;
}

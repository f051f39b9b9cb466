/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned full_bits(const struct tt_ip *ip)
{
	return ip->family == TT_FAMILY_V4 ? 32 : 128;
}

static bool is_link_local_v6(const struct tt_ip *ip)
{
	return ip->family == TT_FAMILY_V6 && ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

struct tt_ip tt_ip_v4(const uint8_t b[4])
{
	struct tt_ip ip = {.family = TT_FAMILY_V4};

	memcpy(ip.b, b, 4);
	return ip;
}

struct tt_ip tt_ip_v6(const uint8_t b[16])
{
	struct tt_ip ip = {.family = TT_FAMILY_V6};

	if (memcmp(b, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return tt_ip_v4(b + 12);
	memcpy(ip.b, b, 16);
	return ip;
}

struct tt_ip tt_ip_v4_host(uint32_t host_order)
{
	uint8_t b[4];

	tt_store_be32(b, host_order);
	return tt_ip_v4(b);
}

bool tt_ip_equal(const struct tt_ip *a, const struct tt_ip *b)
{
	return a->family == b->family && a->scope_id == b->scope_id &&
	       memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool tt_endpoint_equal(const struct tt_endpoint *a, const struct tt_endpoint *b)
{
	return a->udp_port == b->udp_port && tt_ip_equal(&a->ip, &b->ip);
}

bool tt_cidr_contains(const struct tt_cidr *c, const struct tt_ip *ip)
{
	unsigned bytes = c->bits / 8, rest = c->bits % 8;

	if (c->ip.family != ip->family || ip->family == TT_FAMILY_NONE)
		return false;
	if (memcmp(c->ip.b, ip->b, bytes) != 0)
		return false;
	return rest == 0 || ((c->ip.b[bytes] ^ ip->b[bytes]) & (0xff00 >> rest) & 0xff) == 0;
}

bool tt_cidr_mask(struct tt_cidr *c)
{
	bool had = false;

	for (unsigned i = 0; i < sizeof(c->ip.b); i++) {
		unsigned keep = c->bits > 8 * i ? c->bits - 8 * i : 0;
		uint8_t mask = keep >= 8 ? 0xff : (uint8_t)(0xff00 >> keep);

		had |= (c->ip.b[i] & ~mask) != 0;
		c->ip.b[i] &= mask;
	}
	return had;
}

/* --- text to address ----------------------------------------------------------------------- */

/* A whole decimal number in [0, max] without leading zeros, or -1. */
static int64_t parse_decimal(const char *text, size_t len, uint32_t max)
{
	uint64_t v = 0;

	if (len == 0 || len > 10 || (len > 1 && text[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	return v <= max ? (int64_t)v : -1;
}

static int parse_v4(const char *text, uint8_t b[4])
{
	for (int i = 0; i < 4; i++) {
		size_t len = strcspn(text, ".");
		int64_t v = parse_decimal(text, len, 255);

		if (v < 0 || text[len] != (i < 3 ? '.' : '\0'))
			return -EINVAL;
		b[i] = (uint8_t)v;
		text += len + 1;
	}
	return 0;
}

static int parse_v6(const char *text, struct tt_ip *out)
{
	char host[TT_IP_TEXT_MAX];
	size_t len = strcspn(text, "%");
	uint8_t b[16];

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	/* the tail of a mapped address is held to our rules, not to those of the C library */
	const char *tail = strrchr(host, ':');
	uint8_t v4[4];
	if (tail && strchr(tail, '.') && parse_v4(tail + 1, v4) < 0)
		return -EINVAL;
	if (inet_pton(AF_INET6, host, b) != 1)
		return -EINVAL;
	struct tt_ip ip = tt_ip_v6(b);
	if (text[len] == '%') {
		int64_t scope = parse_decimal(text + len + 1, strlen(text + len + 1), UINT32_MAX);

		if (scope <= 0 || !is_link_local_v6(&ip))
			return -EINVAL;
		ip.scope_id = (uint32_t)scope;
	}
	*out = ip;
	return 0;
}

int tt_ip_parse(const char *text, struct tt_ip *out)
{
	uint8_t b[4];

	if (strchr(text, ':'))
		return parse_v6(text, out);
	if (parse_v4(text, b) < 0)
		return -EINVAL;
	*out = tt_ip_v4(b);
	return 0;
}

int tt_cidr_parse(const char *text, struct tt_cidr *out)
{
	char host[TT_IP_TEXT_MAX];
	size_t len = strcspn(text, "/");
	struct tt_cidr c = {0};

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (strchr(host, '%') || tt_ip_parse(host, &c.ip) < 0)
		return -EINVAL;
	c.bits = (uint8_t)full_bits(&c.ip);
	if (text[len] == '/') {
		/* of a mapped address the length counts from the start of the IPv6 form */
		unsigned skip = c.ip.family == TT_FAMILY_V4 && strchr(host, ':') ? 96 : 0;
		int64_t bits = parse_decimal(text + len + 1, strlen(text + len + 1),
					     full_bits(&c.ip) + skip);

		if (bits < (int64_t)skip)
			return -EINVAL;
		c.bits = (uint8_t)((unsigned)bits - skip);
	}
	*out = c;
	return 0;
}

int tt_endpoint_parse(const char *text, struct tt_endpoint *out)
{
	char host[TT_IP_TEXT_MAX];
	bool brackets = text[0] == '[';
	const char *end = brackets ? strchr(text, ']') : strchr(text, ':');
	const char *colon = end && brackets ? end + 1 : end;
	struct tt_endpoint e = {0};

	if (!colon || *colon != ':')
		return -EINVAL;
	text += brackets;
	size_t len = (size_t)(end - text);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if ((strchr(host, ':') != NULL) != brackets || tt_ip_parse(host, &e.ip) < 0)
		return -EINVAL;
	int64_t udp_port = parse_decimal(colon + 1, strlen(colon + 1), UINT16_MAX);
	if (udp_port <= 0)
		return -EINVAL;
	e.udp_port = (uint16_t)udp_port;
	*out = e;
	return 0;
}

/* --- address to text ----------------------------------------------------------------------- */

const char *tt_ip_format(const struct tt_ip *ip, char *buf)
{
	if (ip->family == TT_FAMILY_NONE)
		return strcpy(buf, "(none)");
	inet_ntop(ip->family == TT_FAMILY_V4 ? AF_INET : AF_INET6, ip->b, buf, TT_IP_TEXT_MAX);
	if (ip->scope_id != 0) {
		size_t len = strlen(buf);

		snprintf(buf + len, TT_IP_TEXT_MAX - len, "%%%u", ip->scope_id);
	}
	return buf;
}

const char *tt_cidr_format(const struct tt_cidr *c, char *buf)
{
	tt_ip_format(&c->ip, buf);
	if (c->ip.family != TT_FAMILY_NONE) {
		size_t len = strlen(buf);

		snprintf(buf + len, TT_CIDR_TEXT_MAX - len, "/%u", c->bits);
	}
	return buf;
}

const char *tt_endpoint_format(const struct tt_endpoint *e, char *buf)
{
	char ip[TT_IP_TEXT_MAX];

	tt_ip_format(&e->ip, ip);
	if (e->ip.family == TT_FAMILY_NONE)
		strcpy(buf, ip);
	else
		snprintf(buf, TT_ENDPOINT_TEXT_MAX,
			 e->ip.family == TT_FAMILY_V6 ? "[%s]:%u" : "%s:%u", ip, e->udp_port);
	return buf;
}

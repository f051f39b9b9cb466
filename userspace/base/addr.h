/* SPDX-License-Identifier: MIT
 *
 * Internet addresses as plain data, without an OS header. IPv4-mapped IPv6 addresses are always
 * stored as IPv4 (tt_ip_normalise), so that ::ffff:a.b.c.d never passes a check a.b.c.d would not.
 */
#ifndef TT_BASE_ADDR_H
#define TT_BASE_ADDR_H

#include "base/types.h"

enum tt_family {
	TT_FAMILY_NONE = 0,
	TT_FAMILY_V4 = 4,
	TT_FAMILY_V6 = 6,
};

struct tt_ip {
	uint8_t family;	   /* enum tt_family */
	uint8_t pad[3];	   /* zero, so that structs compare with memcmp */
	uint32_t scope_id; /* link-local IPv6 only, host order */
	uint8_t b[16];	   /* network order; IPv4 in the first four, the rest zero */
};

/* An outer UDP address (design: "endpoint"). All zero: none. */
struct tt_endpoint {
	struct tt_ip ip;
	uint16_t udp_port; /* host order */
	uint16_t pad;
};

/* A prefix or an interface address; in a prefix the bits beyond `bits` are zero. */
struct tt_cidr {
	struct tt_ip ip;
	uint8_t bits;
	uint8_t pad[3];
};

#define TT_IP_TEXT_MAX	     64 /* "ffff:...%4294967295" with the terminating zero */
#define TT_ENDPOINT_TEXT_MAX 80 /* "[v6%scope]:65535" with the terminating zero */
#define TT_CIDR_TEXT_MAX     72

struct tt_ip tt_ip_v4(const uint8_t b[4]);
struct tt_ip tt_ip_v6(const uint8_t b[16]);	 /* normalises mapped addresses to IPv4 */
struct tt_ip tt_ip_v4_host(uint32_t host_order); /* 0x0a000001 = 10.0.0.1 */

bool tt_ip_equal(const struct tt_ip *a, const struct tt_ip *b);
bool tt_endpoint_equal(const struct tt_endpoint *a, const struct tt_endpoint *b);
static inline bool tt_endpoint_is_set(const struct tt_endpoint *e)
{
	return e->ip.family != TT_FAMILY_NONE && e->udp_port != 0;
}
bool tt_cidr_contains(const struct tt_cidr *c, const struct tt_ip *ip);
/* Zeroes the host bits. Returns true where some were set. */
bool tt_cidr_mask(struct tt_cidr *c);

/*
 * Text to address: 0, or -EINVAL with *out untouched. Strict: no leading zeros, no octal, no names,
 * nothing around it. A scope ("%3") is a number and goes with a link-local address only. A mapped
 * prefix (::ffff:10.0.0.0/104) becomes the IPv4 one; one that is shorter than /96 is refused.
 */
int tt_ip_parse(const char *text, struct tt_ip *out);
/* Without "/n": the full length. Host bits are kept, for interface addresses: tt_cidr_mask(). */
int tt_cidr_parse(const char *text, struct tt_cidr *out);
int tt_endpoint_parse(const char *text, struct tt_endpoint *out); /* a.b.c.d:p or [v6]:p, p > 0 */

/* Address to text; buf holds the *_TEXT_MAX of its kind. Return buf. "(none)" where not set. */
const char *tt_ip_format(const struct tt_ip *ip, char *buf);
const char *tt_cidr_format(const struct tt_cidr *c, char *buf);
const char *tt_endpoint_format(const struct tt_endpoint *e, char *buf);

#endif

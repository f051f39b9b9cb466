/* SPDX-License-Identifier: MIT
 *
 * What an address is good for. Every address that a packet, a hub or a node names goes through here
 * before anything is sent to it: STUN results, candidates, relays. Mapped IPv4 (::ffff:a.b.c.d) is
 * judged as the IPv4 address that it is. Pure functions; any thread.
 */
#ifndef TT_MESH_ADDRESS_H
#define TT_MESH_ADDRESS_H

#include "base/addr.h"

enum mesh_address_kind {
	MESH_ADDRESS_NONE,	  /* no address at all */
	MESH_ADDRESS_UNSPECIFIED, /* 0.0.0.0/8, :: */
	MESH_ADDRESS_LOOPBACK,	  /* 127.0.0.0/8, ::1 */
	MESH_ADDRESS_LINK_LOCAL,  /* 169.254.0.0/16, fe80::/10 */
	MESH_ADDRESS_MULTICAST,	  /* 224.0.0.0/4, ff00::/8 */
	MESH_ADDRESS_RESERVED,	  /* 240.0.0.0/4 with the broadcast address, the rest of ::/96 */
	MESH_ADDRESS_PRIVATE,	  /* RFC 1918, 100.64.0.0/10 of carriers, fc00::/7, fec0::/10 */
	MESH_ADDRESS_PUBLIC,	  /* everything else */
};

/* The same address with a mapped one turned into IPv4; no scope on anything but link-local IPv6. */
struct tt_ip mesh_address_normalise(const struct tt_ip *ip);

enum mesh_address_kind mesh_address_classify(const struct tt_ip *ip);

/* "loopback"; never NULL. */
const char *mesh_address_kind_name(enum mesh_address_kind kind);

/*
 * True where packets may go to e because somebody else said so: private or public, and a udp_port.
 * Loopback, link-local and multicast would let a stranger make us talk to our own services, to
 * neighbours or to many.
 */
bool mesh_address_is_target(const struct tt_endpoint *e);

/* True where e is one of our own `count` addresses with our own udp_port: a loop. */
bool mesh_address_is_own(const struct tt_endpoint *e, const struct tt_ip *own, size_t count,
			 uint16_t own_udp_port);

#endif

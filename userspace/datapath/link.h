/* SPDX-License-Identifier: MIT
 *
 * How a message leaves past the kernel: a prebuilt Ethernet/IP/UDP header per path, completed for
 * each message (RFC 791, RFC 8200, RFC 768). Where a path has none, the kernel socket sends.
 */
#ifndef TT_DATAPATH_LINK_H
#define TT_DATAPATH_LINK_H

#include "base/addr.h"
#include "base/types.h"
#include "plat/nexthop.h"

/* Ethernet, one VLAN tag, IPv6, UDP. */
#define DP_LINK_HEADER_MAX (14 + 4 + 40 + 8)

struct dp_link {
	uint32_t ifindex; /* of the interface whose queue sends; 0: the kernel socket sends */
	uint32_t max_len; /* longest message that fits the path's MTU */
	uint8_t header_len;
	uint8_t ip_off; /* of the IP header in header[] */
	bool v6;
	uint8_t header[DP_LINK_HEADER_MAX];
	uint32_t pseudo_sum; /* of addresses and protocol, not folded; the UDP length is to be added
			      */
};

/*
 * Builds the header from what the kernel would do. False, with ifindex 0, where the next hop is not
 * resolved, or the families do not fit.
 */
bool dp_link_build(struct dp_link *l, const struct plat_nexthop *hop, const struct tt_endpoint *to,
		   uint16_t from_udp_port);

/* IPv4: don't-fragment in every header from here on. */
void dp_link_set_df(struct dp_link *l);

/*
 * Writes the header for a message of len bytes right in front of it (header_len bytes there are the
 * caller's) and computes its checksums. ip_id: any, different for neighbours. The message is
 * complete: it is summed.
 */
void dp_link_write(const struct dp_link *l, uint8_t *message, uint32_t len, uint8_t ecn,
		   uint16_t ip_id);

/* Where a received message came from; what lies in front of it. */
struct dp_link_rx {
	uint32_t message_off, message_len;
	uint8_t ecn;
	struct tt_endpoint src;
	struct tt_ip dst;
};

/*
 * Finds the message in a received Ethernet frame: at most one VLAN tag, IPv4 without options or
 * fragments, IPv6 without extension headers, UDP. False for anything else: the steering program
 * passes only these on, but this reader does not rely on it. The outer checksum is not looked at:
 * the tag covers the content, and veth leaves it half done.
 */
bool dp_link_parse(const uint8_t *frame, uint32_t len, struct dp_link_rx *out);

#endif

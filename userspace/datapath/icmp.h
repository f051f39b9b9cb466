/* SPDX-License-Identifier: MIT
 *
 * ICMP and ICMPv6 errors about inner packets that Taltun cannot deliver (RFC 792, 1122, 1191, 1812,
 * 4443). Built here, written to the TUN or sent to the peer by the caller.
 */
#ifndef TT_DATAPATH_ICMP_H
#define TT_DATAPATH_ICMP_H

#include "datapath/inner.h"

enum dp_icmp_kind {			      /* IPv4 type/code, IPv6 type/code */
		    DP_ICMP_NO_ROUTE,	      /* host unreachable 3/1, no route 1/0 */
		    DP_ICMP_ADDR_UNREACHABLE, /* host unreachable 3/1, address unreachable 1/3: no
						 peer has it */
		    DP_ICMP_PROHIBITED,	      /* administratively prohibited 3/13, 1/1: policy */
		    DP_ICMP_TOO_BIG, /* fragmentation needed 3/4, packet too big 2/0: with the MTU
				      */
		    DP_ICMP_TIME_EXCEEDED, /* in transit 11/0, 3/0 */
};

#define DP_ICMP_V4_MAX 576
#define DP_ICMP_MAX    1280 /* room that dp_icmp_build() needs */

/*
 * Builds the error about pkt (as parsed) into out, room for DP_ICMP_MAX bytes. mtu: for
 * DP_ICMP_TOO_BIG only, the largest inner packet that fits. from: the address of the tunnel
 * interface; NULL, unset or of the other family: the packet's own destination. Returns the packet's
 * length, or 0 where the RFCs forbid an answer: about ICMP errors, later fragments, multicast or
 * broadcast on either side, an unspecified or loopback source; TOO_BIG about IPv4 without DF.
 */
size_t dp_icmp_build(uint8_t *out, enum dp_icmp_kind kind, const uint8_t *pkt,
		     const struct dp_inner *in, uint32_t mtu, const struct tt_ip *from);

/* Token bucket over all errors of one worker (RFC 1812 4.3.2.8, RFC 4443 2.4 f). All zero: full. */
#define DP_ICMP_RATE_PER_SEC 1000
#define DP_ICMP_BURST	     50

struct dp_icmp_bucket {
	struct tt_mono last; /* when `spent` was last reduced */
	uint64_t spent_ns;   /* tokens taken, as the time they need to come back */
};

/* Takes a token: true where an error may be sent now. Owner thread of the bucket. */
bool dp_icmp_allow(struct dp_icmp_bucket *b, struct tt_mono now);

#endif

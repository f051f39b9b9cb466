/* SPDX-License-Identifier: MIT
 *
 * What TCP announces as its maximum segment size, lowered to what the tunnel carries (RFC 9293
 * 3.7.1, RFC 6691), in both directions. This is the one place where that is done.
 */
#ifndef TT_DATAPATH_MSS_H
#define TT_DATAPATH_MSS_H

#include "datapath/inner.h"

/* Whether the option can be there: SYN and SYN-ACK with a whole TCP header. */
static inline bool dp_mss_is_syn(const uint8_t *pkt, const struct dp_inner *in)
{
	return in->proto == DP_PROTO_TCP && (in->flags & DP_INNER_L4) &&
	       (pkt[in->l4_off + 13] & 0x02);
}

/*
 * Lowers the option of a packet that dp_mss_is_syn() to what an inner packet of mtu bytes carries
 * (0: unknown, untouched); never raises it, never adds one. open_csum: the checksum field holds no
 * checksum yet, but the pseudo header's sum. True where the packet was changed.
 */
bool dp_mss_clamp(uint8_t *pkt, const struct dp_inner *in, uint32_t mtu, bool open_csum);

#endif

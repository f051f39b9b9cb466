/* SPDX-License-Identifier: MIT
 *
 * Explicit congestion notification across the tunnel: RFC 6040, normal mode.
 */
#ifndef TT_DATAPATH_ECN_H
#define TT_DATAPATH_ECN_H

#include "datapath/inner.h"

enum dp_ecn {
	DP_ECN_NOT_ECT = 0,
	DP_ECN_ECT1 = 1,
	DP_ECN_ECT0 = 2,
	DP_ECN_CE = 3,
	DP_ECN_MASK = 3,
};

/* The outer TOS / traffic class for an inner one: ECN copied, DSCP 0 (it would tell about the
 * inner). */
static inline uint8_t dp_ecn_encap(uint8_t inner_tos)
{
	return inner_tos & DP_ECN_MASK;
}

/*
 * Sets the inner packet's ECN from the outer TOS byte it came with (whole byte or ECN bits), with
 * its IPv4 checksum and in->tos. TT_DROP_INNER_ECN: outer CE on an inner packet that is not
 * ECN-capable, which was congestion and must look like loss.
 */
enum tt_drop dp_ecn_decap(uint8_t *pkt, struct dp_inner *in, uint8_t outer_tos);

#endif

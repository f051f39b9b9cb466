/* SPDX-License-Identifier: MIT */
#include "datapath/ecn.h"

#include "datapath/csum.h"

#define ECN_DROP 0xff

/* RFC 6040, figure 4: [inner][outer], both as they lie in the header. */
static const uint8_t decap_table[4][4] = {
	/* outer:            Not-ECT         ECT(1)          ECT(0)          CE */
	[DP_ECN_NOT_ECT] = {DP_ECN_NOT_ECT, DP_ECN_NOT_ECT, DP_ECN_NOT_ECT, ECN_DROP},
	[DP_ECN_ECT1] = {DP_ECN_ECT1, DP_ECN_ECT1, DP_ECN_ECT1, DP_ECN_CE},
	[DP_ECN_ECT0] = {DP_ECN_ECT0, DP_ECN_ECT1, DP_ECN_ECT0, DP_ECN_CE},
	[DP_ECN_CE] = {DP_ECN_CE, DP_ECN_CE, DP_ECN_CE, DP_ECN_CE},
};

static void set_tos(uint8_t *pkt, struct dp_inner *in, uint8_t tos)
{
	in->tos = tos;
	if (!dp_inner_is_v4(in)) {
		pkt[0] = (uint8_t)((pkt[0] & 0xf0) | (tos >> 4));
		pkt[1] = (uint8_t)((pkt[1] & 0x0f) | (tos << 4));
		return;
	}
	uint16_t old_word, new_word;
	memcpy(&old_word, pkt, sizeof(old_word));
	pkt[1] = tos;
	memcpy(&new_word, pkt, sizeof(new_word));
	dp_csum_patch(pkt + 10, old_word, new_word);
}

enum tt_drop dp_ecn_decap(uint8_t *pkt, struct dp_inner *in, uint8_t outer_tos)
{
	uint8_t before = in->tos & DP_ECN_MASK;
	uint8_t after = decap_table[before][outer_tos & DP_ECN_MASK];
	if (tt_likely(after == before))
		return TT_DROP_NONE;
	if (after == ECN_DROP)
		return TT_DROP_INNER_ECN;
	set_tos(pkt, in, (uint8_t)((in->tos & ~DP_ECN_MASK) | after));
	return TT_DROP_NONE;
}

/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "datapath/ecn.h"
#include "packets.h"

#define DROP 255

/* RFC 6040 figure 4, typed from the RFC: rows inner, columns outer, in the order of the figure. */
static const uint8_t order[4] = {DP_ECN_NOT_ECT, DP_ECN_ECT0, DP_ECN_ECT1, DP_ECN_CE};
static const uint8_t figure4[4][4] = {
	{DP_ECN_NOT_ECT, DP_ECN_NOT_ECT, DP_ECN_NOT_ECT, DROP},
	{DP_ECN_ECT0, DP_ECN_ECT0, DP_ECN_ECT1, DP_ECN_CE},
	{DP_ECN_ECT1, DP_ECN_ECT1, DP_ECN_ECT1, DP_ECN_CE},
	{DP_ECN_CE, DP_ECN_CE, DP_ECN_CE, DP_ECN_CE},
};

static void decap_one(bool v6, uint8_t dscp, unsigned row, unsigned column)
{
	uint8_t pkt[128], before[128], want = figure4[row][column];
	struct pk k = pk_tcp(v6);
	struct dp_inner in, again;
	k.tos = (uint8_t)(dscp << 2 | order[row]);
	k.flow_label = 0xabcde;
	size_t len = pk_build(pkt, &k, "hello", 5, false);
	memcpy(before, pkt, len);
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(pkt, len, &in), TT_DROP_NONE);
	/* the outer DSCP is nobody's business */
	enum tt_drop got = dp_ecn_decap(pkt, &in, (uint8_t)(0xb8 | order[column]));
	if (want == DROP) {
		CU_ASSERT_EQUAL(got, TT_DROP_INNER_ECN);
		CU_ASSERT_EQUAL(memcmp(pkt, before, len), 0);
		return;
	}
	CU_ASSERT_EQUAL(got, TT_DROP_NONE);
	k.tos = (uint8_t)(dscp << 2 | want);
	pk_build(before, &k, "hello", 5, false);
	CU_ASSERT_EQUAL(memcmp(pkt, before, len), 0);
	CU_ASSERT_EQUAL(in.tos, k.tos);
	CU_ASSERT_EQUAL(dp_inner_parse(pkt, len, &again), TT_DROP_NONE);
	CU_ASSERT_EQUAL(again.tos, k.tos);
}

static void decap_table_all(void)
{
	for (unsigned cell = 0; cell < 16; cell++)
		for (uint8_t dscp = 0; dscp < 64; dscp++) {
			decap_one(false, dscp, cell / 4, cell % 4);
			decap_one(true, dscp, cell / 4, cell % 4);
		}
}

static void encap_copies_ecn_only(void)
{
	for (unsigned tos = 0; tos < 256; tos++)
		CU_ASSERT_EQUAL(dp_ecn_encap((uint8_t)tos), tos & 3);
}

TT_TESTS("ecn", {"decapsulation, all 16 combinations", decap_table_all},
	 {"encapsulation", encap_copies_ecn_only})

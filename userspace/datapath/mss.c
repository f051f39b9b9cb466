/* SPDX-License-Identifier: MIT */
#include "datapath/mss.h"

#include "datapath/csum.h"

enum {
	TCP_HDR_MIN = 20,
	TCP_CHECK = 16,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_MSS_LEN = 4,
	HEADERS_V4 = 40, /* IP and TCP without options: RFC 6691 */
	HEADERS_V6 = 60,
	MSS_MIN = 88, /* what Linux takes at least; a smaller tunnel is nothing TCP can use */
};

/* Offset of the value in the TCP header; 0: no such option, or its neighbours make no sense. */
static unsigned find_mss(const uint8_t *tcp, unsigned hdr_len)
{
	unsigned at = TCP_HDR_MIN;

	while (at < hdr_len && tcp[at] != OPT_END) {
		if (tcp[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= hdr_len || tcp[at + 1] < 2 || at + tcp[at + 1] > hdr_len)
			return 0;
		if (tcp[at] == OPT_MSS)
			return tcp[at + 1] == OPT_MSS_LEN ? at + 2 : 0;
		at += tcp[at + 1];
	}
	return 0;
}

/* A value at an odd offset lies across two words of the sum: its bytes change places there. */
static void patch_check(uint8_t *tcp, unsigned at, uint16_t old_value, uint16_t new_value)
{
	uint16_t old_word = (uint16_t)dp_csum_be16(old_value);
	uint16_t new_word = (uint16_t)dp_csum_be16(new_value);

	if (at & 1) {
		old_word = __builtin_bswap16(old_word);
		new_word = __builtin_bswap16(new_word);
	}
	dp_csum_patch(tcp + TCP_CHECK, old_word, new_word);
}

bool dp_mss_clamp(uint8_t *pkt, const struct dp_inner *in, uint32_t mtu, bool open_csum)
{
	uint32_t headers = dp_inner_is_v4(in) ? HEADERS_V4 : HEADERS_V6;
	uint8_t *tcp = pkt + in->l4_off;
	unsigned at = find_mss(tcp, in->l4_hdr_len);

	if (!at || !mtu || mtu >= headers + UINT16_MAX)
		return false;
	uint16_t max = (uint16_t)(mtu < headers + MSS_MIN ? MSS_MIN : mtu - headers);
	uint16_t mss = tt_load_be16(tcp + at);

	if (mss <= max)
		return false;
	tt_store_be16(tcp + at, max);
	if (!open_csum)
		patch_check(tcp, at, mss, max);
	return true;
}

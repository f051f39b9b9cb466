/* SPDX-License-Identifier: MIT */
#include "datapath/fragment.h"

#include "datapath/csum.h"

enum {
	V4_HDR_MIN = 20,
	V4_LEN = 2,
	V4_FRAGMENT = 6,
	V4_CHECK = 10,
	FLAG_RESERVED = 0x8000,
	FLAG_MORE = 0x2000,
	OFFSET_MAX = 0x1fff,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_COPIED = 0x80,
};

/* Appends the options that go into every fragment to out; their length, a multiple of 4. */
static unsigned copy_options(uint8_t *out, const uint8_t *opt, unsigned len)
{
	unsigned at = 0, n = 0;

	while (at < len && opt[at] != OPT_END) {
		if (opt[at] == OPT_NOP) {
			at++;
			continue;
		}
		/* what makes no sense is not passed on */
		if (at + 1 >= len || opt[at + 1] < 2 || at + opt[at + 1] > len)
			break;
		if (opt[at] & OPT_COPIED) {
			memcpy(out + n, opt + at, opt[at + 1]);
			n += opt[at + 1];
		}
		at += opt[at + 1];
	}
	while (n % 4)
		out[n++] = OPT_END;
	return n;
}

static void make_headers(struct dp_fragmenter *f, const uint8_t *pkt, const struct dp_inner *in)
{
	memcpy(f->hdr, pkt, in->l3_len);
	memcpy(f->later_hdr, pkt, V4_HDR_MIN);
	f->hdr_len = (uint8_t)in->l3_len;
	f->later_hdr_len =
		(uint8_t)(V4_HDR_MIN + copy_options(f->later_hdr + V4_HDR_MIN, pkt + V4_HDR_MIN,
						    in->l3_len - V4_HDR_MIN));
	f->later_hdr[0] = (uint8_t)(0x40 | f->later_hdr_len / 4);
}

bool dp_fragmenter_init(struct dp_fragmenter *f, const uint8_t *pkt, const struct dp_inner *in,
			uint32_t mtu)
{
	if (!dp_inner_is_v4(in) || (in->flags & DP_INNER_DF) || mtu < in->l3_len + 8u)
		return false;
	uint16_t word = tt_load_be16(pkt + V4_FRAGMENT);

	f->left = in->total_len - in->l3_len;
	f->payload = pkt + in->l3_len;
	f->offset = word & OFFSET_MAX;
	f->keep = word & (FLAG_RESERVED | FLAG_MORE);
	if (!f->left || f->offset + f->left / 8 > OFFSET_MAX)
		return false;
	make_headers(f, pkt, in);
	f->room = (mtu - f->hdr_len) & ~7u;
	f->later_room = (mtu - f->later_hdr_len) & ~7u;
	return true;
}

uint32_t dp_fragmenter_len(const struct dp_fragmenter *f)
{
	return f->hdr_len + TT_MIN(f->room, f->left);
}

uint32_t dp_fragmenter_next(struct dp_fragmenter *f, uint8_t *dst)
{
	uint32_t payload = TT_MIN(f->room, f->left), len = f->hdr_len + payload;
	uint16_t more = f->left > payload ? FLAG_MORE : 0;

	memcpy(dst, f->hdr, f->hdr_len);
	tt_store_be16(dst + V4_LEN, (uint16_t)len);
	tt_store_be16(dst + V4_FRAGMENT, (uint16_t)(f->offset | f->keep | more));
	tt_store_be16(dst + V4_CHECK, 0);
	uint16_t check = dp_csum_fold(dp_csum_partial(dst, f->hdr_len, 0));
	memcpy(dst + V4_CHECK, &check, sizeof(check));
	memcpy(dst + f->hdr_len, f->payload, payload);
	f->payload += payload;
	f->left -= payload;
	f->offset += payload / 8;
	memcpy(f->hdr, f->later_hdr, sizeof(f->hdr));
	f->hdr_len = f->later_hdr_len;
	f->room = f->later_room;
	return len;
}

/* SPDX-License-Identifier: MIT
 *
 * Inner IPv4 packets without DF that do not fit their peer's path are cut here, as a router would
 * (RFC 791 3.2): the options that say so go into every fragment, the others into the first alone.
 *
 *	if (dp_fragmenter_init(&f, pkt, &in, mtu))
 *		while (f.left)
 *			dp_fragmenter_next(&f, slot(dp_fragmenter_len(&f)));
 *
 * Pure; no allocation.
 */
#ifndef TT_DATAPATH_FRAGMENT_H
#define TT_DATAPATH_FRAGMENT_H

#include "datapath/inner.h"

#define DP_FRAGMENT_HDR_MAX 60

struct dp_fragmenter {
	uint32_t left; /* bytes of payload not yet taken */
	/* private */
	const uint8_t *payload; /* of the next fragment */
	uint32_t offset;	/* of it, in units of 8 bytes */
	uint32_t room;		/* payload of every fragment but the last */
	uint32_t later_room;	/* the same, behind the first */
	uint16_t keep;		/* the fragment word's reserved bit, and MF of the last one */
	uint8_t hdr_len, later_hdr_len;
	uint8_t hdr[DP_FRAGMENT_HDR_MAX];	/* the first one's */
	uint8_t later_hdr[DP_FRAGMENT_HDR_MAX]; /* the others' */
};

/*
 * pkt is a whole IPv4 packet (or itself a fragment) with its checksums in place, `in` its parse; it
 * stays where it is until the last fragment is taken. False where mtu leaves no room for 8 bytes
 * behind the header, where DF is set, for IPv6, or where offsets would not fit their field.
 */
bool dp_fragmenter_init(struct dp_fragmenter *f, const uint8_t *pkt, const struct dp_inner *in,
			uint32_t mtu);
/* Bytes that the next dp_fragmenter_next() writes, while f->left. */
uint32_t dp_fragmenter_len(const struct dp_fragmenter *f);
/* Writes the next fragment to dst, which does not overlap pkt; its length. */
uint32_t dp_fragmenter_next(struct dp_fragmenter *f, uint8_t *dst);

#endif

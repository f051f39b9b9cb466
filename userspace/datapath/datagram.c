/* SPDX-License-Identifier: MIT */
#include "datapath/datagram.h"

#define STUN_HEADER 20
#define STUN_COOKIE 0x2112a442u

void dp_datagram_ring_init(struct dp_datagram_ring *r)
{
	dp_ring_init(&r->ring, r->sequence, DP_DATAGRAM_RING);
}

static bool is_controls(const struct dp_frame *f)
{
	if (f->data[0] == DP_RELAY_MAGIC)
		return f->len >= DP_RELAY_HEADER && f->data[1] != DP_RELAY_DATA;
	return f->len >= STUN_HEADER && f->data[0] < 0x40 &&
	       tt_load_be32(f->data + 4) == STUN_COOKIE;
}

enum tt_drop dp_datagram_ring_push(struct dp_datagram_ring *r, const struct dp_frame *f)
{
	uint32_t pos;

	if (f->len < 4)
		return TT_DROP_RX_TOO_SHORT;
	if (f->via != DP_VIA_UDP || !is_controls(f) || f->len > DP_DATAGRAM_MAX)
		return TT_DROP_RX_BAD_TYPE;
	if (!dp_ring_claim(&r->ring, &pos))
		return TT_DROP_RX_CONTROL_FULL;
	struct dp_datagram *d = &r->cell[pos & r->ring.mask];

	d->src = f->origin->src;
	d->dst = f->origin->dst;
	d->ifindex = f->origin->ifindex;
	d->len = f->len;
	memcpy(d->bytes, f->data, f->len);
	dp_ring_push(&r->ring, pos);
	return TT_DROP_NONE;
}

unsigned dp_datagram_ring_pop(struct dp_datagram_ring *r, struct dp_datagram *out, unsigned max)
{
	unsigned n = 0;
	uint32_t pos;

	while (n < max && dp_ring_peek(&r->ring, &pos)) {
		const struct dp_datagram *d = &r->cell[pos & r->ring.mask];

		out[n] = (struct dp_datagram){
			.src = d->src, .dst = d->dst, .ifindex = d->ifindex, .len = d->len};
		memcpy(out[n++].bytes, d->bytes, d->len);
		dp_ring_pop(&r->ring, pos);
	}
	return n;
}

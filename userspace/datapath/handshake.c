/* SPDX-License-Identifier: MIT */
#include "datapath/handshake.h"

void dp_handshake_ring_init(struct dp_handshake_ring *r)
{
	dp_ring_init(&r->ring, r->sequence, DP_HANDSHAKE_RING);
	atomic_init(&r->keys, NULL);
}

static enum tt_drop check(struct dp_handshake_ring *r, const struct dp_handshake *h)
{
	static const uint16_t length[] = {
		[WG_MSG_INITIATION] = sizeof(struct wg_msg_initiation),
		[WG_MSG_RESPONSE] = sizeof(struct wg_msg_response),
		[WG_MSG_COOKIE] = sizeof(struct wg_msg_cookie),
	};
	enum wg_message_type type = wg_message_type_of(h->bytes, h->len);

	if (type < WG_MSG_INITIATION || type > WG_MSG_COOKIE)
		return TT_DROP_RX_BAD_TYPE;
	if (h->len != length[type])
		return TT_DROP_HS_BAD_LENGTH;
	struct wg_cookie_keys *keys = tt_epoch_load(&r->keys);

	if (!keys)
		return TT_DROP_HS_NO_KEY;
	/* a cookie reply has no mac1; it is sealed with the cookie key instead */
	if (type != WG_MSG_COOKIE && !wg_cookie_check_mac1(keys, h->bytes, h->len))
		return TT_DROP_HS_BAD_MAC1;
	return TT_DROP_NONE;
}

enum tt_drop dp_handshake_ring_push(struct dp_handshake_ring *r, const struct dp_handshake *h)
{
	enum tt_drop drop = check(r, h);
	uint32_t pos;

	if (drop != TT_DROP_NONE)
		return drop;
	if (!dp_ring_claim(&r->ring, &pos))
		return TT_DROP_HS_QUEUE_FULL;
	r->cell[pos & r->ring.mask] = *h;
	dp_ring_push(&r->ring, pos);
	return TT_DROP_NONE;
}

unsigned dp_handshake_ring_pop(struct dp_handshake_ring *r, struct dp_handshake *out, unsigned max)
{
	unsigned n = 0;
	uint32_t pos;

	while (n < max && dp_ring_peek(&r->ring, &pos)) {
		out[n++] = r->cell[pos & r->ring.mask];
		dp_ring_pop(&r->ring, pos);
	}
	return n;
}

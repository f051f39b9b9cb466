/* SPDX-License-Identifier: MIT */
#include "datapath/relay.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/worker.h"

/* --- over UDP --------------------------------------------------------------------------------- */

enum tt_drop dp_relay_unwrap(struct dp_plane *pl, struct dp_frame *f)
{
	const struct dp_relays *r = tt_epoch_load(&pl->relays);
	unsigned i = 0;

	while (r && i < r->n && !tt_endpoint_equal(&r->endpoint[i], &f->origin->src))
		i++;
	if (!r || i == r->n)
		return TT_DROP_RX_RELAY_SOURCE;
	f->via = DP_VIA_RELAY_UDP;
	f->tag = tt_load_be32(f->data + 4);
	f->data += DP_RELAY_HEADER;
	f->len -= DP_RELAY_HEADER;
	return TT_DROP_NONE;
}

static void free_retired(void *obj, void *ctx)
{
	(void)ctx;
	free(obj);
}

int dp_plane_set_relays(struct dp_plane *pl, const struct tt_endpoint *relays, unsigned n)
{
	struct dp_relays *r;

	if (n > DP_RELAYS_MAX)
		return -E2BIG;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->n = n;
	if (n)
		memcpy(r->endpoint, relays, n * sizeof(*relays));
	struct dp_relays *old = tt_epoch_publish(&pl->relays, r);

	if (old)
		tt_epoch_retire(&pl->epoch, old, free_retired, NULL);
	return 0;
}

/* --- through the connection to the hub -------------------------------------------------------- */

void dp_plane_relay_prepare(struct dp_plane *pl)
{
	for (unsigned i = 0; i < pl->workers; i++)
		dp_port_relay_prepare(&pl->worker[i]->relay);
}

int dp_plane_relay_fd(const struct dp_plane *pl)
{
	return pl->relay_bell.event.fd;
}

unsigned dp_plane_relay_pop(struct dp_plane *pl, struct dp_relay_message *out, unsigned max)
{
	struct dp_relay_bell *bell = &pl->relay_bell;
	unsigned n = 0, share = TT_MAX(1u, max / pl->workers);
	bool more = false;

	for (unsigned i = 0; i < pl->workers; i++)
		dp_port_relay_return(&pl->worker[i]->relay);
	/* Cleared before the queues are read: who fills one from here on raises the event again. */
	if (atomic_load(&bell->raised)) {
		plat_event_clear(&bell->event);
		(void)atomic_exchange(&bell->raised, false);
	}
	for (unsigned i = 0; i < pl->workers; i++) {
		struct dp_port_relay *r = &pl->worker[(pl->relay_turn + i) % pl->workers]->relay;

		n += dp_port_relay_pop(r, out + n, TT_MIN(share, max - n));
		more |= dp_port_relay_waiting(r);
	}
	pl->relay_turn = (pl->relay_turn + 1) % pl->workers;
	if (more && !atomic_exchange(&bell->raised, true))
		plat_event_raise(&bell->event);
	return n;
}

/* --- what control received ---------------------------------------------------------------------
 */

static enum tt_drop push_handshake(struct dp_plane *pl, const struct dp_frame *f)
{
	struct dp_handshake h = {.src = f->origin->src,
				 .dst = f->origin->dst,
				 .ifindex = f->origin->ifindex,
				 .via = (enum dp_via)f->via,
				 .tag = f->tag,
				 .len = (uint16_t)f->len};

	if (f->len > sizeof(h.bytes))
		return TT_DROP_HS_BAD_LENGTH;
	memcpy(h.bytes, f->data, f->len);
	return dp_handshake_push(pl, &h);
}

static enum tt_drop push_data(struct dp_plane *pl, const struct dp_frame *f)
{
	bool wake;

	if (f->len < WG_DATA_MIN)
		return TT_DROP_RX_TOO_SHORT;
	if (f->len > DP_RELAY_MESSAGE_MAX)
		return TT_DROP_RX_TRUNCATED;
	/* the worker that steering would choose */
	struct dp_worker *w = pl->worker[tt_load_le32(f->data + 4) % pl->workers];

	if (!dp_port_relay_push(&w->relay, f, &wake))
		return TT_DROP_RX_RELAY_FULL;
	if (wake)
		dp_worker_wake(w);
	return TT_DROP_NONE;
}

static enum tt_drop push_message(struct dp_plane *pl, const struct dp_frame *f)
{
	enum wg_message_type type = wg_message_type_of(f->data, f->len);

	if (!type)
		return f->len < 4 ? TT_DROP_RX_TOO_SHORT : TT_DROP_RX_BAD_TYPE;
	return type == WG_MSG_DATA ? push_data(pl, f) : push_handshake(pl, f);
}

enum tt_drop dp_plane_relay_push(struct dp_plane *pl, uint32_t node_id, const uint8_t *message,
				 size_t len)
{
	const struct dp_origin nowhere = {0};
	const struct dp_frame f = {.data = (uint8_t *)message,
				   .len = (uint32_t)len,
				   .origin = &nowhere,
				   .via = DP_VIA_RELAY_TCP,
				   .tag = node_id};

	return len > UINT16_MAX ? TT_DROP_RX_TRUNCATED : push_message(pl, &f);
}

enum tt_drop dp_plane_udp_push(struct dp_plane *pl, const struct tt_endpoint *src,
			       const struct tt_ip *dst, uint32_t ifindex, const uint8_t *datagram,
			       size_t len)
{
	const struct dp_origin origin = {.src = *src, .dst = *dst, .ifindex = ifindex};
	struct dp_frame f = {.data = (uint8_t *)datagram, .len = (uint32_t)len, .origin = &origin};

	if (len > UINT16_MAX)
		return TT_DROP_RX_TRUNCATED;
	if (dp_relay_is_data(datagram, f.len)) {
		enum tt_drop drop = dp_relay_unwrap(pl, &f);

		if (drop != TT_DROP_NONE)
			return drop;
	}
	return push_message(pl, &f);
}

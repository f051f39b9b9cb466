/* SPDX-License-Identifier: MIT */
#include "datapath/inner_write.h"

#include <errno.h>

#include "datapath/segment.h"

void dp_inner_check(struct dp_worker *w)
{
	int fd = w->inner->ops->fd(w->inner);

	/* also without a descriptor: the time to the next look is what the worker sleeps */
	w->inner_checked = w->now;
	if (fd < 0)
		return;
	int state = (int)plat_tun_state(fd);

	if (atomic_exchange(&w->plane->tun_state, state) != state)
		dp_doorbell_raise(&w->plane->doorbell);
	if (state == PLAT_TUN_GONE)
		plat_waiter_set(&w->waiter, DP_SLOT_INNER, -1);
}

void dp_inner_failed(struct dp_worker *w, int error, uint32_t packets)
{
	dp_inner_check(w);
	dp_worker_drop(w, error == -EIO ? TT_DROP_TUN_DOWN : TT_DROP_TUN_WRITE, packets);
}

/* --- super-packets that the kernel refuses ---------------------------------------------------- */

static uint32_t gather(uint8_t *to, const struct dp_gro_out *out)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < out->n; i++) {
		memcpy(to + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	return len;
}

/* The other way round of what GRO did: its members, one write each. */
static void write_apart(struct dp_worker *w, const struct dp_gro_out *out)
{
	struct plat_vnet_hdr vnet, none = {0};
	struct dp_segmenter sg;
	struct dp_inner in;
	uint8_t *super = w->scratch[0] + sizeof(vnet), *member = w->scratch[1];
	uint32_t len = gather(w->scratch[0], out);

	memcpy(&vnet, w->scratch[0], sizeof(vnet));
	if (dp_inner_parse(super, len - sizeof(vnet), &in) != TT_DROP_NONE ||
	    dp_segmenter_init(&sg, &vnet, super, &in) != TT_DROP_NONE) {
		dp_worker_drop(w, TT_DROP_TUN_WRITE, out->packets);
		return;
	}
	memcpy(member, &none, sizeof(none));
	while (sg.left) {
		struct iovec iov = {member, sizeof(none) + dp_segmenter_len(&sg)};

		dp_segmenter_next(&sg, member + sizeof(none));
		ssize_t n = w->inner->ops->write(w->inner, &iov, 1);

		if (n < 0)
			dp_inner_failed(w, (int)n, 1);
		else
			dp_count(&w->counters.tun_tx_packets, 1);
		dp_count(&w->counters.tun_tx_writes, 1);
	}
}

/* Of a super-packet. */
static inline bool is_udp(const struct dp_gro_out *out)
{
	const struct plat_vnet_hdr *vnet = out->iov[0].iov_base;

	return vnet->gso_type == PLAT_VNET_GSO_UDP_L4;
}

/* The kernel took the offload when it was asked for, and refuses it now: do without. */
static void turn_offload_off(struct dp_worker *w, const struct dp_gro_out *out)
{
	unsigned off = is_udp(out) ? PLAT_TUN_USO : PLAT_TUN_TSO;

	w->inner->flags &= ~off;
	w->gro_flags_stale = true;
	if (off == PLAT_TUN_USO)
		atomic_store(&w->plane->uso_off, true);
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_out(struct dp_worker *w, const struct dp_gro_out *out)
{
	ssize_t n = w->inner->ops->write(w->inner, out->iov, (int)out->n);

	dp_count(&w->counters.tun_tx_writes, 1);
	if (tt_likely(n >= 0)) {
		dp_count(&w->counters.tun_tx_packets, out->packets);
	} else if (n == -EINVAL && out->packets > 1) {
		turn_offload_off(w, out);
		write_apart(w, out);
	} else {
		dp_inner_failed(w, (int)n, out->packets);
	}
}

void dp_inner_write_batch(struct dp_worker *w)
{
	const struct dp_gro_out *outs;
	uint32_t n = dp_gro_flush(&w->gro, &outs);

	for (uint32_t i = 0; i < n; i++)
		write_out(w, &outs[i]);
	dp_gro_reset(&w->gro);
	if (tt_unlikely(w->gro_flags_stale)) {
		dp_gro_init(&w->gro, w->inner->flags);
		w->gro_flags_stale = false;
	}
}

void dp_inner_write_packet(struct dp_worker *w, uint8_t *pkt, size_t len)
{
	struct plat_vnet_hdr none = {0};
	struct iovec iov[2] = {{&none, sizeof(none)}, {pkt, len}};
	bool vnet = w->inner->flags & PLAT_TUN_VNET_HDR;
	ssize_t n = w->inner->ops->write(w->inner, vnet ? iov : iov + 1, vnet ? 2 : 1);

	if (n < 0)
		dp_inner_failed(w, (int)n, 1);
	else
		dp_count(&w->counters.tun_tx_packets, 1);
	dp_count(&w->counters.tun_tx_writes, 1);
}

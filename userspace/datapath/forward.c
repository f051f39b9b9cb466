/* SPDX-License-Identifier: MIT */
#include "datapath/forward.h"

#include "datapath/encap.h"

/* Tells the peer that sent it why its packet goes nowhere. */
static void answer(struct dp_worker *w, struct dp_peer *to, enum dp_icmp_kind kind, uint32_t mtu,
		   const uint8_t *pkt, const struct dp_inner *in)
{
	const struct plat_vnet_hdr none = {0};
	uint8_t error[DP_ICMP_MAX] DP_UNINITIALIZED;
	struct dp_inner error_in;

	if (!tt_epoch_load(&to->path) || !dp_icmp_allow(&w->icmp, w->now))
		return;
	size_t len = dp_icmp_build(error, kind, pkt, in, mtu,
				   dp_plane_own(w->plane, (enum tt_family)in->family));

	if (len && dp_inner_parse(error, len, &error_in) == TT_DROP_NONE)
		dp_encap_to_peer(w, to, &none, error, &error_in);
}

enum dp_forward dp_forward_packet(struct dp_worker *w, struct dp_peer *from, struct dp_peer *to,
				  uint8_t *pkt, struct dp_inner *in)
{
	const struct plat_vnet_hdr none = {0};
	const struct dp_path *path = tt_epoch_load(&to->path);
	uint32_t mtu = atomic_load_explicit(&w->plane->mtu, memory_order_relaxed);
	bool df = in->flags & DP_INNER_DF;

	/* what only the path is too small for is cut on its way out (encap) */
	if (!df && mtu && in->total_len > mtu)
		return DP_FORWARD_KERNEL;
	if (path)
		mtu = dp_path_inner_mtu(path, mtu, !dp_inner_is_v4(in));
	bool too_big = df && mtu && in->total_len > mtu;

	if (in->ttl <= 1) {
		answer(w, from, DP_ICMP_TIME_EXCEEDED, 0, pkt, in);
		dp_worker_drop(w, TT_DROP_TTL_EXCEEDED, 1);
	} else if (too_big) {
		answer(w, from, DP_ICMP_TOO_BIG, mtu, pkt, in);
		dp_worker_drop(w, TT_DROP_TX_TOO_BIG, 1);
	} else if (!path) {
		answer(w, from, DP_ICMP_ADDR_UNREACHABLE, 0, pkt, in);
		dp_worker_drop(w, TT_DROP_TX_NO_ENDPOINT, 1);
	} else if (dp_inner_ttl_decrement(pkt, in) == TT_DROP_NONE) {
		dp_encap_to_peer(w, to, &none, pkt, in);
		dp_count(&w->counters.forwarded_packets, 1);
	}
	return DP_FORWARD_DONE;
}

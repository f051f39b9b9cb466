/* SPDX-License-Identifier: MIT
 *
 * Takes WireGuard data packets of known sessions out of the NIC's receive path and gives them to
 * the worker of that queue. No packet is ever changed, and the pointers into it are never moved
 * (no bpf_xdp_adjust_*), so that the program can be chained behind others.
 */
#include "maps.h"
#include "parse.h"

static __always_inline int steer_is_tunnel(uint16_t udp_port)
{
	uint32_t word = udp_port >> 6;
	uint64_t *bits = bpf_map_lookup_elem(&steer_ports, &word);

	return bits && (*bits >> (udp_port & 63) & 1);
}

static __always_inline void steer_count(uint32_t queue, enum steer_reason reason)
{
	uint32_t row = queue < STEER_QUEUES ? queue : STEER_QUEUES;
	uint32_t key = row * STEER_REASON_COUNT + reason;
	uint64_t *n = bpf_map_lookup_elem(&steer_counters, &key);

	if (n)
		*n += 1;
}

/* The index as the map has it in the slot of this one, 0 where that is nobody's. */
static __always_inline uint32_t steer_index_at(uint32_t slot)
{
	uint32_t pair = slot >> 1;
	uint64_t *two = bpf_map_lookup_elem(&steer_index, &pair);

	if (!two)
		return 0;
	/* A pair in one word: array values take 8 bytes each, and the daemon writes 4. */
	return (uint32_t)(*(volatile uint64_t *)two >> ((slot & 1) * 32));
}

static __always_inline enum steer_reason steer_decide(const struct steer_packet *p)
{
	uint32_t zero = 0, slot, held;
	struct steer_config *c = bpf_map_lookup_elem(&steer_config, &zero);

	if (!c)
		return STEER_PASS_SLOT;
	if (p->frame_len > c->frame_limit)
		return STEER_PASS_TOO_LONG;
	if (!bpf_map_lookup_elem(&steer_addrs, &p->to))
		return STEER_PASS_ADDRESS;
	slot = p->receiver_index & c->slot_mask;
	if (slot >= STEER_SLOTS)
		return STEER_PASS_SLOT;
	held = steer_index_at(slot);
	if (held && held == p->receiver_index)
		return STEER_REDIRECTED;
	return c->unknown_pass ? STEER_PASS_UNKNOWN_INDEX : STEER_UNKNOWN_INDEX;
}

SEC("xdp")
int taltun_steer(struct xdp_md *ctx)
{
	struct steer_packet p;
	enum steer_reason reason = steer_parse(ctx, &p);
	int action = XDP_PASS;

	if (reason == STEER_REDIRECTED)
		reason = steer_decide(&p);
	if (reason == STEER_UNKNOWN_INDEX) {
		action = XDP_DROP;
	} else if (reason == STEER_REDIRECTED) {
		action = (int)bpf_redirect_map(&steer_xsks, ctx->rx_queue_index, XDP_PASS);
		if (action == XDP_PASS)
			reason = STEER_PASS_NO_SOCKET;
	}
	steer_count(ctx->rx_queue_index, reason);
	return action;
}

/* No helper used here asks for a GPL-compatible program. */
char steer_license[] SEC("license") = "MIT";

/* SPDX-License-Identifier: MIT */
#include "node/xdp_mode.h"

#include <stdio.h>

#include "plat/xsk.h"

#define UMEM_MIN (2u << 20) /* of a queue: with less the rings run dry at every burst */

const char *node_xdp_kind_name(enum node_xdp_kind kind)
{
	static const char *const name[] = {"socket", "zero-copy", "native copy", "generic"};

	return kind < NODE_XDP_KIND_COUNT ? name[kind] : "unknown";
}

enum plat_xdp_mode node_xdp_attachment(enum node_xdp_kind kind)
{
	switch (kind) {
	case NODE_XDP_ZERO_COPY:
	case NODE_XDP_NATIVE_COPY:
		return PLAT_XDP_MODE_DRIVER;
	case NODE_XDP_GENERIC:
		return PLAT_XDP_MODE_GENERIC;
	case NODE_XDP_SOCKET:
	case NODE_XDP_KIND_COUNT:
		break;
	}
	return PLAT_XDP_MODE_NONE;
}

/* --- what stands against a kind, whatever the configuration wants ------------------------------
 */

static bool refuse_interface(const struct plat_xdp_facts *f, struct node_xdp_plan *out)
{
	char *why = out->refusal[NODE_XDP_SOCKET];

	if (!plat_xdp_mtu_max(false))
		snprintf(why, PLAT_XDP_WHY_MAX, "this system has no AF_XDP");
	else if (!f->ethernet)
		snprintf(why, PLAT_XDP_WHY_MAX, "no Ethernet interface");
	else if (!f->up || !f->running) {
		snprintf(why, PLAT_XDP_WHY_MAX, "link is down");
		out->wait = true;
	} else if (f->mtu > plat_xdp_mtu_max(false)) {
		snprintf(why, PLAT_XDP_WHY_MAX, "MTU %u; AF_XDP carries up to %u", f->mtu,
			 plat_xdp_mtu_max(false));
	} else {
		return false;
	}
	return true;
}

static bool refuse_kind(enum node_xdp_kind kind, const struct plat_xdp_facts *f, char *why)
{
	if (kind == NODE_XDP_ZERO_COPY && f->mtu > plat_xdp_mtu_max(true))
		snprintf(why, PLAT_XDP_WHY_MAX, "MTU %u; zero-copy carries up to %u", f->mtu,
			 plat_xdp_mtu_max(true));
	else if (kind == NODE_XDP_GENERIC && (f->offloads & PLAT_XDP_OFFLOAD_UDP_GRO_FORWARD))
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "rx-udp-gro-forwarding joins datagrams; ethtool -K %s "
			 "rx-udp-gro-forwarding off",
			 f->name);
	else
		return false;
	return true;
}

/* --- what `auto` leaves out because another way is faster --------------------------------------
 */

static bool slower_in_auto(enum node_xdp_kind kind, const struct plat_xdp_facts *f, char *why)
{
	switch (kind) {
	case NODE_XDP_ZERO_COPY:
		if (f->zero_copy_listed)
			return false;
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "driver %s is not among those whose zero-copy is known to be good",
			 f->driver[0] ? f->driver : "(unknown)");
		return true;
	case NODE_XDP_NATIVE_COPY:
		if (!(f->offloads & PLAT_XDP_OFFLOAD_TX_UDP_GSO))
			return false;
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "the NIC has UDP segmentation offload: the socket is faster");
		return true;
	case NODE_XDP_GENERIC:
		snprintf(why, PLAT_XDP_WHY_MAX, "never chosen by mode = \"auto\"");
		return true;
	case NODE_XDP_SOCKET:
	case NODE_XDP_KIND_COUNT:
		break;
	}
	return false;
}

void node_xdp_plan(enum node_datapath_mode mode, const struct plat_xdp_facts *facts,
		   uint32_t failed, const char (*failed_why)[PLAT_XDP_WHY_MAX],
		   struct node_xdp_plan *out)
{
	static const enum node_xdp_kind order[] = {NODE_XDP_ZERO_COPY, NODE_XDP_NATIVE_COPY,
						   NODE_XDP_GENERIC};

	memset(out, 0, sizeof(*out));
	if (mode == NODE_DATAPATH_SOCKET) {
		snprintf(out->refusal[NODE_XDP_SOCKET], PLAT_XDP_WHY_MAX, "mode = \"socket\"");
		return;
	}
	if (refuse_interface(facts, out))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(order); i++) {
		enum node_xdp_kind kind = order[i];
		char *why = out->refusal[kind];

		if (failed & (1u << kind))
			memcpy(why, failed_why[kind], PLAT_XDP_WHY_MAX);
		else if (!refuse_kind(kind, facts, why) &&
			 !(mode == NODE_DATAPATH_AUTO && slower_in_auto(kind, facts, why)))
			out->order[out->count++] = kind;
	}
	/* the likeliest of the three reasons */
	if (!out->count)
		memcpy(out->refusal[NODE_XDP_SOCKET], out->refusal[NODE_XDP_NATIVE_COPY],
		       PLAT_XDP_WHY_MAX);
}

uint32_t node_xdp_umem_share(uint32_t umem_mb, unsigned queues, unsigned *fit)
{
	uint64_t total = (uint64_t)(umem_mb ? umem_mb : NODE_CONFIG_UMEM_MB) << 20;
	uint32_t each = PLAT_XSK_UMEM_DEFAULT;

	while (each > UMEM_MIN && (uint64_t)each * queues > total)
		each /= 2;
	*fit = (unsigned)TT_MIN((uint64_t)queues, total / each);
	return each;
}

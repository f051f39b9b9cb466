/* SPDX-License-Identifier: MIT
 *
 * The decision table: which ways past the kernel are tried on an interface, in which order, and why
 * the others are not. Pure; the reasons behind it are in docs/datapath.md.
 */
#ifndef TT_NODE_XDP_MODE_H
#define TT_NODE_XDP_MODE_H

#include "node/config.h"
#include "plat/xdp.h"

/* How an interface's packets travel. */
enum node_xdp_kind {
	NODE_XDP_SOCKET, /* the kernel's UDP sockets alone */
	NODE_XDP_ZERO_COPY,
	NODE_XDP_NATIVE_COPY,
	NODE_XDP_GENERIC,
	NODE_XDP_KIND_COUNT
};

const char *node_xdp_kind_name(enum node_xdp_kind kind); /* "socket", "zero-copy", ... */

struct node_xdp_plan {
	unsigned count; /* 0: the sockets */
	enum node_xdp_kind order[NODE_XDP_KIND_COUNT];
	/* Why a kind is not among them, by kind; empty for those that are. Where none is, [SOCKET]
	 * says it in one line. */
	char refusal[NODE_XDP_KIND_COUNT][PLAT_XDP_WHY_MAX];
	/* Worth another try when something about the interface changes: it is down. */
	bool wait;
};

/*
 * failed: bit per kind that worked and then failed while it ran (with its text in failed_why, by
 * kind); it is not tried again. NULL where none has.
 */
void node_xdp_plan(enum node_datapath_mode mode, const struct plat_xdp_facts *facts,
		   uint32_t failed, const char (*failed_why)[PLAT_XDP_WHY_MAX],
		   struct node_xdp_plan *out);

/* Attachment that a kind needs. */
enum plat_xdp_mode node_xdp_attachment(enum node_xdp_kind kind);

/* How the memory of one queue is cut from the total: bytes of each, and for how many of the
 * queues there is enough. */
uint32_t node_xdp_umem_share(uint32_t umem_mb, unsigned queues, unsigned *fit);

#endif

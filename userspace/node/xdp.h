/* SPDX-License-Identifier: MIT
 *
 * The way past the kernel, as the control thread runs it: which interfaces the steering program is
 * attached to and how, their AF_XDP queues at the workers, the indices of sessions in the map, and
 * each peer's next hop. Whatever fails here leaves the packets to the UDP sockets, and a reason in
 * the status. Control thread only.
 */
#ifndef TT_NODE_XDP_H
#define TT_NODE_XDP_H

#include "datapath/link.h"
#include "node/device.h"
#include "node/priv.h"
#include "node/xdp_mode.h"
#include "plat/netcfg.h"
#include "plat/nexthop.h"
#include "plat/xsk.h"

#define NODE_XDP_INTERFACES NODE_CONFIG_XDP_INTERFACES

struct node_xdp;

struct node_xdp_settings {
	enum node_datapath_mode mode;
	bool unknown_pass;
	uint32_t queues;  /* of an interface; 0: all */
	uint32_t umem_mb; /* 0: NODE_CONFIG_UMEM_MB */
	unsigned interfaces;
	char interface[NODE_XDP_INTERFACES][PLAT_IFNAME_MAX]; /* none: by routes and next hops */
};

/* The settings of a configuration; NULL: the defaults. */
void node_xdp_settings_of(const struct node_config *cfg, struct node_xdp_settings *out);

struct node_xdp_options {
	struct node_priv_client *priv;
	struct node_device *device;
	struct dp_plane *plane;
	/* GRO of the UDP sockets must be off (generic mode), or may be on again. */
	void (*allow_gro)(void *ctx, bool allowed);
	void *ctx;
};

/* 0 or -ENOMEM. Nothing is attached before node_xdp_configure(). */
int node_xdp_create(const struct node_xdp_options *opt, struct node_xdp **out);
/* Takes everything back; before the plane is stopped. NULL is allowed. */
void node_xdp_destroy(struct node_xdp *x);
/*
 * At start and after a reload: brings interfaces and queues to what is wanted now. Blocks for what
 * the NIC and the kernel need, tens of milliseconds as a rule.
 */
void node_xdp_configure(struct node_xdp *x, const struct node_xdp_settings *settings);

/* --- events ----------------------------------------------------------------------------------- */

/* Descriptor of the routing events, or -1; when it is readable: node_xdp_read(). */
int node_xdp_fd(const struct node_xdp *x);
/* 0, or -errno where the descriptor is of no use any more. */
int node_xdp_read(struct node_xdp *x);
void node_xdp_link_event(struct node_xdp *x, const struct plat_netcfg_event *ev);
/* Ten times a second: what was put off, back-off, what has gone wrong. */
void node_xdp_tick(struct node_xdp *x, struct tt_mono now);

/* --- for the device --------------------------------------------------------------------------- */

/* Packets with this receiver index may come from now on, or come no more. */
void node_xdp_index(struct node_xdp *x, uint32_t index, bool on);

/* How packets to this destination leave. */
enum node_link node_xdp_find_link(struct node_xdp *x, const struct plat_udp_dest *dest,
				  struct dp_link *out);
/* udp_port or fwmark change: the sockets send until links are looked up anew, at the next tick. */
void node_xdp_outer_changed(struct node_xdp *x);

/* --- for the watchdog ------------------------------------------------------------------------- */

/* Takes the worker's queues out of the socket maps, or puts them in again. */
void node_xdp_worker_out(struct node_xdp *x, unsigned worker);
void node_xdp_worker_back(struct node_xdp *x, unsigned worker);
/* Packets wait in one of the worker's queues. */
bool node_xdp_worker_pending(const struct node_xdp *x, unsigned worker);
/* A zero-copy queue that has no frame to receive into: it drops everything that the NIC hands it.
 */
bool node_xdp_starved(const struct node_xdp *x);

/* --- looking ---------------------------------------------------------------------------------- */

struct node_xdp_queue_info {
	uint32_t queue;
	unsigned worker;
	bool active; /* its packets come here; false: they go by the kernel */
	struct dp_xsk_stats datapath;
	uint32_t fill_level, rx_pending; /* frames in these rings, now */
	struct plat_xsk_stats kernel;
};

struct node_xdp_interface_info {
	char name[PLAT_IFNAME_MAX];
	uint32_t ifindex; /* 0: absent */
	enum node_xdp_kind kind;
	const char *reason;			  /* of `kind` */
	const char *refusal[NODE_XDP_KIND_COUNT]; /* of the others; "": none */
	struct plat_xdp_facts facts;
	unsigned restarts;			/* attached again after it was lost */
	unsigned queues;			/* in use */
	unsigned nic_queues;			/* that there are */
	uint64_t reasons[PLAT_XDP_REASONS_MAX]; /* of all queues together */
	unsigned reason_count;
};

unsigned node_xdp_interface_count(const struct node_xdp *x);
void node_xdp_interface_get(struct node_xdp *x, unsigned i, struct node_xdp_interface_info *out);
void node_xdp_queue_get(struct node_xdp *x, unsigned i, unsigned queue,
			struct node_xdp_queue_info *out);
/*
 * What the steering program did with what came by this queue of the NIC, also one that is not in
 * use; those from PLAT_XDP_QUEUES_MAX on together. Returns how many reasons there are, 0 where
 * nothing is attached.
 */
unsigned node_xdp_reasons_get(struct node_xdp *x, unsigned i, unsigned queue,
			      uint64_t reasons[PLAT_XDP_REASONS_MAX]);
enum node_datapath_mode node_xdp_mode(const struct node_xdp *x);

#endif

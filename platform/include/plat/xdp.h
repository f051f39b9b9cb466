/* SPDX-License-Identifier: MIT
 *
 * The steering program (bpf/) on one network interface. The monitor loads and attaches it; the
 * engine, which holds no right, gets the descriptors of its maps and works on them.
 *
 * Nothing is pinned: link, program and maps live as long as descriptors to them are open, so that
 * a killed daemon leaves nothing behind. A program that somebody else attached is never replaced.
 *
 * Start: attach (monitor) -> plat_xsk_start() with its fill ring filled -> plat_xdp_queue_set().
 * Until the last step every packet of the queue goes on to the kernel. Stop, in reverse:
 * plat_xdp_queue_clear() -> take what the rings still hold -> detach (monitor) -> plat_xsk_stop().
 */
#ifndef TT_PLAT_XDP_H
#define TT_PLAT_XDP_H

#include "base/addr.h"
#include "base/types.h"
#include "plat/tun.h"

#define PLAT_XDP_WHY_MAX     192 /* text of a refusal */
#define PLAT_XDP_QUEUES_MAX  64	 /* slots of the socket map; queues above go to the kernel */
#define PLAT_XDP_SLOTS	     (1u << 18)
#define PLAT_XDP_REASONS_MAX 32

enum plat_xdp_mode {
	PLAT_XDP_MODE_NONE = 0,
	PLAT_XDP_MODE_DRIVER,  /* native: in the driver, before the kernel makes a packet of it */
	PLAT_XDP_MODE_GENERIC, /* any interface; as slow as the kernel, but the same semantics */
	PLAT_XDP_MODE_OFFLOAD, /* only ever somebody else's */
};

const char *plat_xdp_mode_name(enum plat_xdp_mode mode); /* "native", "generic", ... */

/* --- what an interface is like: any process --------------------------------------------------- */

/* Offloads that are on and matter for packets that go past the kernel. */
enum plat_xdp_offload {
	PLAT_XDP_OFFLOAD_LRO = 1 << 0,
	PLAT_XDP_OFFLOAD_GRO_HW = 1 << 1,
	PLAT_XDP_OFFLOAD_UDP_GRO_FORWARD = 1 << 2, /* rx-udp-gro-forwarding */
	PLAT_XDP_OFFLOAD_GRO_LIST = 1 << 3,
	PLAT_XDP_OFFLOAD_RX_VLAN = 1 << 4, /* the NIC strips the tag: steering cannot see it */
	PLAT_XDP_OFFLOAD_TX_VLAN = 1 << 5,
	PLAT_XDP_OFFLOAD_NTUPLE = 1 << 6,
	PLAT_XDP_OFFLOAD_TX_UDP_GSO = 1 << 7, /* UDP segmentation: the socket path is fast */
};

struct plat_xdp_facts {
	char name[PLAT_IFNAME_MAX];
	char driver[32];
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t queues;     /* RX queues in use */
	uint32_t queues_max; /* 0: not said */
	uint32_t offloads;   /* enum plat_xdp_offload */
	uint8_t mac[6];
	bool ethernet; /* false: nothing here fits (loopback, tunnels) */
	bool up, running;
	bool zero_copy_listed; /* a driver whose zero-copy mode is known to be good and faster */
};

/* 0, -ENODEV, -errno. */
int plat_xdp_facts_get(uint32_t ifindex, struct plat_xdp_facts *out);

/*
 * Largest interface MTU whose packets fit a frame (of plat/xsk.h) in this mode. 0: this system has
 * no AF_XDP.
 */
uint32_t plat_xdp_mtu_max(bool zero_copy);

struct plat_xdp_held {
	enum plat_xdp_mode mode; /* NONE: nothing is attached */
	uint32_t program_id;
	char program[32]; /* its name; empty where we may not ask */
	char owner[32];	  /* where it is ours: the owner it was loaded for ("tt0") */
};

/* What is attached now. Names need CAP_SYS_ADMIN; without it program and owner are empty. */
int plat_xdp_held_get(uint32_t ifindex, struct plat_xdp_held *out);
/* "xdp held by taltund tt0", "xdp held by program xdp_dispatcher (id 7)". Returns buf. */
const char *plat_xdp_held_format(const struct plat_xdp_held *h, char *buf, size_t cap);

/* --- monitor: load, attach ----------------------------------------------------------------------
 */

struct plat_xdp;

struct plat_xdp_options {
	uint32_t ifindex;
	enum plat_xdp_mode mode; /* DRIVER or GENERIC: exactly this one, no silent other */
	const char *owner;	 /* name of our interface; shown to a second instance */
	/*
	 * Another attached interface of the same daemon whose index, udp_port and address maps are
	 * used here too, or NULL. It may be detached before this one.
	 */
	const struct plat_xdp *share;
	uint32_t frame_limit; /* longest frame to take, from the Ethernet header on; 0: from the MTU
			       */
};

/*
 * Loads and attaches, and reads the mode back. 0, or -errno with why filled (what, and what to do):
 * -EBUSY: somebody holds the interface; -EOPNOTSUPP: the driver has no native mode; -ERANGE: MTU;
 * -EPERM: rights; -ENOTSUP: this system or build has no XDP. Native attach may reset the NIC's
 * queues for a moment.
 *
 * In generic mode the kernel can have joined several datagrams to one super-packet before steering
 * sees it. Long ones pass; short ones cannot be told from one datagram. So the tunnel's UDP sockets
 * must not use GRO while an interface is attached in this mode, and UDP_GRO_FORWARD must be off.
 */
int plat_xdp_attach(const struct plat_xdp_options *opt, struct plat_xdp **out,
		    char why[PLAT_XDP_WHY_MAX]);
/* Detaches and closes everything. NULL is allowed; so is an interface that has vanished. */
void plat_xdp_detach(struct plat_xdp *x);

/* The tunnel's udp_ports: the new set replaces the old; one atomic store per 64 of them. */
int plat_xdp_set_udp_ports(struct plat_xdp *x, const uint16_t *udp_ports, unsigned n);
/*
 * Our own addresses (of any interface that tunnel packets may be sent to): the set is brought to
 * these n. Link-local ones lose their scope. -E2BIG beyond 1024 (what did not fit is taken by the
 * kernel socket).
 */
int plat_xdp_set_addresses(struct plat_xdp *x, const struct tt_ip *ips, unsigned n);
/* After a change of MTU. bytes as frame_limit above. */
void plat_xdp_set_frame_limit(struct plat_xdp *x, uint32_t bytes);
/*
 * Lets a kernel thread of the interface's own receive for it, instead of whoever happens to run
 * when packets come; or not. What it was before comes back with plat_xdp_detach(). 0; -ENOTSUP: the
 * kernel or driver cannot; -errno.
 */
int plat_xdp_set_threaded(struct plat_xdp *x, bool on);
/* Of any interface: 0 or 1; -ENOTSUP or -errno. */
int plat_xdp_threaded_get(uint32_t ifindex);
/* Puts back what somebody turned on who could not do so himself. 0 or -errno. */
int plat_xdp_threaded_off(uint32_t ifindex);
/* False: the link is gone (interface deleted, or replaced by force): detach, attach again. */
bool plat_xdp_is_attached(const struct plat_xdp *x);

/* Descriptors for the engine, borrowed: duplicates travel. */
struct plat_xdp_fds {
	int sockets;  /* socket map (XSKMAP) */
	int index;    /* receiver indices, PLAT_XDP_SLOTS words */
	int config;   /* policy */
	int counters; /* per CPU, per queue and reason */
};
void plat_xdp_fds_get(const struct plat_xdp *x, struct plat_xdp_fds *out);

/* --- engine: work on the maps, without rights ----------------------------------------------------
 */

struct plat_xdp_view;

/* Takes the four descriptors in success and failure. */
int plat_xdp_view_open(const struct plat_xdp_fds *fds, struct plat_xdp_view **out);
void plat_xdp_view_close(struct plat_xdp_view *v);

/*
 * Receiver indices in an array that mirrors the index table (wg/index.h): slot = index & (capacity
 * - 1). A plain store: visible to the very next packet. Slots from PLAT_XDP_SLOTS on are ignored
 * (their packets take the kernel socket). Any one thread at a time per slot. Interfaces that share
 * maps share the array: one view's call serves all.
 */
void plat_xdp_view_set_capacity(struct plat_xdp_view *v, uint32_t capacity); /* power of two */
void plat_xdp_view_index_set(struct plat_xdp_view *v, uint32_t index);
void plat_xdp_view_index_clear(struct plat_xdp_view *v, uint32_t index);
void plat_xdp_view_index_clear_all(struct plat_xdp_view *v);

/* A data packet whose index nobody has: drop and count (default), or pass to the kernel. Per
 * interface. */
void plat_xdp_view_set_unknown_pass(struct plat_xdp_view *v, bool pass);

/*
 * The queue's packets go to this socket from now on / to the kernel again. Any thread; a system
 * call. Closing the socket clears its place too. 0 or -errno (clear of an empty place: 0).
 */
int plat_xdp_view_queue_set(struct plat_xdp_view *v, uint32_t queue, int xsk_fd);
int plat_xdp_view_queue_clear(struct plat_xdp_view *v, uint32_t queue);

/*
 * What came by a receive queue of the interface: sums over CPUs, by reason number; n of them at
 * most. Queues from PLAT_XDP_QUEUES_MAX on are counted together. Returns how many reasons there
 * are; -errno.
 */
int plat_xdp_view_counters(struct plat_xdp_view *v, uint32_t queue, uint64_t *count, unsigned n);
/* "redirected", "unknown_index", "pass_not_udp", ...; NULL beyond the last. */
const char *plat_xdp_reason_name(unsigned reason);

#endif

/* SPDX-License-Identifier: MIT
 *
 * State of the way past the kernel, shared by xdp*.c alone.
 */
#ifndef TT_NODE_XDP_IMPL_H
#define TT_NODE_XDP_IMPL_H

#include "node/xdp.h"

/* Next hops asked for at once; the rest waits for the next tick. */
#define XDP_LOOKUPS_BURST 256

struct xdp_queue {
	struct plat_xsk *xsk;
	unsigned worker;
	bool active; /* named in the socket map */
};

struct xdp_interface {
	char name[PLAT_IFNAME_MAX]; /* empty: the slot is free */
	bool configured;	    /* by name; others are found by routes */
	uint32_t ifindex;	    /* 0: absent */
	struct plat_xdp_facts facts;

	enum node_xdp_kind kind;
	char reason[PLAT_XDP_WHY_MAX];
	char refusal[NODE_XDP_KIND_COUNT][PLAT_XDP_WHY_MAX];
	uint32_t failed; /* bit per kind that failed while it ran */
	char failed_why[NODE_XDP_KIND_COUNT][PLAT_XDP_WHY_MAX];

	enum plat_xdp_mode attached; /* NONE: not */
	uint32_t program_id;
	struct plat_xdp_view *view;
	uint32_t umem_bytes; /* of each queue */
	unsigned queues;
	struct xdp_queue queue[PLAT_XDP_QUEUES_MAX];

	bool look;	   /* something about it may have changed */
	unsigned unlooked; /* ticks since it was looked at */
	unsigned restarts, failures;
	/* Attaching and detaching make link events themselves: a try that failed is repeated when
	 * facts differ, when the other program has gone, or at retry_at; never before not_before.
	 */
	bool tried, foreign;
	struct plat_xdp_facts tried_with;
	struct tt_mono retry_at, not_before; /* 0: none */
	bool threaded;			     /* it was asked for */
	/* zero-copy: packets that the NIC does not take */
	unsigned stuck_ticks;
	uint32_t stuck_pending;
};

/* What the workers wrote to TUN, for xdp_threaded.c. */
struct xdp_bulk {
	uint64_t packets;    /* until the last tick */
	unsigned busy, idle; /* ticks in a row */
	bool on;
};

/* A tick (100 ms) on: packets written to TUN until now. Whether a kernel thread should receive. */
bool node_xdp_bulk_tick(struct xdp_bulk *b, uint64_t packets);

struct node_xdp {
	struct node_xdp_options opt;
	struct node_xdp_settings settings;
	bool configured;
	struct plat_nexthops *hops; /* NULL: the sockets send everything */
	uint64_t hops_generation;
	uint64_t generation; /* of links: everything that a link depends on */
	unsigned lookups;    /* left until the next tick */
	bool relink;	     /* peers with links of an older generation are left */
	struct xdp_interface at[NODE_XDP_INTERFACES];
	uint32_t out_workers; /* taken out by the watchdog */
	bool gro_refused;
	struct xdp_bulk bulk;
	/* Sockets that a hanging worker may still hold: stopped when it has let go. */
	struct plat_xsk *held[DP_WORKERS_MAX][DP_XSK_LANES];
};

static inline bool xdp_is_attached(const struct xdp_interface *i)
{
	return i->kind != NODE_XDP_SOCKET;
}

/* xdp_interface.c: brings one interface to what the plan says; logs what it came to. */
void node_xdp_interface_start(struct node_xdp *x, struct xdp_interface *i);
/* Back to the sockets. */
void node_xdp_interface_stop(struct node_xdp *x, struct xdp_interface *i);
/* A kind that ran does not work any more: the next one is tried. */
void node_xdp_interface_downgrade(struct node_xdp *x, struct xdp_interface *i, const char *why);
/* Looks whether it is what it was. */
void node_xdp_interface_look(struct node_xdp *x, struct xdp_interface *i);

/* xdp_queue.c: opens the queues in this kind and gives them to workers; 0 or -errno with why. */
int node_xdp_queues_open(struct node_xdp *x, struct xdp_interface *i, enum node_xdp_kind kind,
			 char *why);
/* Out of the map and out of the workers' hands; the sockets are left to be closed afterwards. */
void node_xdp_queues_withdraw(struct node_xdp *x, struct xdp_interface *i);
void node_xdp_queues_close(struct node_xdp *x, struct xdp_interface *i);
/* Every tick: stops the sockets of workers that hung and have let go of them since. Until then
 * their queues are busy. Whether there were any. */
bool node_xdp_queues_release(struct node_xdp *x);

/* xdp_threaded.c: every tick. */
void node_xdp_threaded_tick(struct node_xdp *x);

/* xdp_path.c */
int node_xdp_path_open(struct node_xdp *x);
void node_xdp_path_close(struct node_xdp *x);
/* Interfaces that have a default route. */
void node_xdp_path_defaults(struct node_xdp *x);
void node_xdp_path_tick(struct node_xdp *x);

/* xdp.c: the slot of an interface, made where there is none and it may be one of ours; NULL. */
struct xdp_interface *node_xdp_interface_for(struct node_xdp *x, uint32_t ifindex);

#endif

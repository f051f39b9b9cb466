/* SPDX-License-Identifier: MIT
 *
 * Watches the workers. One that has work and does not get on is *hung*: its packets are given to
 * the others (the caller does that). One that stays so is *lost*: the process ends itself, and the
 * monitor starts a new one. Time alone proves nothing, because a machine sleeps, and a starved
 * process is slow everywhere: only looks that came in time count, and none at a worker that is
 * ready to run and gets no CPU.
 */
#ifndef TT_NODE_WATCHDOG_H
#define TT_NODE_WATCHDOG_H

#include "datapath/plane.h"
#include "plat/thread.h"

#define NODE_WATCHDOG_TICK_MS 100
/* Ticks without progress: 200 ms, and 2 s. */
#define NODE_WATCHDOG_HUNG 2
#define NODE_WATCHDOG_LOST 20
/* A worker that nobody can stand in for: a new process is back sooner than it. */
#define NODE_WATCHDOG_LOST_ALONE 7

/* --- one worker, pure ------------------------------------------------------------------------- */

struct node_watchdog_worker {
	uint64_t turns;
	unsigned missed;
	bool hung;
};

enum node_watchdog_verdict {
	NODE_WATCHDOG_FINE,
	NODE_WATCHDOG_IS_HUNG,	 /* since this tick */
	NODE_WATCHDOG_RECOVERED, /* since this tick */
	NODE_WATCHDOG_IS_LOST,
};

/* One tick: turns it has made, whether it is in one or has work to begin one; lost_after: ticks. */
enum node_watchdog_verdict node_watchdog_step(struct node_watchdog_worker *w, uint64_t turns,
					      bool pending, unsigned lost_after);

/* --- all of them, by the control thread ------------------------------------------------------- */

struct node_watchdog;

struct node_watchdog_options {
	struct dp_plane *plane;
	/* Work waits for this worker outside the plane's sight: in sockets and queues. */
	bool (*pending)(void *ctx, unsigned worker);
	void (*hung)(void *ctx, unsigned worker, bool hung);
	void *ctx;
};

/*
 * Starts a thread of its own beside, which ends the process where a worker is stuck inside a turn:
 * the control thread itself may wait for that worker. 0 or -errno.
 */
int node_watchdog_start(const struct node_watchdog_options *opt, struct node_watchdog **out);
void node_watchdog_stop(struct node_watchdog *g); /* NULL is allowed */
/* Every NODE_WATCHDOG_TICK_MS. Does not return where a worker is lost. */
void node_watchdog_tick(struct node_watchdog *g, struct tt_mono now);
/* Bit per worker that is hung. */
uint32_t node_watchdog_hung(const struct node_watchdog *g);

#endif

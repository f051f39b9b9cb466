/* SPDX-License-Identifier: MIT */
#include "node/watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "plat/thread_state.h"

#define THREAD_TICK_MS 250
#define LATE_MS	       (NODE_WATCHDOG_TICK_MS * 3 / 2)

struct node_watchdog {
	struct node_watchdog_options opt;
	struct node_watchdog_worker worker[DP_WORKERS_MAX];
	struct plat_thread_state state[DP_WORKERS_MAX];
	struct tt_mono last;

	/* the thread's */
	struct plat_thread thread;
	struct plat_thread_state state_inside[DP_WORKERS_MAX];
	uv_mutex_t lock;
	uv_cond_t wake;
	bool stop;
};

enum node_watchdog_verdict node_watchdog_step(struct node_watchdog_worker *w, uint64_t turns,
					      bool pending, unsigned lost_after)
{
	bool moved = turns != w->turns, was_hung = w->hung;

	w->turns = turns;
	if (moved || !pending) {
		w->missed = 0;
		/* without work it proves nothing: what was taken from it stays away */
		if (moved)
			w->hung = false;
		return was_hung && moved ? NODE_WATCHDOG_RECOVERED : NODE_WATCHDOG_FINE;
	}
	w->missed++;
	if (w->missed >= lost_after)
		return NODE_WATCHDOG_IS_LOST;
	if (w->hung || w->missed < NODE_WATCHDOG_HUNG)
		return NODE_WATCHDOG_FINE;
	w->hung = true;
	return NODE_WATCHDOG_IS_HUNG;
}

/* A thread that waits for a CPU does not hang, and giving its packets away loses them. */
static bool is_starved(struct plat_thread_state *s, unsigned worker)
{
	char name[DP_WORKER_NAME_MAX];

	if (s->fd < 0) {
		dp_plane_worker_name(worker, name);
		(void)plat_thread_state_open(s, name);
	}
	return plat_thread_state_starved(s);
}

static _Noreturn void lost(unsigned worker)
{
	tt_log(TT_LOG_ERROR, "worker.lost", TT_F_U64("worker", worker),
	       TT_F_STR("effect", "the engine is started again"));
	abort();
}

/* --- the thread ------------------------------------------------------------------------------- */

static void look_inside(struct node_watchdog *g, struct node_watchdog_worker *seen)
{
	struct dp_beat beat;

	for (unsigned i = 0; i < dp_plane_workers(g->opt.plane); i++) {
		dp_plane_beat(g->opt.plane, i, &beat);
		if (beat.in_turn && beat.turns == seen[i].turns &&
		    is_starved(&g->state_inside[i], i))
			continue;
		if (node_watchdog_step(&seen[i], beat.turns, beat.in_turn,
				       NODE_WATCHDOG_LOST * NODE_WATCHDOG_TICK_MS /
					       THREAD_TICK_MS) == NODE_WATCHDOG_IS_LOST)
			lost(i);
	}
}

static void run(void *arg)
{
	struct node_watchdog_worker seen[DP_WORKERS_MAX] = {0};
	struct node_watchdog *g = arg;

	uv_mutex_lock(&g->lock);
	while (!g->stop) {
		uv_cond_timedwait(&g->wake, &g->lock, THREAD_TICK_MS * TT_NS_PER_MS);
		if (!g->stop)
			look_inside(g, seen);
	}
	uv_mutex_unlock(&g->lock);
}

int node_watchdog_start(const struct node_watchdog_options *opt, struct node_watchdog **out)
{
	struct node_watchdog *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	g->opt = *opt;
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		g->state[i].fd = g->state_inside[i].fd = -1;
	uv_mutex_init(&g->lock);
	uv_cond_init(&g->wake);
	err = plat_thread_start(&g->thread, "watchdog", run, g);
	if (err) {
		uv_cond_destroy(&g->wake);
		uv_mutex_destroy(&g->lock);
		free(g);
		return err;
	}
	*out = g;
	return 0;
}

void node_watchdog_stop(struct node_watchdog *g)
{
	if (!g)
		return;
	uv_mutex_lock(&g->lock);
	g->stop = true;
	uv_cond_signal(&g->wake);
	uv_mutex_unlock(&g->lock);
	plat_thread_join(&g->thread);
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++) {
		plat_thread_state_close(&g->state[i]);
		plat_thread_state_close(&g->state_inside[i]);
	}
	uv_cond_destroy(&g->wake);
	uv_mutex_destroy(&g->lock);
	free(g);
}

/* --- the control thread's part ---------------------------------------------------------------- */

static unsigned standing(const struct node_watchdog *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dp_plane_workers(g->opt.plane); i++)
		n += !g->worker[i].hung;
	return n;
}

static void look_at(struct node_watchdog *g, unsigned i)
{
	bool alone = dp_plane_workers(g->opt.plane) == 1;
	struct dp_beat beat;

	dp_plane_beat(g->opt.plane, i, &beat);
	/* asking the sockets costs system calls: only of one that stands still */
	bool pending = beat.turns == g->worker[i].turns &&
		       (g->worker[i].hung || beat.in_turn || g->opt.pending(g->opt.ctx, i));

	if (pending && is_starved(&g->state[i], i))
		return;
	switch (node_watchdog_step(&g->worker[i], beat.turns, pending,
				   alone ? NODE_WATCHDOG_LOST_ALONE : NODE_WATCHDOG_LOST)) {
	case NODE_WATCHDOG_FINE:
		break;
	case NODE_WATCHDOG_IS_HUNG:
		tt_log(TT_LOG_ERROR, "worker.hung", TT_F_U64("worker", i),
		       TT_F_U64("others", standing(g)));
		g->opt.hung(g->opt.ctx, i, true);
		break;
	case NODE_WATCHDOG_RECOVERED:
		tt_log(TT_LOG_WARN, "worker.recovered", TT_F_U64("worker", i));
		g->opt.hung(g->opt.ctx, i, false);
		break;
	case NODE_WATCHDOG_IS_LOST:
		lost(i);
	}
}

/* Otherwise this thread was late itself: it slept, with the machine, or was starved like everybody.
 */
static bool came_in_time(struct node_watchdog *g, struct tt_mono now)
{
	uint64_t since = tt_mono_since(now, g->last);

	g->last = now;
	return since < LATE_MS * TT_NS_PER_MS;
}

void node_watchdog_tick(struct node_watchdog *g, struct tt_mono now)
{
	bool counts = came_in_time(g, now);

	for (unsigned i = 0; i < dp_plane_workers(g->opt.plane); i++) {
		if (!counts)
			g->worker[i].missed = 0;
		look_at(g, i);
	}
}

uint32_t node_watchdog_hung(const struct node_watchdog *g)
{
	uint32_t hung = 0;

	for (unsigned i = 0; i < dp_plane_workers(g->opt.plane); i++)
		hung |= g->worker[i].hung ? 1u << i : 0;
	return hung;
}

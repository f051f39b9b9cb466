/* SPDX-License-Identifier: MIT */
#include "datapath/plane.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "datapath/csum.h"
#include "datapath/port_tun.h"
#include "datapath/port_udp.h"
#include "datapath/port_xsk.h"
#include "datapath/worker.h"
#include "plat/clock.h"

/* Workers switch descriptors at their next turn, which is a matter of microseconds. */
#define SWITCH_MAX_NS (100 * TT_NS_PER_MS)

/* A worker of a running plane with the ports it was given descriptors for. */
struct plane_worker {
	struct dp_worker worker;
	struct dp_port_tun tun;
	struct dp_port_udp udp;
	struct dp_port_xsk xsk;	 /* what the worker sees: the queues and, behind them, udp */
	uint32_t xsk_generation; /* of the set in use */
	int xsk_error;		 /* of the last dp_port_xsk_set() */
};

static void free_retired(void *obj, void *ctx)
{
	(void)ctx;
	free(obj);
}

static void retire(struct dp_plane *pl, void *obj)
{
	if (obj)
		tt_epoch_retire(&pl->epoch, obj, free_retired, NULL);
}

/* --- making and ending ----------------------------------------------------------------------- */

/* A worker without sockets of its own sends through worker 0's: sending is safe to share. */
void dp_plane_apply_fds(struct dp_plane *pl, struct dp_worker *w)
{
	struct plane_worker *pw = TT_CONTAINER_OF(w, struct plane_worker, worker);
	const struct dp_xsk_set *set = &pl->xsk_set[w->id];
	int fd[DP_UDP_LANES], tx_fd[DP_UDP_LANES];

	for (unsigned lane = 0; lane < DP_UDP_LANES; lane++) {
		fd[lane] = pl->udp_fd[lane][w->id];
		tx_fd[lane] = fd[lane] >= 0 ? fd[lane] : pl->udp_fd[lane][0];
	}
	dp_port_udp_set_fds(&pw->udp, fd, tx_fd);
	if (set->generation != pw->xsk_generation) {
		pw->xsk_error = dp_port_xsk_set(&pw->xsk, set->xsk, set->ifindex, set->n);
		pw->xsk_generation = set->generation;
	}
}

static int worker_create(struct dp_plane *pl, const struct dp_config *cfg, unsigned id)
{
	size_t bytes = TT_ALIGN_UP(sizeof(struct plane_worker), (size_t)TT_CACHELINE);
	struct plane_worker *pw = aligned_alloc(TT_CACHELINE, bytes);
	int err;

	if (!pw)
		return -ENOMEM;
	memset(pw, 0, sizeof(*pw));
	err = dp_port_tun_init(&pw->tun, cfg->tun_fd[id], cfg->tun_flags);
	if (err)
		goto err_free;
	err = dp_port_udp_init(&pw->udp, cfg->udp_flags);
	if (err)
		goto err_tun;
	dp_port_xsk_init(&pw->xsk, &pw->udp, &pw->worker.now);
	err = dp_worker_init(&pw->worker, pl, id, &pw->tun.port, &pw->xsk.port);
	if (err)
		goto err_udp;
	pl->worker[id] = &pw->worker;
	return 0;
err_udp:
	dp_port_udp_destroy(&pw->udp);
err_tun:
	dp_port_tun_destroy(&pw->tun);
err_free:
	free(pw);
	return err;
}

static void worker_destroy(struct dp_worker *w)
{
	struct plane_worker *pw = TT_CONTAINER_OF(w, struct plane_worker, worker);

	dp_worker_destroy(w);
	dp_port_xsk_destroy(&pw->xsk);
	dp_port_udp_destroy(&pw->udp);
	dp_port_tun_destroy(&pw->tun);
	free(pw);
}

static void plane_init(struct dp_plane *pl, const struct dp_config *cfg)
{
	tt_epoch_init(&pl->epoch, cfg->workers);
	pl->workers = cfg->workers;
	pl->poll = cfg->poll;
	atomic_init(&pl->mtu, cfg->mtu);
	atomic_init(&pl->between, cfg->between);
	atomic_init(&pl->tun_state, PLAT_TUN_UP);
	dp_handshake_ring_init(&pl->handshakes);
	dp_datagram_ring_init(&pl->datagrams);
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++) {
		pl->udp_fd[0][i] = i < cfg->workers ? cfg->udp4_fd[i] : -1;
		pl->udp_fd[1][i] = i < cfg->workers ? cfg->udp6_fd[i] : -1;
	}
}

int dp_plane_create(const struct dp_config *cfg, struct dp_plane **out)
{
	size_t bytes = TT_ALIGN_UP(sizeof(struct dp_plane), (size_t)TT_CACHELINE);
	int err;

	if (cfg->workers < 1 || cfg->workers > DP_WORKERS_MAX)
		return -EINVAL;
	dp_csum_init();
	/* calloc, because pages of the tables that are never used shall not become resident */
	void *memory = calloc(1, bytes + TT_CACHELINE);

	if (!memory)
		return -ENOMEM;
	struct dp_plane *pl = (void *)TT_ALIGN_UP((uintptr_t)memory, (uintptr_t)TT_CACHELINE);

	pl->memory = memory;
	pl->awaited.id = DP_PEERS_MAX;
	dp_session_table_init(&pl->sessions);
	plane_init(pl, cfg);
	pl->doorbell.event = pl->relay_bell.event = (struct plat_event){-1, -1};
	err = dp_doorbell_open(&pl->doorbell);
	if (!err)
		err = plat_event_open(&pl->relay_bell.event);
	for (unsigned i = 0; i < cfg->workers && !err; i++)
		err = worker_create(pl, cfg, i);
	if (err) {
		dp_plane_destroy(pl);
		return err;
	}
	*out = pl;
	return 0;
}

int dp_plane_start(struct dp_plane *pl)
{
	atomic_store(&pl->stop, false);
	pl->started = true;
	for (unsigned i = 0; i < pl->workers; i++) {
		struct dp_worker *w = pl->worker[i];
		char name[DP_WORKER_NAME_MAX];

		dp_plane_worker_name(i, name);
		int err = plat_thread_start(&w->thread, name, dp_worker_run, w);

		if (err) {
			dp_plane_stop(pl);
			return err;
		}
		w->running = true;
	}
	return 0;
}

void dp_plane_stop(struct dp_plane *pl)
{
	atomic_store(&pl->stop, true);
	for (unsigned i = 0; i < pl->workers; i++) {
		struct dp_worker *w = pl->worker[i];

		/* none where making the plane failed half way */
		if (!w || !w->running)
			continue;
		dp_worker_wake(w);
		plat_thread_join(&w->thread);
		w->running = false;
	}
	pl->started = false;
}

void dp_plane_destroy(struct dp_plane *pl)
{
	if (!pl)
		return;
	dp_plane_stop(pl);
	for (unsigned i = 0; i < pl->workers; i++)
		if (pl->worker[i])
			worker_destroy(pl->worker[i]);
	for (tt_peer_id id = 0; id < DP_PEERS_MAX; id++) {
		struct dp_peer *p = atomic_load(&pl->peer[id]);

		if (p)
			dp_peer_remove(pl, p);
	}
	retire(pl, tt_epoch_publish(&pl->lpm, NULL));
	retire(pl, tt_epoch_publish(&pl->addresses, NULL));
	retire(pl, tt_epoch_publish(&pl->relays, NULL));
	retire(pl, tt_epoch_publish(&pl->handshakes.keys, NULL));
	tt_epoch_synchronize(&pl->epoch);
	dp_doorbell_close(&pl->doorbell);
	plat_event_close(&pl->relay_bell.event);
	free(pl->memory);
}

/* --- settings -------------------------------------------------------------------------------- */

/*
 * Workers [from, to) have switched, or -ETIMEDOUT: one that hangs (the watchdog knows) must not
 * hang the control thread. It switches before it touches a packet again.
 */
static int wait_for_switch(struct dp_plane *pl, unsigned from, unsigned to, uint32_t generation)
{
	struct tt_mono deadline = tt_mono_add_ns(plat_clock_mono(), SWITCH_MAX_NS);

	for (unsigned i = from; i < to; i++)
		dp_worker_wake(pl->worker[i]);
	for (unsigned i = from; i < to; i++) {
		struct dp_worker *w = pl->worker[i];

		while (w->running && atomic_load(&w->fds_applied) != generation) {
			if (!tt_mono_before(plat_clock_mono(), deadline))
				return -ETIMEDOUT;
			plat_thread_yield();
		}
	}
	return 0;
}

int dp_plane_set_udp(struct dp_plane *pl, const int udp4_fd[DP_WORKERS_MAX],
		     const int udp6_fd[DP_WORKERS_MAX])
{
	for (unsigned i = 0; i < pl->workers; i++) {
		atomic_store(&pl->udp_fd[0][i], udp4_fd[i]);
		atomic_store(&pl->udp_fd[1][i], udp6_fd[i]);
	}
	return wait_for_switch(pl, 0, pl->workers, atomic_fetch_add(&pl->fds_generation, 1) + 1);
}

bool dp_plane_has_switched(const struct dp_plane *pl, unsigned worker)
{
	const struct dp_worker *w = pl->worker[worker];

	return !w->running || atomic_load(&w->fds_applied) == atomic_load(&pl->fds_generation);
}

int dp_plane_set_xsk(struct dp_plane *pl, unsigned worker, struct plat_xsk *const *xsk,
		     const uint32_t *ifindex, unsigned n)
{
	struct plane_worker *pw = TT_CONTAINER_OF(pl->worker[worker], struct plane_worker, worker);
	struct dp_xsk_set *set = &pl->xsk_set[worker];

	if (n > DP_XSK_LANES)
		return -E2BIG;
	/* one that did not switch in time may be reading what it was given then */
	int err = wait_for_switch(pl, worker, worker + 1, atomic_load(&pl->fds_generation));
	if (err)
		return err;
	for (unsigned i = 0; i < n; i++) {
		set->xsk[i] = xsk[i];
		set->ifindex[i] = ifindex[i];
	}
	set->n = n;
	set->generation++;
	err = wait_for_switch(pl, worker, worker + 1, atomic_fetch_add(&pl->fds_generation, 1) + 1);
	if (err)
		return err;
	if (!pw->worker.running)
		dp_plane_apply_fds(pl, &pw->worker);
	return pw->xsk_error;
}

void dp_plane_set_mtu(struct dp_plane *pl, unsigned mtu)
{
	atomic_store(&pl->mtu, mtu);
}

void dp_plane_set_between(struct dp_plane *pl, enum dp_between between)
{
	atomic_store(&pl->between, between);
}

void dp_plane_set_inner_addresses(struct dp_plane *pl, const struct tt_ip *ips, uint32_t count)
{
	struct dp_inner_addresses *a = calloc(1, sizeof(*a) + count * sizeof(*ips));

	if (!a)
		return;
	a->count = count;
	if (count)
		memcpy(a->ip, ips, count * sizeof(*ips));
	retire(pl, tt_epoch_publish(&pl->addresses, a));
}

void dp_plane_set_mac1_key(struct dp_plane *pl, const uint8_t key[32])
{
	struct wg_cookie_keys *keys = calloc(1, sizeof(*keys));

	if (!keys)
		return;
	memcpy(keys->mac1, key, sizeof(keys->mac1));
	retire(pl, tt_epoch_publish(&pl->handshakes.keys, keys));
}

void dp_plane_publish_lpm(struct dp_plane *pl, struct wg_lpm *lpm)
{
	retire(pl, tt_epoch_publish(&pl->lpm, lpm));
	if (atomic_load(&pl->awaiting))
		dp_plane_scan_staged(pl);
}

void dp_plane_await_peers(struct dp_plane *pl, bool await)
{
	if (atomic_exchange(&pl->awaiting, await) && !await)
		dp_plane_scan_staged(pl);
}

struct tt_epoch *dp_plane_epoch(struct dp_plane *pl)
{
	return &pl->epoch;
}

/* --- sessions -------------------------------------------------------------------------------- */

void dp_session_publish(struct dp_plane *pl, struct wg_session *s)
{
	dp_session_table_put(&pl->sessions, s);
}

void dp_session_unpublish(struct dp_plane *pl, struct wg_session *s,
			  void (*destroy)(void *s, void *ctx), void *ctx)
{
	struct dp_peer *p = dp_plane_peer(pl, s->peer);
	struct wg_session *current = s, *next = s;

	dp_session_table_remove(&pl->sessions, s);
	if (p) {
		atomic_compare_exchange_strong(&p->current, &current, NULL);
		atomic_compare_exchange_strong(&p->next, &next, NULL);
	}
	tt_epoch_retire(&pl->epoch, s, destroy, ctx);
}

/* --- lookups --------------------------------------------------------------------------------- */

tt_peer_id dp_plane_lookup(struct dp_plane *pl, enum tt_family family, const uint8_t *addr)
{
	struct wg_lpm *lpm = tt_epoch_load(&pl->lpm);

	if (!lpm)
		return TT_PEER_NONE;
	return family == TT_FAMILY_V4 ? wg_lpm_lookup4(lpm, addr) : wg_lpm_lookup6(lpm, addr);
}

tt_peer_id dp_plane_lookup_specific(struct dp_plane *pl, enum tt_family family, const uint8_t *addr)
{
	struct wg_lpm *lpm = tt_epoch_load(&pl->lpm);

	if (!lpm)
		return TT_PEER_NONE;
	return family == TT_FAMILY_V4 ? wg_lpm_specific4(lpm, addr) : wg_lpm_specific6(lpm, addr);
}

const struct tt_ip *dp_plane_own(struct dp_plane *pl, enum tt_family family)
{
	struct dp_inner_addresses *a = tt_epoch_load(&pl->addresses);

	for (uint32_t i = 0; a && i < a->count; i++)
		if (a->ip[i].family == family)
			return &a->ip[i];
	return NULL;
}

bool dp_plane_is_own(struct dp_plane *pl, enum tt_family family, const uint8_t *addr)
{
	struct dp_inner_addresses *a = tt_epoch_load(&pl->addresses);
	size_t len = family == TT_FAMILY_V4 ? 4 : 16;

	for (uint32_t i = 0; a && i < a->count; i++)
		if (a->ip[i].family == family && memcmp(a->ip[i].b, addr, len) == 0)
			return true;
	return false;
}

/* Control itself replaces both tables: for it they stand still without the epoch. */
bool dp_plane_is_inside(struct dp_plane *pl, const struct tt_ip *ip)
{
	enum tt_family family = (enum tt_family)ip->family;

	return dp_plane_is_own(pl, family, ip->b) ||
	       dp_plane_lookup_specific(pl, family, ip->b) != TT_PEER_NONE;
}

/* --- to control ------------------------------------------------------------------------------ */

void dp_plane_raise(struct dp_plane *pl, struct dp_peer *p, uint32_t facts)
{
	uint32_t before = atomic_fetch_or(&p->flags, facts | DP_FACT_RUNG);

	if (!(before & DP_FACT_RUNG) && !dp_doorbell_ring(&pl->doorbell, p->id))
		atomic_fetch_and(&p->flags, ~(uint32_t)DP_FACT_RUNG);
}

int dp_plane_doorbell_fd(const struct dp_plane *pl)
{
	return pl->doorbell.event.fd;
}

unsigned dp_plane_doorbell_drain(struct dp_plane *pl, tt_peer_id *ids, unsigned max, bool *overflow)
{
	unsigned n = dp_doorbell_drain(&pl->doorbell, ids, max, overflow);

	/* before the caller reads the facts, so that a later one rings again */
	for (unsigned i = 0; i < n; i++) {
		struct dp_peer *p = dp_plane_peer(pl, ids[i]);

		if (p)
			atomic_fetch_and(&p->flags, ~(uint32_t)DP_FACT_RUNG);
	}
	return n;
}

enum tt_drop dp_handshake_push(struct dp_plane *pl, const struct dp_handshake *h)
{
	enum tt_drop drop = dp_handshake_ring_push(&pl->handshakes, h);

	if (drop == TT_DROP_NONE)
		dp_doorbell_raise(&pl->doorbell);
	return drop;
}

unsigned dp_handshake_pop(struct dp_plane *pl, struct dp_handshake *out, unsigned max)
{
	return dp_handshake_ring_pop(&pl->handshakes, out, max);
}

unsigned dp_handshake_depth(const struct dp_plane *pl)
{
	return dp_ring_depth(&pl->handshakes.ring);
}

unsigned dp_datagram_pop(struct dp_plane *pl, struct dp_datagram *out, unsigned max)
{
	return dp_datagram_ring_pop(&pl->datagrams, out, max);
}

void dp_plane_stats(const struct dp_plane *pl, unsigned worker, struct dp_stats *out)
{
	*out = (struct dp_stats){0};
	for (unsigned i = 0; i < pl->workers; i++)
		if (worker == i || worker == UINT_MAX)
			dp_counters_add(&pl->worker[i]->counters, out);
	out->gso_off = atomic_load(&pl->gso_off);
	out->uso_off = atomic_load(&pl->uso_off);
}

uint64_t dp_plane_worker_cpu_ns(const struct dp_plane *pl, unsigned worker)
{
	const struct dp_worker *w = pl->worker[worker];

	return w->running ? plat_thread_cpu_ns(&w->thread) : 0;
}

unsigned dp_plane_xsk_stats(const struct dp_plane *pl, unsigned worker, struct dp_xsk_stats *out,
			    unsigned max)
{
	struct plane_worker *pw = TT_CONTAINER_OF(pl->worker[worker], struct plane_worker, worker);

	return dp_port_xsk_stats(&pw->xsk, out, max);
}

void dp_plane_worker_name(unsigned worker, char name[DP_WORKER_NAME_MAX])
{
	memcpy(name, "worker-00", sizeof("worker-00"));
	name[7] = (char)('0' + worker / 10);
	name[8] = (char)('0' + worker % 10);
}

void dp_plane_beat(const struct dp_plane *pl, unsigned worker, struct dp_beat *out)
{
	const struct dp_worker *w = pl->worker[worker];
	struct dp_stats s = {0};

	dp_counters_add(&w->counters, &s);
	out->turns = s.loops;
	out->in_turn = atomic_load_explicit(&w->in_turn, memory_order_relaxed);
}

unsigned dp_plane_workers(const struct dp_plane *pl)
{
	return pl->workers;
}

enum plat_tun_state dp_plane_tun_state(const struct dp_plane *pl)
{
	return (enum plat_tun_state)atomic_load(&pl->tun_state);
}

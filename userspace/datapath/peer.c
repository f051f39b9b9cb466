/* SPDX-License-Identifier: MIT */
#include "datapath/peer.h"

#include <stdlib.h>

#include "datapath/plane_state.h"
#include "datapath/staging.h"
#include "datapath/worker.h"

static void free_retired(void *obj, void *ctx)
{
	(void)ctx;
	free(obj);
}

static void new_generation(struct dp_plane *pl, struct dp_peer *p)
{
	atomic_store(&p->staging, (uint64_t)++pl->last_generation << 32);
}

struct dp_peer *dp_peer_add(struct dp_plane *pl, tt_peer_id id)
{
	size_t bytes = TT_ALIGN_UP(sizeof(struct dp_peer), (size_t)TT_CACHELINE);

	tt_assert(id < DP_PEERS_MAX && !atomic_load(&pl->peer[id]));
	struct dp_peer *p = aligned_alloc(TT_CACHELINE, bytes);

	if (!p)
		return NULL;
	memset(p, 0, bytes);
	p->id = id;
	atomic_flag_clear(&p->roam_lock);
	new_generation(pl, p);
	tt_epoch_publish(&pl->peer[id], p);
	return p;
}

void dp_plane_scan_staged(struct dp_plane *pl)
{
	for (unsigned i = 0; i < pl->workers; i++) {
		struct dp_worker *w = pl->worker[i];

		if (!w)
			continue;
		atomic_store(&w->scan_staged, true);
		dp_worker_wake(w);
	}
}

void dp_peer_remove(struct dp_plane *pl, struct dp_peer *p)
{
	bool staged = dp_staging_count(p) > 0;

	tt_epoch_publish(&pl->peer[p->id], NULL);
	dp_peer_set_path(pl, p, NULL, NULL);
	tt_epoch_retire(&pl->epoch, p, free_retired, NULL);
	if (staged && pl->started)
		dp_plane_scan_staged(pl);
}

/*
 * A link carries what fits the path's own MTU. What is longer (IPv6 goes out with 1,280 bytes
 * whatever the path) is left to the kernel, which lets the path fragment it.
 */
static void set_link(struct dp_path *path, const struct dp_route *route, const struct dp_link *link)
{
	path->link = link && route->via != DP_VIA_RELAY_TCP ? *link : (struct dp_link){0};
	if (!path->link.ifindex)
		return;
	uint32_t prefix = route->via == DP_VIA_RELAY_UDP ? DP_RELAY_HEADER : 0;

	if (route->inner_mtu)
		path->link.max_len =
			TT_MIN(path->link.max_len, route->inner_mtu + WG_DATA_OVERHEAD + prefix);
	if (route->df && !path->link.v6)
		dp_link_set_df(&path->link);
}

static struct dp_path *make_path(const struct dp_route *route, const struct dp_link *link)
{
	struct dp_path *path = malloc(sizeof(*path));

	if (!path)
		return NULL;
	*path = (struct dp_path){.dest = route->dest,
				 .via = route->via,
				 .tag = route->tag,
				 .inner_mtu = route->inner_mtu,
				 .managed = route->managed};
	if (route->via == DP_VIA_RELAY_TCP) {
		uint32_t max = DP_RELAY_MESSAGE_MAX - WG_DATA_OVERHEAD;

		path->inner_mtu = path->inner_mtu ? TT_MIN(path->inner_mtu, max) : max;
		path->dest = (struct plat_udp_dest){0};
	}
	set_link(path, route, link);
	plat_udp_dest_prepare(&path->dest);
	return path;
}

void dp_peer_set_path(struct dp_plane *pl, struct dp_peer *p, const struct dp_route *route,
		      const struct dp_link *link)
{
	struct dp_path *path = route ? make_path(route, link) : NULL;

	if (route && !path)
		return; /* no memory: the old path stays; a better one than none */
	struct dp_path *old = tt_epoch_publish(&p->path, path);

	if (old)
		tt_epoch_retire(&pl->epoch, old, free_retired, NULL);
	/* what was reported about the old path is news again for this one */
	while (atomic_flag_test_and_set_explicit(&p->roam_lock, memory_order_acquire))
		plat_thread_relax();
	memset(p->roam, 0, sizeof(p->roam));
	p->roam_fresh = 0;
	atomic_flag_clear_explicit(&p->roam_lock, memory_order_release);
	if (path && dp_staging_count(p) > 0)
		dp_plane_scan_staged(pl);
}

void dp_peer_set_session(struct dp_plane *pl, struct dp_peer *p, struct wg_session *s)
{
	tt_epoch_publish(&p->current, s);
	tt_epoch_publish(&p->next, NULL);
	/* a worker that stages now looks at `current` again after it counted the packet */
	if (s && dp_staging_count(p) > 0)
		dp_plane_scan_staged(pl);
}

void dp_peer_set_next(struct dp_peer *p, struct wg_session *s)
{
	tt_epoch_publish(&p->next, s);
}

void dp_peer_drop_staged(struct dp_plane *pl, struct dp_peer *p)
{
	if (dp_staging_count(p) == 0)
		return;
	new_generation(pl, p);
	dp_plane_scan_staged(pl);
}

uint32_t dp_peer_take_facts(struct dp_peer *p, struct dp_roam roam[DP_ROAMS], unsigned *n)
{
	uint32_t facts = atomic_fetch_and(&p->flags, DP_FACT_RUNG);

	*n = 0;
	if (facts & DP_FACT_ROAMED) {
		while (atomic_flag_test_and_set_explicit(&p->roam_lock, memory_order_acquire))
			plat_thread_relax();
		for (unsigned i = 0; i < DP_ROAMS; i++)
			if (p->roam_fresh >> i & 1)
				roam[(*n)++] = p->roam[i];
		p->roam_fresh = 0;
		atomic_flag_clear_explicit(&p->roam_lock, memory_order_release);
	}
	return facts;
}

static inline void set_fact(_Atomic uint64_t *fact, struct tt_mono now)
{
	atomic_store_explicit(fact, now.ns, memory_order_relaxed);
}

/* A line that another worker reads often is written only where its value changes. */
static inline void clear_fact(_Atomic uint64_t *fact)
{
	if (atomic_load_explicit(fact, memory_order_relaxed))
		atomic_store_explicit(fact, 0, memory_order_relaxed);
}

static inline bool start_fact(_Atomic uint64_t *fact, struct tt_mono now)
{
	uint64_t unset = 0;

	return !atomic_load_explicit(fact, memory_order_relaxed) &&
	       atomic_compare_exchange_strong(fact, &unset, now.ns);
}

bool dp_peer_batch_tx(struct dp_peer *p, struct tt_mono now, uint32_t packets, uint64_t bytes,
		      bool data)
{
	set_fact(&p->last_tx, now);
	clear_fact(&p->unanswered_rx_since);
	atomic_fetch_add_explicit(&p->tx_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->tx_packets, packets, memory_order_relaxed);
	if (!data)
		return false;
	set_fact(&p->last_data_tx, now);
	return start_fact(&p->unanswered_tx_since, now);
}

bool dp_peer_batch_rx(struct dp_peer *p, struct tt_mono now, uint32_t packets, uint64_t bytes,
		      bool data)
{
	set_fact(&p->last_rx, now);
	clear_fact(&p->unanswered_tx_since);
	atomic_fetch_add_explicit(&p->rx_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->rx_packets, packets, memory_order_relaxed);
	if (!data)
		return false;
	set_fact(&p->last_data_rx, now);
	return start_fact(&p->unanswered_rx_since, now);
}

void dp_peer_note_tx(struct dp_peer *p, struct tt_mono now, uint64_t bytes, bool data)
{
	dp_peer_batch_tx(p, now, 1, bytes, data);
}

void dp_peer_note_rx(struct dp_peer *p, struct tt_mono now, uint64_t bytes, bool data)
{
	dp_peer_batch_rx(p, now, 1, bytes, data);
}

/* SPDX-License-Identifier: MIT
 *
 * Making and unmaking a device, its keys and its peers.
 */
#include "node/device.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "node/device_impl.h"
#include "plat/clock.h"

#define PEER_SESSIONS	4 /* previous, current, next, and one on its way out */
#define LIMITS		65536
#define ALLOWED_INITIAL 1024

/*
 * 2026-11-21 and 50 years. A peer keeps the greatest stamp it has seen for ever: one handshake with
 * a clock that is decades ahead, and our key would be of no use there once the clock is right.
 */
#define STAMP_LIMIT_SEC (UINT64_C(1795219200) + UINT64_C(50) * 31556952)

/*
 * Memory for secrets, reserved and locked on fault by node_device_prepare() while the right to
 * lock is held; one device a process.
 */
static struct plat_secmem *mem_device, *mem_peers, *mem_sessions;

int node_device_prepare(void)
{
	bool locked[3] = {true, true, true};
	int err = 0;

	if (mem_device)
		return 0;
	err = plat_secmem_create(sizeof(struct wg_device), 1, &mem_device, &locked[0]);
	if (!err)
		err = plat_secmem_create(sizeof(struct wg_peer), DP_PEERS_MAX, &mem_peers,
					 &locked[1]);
	if (!err)
		err = plat_secmem_create(sizeof(struct wg_session),
					 DP_PEERS_MAX * PEER_SESSIONS + 1, &mem_sessions,
					 &locked[2]);
	if (err)
		return err;
	if (!locked[0] || !locked[1] || !locked[2])
		tt_log(TT_LOG_WARN, "memory.not_locked",
		       TT_F_STR("hint", "keys may reach the swap: give CAP_IPC_LOCK or raise "
					"RLIMIT_MEMLOCK"));
	return 0;
}

struct wg_session *node_session_alloc(void)
{
	return plat_secmem_alloc(mem_sessions);
}

static void session_destroy(void *session, void *ctx)
{
	plat_secmem_free(ctx, session);
}

void node_device_unpublish(struct node_device *d, const struct wg_displaced *out)
{
	for (uint32_t i = 0; i < out->count; i++) {
		if (d->opt.index)
			d->opt.index(d->opt.ctx, out->session[i]->local_index, false);
		dp_session_unpublish(d->opt.plane, out->session[i], session_destroy, mem_sessions);
	}
}

/* --- construction ----------------------------------------------------------------------------- */

static int alloc_tables(struct node_device *d)
{
	struct wg_device_memory *m = &d->tables;

	m->peer_capacity = DP_PEERS_MAX;
	m->index_capacity = DP_INDEX_SLOTS;
	m->limit_capacity = LIMITS;
	/* calloc of this size is fresh zero pages: untouched parts take no memory */
	d->peers = calloc(DP_PEERS_MAX, sizeof(*d->peers));
	d->deadline_slots = calloc(DP_PEERS_MAX, sizeof(*d->deadline_slots));
	m->peers = calloc(m->peer_capacity, sizeof(*m->peers));
	m->peer_buckets = calloc(m->peer_capacity, sizeof(*m->peer_buckets));
	m->indices = calloc(m->index_capacity, sizeof(*m->indices));
	m->limits = calloc(m->limit_capacity, sizeof(*m->limits));
	m->limit_buckets = calloc(m->limit_capacity, sizeof(*m->limit_buckets));
	d->wg = plat_secmem_alloc(mem_device);
	d->spare = node_session_alloc();
	if (!d->peers || !d->deadline_slots || !m->peers || !m->peer_buckets || !m->indices ||
	    !m->limits || !m->limit_buckets || !d->wg || !d->spare)
		return -ENOMEM;
	tt_heap_init(&d->deadlines, d->deadline_slots, DP_PEERS_MAX);
	wg_device_init(d->wg, m, &d->opt.rng);
	d->wg->stamp_limit = (struct tt_wall){STAMP_LIMIT_SEC, 0};
	return 0;
}

static int alloc_allowed(struct node_device *d)
{
	struct wg_allowedips_entry *entries = calloc(ALLOWED_INITIAL, sizeof(*entries));
	uint32_t *buckets = calloc(ALLOWED_INITIAL, sizeof(*buckets));
	struct wg_allowedips_peer *peers = calloc(DP_PEERS_MAX, sizeof(*peers));

	if (!entries || !buckets || !peers) {
		free(entries);
		free(buckets);
		free(peers);
		return -ENOMEM;
	}
	wg_allowedips_init(&d->allowed, entries, buckets, ALLOWED_INITIAL, peers, DP_PEERS_MAX);
	return 0;
}

static void free_tables(struct node_device *d)
{
	if (d->wg)
		wg_device_wipe(d->wg);
	free(d->tables.peers);
	free(d->tables.peer_buckets);
	free(d->tables.indices);
	free(d->tables.limits);
	free(d->tables.limit_buckets);
	plat_secmem_free(mem_device, d->wg);
	plat_secmem_free(mem_sessions, d->spare);
	free(d->allowed.entries);
	free(d->allowed.buckets);
	free(d->allowed.peers);
	free(d->peers);
	free(d->deadline_slots);
	free(d);
}

int node_device_create(const struct node_device_options *opt, struct node_device **out)
{
	int err = node_device_prepare();
	if (err)
		return err;
	struct node_device *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->opt = *opt;
	d->udp_port = opt->udp_port;
	d->fwmark = opt->fwmark;
	tt_list_init(&d->order);
	err = alloc_tables(d);
	if (!err)
		err = alloc_allowed(d);
	if (err) {
		free_tables(d);
		return err;
	}
	d->allowed_changed = true;
	*out = d;
	return node_device_commit(d);
}

void node_device_destroy(struct node_device *d)
{
	if (!d)
		return;
	node_device_remove_all_peers(d);
	tt_epoch_synchronize(dp_plane_epoch(d->opt.plane));
	free_tables(d);
}

/* --- our key ---------------------------------------------------------------------------------- */

static void publish_mac1_key(struct node_device *d)
{
	dp_plane_set_mac1_key(d->opt.plane, d->wg->cookie.keys.mac1);
}

static void expire(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	struct wg_displaced gone = {.count = 0};

	wg_peer_expire(d->wg, p->wg, now, &gone);
	dp_peer_set_session(d->opt.plane, p->dp, NULL);
	node_device_unpublish(d, &gone);
}

int node_device_set_private_key(struct node_device *d, const uint8_t key[WG_KEY_LEN])
{
	struct tt_mono now = plat_clock_mono();
	struct node_peer *p;
	bool changed = false;

	if (key && crypto_is_zero(key, WG_KEY_LEN))
		key = NULL;
	tt_peer_id self = wg_device_set_private_key(d->wg, key, now, &changed);
	if (self != TT_PEER_NONE)
		node_device_remove_peer(d, d->peers[self]);
	if (!changed)
		return 0;
	publish_mac1_key(d);
	for (p = node_device_next_peer(d, NULL); p; p = node_device_next_peer(d, p)) {
		expire(d, p, now);
		/* a key that is set late starts what waited for it */
		if (p->wg->timers.persistent_s)
			wg_timers_set_persistent(&p->wg->timers, p->wg->timers.persistent_s, now);
		node_peer_run(d, p, now, 0);
	}
	node_device_rearm(d);
	return 0;
}

int node_device_set_udp_port(struct node_device *d, uint16_t udp_port)
{
	uint16_t bound;

	if (udp_port && udp_port == d->udp_port)
		return 0;
	int err = d->opt.rebind(d->opt.ctx, udp_port, &bound);
	if (err)
		return err;
	d->udp_port = bound;
	return 0;
}

int node_device_set_fwmark(struct node_device *d, uint32_t fwmark)
{
	int err = fwmark == d->fwmark ? 0 : d->opt.fwmark_set(d->opt.ctx, fwmark);

	if (!err)
		d->fwmark = fwmark;
	return err;
}

/* Keys do not wait in memory for a link that may never come back. */
static void link_down(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	bool had_session = p->wg->current != NULL;

	expire(d, p, now);
	dp_peer_drop_staged(d->opt.plane, p->dp);
	wg_timers_restart(&p->wg->timers);
	/* the other side does not know: it is told as soon as the link is back */
	if (had_session)
		wg_timers_want_handshake(&p->wg->timers);
	node_peer_run(d, p, now, 0);
}

static void link_up(struct node_device *d, struct node_peer *p, struct tt_mono now)
{
	if (p->wg->timers.persistent_s)
		wg_timers_set_persistent(&p->wg->timers, p->wg->timers.persistent_s, now);
	node_peer_run(d, p, now, 0);
}

void node_device_set_up(struct node_device *d, bool up)
{
	struct tt_mono now = plat_clock_mono();
	struct node_peer *p;

	if (up == d->up)
		return;
	d->up = up;
	tt_log(TT_LOG_INFO, up ? "interface.up" : "interface.down",
	       TT_F_STR("interface", d->opt.name));
	for (p = node_device_next_peer(d, NULL); p; p = node_device_next_peer(d, p))
		(up ? link_up : link_down)(d, p, now);
	node_device_rearm(d);
}

void node_device_set_stamp(struct node_device *d, const uint8_t stamp[WG_TIMESTAMP_LEN])
{
	struct wg_tai64n t;

	memcpy(t.b, stamp, sizeof(t.b));
	if (wg_tai64n_compare(&t, &d->stamp) <= 0)
		return;
	d->stamp = t;
	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p))
		if (wg_tai64n_compare(&t, &p->wg->stamp_sent) > 0)
			p->wg->stamp_sent = t;
}

/* --- peers ------------------------------------------------------------------------------------ */

struct node_peer *node_device_find_peer(struct node_device *d, const uint8_t pub[WG_KEY_LEN])
{
	tt_peer_id id = wg_device_find_peer(d->wg, pub);

	return id == TT_PEER_NONE ? NULL : d->peers[id];
}

static int add_to_core(struct node_device *d, struct node_peer *p, const uint8_t pub[WG_KEY_LEN])
{
	p->wg = plat_secmem_alloc(mem_peers);
	if (!p->wg)
		return -ENOSPC;
	switch (wg_device_add_peer(d->wg, pub, p->wg, &p->id)) {
	case WG_ADD_PEER_OK:
		return 0;
	case WG_ADD_PEER_EXISTS:
		return -EEXIST;
	case WG_ADD_PEER_SELF:
		return -EADDRINUSE;
	case WG_ADD_PEER_FULL:
		return -ENOSPC;
	}
	return -EINVAL;
}

/*
 * An id is used again at once. The workers' table of allowed IPs must not name it any more, or what
 * was meant for its last owner would go to the new one; and no worker may still hold a session of
 * the last owner, or what it receives would count for the new one.
 */
static int settle_ids(struct node_device *d)
{
	int err = d->ids_retiring ? node_device_commit(d) : 0;

	if (err)
		return err;
	if (d->ids_retiring)
		tt_epoch_synchronize(dp_plane_epoch(d->opt.plane));
	d->ids_retiring = false;
	return 0;
}

int node_device_add_peer(struct node_device *d, const uint8_t pub[WG_KEY_LEN],
			 struct node_peer **out)
{
	struct node_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	int err = settle_ids(d);
	if (!err)
		err = add_to_core(d, p, pub);
	if (err)
		goto err_undo_memory;
	p->dp = dp_peer_add(d->opt.plane, p->id);
	if (!p->dp) {
		struct wg_displaced none = {.count = 0};
		wg_device_remove_peer(d->wg, p->id, plat_clock_mono(), &none);
		err = -ENOMEM;
		goto err_undo_memory;
	}
	p->status = WG_PEER_NEVER;
	/* it may have been our peer before, and remember */
	p->wg->stamp_sent = d->stamp;
	p->serial = ++d->last_serial;
	d->peers[p->id] = p;
	d->count++;
	tt_list_add_tail(&d->order, &p->link);
	*out = p;
	return 0;

err_undo_memory:
	plat_secmem_free(mem_peers, p->wg);
	free(p);
	return err;
}

void node_device_remove_peer(struct node_device *d, struct node_peer *p)
{
	struct wg_displaced gone = {.count = 0};

	if (p->managed && d->opt.gone)
		d->opt.gone(d->opt.ctx, p);
	node_peer_clear_allowed_ips(d, p);
	tt_heap_remove(&d->deadlines, &p->deadline);
	dp_peer_set_session(d->opt.plane, p->dp, NULL);
	struct wg_peer *wg = wg_device_remove_peer(d->wg, p->id, plat_clock_mono(), &gone);
	node_device_unpublish(d, &gone);
	dp_peer_remove(d->opt.plane, p->dp);
	plat_secmem_free(mem_peers, wg);
	d->peers[p->id] = NULL;
	d->count--;
	d->ids_retiring = true;
	tt_list_del(&p->link);
	free(p->host);
	free(p->name);
	free(p);
}

void node_device_remove_all_peers(struct node_device *d)
{
	while (!tt_list_empty(&d->order))
		node_device_remove_peer(d, TT_CONTAINER_OF(d->order.next, struct node_peer, link));
}

int node_peer_set_name(struct node_peer *p, const char *name)
{
	char *copy = name && *name ? strndup(name, NODE_PEER_NAME_MAX - 1) : NULL;

	if (name && *name && !copy)
		return -ENOMEM;
	free(p->name);
	p->name = copy;
	return 0;
}

void node_peer_set_psk(struct node_device *d, struct node_peer *p, const uint8_t psk[WG_KEY_LEN])
{
	(void)d;
	wg_peer_set_psk(p->wg, psk);
	p->has_psk = !crypto_is_zero(psk, WG_KEY_LEN);
}

void node_peer_set_endpoint(struct node_device *d, struct node_peer *p, const struct tt_endpoint *e)
{
	/* where a managed peer is, is the mesh's to say */
	if (p->managed || tt_endpoint_equal(&p->dest.to, e))
		return;
	memset(&p->dest, 0, sizeof(p->dest));
	p->dest.to = *e;
	node_peer_publish_path(d, p);
	/* traffic in under a second, not at the next 5 s retry */
	wg_timers_restart(&p->wg->timers);
	node_peer_run(d, p, plat_clock_mono(), 0);
	node_device_rearm(d);
}

void node_peer_set_roaming(struct node_device *d, struct node_peer *p, bool roams)
{
	bool was_fixed = p->fixed;

	p->fixed = !roams;
	/* where it is seen was told once, and is told again for a path that is new */
	if (was_fixed && roams && !p->managed)
		node_peer_publish_path(d, p);
}

int node_peer_set_host(struct node_device *d, struct node_peer *p, const char *host,
		       uint16_t udp_port)
{
	char *copy = host ? strdup(host) : NULL;

	if (host && !copy)
		return -ENOMEM;
	free(p->host);
	p->host = copy;
	p->host_port = udp_port;
	p->resolve_gap_ns = NODE_RESOLVE_MIN_NS;
	if (copy) {
		node_peer_resolve(d, p, plat_clock_mono());
		node_peer_run(d, p, plat_clock_mono(), 0);
		node_device_rearm(d);
	}
	return 0;
}

void node_peer_set_keepalive(struct node_device *d, struct node_peer *p, uint16_t seconds)
{
	struct tt_mono now = plat_clock_mono();

	if (p->wg->timers.persistent_s == seconds)
		return;
	wg_timers_set_persistent(&p->wg->timers, seconds, now);
	node_peer_run(d, p, now, 0);
	node_device_rearm(d);
}

/* --- allowed IPs ------------------------------------------------------------------------------ */

/* Doubles the arrays; on failure the old ones stay. */
static int grow_allowed(struct node_device *d)
{
	uint32_t capacity = d->allowed.capacity * 2;
	struct wg_allowedips_entry *entries =
		realloc(d->allowed.entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	d->allowed.entries = entries;
	uint32_t *buckets = malloc(capacity * sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(d->allowed.buckets);
	wg_allowedips_grow(&d->allowed, entries, buckets, capacity, d->allowed.peers,
			   d->allowed.peer_capacity);
	return 0;
}

int node_peer_add_allowed_ip(struct node_device *d, struct node_peer *p, const struct tt_cidr *c)
{
	enum wg_allowedips_outcome r = wg_allowedips_insert(&d->allowed, c, p->id);

	if (r == WG_AIP_FULL) {
		int err = grow_allowed(d);
		if (err)
			return err;
		r = wg_allowedips_insert(&d->allowed, c, p->id);
	}
	if (r != WG_AIP_PRESENT)
		d->allowed_changed = true;
	return 0;
}

void node_peer_remove_allowed_ip(struct node_device *d, struct node_peer *p,
				 const struct tt_cidr *c)
{
	if (wg_allowedips_remove(&d->allowed, c, p->id) == WG_AIP_REMOVED)
		d->allowed_changed = true;
}

void node_peer_clear_allowed_ips(struct node_device *d, struct node_peer *p)
{
	if (!d->allowed.peers[p->id].count)
		return;
	wg_allowedips_remove_peer(&d->allowed, p->id);
	d->allowed_changed = true;
}

int node_device_commit(struct node_device *d)
{
	if (!d->allowed_changed)
		return 0;
	size_t size = TT_ALIGN_UP(wg_lpm_size(&d->allowed), (size_t)64);
	void *block = aligned_alloc(64, size);
	if (!block)
		return -ENOMEM;
	dp_plane_publish_lpm(d->opt.plane, wg_lpm_build(&d->allowed, block));
	d->allowed_changed = false;
	return 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

void node_device_get_info(const struct node_device *d, struct node_device_info *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, d->opt.name, sizeof(out->name));
	out->has_private_key = d->wg->has_key;
	out->private_key = d->wg->self.private_key;
	if (d->wg->has_key)
		memcpy(out->public_key, d->wg->self.public_key, WG_KEY_LEN);
	out->udp_port = d->udp_port;
	out->fwmark = d->fwmark;
	out->peers = d->count;
	out->future_stamps = d->wg->future_stamps;
	out->up = d->up;
}

struct node_peer *node_device_next_peer(struct node_device *d, struct node_peer *after)
{
	struct tt_list *l = after ? after->link.next : d->order.next;

	return l == &d->order ? NULL : TT_CONTAINER_OF(l, struct node_peer, link);
}

struct node_peer *node_device_peer_by_id(struct node_device *d, tt_peer_id id)
{
	return id < DP_PEERS_MAX ? d->peers[id] : NULL;
}

tt_peer_id node_peer_id(const struct node_peer *p)
{
	return p->id;
}

uint64_t node_peer_serial(const struct node_peer *p)
{
	return p->serial;
}

bool node_peer_next_allowed_ip(const struct node_device *d, const struct node_peer *p,
			       uint32_t *cursor, struct tt_cidr *out)
{
	return wg_allowedips_next(&d->allowed, p->id, cursor, out);
}

uint64_t node_device_changes(const struct node_device *d)
{
	return d->changes;
}

void node_device_drops(const struct node_device *d, uint64_t drops[TT_DROP_COUNT])
{
	struct dp_stats s;

	dp_plane_stats(d->opt.plane, UINT32_MAX, &s);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		drops[i] = s.drops[i] + d->wg->drops[i] + d->drops[i];
}

struct dp_plane *node_device_plane(struct node_device *d)
{
	return d->opt.plane;
}

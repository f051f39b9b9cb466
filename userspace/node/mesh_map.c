/* SPDX-License-Identifier: MIT
 *
 * From the hub's map to peers of the device, and the copy of it that outlives the hub.
 */
#include <errno.h>
#include <stdlib.h>

#include "crypto/mem.h"
#include "node/mesh_impl.h"
#include "plat/memory.h"

/* --- one peer --------------------------------------------------------------------------------- */

/* The configuration's peers keep what is theirs. */
static void allow(struct node_mesh *m, struct node_mesh_peer *p, const struct tt_cidr *c)
{
	char text[TT_CIDR_TEXT_MAX];

	if (!m->opt.is_claimed(m->opt.ctx, c))
		node_peer_add_allowed_ip(m->opt.device, p->peer, c);
	else
		tt_log_limited(TT_LOG_WARN, "mesh.prefix_claimed", NULL, plat_clock_mono(), 4,
			       TT_F_STR("peer", p->name),
			       TT_F_STR("prefix", tt_cidr_format(c, text)),
			       TT_F_STR("hint", "a peer of the configuration has it"));
}

static void set_allowed(struct node_mesh *m, struct node_mesh_peer *p,
			const struct mesh_netmap_peer *is)
{
	struct tt_cidr c;

	node_peer_clear_allowed_ips(m->opt.device, p->peer);
	for (unsigned i = 0; i < is->address_count; i++) {
		memset(&c, 0, sizeof(c));
		c.ip = is->addresses[i];
		c.bits = c.ip.family == TT_FAMILY_V4 ? 32 : 128;
		allow(m, p, &c);
	}
	for (unsigned i = 0; i < is->subnet_count; i++)
		allow(m, p, &is->subnets[i]);
	m->allowed_changed = true;
}

/* NULL: the configuration has this peer, and it wins; or there is no room. */
static struct node_peer *make_device_peer(struct node_mesh *m, struct node_mesh_peer *p)
{
	struct node_device *d = m->opt.device;
	struct node_peer *peer = node_device_find_peer(d, p->key);

	/* by the file, or by `wg set` */
	if (peer) {
		tt_log_limited(TT_LOG_INFO, "mesh.peer_configured", NULL, plat_clock_mono(), 4,
			       TT_F_STR("peer", p->name),
			       TT_F_STR("hint", "the configuration's peer is used as it is"));
		return NULL;
	}
	int err = node_device_add_peer(d, p->key, &peer);

	if (err) {
		tt_log_limited(TT_LOG_WARN, "mesh.peer_refused", NULL, plat_clock_mono(), 4,
			       TT_F_STR("peer", p->name), TT_F_ERRNO("error", err));
		return NULL;
	}
	node_peer_set_managed(d, peer, p);
	return peer;
}

static void set_online(struct node_mesh *m, struct node_mesh_peer *p)
{
	struct node_hub_link_info hub;

	node_hub_link_get_info(m->link, &hub);
	mesh_paths_relay(&p->paths, MESH_PATH_RELAY_TCP, p->online && hub.state == NODE_HUB_UP,
			 plat_clock_mono());
	if (!p->online)
		node_mesh_relay_drop(m, p);
}

static void take(struct node_mesh *m, struct node_mesh_peer *p, const struct mesh_netmap_peer *is)
{
	memcpy(p->name, is->name, sizeof(p->name));
	p->gateway = is->role == MESH_NETMAP_GATEWAY;
	p->online = is->online;
	if (!p->peer)
		return;
	node_peer_set_name(p->peer, p->name);
	uint16_t keepalive = is->keepalive_s	  ? is->keepalive_s
			     : m->hub_keepalive_s ? m->hub_keepalive_s
						  : NODE_MESH_KEEPALIVE_S;

	node_peer_set_keepalive(m->opt.device, p->peer, keepalive);
	set_allowed(m, p, is);
}

static void add(struct node_mesh *m, const struct mesh_netmap_peer *is)
{
	struct node_mesh_peer *p = calloc(1, sizeof(*p));

	if (!p)
		return;
	p->node_id = is->node_id;
	p->mesh = m;
	memcpy(p->name, is->name, sizeof(p->name));
	memcpy(p->key, is->wg_public_key, sizeof(p->key));
	mesh_paths_init(&p->paths);
	tt_list_add_tail(&m->peers, &p->link);
	struct node_mesh_peer **bucket = node_mesh_bucket(m, p->node_id);
	p->next_by_id = *bucket;
	*bucket = p;
	p->peer = make_device_peer(m, p);
	take(m, p, is);
	set_online(m, p);
	node_mesh_say(m, NODE_MESH_PEER_ADDED, p, "the hub's map names it");
	node_mesh_run_peer(m, p);
}

static void forget(struct node_mesh *m, struct node_mesh_peer *p, bool with_device)
{
	struct node_mesh_peer **at = node_mesh_bucket(m, p->node_id);

	while (*at != p)
		at = &(*at)->next_by_id;
	*at = p->next_by_id;
	tt_list_del(&p->link);
	tt_heap_remove(&m->deadlines, &p->deadline);
	node_mesh_forget_ufrags(m, p);
	node_mesh_relay_drop(m, p);
	if (p->peer && with_device)
		node_device_remove_peer(m->opt.device, p->peer);
	m->allowed_changed = true;
	crypto_wipe(p, sizeof(*p));
	free(p);
}

static void change(struct node_mesh *m, const struct mesh_netmap_change *c)
{
	struct node_mesh_peer *p = node_mesh_find(m, c->is->node_id);

	/* there was no memory for it */
	if (!p) {
		add(m, c->is);
		return;
	}
	bool was_online = p->online, back = !p->peer;
	/* one that somebody removed by hand comes back with what the hub says next */
	if (back)
		p->peer = make_device_peer(m, p);
	take(m, p, c->is);
	if (back && p->peer) {
		p->has_route = false;
		node_mesh_publish(m, p);
	}
	if (p->online != was_online || (back && p->peer)) {
		set_online(m, p);
		node_mesh_run_peer(m, p);
	}
}

static void on_change(void *ctx, const struct mesh_netmap_change *c)
{
	struct node_mesh *m = ctx;
	struct node_mesh_peer *p;

	m->dirty = true;
	switch (c->kind) {
	case MESH_NETMAP_ADDED:
		add(m, c->is);
		break;
	case MESH_NETMAP_CHANGED:
		change(m, c);
		break;
	case MESH_NETMAP_REMOVED:
		p = node_mesh_find(m, c->was->node_id);
		if (!p)
			break;
		node_mesh_say(m, NODE_MESH_PEER_REMOVED, p, "the hub's map has it no more");
		forget(m, p, true);
		break;
	}
}

static void commit(struct node_mesh *m)
{
	if (m->allowed_changed)
		node_device_commit(m->opt.device);
	m->allowed_changed = false;
}

/* --- updates ---------------------------------------------------------------------------------- */

static void ask_for_all(struct node_mesh *m)
{
	Taltun__Hub__V1__ToHub ask = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__MapRequest request = TALTUN__HUB__V1__MAP_REQUEST__INIT;

	mesh_netmap_forget_version(&m->map);
	ask.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_MAP_REQUEST;
	ask.map_request = &request;
	node_hub_link_send(m->link, &ask);
}

/* A whole map may do better than what was refused; where that is refused as well, it is of no use
 * to ask on at once. */
static void refused(struct node_mesh *m, enum mesh_netmap_outcome o)
{
	struct tt_mono now = plat_clock_mono();
	const char *why = mesh_netmap_outcome_name(o);

	tt_log_limited(TT_LOG_WARN, "mesh.map_refused", why, now, 1, TT_F_STR("why", why),
		       TT_F_U64("node", m->map.refused_node_id),
		       TT_F_STR("hint", "the map from before stays in force"));
	if (!tt_mono_is_set(m->said_refused) ||
	    tt_mono_since(now, m->said_refused) >= TT_NS_PER_SEC) {
		m->said_refused = now;
		node_mesh_say(m, NODE_MESH_MAP_REFUSED, NULL, why);
	}
	if (tt_mono_is_set(m->asked_all) && tt_mono_since(now, m->asked_all) < NODE_MESH_ASK_NS)
		return;
	m->asked_all = now;
	ask_for_all(m);
}

/* Its time without the hub begins anew. */
void node_mesh_map_touch(struct node_mesh *m)
{
	m->map_from = plat_clock_mono();
}

void node_mesh_map_expire(struct node_mesh *m)
{
	struct tt_mono now = plat_clock_mono();
	struct mesh_netmap_listener listener = {on_change, m};
	struct node_hub_link_info hub;

	node_hub_link_get_info(m->link, &hub);
	if (hub.state == NODE_HUB_UP) {
		node_mesh_map_touch(m);
		/* where nothing changes the copy in the file would run out */
		if (tt_mono_since(now, m->map_got) > m->map_stale_ns) {
			m->map_got = now;
			ask_for_all(m);
		}
		return;
	}
	/* by the monotonic clock: one that is set must not end tunnels that work */
	if (!mesh_netmap_count(&m->map) || tt_mono_since(now, m->map_from) < m->map_left_ns)
		return;
	tt_log(TT_LOG_WARN, "mesh.map_expired",
	       TT_F_STR("hint",
			"nothing was heard of the hub for too long; peers come back with it"));
	mesh_netmap_clear(&m->map, &listener);
	commit(m);
	m->dirty = false;
}

static void set_valid(struct node_mesh *m, struct tt_wall now)
{
	uint64_t s = m->map.valid_until > now.sec ? m->map.valid_until - now.sec : 0;

	m->map_left_ns = TT_MIN(s, NODE_MESH_MAP_MAX_S) * TT_NS_PER_SEC;
	/* a seventh or two, not all nodes at once; a hub whose maps end at once is not asked for
	 * ever
	 */
	m->map_stale_ns = TT_MAX(m->map_left_ns / 7, NODE_MESH_LOOK_NS);
	m->map_stale_ns += (uint64_t)tt_rng_below(&m->opt.rng, 1000) * (m->map_stale_ns / 1000);
	m->map_got = plat_clock_mono();
	node_mesh_map_touch(m);
}

/* The hub has said who is there: what waits for a peer waits for its path now, not for long. */
static void await_paths(struct node_mesh *m)
{
	struct tt_mono end = tt_mono_add_ns(plat_clock_mono(), NODE_MESH_AWAIT_UP_NS);

	if (tt_mono_before(end, m->await_until))
		node_mesh_await(m, end);
}

void node_mesh_map_update(struct node_mesh *m, const Taltun__Hub__V1__MapUpdate *u)
{
	struct mesh_netmap_listener listener = {on_change, m};

	/* a map may name ten thousand peers, and each of them wants a handshake */
	node_device_hold(m->opt.device, true);
	enum mesh_netmap_outcome o = mesh_netmap_apply(&m->map, u, &m->opt.rules, &listener);

	node_device_hold(m->opt.device, false);
	if (o == MESH_NETMAP_STAGED)
		return;
	m->most = TT_MAX(m->most, mesh_netmap_count(&m->map));
	if (o == MESH_NETMAP_APPLIED) {
		commit(m);
		m->dirty = true;
		m->asked_all = (struct tt_mono){0};
		set_valid(m, node_mesh_hub_clock(m));
		await_paths(m);
		return;
	}
	refused(m, o);
}

void node_mesh_reconfigured(struct node_mesh *m)
{
	struct tt_list *at;

	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		const struct mesh_netmap_peer *is = mesh_netmap_find(&m->map, p->node_id);
		bool back = !p->peer;

		if (back)
			p->peer = make_device_peer(m, p);
		if (!p->peer || !is)
			continue;
		take(m, p, is);
		if (back) {
			p->has_route = false;
			set_online(m, p);
			node_mesh_publish(m, p);
			node_mesh_run_peer(m, p);
		}
	}
	commit(m);
	node_mesh_rearm(m);
}

void node_mesh_set_accept(struct node_mesh *m, const struct tt_cidr *accept, size_t count)
{
	bool same = count == m->opt.rules.accept_count &&
		    (!count || memcmp(accept, m->opt.rules.accept, count * sizeof(*accept)) == 0);

	/* the old list goes with the old configuration in either case */
	m->opt.rules.accept = accept;
	m->opt.rules.accept_count = count;
	if (!same)
		ask_for_all(m);
}

/* --- the copy --------------------------------------------------------------------------------- */

int node_mesh_map_open(struct node_mesh *m, const void *cached, size_t cached_len)
{
	struct mesh_netmap_listener listener = {on_change, m};
	struct node_device_info info;
	uint64_t seed;

	m->map_memory =
		calloc(1, mesh_netmap_memory_size(NODE_MESH_PEERS_MAX, NODE_MESH_SUBNETS_MAX));
	if (!m->map_memory)
		return -ENOMEM;
	tt_rng_fill(&m->opt.rng, &seed, sizeof(seed));
	mesh_netmap_init(&m->map, m->map_memory, NODE_MESH_PEERS_MAX, NODE_MESH_SUBNETS_MAX, seed);
	node_device_get_info(m->opt.device, &info);
	if (!info.has_private_key)
		return -ENOKEY;
	mesh_netmap_cache_key(m->cache_key, info.private_key);
	memcpy(m->opt.rules.own_public_key, info.public_key, sizeof(m->opt.rules.own_public_key));
	if (!cached)
		return 0;
	node_device_hold(m->opt.device, true);
	enum mesh_netmap_outcome o = mesh_netmap_cache_read(&m->map, &m->opt.rules, &listener,
							    m->cache_key, cached, cached_len);

	node_device_hold(m->opt.device, false);

	if (o != MESH_NETMAP_APPLIED) {
		tt_log(TT_LOG_WARN, "mesh.map_damaged",
		       TT_F_STR("why", mesh_netmap_outcome_name(o)),
		       TT_F_STR("hint", "it comes anew from the hub"));
	} else if (!mesh_netmap_is_valid(&m->map, plat_clock_wall())) {
		tt_log(TT_LOG_WARN, "mesh.map_expired",
		       TT_F_STR("hint", "peers come back with the hub"));
		mesh_netmap_clear(&m->map, &listener);
	}
	set_valid(m, plat_clock_wall());
	commit(m);
	m->dirty = false;
	return 0;
}

/* Not with every change: it takes a while, and a hub may send a storm of maps. */
static void give_back(struct node_mesh *m)
{
	uint32_t count = mesh_netmap_count(&m->map);

	if (count + NODE_MESH_TRIM_PEERS < m->most)
		plat_memory_trim();
	m->most = count;
}

void node_mesh_map_keep(struct node_mesh *m, bool at_once)
{
	struct tt_mono now = plat_clock_mono();

	if (!m->dirty || !m->map.version ||
	    (!at_once && tt_mono_since(now, m->saved) < NODE_MESH_KEEP_NS))
		return;
	size_t size = mesh_netmap_cache_size(&m->map);
	uint8_t *bytes = malloc(size);
	size_t len =
		bytes ? mesh_netmap_cache_write(&m->map, &m->opt.rules, m->cache_key, bytes, size)
		      : 0;

	if (len)
		m->opt.save_map(m->opt.ctx, bytes, len);
	free(bytes);
	give_back(m);
	m->dirty = false;
	m->saved = now;
}

void node_mesh_map_not_kept(struct node_mesh *m)
{
	m->dirty = true;
	m->saved = tt_mono_add_ns(plat_clock_mono(), NODE_MESH_KEEP_AGAIN_NS - NODE_MESH_KEEP_NS);
	node_mesh_rearm(m);
}

void node_mesh_map_close(struct node_mesh *m)
{
	struct tt_list *at, *next;

	/* the device goes as well, with its peers: they only must not point here */
	tt_list_for_each_safe (at, next, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		if (p->peer)
			node_peer_set_managed(m->opt.device, p->peer, NULL);
		forget(m, p, false);
	}
	free(m->map_memory);
}

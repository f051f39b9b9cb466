/* SPDX-License-Identifier: MIT */
#include "node/mesh.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/mem.h"
#include "node/mesh_impl.h"

/* --- finding ---------------------------------------------------------------------------------- */

struct node_mesh_peer **node_mesh_bucket(struct node_mesh *m, uint32_t node_id)
{
	uint64_t h = (node_id + UINT64_C(1)) * (m->by_id_seed | 1);

	return &m->by_id[(h >> 40) & (m->by_id_size - 1)];
}

struct node_mesh_peer *node_mesh_find(struct node_mesh *m, uint32_t node_id)
{
	struct node_mesh_peer *p = *node_mesh_bucket(m, node_id);

	for (; p; p = p->next_by_id)
		if (p->node_id == node_id)
			return p;
	return NULL;
}

/* --- time ------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t);

/*
 * A timer that comes late must not decide that nobody has answered: what has come meanwhile lies in
 * the sockets, and is looked at first.
 */
static bool is_late(struct node_mesh *m, struct tt_mono now)
{
	bool late = !m->late && tt_mono_since(now, m->timer_due) > NODE_MESH_LATE_NS;

	m->late = late;
	if (late)
		uv_timer_start(&m->timer, on_timer, 1, 0);
	return late;
}

static void run_due(struct node_mesh *m, struct tt_mono now)
{
	struct tt_mono end = tt_mono_add_ns(now, NODE_MESH_TURN_NS);
	struct tt_heap_item *min;
	/* each peer once a turn: a deadline that does not move must not stall the loop */
	uint32_t left = m->deadlines.count;

	while (left-- && (min = tt_heap_min(&m->deadlines)) && min->key <= now.ns) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(min, struct node_mesh_peer, deadline);
		/* what was heard of it decides as well, however late its doorbell's turn comes */
		if (p->peer)
			node_device_look(m->opt.device, p->peer);
		node_mesh_run_peer(m, p);
		if (left % 8 == 0 && tt_mono_before(end, plat_clock_mono()))
			break;
	}
}

static void on_timer(uv_timer_t *t)
{
	struct node_mesh *m = t->data;
	struct tt_mono now = plat_clock_mono();

	if (is_late(m, now))
		return;
	if (tt_mono_is_set(m->await_until) && !tt_mono_before(now, m->await_until))
		node_mesh_await(m, (struct tt_mono){0});
	node_mesh_gather_run(m, now);
	run_due(m, now);
	node_mesh_map_expire(m);
	node_mesh_map_keep(m, false);
	node_mesh_cert_keep(m);
	node_mesh_renew(m);
	node_mesh_rearm(m);
}

void node_mesh_rearm(struct node_mesh *m)
{
	struct tt_heap_item *min = tt_heap_min(&m->deadlines);
	struct tt_mono now = plat_clock_mono(), gather = node_mesh_gather_deadline(m);
	/* walls may move: what has a wall time is looked at once in a while in any case */
	uint64_t next =
		now.ns + TT_MIN(NODE_MESH_LOOK_NS, (node_mesh_renew_in_s(m) + 1) * TT_NS_PER_SEC);

	if (min)
		next = TT_MIN(next, min->key);
	if (tt_mono_is_set(m->await_until))
		next = TT_MIN(next, m->await_until.ns);
	if (tt_mono_is_set(gather))
		next = TT_MIN(next, gather.ns);
	/* without a version there is nothing to keep: all of it is asked for */
	if (m->dirty && m->map.version)
		next = TT_MIN(next, m->saved.ns + NODE_MESH_KEEP_NS);
	if (tt_mono_is_set(m->cert_due))
		next = TT_MIN(next, m->cert_due.ns);
	/* never 0: libuv would run the timer again and again, and look at no socket in between */
	uint64_t wait = next > now.ns ? (next - now.ns) / TT_NS_PER_MS + 1 : 1;
	m->timer_due = tt_mono_add_ns(now, wait * TT_NS_PER_MS);
	uv_timer_start(&m->timer, on_timer, wait, 0);
}

void node_mesh_say(struct node_mesh *m, enum node_mesh_event_kind kind,
		   const struct node_mesh_peer *p, const char *why)
{
	struct node_mesh_event e = {.kind = kind, .peer = p ? p->name : "", .why = why};

	if (p && mesh_paths_selected(&p->paths))
		e.path = (enum mesh_path_kind)mesh_paths_selected(&p->paths)->kind;
	if (m->opt.event)
		m->opt.event(m->opt.ctx, &e);
}

/* --- life ------------------------------------------------------------------------------------- */

static int make_tables(struct node_mesh *m)
{
	m->by_id_size = 4096;
	tt_rng_fill(&m->opt.rng, &m->by_id_seed, sizeof(m->by_id_seed));
	m->by_id = calloc(m->by_id_size, sizeof(*m->by_id));
	m->deadline_slots = calloc(NODE_MESH_PEERS_MAX, sizeof(*m->deadline_slots));
	m->asked = calloc(NODE_MESH_ASKED_SLOTS, sizeof(*m->asked));
	mesh_source_rate_init(&m->sources, &m->opt.rng);
	if (!m->by_id || !m->deadline_slots || !m->asked)
		return -ENOMEM;
	tt_heap_init(&m->deadlines, m->deadline_slots, NODE_MESH_PEERS_MAX);
	return 0;
}

int node_mesh_create(const struct node_mesh_options *opt, const void *cached, size_t cached_len,
		     struct node_mesh **out)
{
	struct node_mesh *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->opt = *opt;
	tt_list_init(&m->peers);
	m->checks_left = NODE_MESH_CHECKS_PER_S;
	uv_timer_init(opt->loop, &m->timer);
	m->timer.data = m;
	struct node_hub_link_options hub = opt->hub;

	hub.on = node_mesh_hub_handlers;
	hub.on.ctx = m;
	m->owner = opt->hub.on.ctx;
	err = tls_csr_create(&opt->hub.key, &m->csr);
	if (!err)
		err = tls_cert_parse(opt->hub.cert.bytes, opt->hub.cert.len, &m->cert);
	if (!err)
		err = make_tables(m);
	if (!err)
		err = node_hub_link_create(&hub, &m->link);
	if (!err)
		err = node_mesh_map_open(m, cached, cached_len);
	crypto_wipe(&hub.key, sizeof(hub.key));
	crypto_wipe(&m->opt.hub.key, sizeof(m->opt.hub.key));
	/* half made, it is taken apart like a whole one, by the loop */
	*out = m;
	return err;
}

void node_mesh_await(struct node_mesh *m, struct tt_mono until)
{
	m->await_until = until;
	dp_plane_await_peers(node_device_plane(m->opt.device), tt_mono_is_set(until));
}

void node_mesh_start(struct node_mesh *m)
{
	/* who comes with the first ping is not told that there is nobody, before anybody was asked
	 */
	node_mesh_await(m, tt_mono_add_ns(plat_clock_mono(), NODE_MESH_AWAIT_NS));
	node_mesh_gather_start(m);
	node_hub_link_start(m->link);
	node_mesh_rearm(m);
}

static void part_closed(struct node_mesh *m)
{
	if (--m->handles)
		return;
	void (*closed)(void *) = m->closed;
	void *arg = m->closed_arg;

	node_mesh_map_close(m);
	free(m->by_id);
	free(m->deadline_slots);
	free(m->asked);
	crypto_wipe(m, sizeof(*m));
	free(m);
	if (closed)
		closed(arg);
}

static void on_timer_closed(uv_handle_t *h)
{
	part_closed(h->data);
}

static void on_link_closed(void *arg)
{
	part_closed(arg);
}

void node_mesh_destroy(struct node_mesh *m, void (*closed)(void *arg), void *arg)
{
	if (!m)
		return;
	node_mesh_map_keep(m, true);
	m->closed = closed;
	m->closed_arg = arg;
	m->handles = m->link ? 2 : 1;
	uv_close((uv_handle_t *)&m->timer, on_timer_closed);
	node_hub_link_destroy(m->link, on_link_closed, m);
}

/* --- events ----------------------------------------------------------------------------------- */

void node_mesh_resolved(struct node_mesh *m, const struct tt_endpoint *addr, unsigned count)
{
	node_hub_link_resolved(m->link, addr, count);
}

void node_mesh_network_changed(struct node_mesh *m)
{
	struct tt_mono now = plat_clock_mono();
	struct tt_list *at;

	node_hub_link_network_changed(m->link);
	node_mesh_gather_start(m);
	node_device_hold(m->opt.device, true);
	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		mesh_paths_network_changed(&p->paths, now);
		mesh_check_network_changed(&p->keys);
		if (p->bind.state != MESH_RELAY_BIND_IDLE)
			mesh_relay_bind_again(&p->bind, now);
		node_mesh_run_peer(m, p);
	}
	node_device_hold(m->opt.device, false);
	node_mesh_rearm(m);
}

void node_mesh_mtu_changed(struct node_mesh *m)
{
	struct tt_list *at;

	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		node_mesh_look_at_mtu(m, p);
	}
	node_mesh_rearm(m);
}

bool node_mesh_datagram(struct node_mesh *m, const struct tt_endpoint *src, const struct tt_ip *dst,
			uint32_t ifindex, const uint8_t *bytes, size_t len)
{
	if (len && bytes[0] == MESH_RELAY_MAGIC) {
		node_mesh_relay_take(m, src, dst, ifindex, bytes, len);
	} else if (mesh_stun_is(bytes, len)) {
		if (!node_mesh_gather_take(m, src, bytes, len))
			node_mesh_take_stun(m, DP_VIA_UDP, NULL, src, bytes, len);
	} else {
		return false;
	}
	node_mesh_rearm(m);
	return true;
}

/*
 * No more than the connection takes: what waits stays in the workers' queues, whose senders notice.
 * Without a connection it is dropped, and counted.
 */
void node_mesh_pump(struct node_mesh *m)
{
	struct dp_plane *pl = node_device_plane(m->opt.device);
	struct dp_relay_message batch[64];
	struct node_hub_link_info hub;
	unsigned n;

	for (int turn = 0; turn < 16; turn++) {
		/* each time: it may have been lost while the last batch was sent */
		node_hub_link_get_info(m->link, &hub);
		uint32_t room = hub.state == NODE_HUB_UP ? node_hub_link_room(m->link)
							 : TT_ARRAY_LEN(batch);
		if (!room) {
			m->opt.watch_relay(m->opt.ctx, false);
			return;
		}
		n = dp_plane_relay_pop(pl, batch, TT_MIN(room, (uint32_t)TT_ARRAY_LEN(batch)));
		for (unsigned i = 0; i < n; i++)
			if (!node_hub_link_relay(m->link, batch[i].node_id, batch[i].bytes,
						 batch[i].len))
				m->drops[TT_DROP_TX_RELAY_FULL]++;
		if (!n)
			break;
		node_hub_link_flush(m->link);
	}
}

/* --- the device's questions ------------------------------------------------------------------- */

static int send_relay_udp(struct node_mesh *m, const struct dp_route *route, const void *data,
			  size_t len)
{
	uint8_t datagram[2048];
	bool lost_source;

	if (len + MESH_RELAY_HEADER > sizeof(datagram))
		return -EMSGSIZE;
	mesh_relay_data_write(datagram, route->tag);
	memcpy(datagram + MESH_RELAY_HEADER, data, len);
	return m->opt.send(m->opt.ctx, &route->dest, datagram, len + MESH_RELAY_HEADER,
			   &lost_source);
}

int node_mesh_send_route(struct node_mesh *m, const struct dp_route *route, const void *data,
			 size_t len)
{
	bool lost_source;

	switch (route->via) {
	case DP_VIA_UDP:
		return m->opt.send(m->opt.ctx, &route->dest, data, len, &lost_source);
	case DP_VIA_RELAY_UDP:
		return send_relay_udp(m, route, data, len);
	case DP_VIA_RELAY_TCP:
		return node_hub_link_relay(m->link, route->tag, data, (uint32_t)len) ? 0 : -ENOBUFS;
	}
	return -EINVAL;
}

static enum mesh_path_kind kind_of(enum dp_via via)
{
	return via == DP_VIA_RELAY_TCP	 ? MESH_PATH_RELAY_TCP
	       : via == DP_VIA_RELAY_UDP ? MESH_PATH_RELAY_UDP
					 : MESH_PATH_PUNCHED;
}

void node_mesh_heard(struct node_mesh *m, struct node_peer *peer, const struct dp_roam *from)
{
	struct node_mesh_peer *p = node_peer_user(peer);

	if (!p || (from->via == DP_VIA_UDP &&
		   dp_plane_is_inside(node_device_plane(m->opt.device), &from->src.ip)))
		return;
	if (from->via == DP_VIA_RELAY_UDP)
		p->relay_heard = from->at;
	mesh_paths_heard(&p->paths, kind_of(from->via), &from->src, from->at);
	node_mesh_run_peer(m, p);
	node_mesh_rearm(m);
}

void node_mesh_wanted(struct node_mesh *m, struct node_peer *peer)
{
	struct node_mesh_peer *p = node_peer_user(peer);

	/* what it leads to may send a handshake itself, which is wanted already */
	if (!p || p->running)
		return;
	mesh_paths_wanted(&p->paths, plat_clock_mono());
	node_mesh_run_peer(m, p);
	node_mesh_rearm(m);
}

void node_mesh_hint(struct node_mesh *m, struct node_peer *peer, const struct tt_endpoint *at)
{
	struct node_mesh_peer *p = node_peer_user(peer);

	if (!p)
		return;
	mesh_paths_hint(&p->paths, at);
	node_mesh_run_peer(m, p);
}

void node_mesh_peer_gone(struct node_mesh *m, struct node_peer *peer)
{
	struct node_mesh_peer *p = node_peer_user(peer);

	(void)m;
	if (p)
		p->peer = NULL;
}

/* --- looking ---------------------------------------------------------------------------------- */

bool node_mesh_peer_info(const struct node_mesh *m, const struct node_peer *peer,
			 struct node_mesh_peer_info *out)
{
	const struct node_mesh_peer *p = node_peer_is_managed(peer) ? node_peer_user(peer) : NULL;

	(void)m;
	if (!p)
		return false;
	const struct mesh_path *path = mesh_paths_selected(&p->paths);

	*out = (struct node_mesh_peer_info){
		.node_id = p->node_id,
		.gateway = p->gateway,
		.online = p->online,
		.kind = path ? (enum mesh_path_kind)path->kind : MESH_PATH_NONE,
		.rtt_us = path ? path->rtt_us : 0,
		.inner_mtu = p->route.inner_mtu,
		.why_not_direct = mesh_paths_why_not_direct(&p->paths),
		.cause = mesh_path_cause_text((enum mesh_path_cause)p->paths.cause),
		.since = p->paths.selected_at,
	};
	if (path)
		out->remote = path->remote;
	return true;
}

void node_mesh_hub_info(const struct node_mesh *m, struct node_hub_link_info *out)
{
	node_hub_link_get_info(m->link, out);
}

void node_mesh_map_info(const struct node_mesh *m, struct node_mesh_map_info *out)
{
	*out = (struct node_mesh_map_info){.node_id = m->map.self.node_id,
					   .peers = mesh_netmap_count(&m->map),
					   .version = m->map.version,
					   .valid_until_s = m->map.valid_until};
	memcpy(out->name, m->map.self.name, sizeof(out->name));
	memcpy(out->reflexive, m->reflexive, sizeof(out->reflexive));
	memcpy(out->drops, m->drops, sizeof(out->drops));
}

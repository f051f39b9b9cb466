/* SPDX-License-Identifier: MIT
 *
 * From the path machine's decisions to what the workers send by.
 */
#include "node/mesh_impl.h"
#include "plat/clock.h"

/* What a packet through the TLS connection may measure: DP_RELAY_MESSAGE_MAX less WireGuard's own.
 */
#define RELAY_TCP_INNER_MTU (DP_RELAY_MESSAGE_MAX - 32 - 16)

#define PATH_LINES_PER_S 20

static struct mesh_path_facts facts_of(const struct node_mesh_peer *p)
{
	struct mesh_path_facts f = {{0}, {0}};

	if (p->peer)
		node_peer_send_facts(p->peer, &f.last_data_tx, &f.unanswered_tx_since);
	return f;
}

static bool route_of(struct node_mesh_peer *p, struct dp_route *r)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);

	memset(r, 0, sizeof(*r));
	r->managed = true;
	if (!path)
		return false;
	switch ((enum mesh_path_kind)path->kind) {
	case MESH_PATH_DIRECT:
	case MESH_PATH_PUNCHED:
		r->via = DP_VIA_UDP;
		r->dest.to = path->remote;
		break;
	case MESH_PATH_RELAY_UDP:
		r->via = DP_VIA_RELAY_UDP;
		r->tag = p->bind.tag;
		r->dest.to = *mesh_relay_bind_address(&p->bind);
		break;
	case MESH_PATH_RELAY_TCP:
		r->via = DP_VIA_RELAY_TCP;
		r->tag = p->node_id;
		r->inner_mtu = RELAY_TCP_INNER_MTU;
		break;
	case MESH_PATH_NONE:
		return false;
	}
	if (r->via != DP_VIA_RELAY_TCP && mesh_pmtu_is_known(&p->pmtu)) {
		r->inner_mtu = mesh_pmtu_inner(&p->pmtu);
		r->df = true;
	}
	return true;
}

void node_mesh_publish(struct node_mesh *m, struct node_mesh_peer *p)
{
	struct dp_route route;
	bool has = route_of(p, &route);

	if (!p->peer || (has == p->has_route && memcmp(&route, &p->route, sizeof(route)) == 0))
		return;
	/* what waits for an answer that went to a dead path is asked again on the new one */
	bool restart = has && (!p->has_route || p->paths.cause != MESH_CAUSE_BETTER_KIND);

	p->route = route;
	p->has_route = has;
	node_peer_set_route(m->opt.device, p->peer, has ? &route : NULL, restart);
}

static void selected(struct node_mesh *m, struct node_mesh_peer *p, enum mesh_path_kind was)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);
	const char *why = mesh_path_cause_text((enum mesh_path_cause)p->paths.cause);
	struct tt_endpoint remote;
	struct node_mesh_event e = {.kind = NODE_MESH_PATH_CHANGED,
				    .peer = p->name,
				    .path = path ? (enum mesh_path_kind)path->kind : MESH_PATH_NONE,
				    .path_was = was,
				    .why = why};

	memset(&remote, 0, sizeof(remote));
	if (path)
		remote = path->remote;
	/* a hub may be lost for thousands of peers at once */
	tt_log_limited(TT_LOG_INFO, "peer.path", why, plat_clock_mono(), PATH_LINES_PER_S,
		       TT_F_STR("peer", p->name), TT_F_STR("was", mesh_path_kind_name(was)),
		       TT_F_STR("is", mesh_path_kind_name(e.path)),
		       TT_F_ENDPOINT("remote", &remote), TT_F_STR("why", why),
		       TT_F_U64("rtt_us", path ? path->rtt_us : 0));
	if (m->opt.event)
		m->opt.event(m->opt.ctx, &e);
}

static void ask_relay(struct node_mesh *m, struct node_mesh_peer *p)
{
	Taltun__Hub__V1__ToHub msg = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__RelayOpen open = TALTUN__HUB__V1__RELAY_OPEN__INIT;

	open.node_id = p->node_id;
	msg.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_OPEN;
	msg.relay_open = &open;
	node_hub_link_send(m->link, &msg);
}

/* --- the path's MTU --------------------------------------------------------------------------- */

/* A path that has just been chosen: nothing is known of it. */
static void measure_anew(struct node_mesh *m, struct node_mesh_peer *p)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);
	bool relayed = path && path->kind == MESH_PATH_RELAY_UDP;

	if (!path || path->kind == MESH_PATH_RELAY_TCP) {
		memset(&p->pmtu, 0, sizeof(p->pmtu));
		return;
	}
	const struct tt_ip *to =
		relayed ? &mesh_relay_bind_address(&p->bind)->ip : &path->remote.ip;

	mesh_pmtu_start(&p->pmtu, (enum tt_family)to->family, relayed,
			m->opt.route_mtu(m->opt.ctx, to));
}

static uint32_t link_mtu(struct node_mesh *m, struct node_mesh_peer *p)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);

	return m->opt.route_mtu(m->opt.ctx, path->kind == MESH_PATH_RELAY_UDP
						    ? &mesh_relay_bind_address(&p->bind)->ip
						    : &path->remote.ip);
}

void node_mesh_look_at_mtu(struct node_mesh *m, struct node_mesh_peer *p)
{
	if (!mesh_paths_selected(&p->paths) || p->pmtu.state == MESH_PMTU_OFF)
		return;
	mesh_pmtu_link_changed(&p->pmtu, link_mtu(m, p), plat_clock_mono());
	node_mesh_run_peer(m, p);
}

static bool busy(const struct mesh_path_facts *f, struct tt_mono now)
{
	return tt_mono_is_set(f->last_data_tx) &&
	       tt_mono_since(now, f->last_data_tx) < NODE_MESH_BUSY_NS;
}

/* The path in use has turned out to be one to be left. */
static bool is_too_narrow(struct node_mesh *m, struct node_mesh_peer *p, struct tt_mono now)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);

	return path && mesh_pmtu_is_narrow(&p->pmtu) && !tt_mono_before(now, path->narrow_until) &&
	       p->pmtu.outer < link_mtu(m, p) - MESH_PMTU_STEP &&
	       mesh_paths_too_narrow(&p->paths, now);
}

static void measure(struct node_mesh *m, struct node_mesh_peer *p, const struct mesh_path_facts *f,
		    struct tt_mono now)
{
	struct mesh_pmtu_probe probe[MESH_PMTU_PROBES_MAX];
	const struct mesh_path *path = mesh_paths_selected(&p->paths);
	uint32_t was = p->route.inner_mtu;

	if (!path || p->pmtu.state == MESH_PMTU_OFF || !mesh_check_ready(&p->keys))
		return;
	/* checks are answered and data is not: large packets may be what is lost */
	if (tt_mono_is_set(f->unanswered_tx_since) &&
	    tt_mono_since(now, f->unanswered_tx_since) > TT_NS_PER_SEC &&
	    tt_mono_before(f->unanswered_tx_since, path->heard))
		mesh_pmtu_suspect(&p->pmtu);
	unsigned n = mesh_pmtu_run(&p->pmtu, busy(f, now), path->rtt_us, now, &m->opt.rng, probe);

	for (unsigned i = 0; i < n; i++)
		node_mesh_send_probe(m, p, &probe[i]);
	node_mesh_publish(m, p);
	if (p->route.inner_mtu == was)
		return;
	struct node_mesh_event e = {.kind = NODE_MESH_MTU_CHANGED,
				    .peer = p->name,
				    .path = (enum mesh_path_kind)path->kind,
				    .path_was = (enum mesh_path_kind)path->kind,
				    .mtu = p->route.inner_mtu,
				    .why = "the path was measured"};

	tt_log_limited(TT_LOG_INFO, "peer.mtu", NULL, plat_clock_mono(), PATH_LINES_PER_S,
		       TT_F_STR("peer", p->name), TT_F_U64("inner_mtu", p->route.inner_mtu),
		       TT_F_U64("was", was));
	if (m->opt.event)
		m->opt.event(m->opt.ctx, &e);
}

static void act(struct node_mesh *m, struct node_mesh_peer *p, const struct mesh_path_action *a,
		enum mesh_path_kind was)
{
	switch (a->act) {
	case MESH_ACT_CHECK:
		node_mesh_send_check(m, p, a->index, a->id);
		break;
	case MESH_ACT_SELECT:
		measure_anew(m, p);
		node_mesh_publish(m, p);
		selected(m, p, was);
		break;
	case MESH_ACT_EXCHANGE:
		node_mesh_send_offer(m, p, true);
		break;
	case MESH_ACT_ANSWER:
		node_mesh_send_offer(m, p, false);
		break;
	case MESH_ACT_OPEN_RELAY:
		ask_relay(m, p);
		break;
	}
}

void node_mesh_run_peer(struct node_mesh *m, struct node_mesh_peer *p)
{
	struct mesh_path_action action[MESH_PATH_ACTIONS_MAX];
	struct tt_mono now = plat_clock_mono();
	struct mesh_path_facts f = facts_of(p);

	/* an action may lead back here (a new route sends a handshake, which is a wish) */
	if (p->running)
		return;
	p->running = true;
	node_mesh_relay_run(m, p, now);
	const struct mesh_path *before = mesh_paths_selected(&p->paths);
	enum mesh_path_kind was = before ? (enum mesh_path_kind)before->kind : MESH_PATH_NONE;
	unsigned n = mesh_paths_run(&p->paths, &f, now, &m->opt.rng, action);

	for (unsigned i = 0; i < n; i++)
		act(m, p, &action[i], was);
	measure(m, p, &f, now);
	struct tt_mono next = mesh_paths_next_deadline(&p->paths, &f, now);
	if (is_too_narrow(m, p, now))
		next = tt_mono_add_ns(now, TT_NS_PER_MS);
	struct tt_mono bind = mesh_relay_bind_deadline(&p->bind);

	if (tt_mono_is_set(bind) && tt_mono_before(bind, next))
		next = bind;
	if (mesh_paths_selected(&p->paths) && p->pmtu.state != MESH_PMTU_OFF &&
	    mesh_check_ready(&p->keys)) {
		struct tt_mono mtu = mesh_pmtu_next_deadline(&p->pmtu, busy(&f, now));
		next.ns = TT_MIN(next.ns, mtu.ns);
	}
	if (next.ns == UINT64_MAX)
		tt_heap_remove(&m->deadlines, &p->deadline);
	else
		tt_heap_set(&m->deadlines, &p->deadline, next.ns);
	p->running = false;
}

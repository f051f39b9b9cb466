/* SPDX-License-Identifier: MIT
 *
 * Our legs of the hub's UDP relay, one for each peer that needs it.
 */
#include "node/mesh_impl.h"

/* Relay datagrams are taken from these addresses alone. */
static void know_relay(struct node_mesh *m, const struct tt_endpoint *at)
{
	for (unsigned i = 0; i < m->relay_count; i++)
		if (tt_endpoint_equal(&m->relays[i], at))
			return;
	if (m->relay_count == DP_RELAYS_MAX) /* a hub that changes its addresses: the oldest goes */
		memmove(m->relays, m->relays + 1, --m->relay_count * sizeof(m->relays[0]));
	m->relays[m->relay_count++] = *at;
	dp_plane_set_relays(node_device_plane(m->opt.device), m->relays, m->relay_count);
}

/* --- tags ------------------------------------------------------------------------------------- */

static struct node_mesh_peer **slot_of(struct node_mesh *m, uint32_t tag)
{
	uint64_t h = (tag + UINT64_C(1)) * (m->by_id_seed | 1);

	return &m->by_tag[(h >> 40) % NODE_MESH_TAG_SLOTS];
}

static struct node_mesh_peer *find_by_tag(struct node_mesh *m, uint32_t tag)
{
	struct node_mesh_peer *p = tag ? *slot_of(m, tag) : NULL;

	while (p && p->tag != tag)
		p = p->next_by_tag;
	return p;
}

static void unlist(struct node_mesh *m, struct node_mesh_peer *p)
{
	if (!p->tag)
		return;
	struct node_mesh_peer **at = slot_of(m, p->tag);

	while (*at != p)
		at = &(*at)->next_by_tag;
	*at = p->next_by_tag;
	p->tag = 0;
}

static void list(struct node_mesh *m, struct node_mesh_peer *p, uint32_t tag)
{
	unlist(m, p);
	p->tag = tag;
	if (!tag)
		return;
	struct node_mesh_peer **at = slot_of(m, tag);

	p->next_by_tag = *at;
	*at = p;
}

/* --- legs ------------------------------------------------------------------------------------- */

/* Each leg makes us send something to where the hub says. */
static bool may_open(struct node_mesh *m, struct tt_mono now)
{
	if (tt_mono_since(now, m->opened_filled) >= TT_NS_PER_SEC) {
		m->opened_filled = now;
		m->opened_left = NODE_MESH_OPENED_PER_S;
	}
	if (!m->opened_left)
		return false;
	m->opened_left--;
	return true;
}

void node_mesh_relay_opened(struct node_mesh *m, const Taltun__Hub__V1__RelayOpened *o)
{
	struct node_mesh_peer *p = node_mesh_find(m, o->node_id);
	struct tt_endpoint at[MESH_HUB_ENDPOINTS_MAX];
	struct tt_mono now = plat_clock_mono();
	int n = mesh_hub_endpoints_read(&o->addresses, at, TT_ARRAY_LEN(at));

	if (!p || !p->peer || n <= 0 || !may_open(m, now))
		return;
	/* the leg before is gone in any case */
	bool started = mesh_relay_bind_start(&p->bind, o->tag, o->key.data, at, (size_t)n,
					     m->opt.loopback_too, now) == MESH_RELAY_BIND_STARTED;

	list(m, p, started ? o->tag : 0);
	mesh_paths_relay(&p->paths, MESH_PATH_RELAY_UDP, false, now);
	if (!started)
		m->drops[TT_DROP_RX_RELAY_SOURCE]++;
	/* those that packets may go to, not all that were named */
	for (unsigned i = 0; i < p->bind.count; i++)
		know_relay(m, &p->bind.addresses[i]);
	node_mesh_run_peer(m, p);
}

void node_mesh_relay_drop(struct node_mesh *m, struct node_mesh_peer *p)
{
	unlist(m, p);
	if (p->bind.state == MESH_RELAY_BIND_IDLE)
		return;
	mesh_relay_bind_stop(&p->bind);
	mesh_paths_relay(&p->paths, MESH_PATH_RELAY_UDP, false, plat_clock_mono());
}

/* Once a better path is in use the leg is let go: it would be kept alive for nothing. */
static bool still_needed(const struct node_mesh_peer *p, struct tt_mono now)
{
	const struct mesh_path *path = mesh_paths_selected(&p->paths);

	return !path || path->kind == MESH_PATH_RELAY_UDP || path->kind == MESH_PATH_RELAY_TCP ||
	       tt_mono_since(now, p->paths.selected_at) < NODE_MESH_LEG_KEEP_NS;
}

void node_mesh_relay_run(struct node_mesh *m, struct node_mesh_peer *p, struct tt_mono now)
{
	struct mesh_relay_bind_send send;
	struct plat_udp_dest dest;
	bool lost_source;

	if (p->bind.state == MESH_RELAY_BIND_IDLE)
		return;
	if (!still_needed(p, now)) {
		node_mesh_relay_drop(m, p);
		return;
	}
	while (mesh_relay_bind_poll(&p->bind, now, p->relay_sent, p->relay_heard, &send)) {
		memset(&dest, 0, sizeof(dest));
		dest.to = send.to;
		plat_udp_dest_prepare(&dest);
		(void)m->opt.send(m->opt.ctx, &dest, send.bytes, send.len, &lost_source);
	}
	mesh_paths_relay(&p->paths, MESH_PATH_RELAY_UDP, mesh_relay_bind_is_usable(&p->bind), now);
	/* the relay's next address may have been taken */
	if (mesh_paths_selected(&p->paths) &&
	    mesh_paths_selected(&p->paths)->kind == MESH_PATH_RELAY_UDP)
		node_mesh_publish(m, p);
}

static bool is_relay(const struct node_mesh *m, const struct tt_endpoint *src)
{
	for (unsigned i = 0; i < m->relay_count; i++)
		if (tt_endpoint_equal(&m->relays[i], src))
			return true;
	return false;
}

/* A packet that a peer sent by the relay, and that came here rather than to a worker. */
static void take_data(struct node_mesh *m, struct node_mesh_peer *p, const struct tt_endpoint *src,
		      const struct tt_ip *dst, uint32_t ifindex, const struct mesh_relay_message *r)
{
	p->relay_heard = plat_clock_mono();
	if (mesh_stun_is(r->inner, r->inner_len)) {
		node_mesh_take_stun(m, DP_VIA_RELAY_UDP, p, src, r->inner, r->inner_len);
		return;
	}
	enum tt_drop why = dp_plane_udp_push(node_device_plane(m->opt.device), src, dst, ifindex,
					     r->start, MESH_RELAY_HEADER + r->inner_len);

	if (why != TT_DROP_NONE)
		m->drops[why]++;
}

void node_mesh_relay_take(struct node_mesh *m, const struct tt_endpoint *src,
			  const struct tt_ip *dst, uint32_t ifindex, const uint8_t *bytes,
			  size_t len)
{
	struct mesh_relay_message r;

	if (!is_relay(m, src) || mesh_relay_parse(&r, bytes, len) != MESH_RELAY_OK) {
		m->drops[TT_DROP_RX_RELAY_SOURCE]++;
		return;
	}
	struct node_mesh_peer *p = find_by_tag(m, r.tag);

	if (!p) {
		m->drops[TT_DROP_RX_RELAY_SOURCE]++;
		return;
	}
	if (r.type == MESH_RELAY_DATA)
		take_data(m, p, src, dst, ifindex, &r);
	else
		mesh_relay_bind_receive(&p->bind, &r, src, plat_clock_mono());
	node_mesh_run_peer(m, p);
}

/* SPDX-License-Identifier: MIT
 *
 * What the hub says, and what the node answers; its certificate.
 */
#include "node/mesh_impl.h"

#define DAY_S 86400

static void all_peers_relay(struct node_mesh *m, bool up)
{
	struct tt_mono now = plat_clock_mono();
	struct tt_list *at;

	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		mesh_paths_relay(&p->paths, MESH_PATH_RELAY_TCP, up && p->online, now);
		node_mesh_run_peer(m, p);
	}
	node_mesh_rearm(m);
}

static void on_hello(void *ctx, Taltun__Hub__V1__Hello *h)
{
	struct node_mesh *m = ctx;
	struct node_device_info info;

	node_device_get_info(m->opt.device, &info);
	h->version = mesh_hub_text(TALTUN_VERSION);
	h->os = mesh_hub_text("linux");
	h->map_epoch = m->map.epoch;
	h->map_version = m->map.version;
	h->udp_port = info.udp_port;
	mesh_netmap_abandon_chain(&m->map);
}

static void take_self(struct node_mesh *m, const Taltun__Hub__V1__Welcome *w)
{
	struct mesh_netmap_self self = {.node_id = w->node_id};
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX];
	int n = mesh_hub_prefixes_read(&w->addresses, list, TT_ARRAY_LEN(list));

	for (int i = 0; i < n; i++)
		self.addresses[self.address_count++] = list[i].ip;
	mesh_hub_text_copy(self.name, sizeof(self.name), &w->name);
	mesh_netmap_set_self(&m->map, &self);
}

static void on_up(void *ctx, const Taltun__Hub__V1__Welcome *w)
{
	struct node_mesh *m = ctx;
	struct node_hub_link_info info;

	node_hub_link_get_info(m->link, &info);
	take_self(m, w);
	m->hub_at = info.at;
	m->stun_port = (uint16_t)w->stun_udp_port;
	m->hub_keepalive_s = (uint16_t)w->keepalive_s;
	m->map_refusals = 0;
	struct tt_wall wall = plat_clock_wall();
	m->hub_ahead_ms = w->hub_time > wall.sec ? (w->hub_time - wall.sec) * 1000 : 0;
	tt_log(TT_LOG_INFO, "hub.up", TT_F_STR("hub", info.host), TT_F_ENDPOINT("at", &info.at),
	       TT_F_STR("name", m->map.self.name));
	node_mesh_say(m, NODE_MESH_HUB_UP, NULL, "connected");
	node_mesh_gather_start(m);
	all_peers_relay(m, true);
	node_mesh_renew(m);
}

static void on_down(void *ctx, const char *why)
{
	struct node_mesh *m = ctx;

	tt_log(TT_LOG_WARN, "hub.down", TT_F_STR("why", why),
	       TT_F_STR("hint", "tunnels go on; the map at hand stays in force"));
	m->opt.watch_relay(m->opt.ctx, true);
	node_mesh_say(m, NODE_MESH_HUB_DOWN, NULL, why);
	all_peers_relay(m, false);
}

static void take_signal(struct node_mesh *m, const Taltun__Hub__V1__Signal *s)
{
	struct node_mesh_peer *p = node_mesh_find(m, s->node_id);

	if (p && p->peer)
		node_mesh_take_offer(m, p, s->sealed.data, s->sealed.len);
}

static void take_renewed(struct node_mesh *m, const Taltun__Hub__V1__Renewed *r)
{
	struct tls_der cert;
	struct tls_cert_info info;

	if (r->certificate.len > sizeof(cert.bytes))
		return;
	cert.len = (uint32_t)r->certificate.len;
	memcpy(cert.bytes, r->certificate.data, cert.len);
	if (tls_cert_parse(cert.bytes, cert.len, &info) != 0 || info.role != TLS_CERT_NODE ||
	    memcmp(info.wg_public_key, m->opt.rules.own_public_key, 32) != 0 ||
	    !tls_cert_signed_by(&cert, &m->opt.hub.ca) ||
	    node_hub_link_set_cert(m->link, &cert) != 0) {
		tt_log(TT_LOG_WARN, "hub.renewal_refused",
		       TT_F_STR("hint", "the hub sent a certificate that is not ours"));
		return;
	}
	m->opt.hub.cert = cert;
	tt_log(TT_LOG_INFO, "hub.renewed",
	       TT_F_U64("days", (info.not_after_s - plat_clock_wall().sec) / DAY_S));
	m->opt.save_cert(m->opt.ctx, &cert);
}

static void on_message(void *ctx, const Taltun__Hub__V1__ToNode *t)
{
	struct node_mesh *m = ctx;
	struct node_mesh_peer *p;

	switch (t->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE:
		node_mesh_map_update(m, t->map_update);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL:
		take_signal(m, t->signal);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RENEWED:
		take_renewed(m, t->renewed);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED:
		node_mesh_relay_opened(m, t->relay_opened);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_CLOSED:
		p = node_mesh_find(m, t->relay_closed->node_id);
		if (p)
			node_mesh_relay_drop(m, p);
		break;
	default:
		break; /* refusals: the path machine asks again in its own time */
	}
	node_mesh_rearm(m);
}

static void on_packet(void *ctx, uint32_t from, const uint8_t *packet, uint32_t len)
{
	struct node_mesh *m = ctx;
	struct node_mesh_peer *p = node_mesh_find(m, from);

	if (!p || !p->peer) {
		m->drops[TT_DROP_RX_RELAY_SOURCE]++;
	} else if (mesh_stun_is(packet, len)) {
		node_mesh_take_stun(m, DP_VIA_RELAY_TCP, p, NULL, packet, len);
	} else {
		enum tt_drop why =
			dp_plane_relay_push(node_device_plane(m->opt.device), from, packet, len);
		if (why != TT_DROP_NONE)
			m->drops[why]++;
	}
}

static void on_room(void *ctx)
{
	struct node_mesh *m = ctx;

	m->opt.watch_relay(m->opt.ctx, true);
	node_mesh_pump(m);
}

static void on_resolve(void *ctx, const char *host, uint16_t port)
{
	struct node_mesh *m = ctx;

	m->opt.hub.on.resolve(m->owner, host, port);
}

static int on_socket(void *ctx, enum tt_family family)
{
	struct node_mesh *m = ctx;

	return m->opt.hub.on.socket(m->owner, family);
}

const struct node_hub_link_handlers node_mesh_hub_handlers = {.resolve = on_resolve,
							      .socket = on_socket,
							      .hello = on_hello,
							      .up = on_up,
							      .message = on_message,
							      .packet = on_packet,
							      .room = on_room,
							      .down = on_down};

/* --- the certificate -------------------------------------------------------------------------- */

/* At two thirds of its life, then once an hour until it has come. */
void node_mesh_renew(struct node_mesh *m)
{
	struct tt_mono now = plat_clock_mono();
	Taltun__Hub__V1__ToHub msg = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Renew renew = TALTUN__HUB__V1__RENEW__INIT;
	struct tls_cert_info info;

	if (tt_mono_is_set(m->renew_looked) &&
	    tt_mono_since(now, m->renew_looked) < NODE_MESH_RENEW_LOOK_S * TT_NS_PER_SEC)
		return;
	if (tls_cert_parse(m->opt.hub.cert.bytes, m->opt.hub.cert.len, &info) != 0)
		return;
	uint64_t life = info.not_after_s - info.not_before_s;

	if (plat_clock_wall().sec < info.not_before_s + life / 3 * 2)
		return;
	/* the request was made when the key was at hand: it says nothing but the key */
	renew.csr = mesh_hub_bytes(m->csr.bytes, m->csr.len);
	msg.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW;
	msg.renew = &renew;
	if (node_hub_link_send(m->link, &msg))
		m->renew_looked = now;
}

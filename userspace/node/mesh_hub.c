/* SPDX-License-Identifier: MIT
 *
 * What the hub says, and what the node answers; its certificate.
 */
#include "node/mesh_impl.h"
#include "plat/clock.h"

#define HOUR_S 3600

static void all_peers_relay(struct node_mesh *m, bool up)
{
	struct tt_mono now = plat_clock_mono();
	struct tt_list *at;

	node_device_hold(m->opt.device, true);
	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		mesh_paths_relay(&p->paths, MESH_PATH_RELAY_TCP, up && p->online, now);
		node_mesh_run_peer(m, p);
	}
	node_device_hold(m->opt.device, false);
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

/*
 * Offers are numbered by the hub's clock, so that it does not matter what ours says, today or after
 * a restart. No hub gets beyond the life of our certificate: peers would not listen to us until
 * then.
 */
static void take_time(struct node_mesh *m, uint64_t hub_time_s, uint32_t ms)
{
	m->hub_time_s = TT_MIN(TT_MAX(hub_time_s, m->cert.not_before_s), m->cert.not_after_s);
	m->hub_time_ms = m->hub_time_s == hub_time_s ? ms : 0;
	m->hub_time_at = plat_clock_mono();
}

struct tt_wall node_mesh_hub_clock(const struct node_mesh *m)
{
	struct tt_wall w = {.sec = m->hub_time_s};

	if (!m->hub_time_s)
		return plat_clock_wall();
	uint64_t ns =
		tt_mono_since(plat_clock_mono(), m->hub_time_at) + m->hub_time_ms * TT_NS_PER_MS;

	w.sec += ns / TT_NS_PER_SEC;
	w.nsec = (uint32_t)(ns % TT_NS_PER_SEC);
	return w;
}

static void on_up(void *ctx, const Taltun__Hub__V1__Welcome *w)
{
	struct node_mesh *m = ctx;
	struct node_hub_link_info info;

	node_hub_link_get_info(m->link, &info);
	take_self(m, w);
	m->stun_port = (uint16_t)w->stun_udp_port;
	m->hub_keepalive_s = (uint16_t)w->keepalive_s;
	m->asked_all = (struct tt_mono){0};
	take_time(m, w->hub_time, w->hub_time_ms);
	/* it is dropped where nobody is connected, and may have been stopped for want of room */
	m->opt.watch_relay(m->opt.ctx, true);
	tt_log_limited(TT_LOG_INFO, "hub.up", NULL, plat_clock_mono(), 2,
		       TT_F_STR("hub", info.host), TT_F_ENDPOINT("at", &info.at),
		       TT_F_STR("name", m->map.self.name));
	node_mesh_say(m, NODE_MESH_HUB_UP, NULL, "connected");
	node_mesh_gather_start(m);
	all_peers_relay(m, true);
	if (!m->renewing)
		m->renew_asked = (struct tt_mono){0};
	node_mesh_renew(m);
}

static void on_down(void *ctx, const char *why)
{
	struct node_mesh *m = ctx;
	struct node_hub_link_info info;

	node_hub_link_get_info(m->link, &info);
	tt_log_limited(TT_LOG_WARN, "hub.down", NULL, plat_clock_mono(), 2, TT_F_STR("why", why),
		       TT_F_STR("hint",
				info.state == NODE_HUB_STOPPED
					? "others leave this node out: a new token of the hub, "
					  "and `taltun enroll`, make it a member again"
					: "tunnels go on; the map at hand stays in force"));
	m->opt.watch_relay(m->opt.ctx, true);
	node_mesh_map_touch(m);
	m->renewing = false;
	node_mesh_say(m, NODE_MESH_HUB_DOWN, NULL, why);
	all_peers_relay(m, false);
}

static void take_signal(struct node_mesh *m, const Taltun__Hub__V1__Signal *s)
{
	struct node_mesh_peer *p = node_mesh_find(m, s->node_id);

	if (p && p->peer)
		node_mesh_take_offer(m, p, s->sealed.data, s->sealed.len);
	else
		m->drops[TT_DROP_RX_RELAY_SOURCE]++;
}

/* The same node and key, ours, and better than what we have. */
static bool is_renewal(const struct node_mesh *m, const struct tls_der *cert,
		       const struct tls_cert_info *info)
{
	return info->role == TLS_CERT_NODE && info->has_wg_key &&
	       memcmp(info->wg_public_key, m->opt.rules.own_public_key, 32) == 0 &&
	       strcmp(info->name, m->cert.name) == 0 && info->not_after_s > m->cert.not_after_s &&
	       plat_clock_wall().sec < info->not_after_s &&
	       tls_cert_signed_by(cert, &m->opt.hub.ca);
}

static void take_renewed(struct node_mesh *m, const Taltun__Hub__V1__Renewed *r)
{
	struct tls_der cert;
	struct tls_cert_info info;

	/* one answer to each request: the hub does not decide when our disk is written to */
	if (!m->renewing || r->certificate.len > sizeof(cert.bytes))
		return;
	m->renewing = false;
	cert.len = (uint32_t)r->certificate.len;
	memcpy(cert.bytes, r->certificate.data, cert.len);
	if (tls_cert_parse(cert.bytes, cert.len, &info) != 0 || !is_renewal(m, &cert, &info) ||
	    node_hub_link_set_cert(m->link, &cert) != 0) {
		tt_log_limited(TT_LOG_WARN, "hub.renewal_refused", NULL, plat_clock_mono(), 1,
			       TT_F_STR("hint",
					"the hub sent a certificate that is not ours, or that does "
					"not live longer than the one we have"));
		return;
	}
	m->opt.hub.cert = cert;
	m->cert = info;
	tt_log_limited(TT_LOG_INFO, "hub.renewed", NULL, plat_clock_mono(), 1,
		       TT_F_U64("hours", (info.not_after_s - plat_clock_wall().sec) / HOUR_S));
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
		if (!p)
			break;
		node_mesh_relay_drop(m, p);
		node_mesh_run_peer(m, p);
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

uint64_t node_mesh_renew_in_s(const struct node_mesh *m)
{
	uint64_t now = plat_clock_wall().sec, life = m->cert.not_after_s - m->cert.not_before_s;
	uint64_t due = m->cert.not_before_s + life / 3 * 2;

	if (now < due)
		return due - now;
	/* asked in vain: again after an hour, sooner where the life is short */
	uint64_t again = TT_MIN((uint64_t)NODE_MESH_RENEW_AGAIN_S, life / 30 + 1);
	uint64_t since = tt_mono_since(plat_clock_mono(), m->renew_asked) / TT_NS_PER_SEC;

	return !tt_mono_is_set(m->renew_asked) || since >= again ? 0 : again - since;
}

void node_mesh_cert_keep(struct node_mesh *m)
{
	if (!tt_mono_is_set(m->cert_due) || tt_mono_before(plat_clock_mono(), m->cert_due))
		return;
	m->cert_due = (struct tt_mono){0};
	m->opt.save_cert(m->opt.ctx, &m->opt.hub.cert);
}

void node_mesh_cert_not_kept(struct node_mesh *m)
{
	m->cert_due = tt_mono_add_ns(plat_clock_mono(), NODE_MESH_KEEP_AGAIN_NS);
	node_mesh_rearm(m);
}

/* At two thirds of its life, then once in a while until it has come. */
void node_mesh_renew(struct node_mesh *m)
{
	struct tt_mono now = plat_clock_mono();
	Taltun__Hub__V1__ToHub msg = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Renew renew = TALTUN__HUB__V1__RENEW__INIT;

	if (node_mesh_renew_in_s(m))
		return;
	/* also where it cannot be sent: it is looked at when the hub is back */
	m->renew_asked = now;
	/* the request was made when the key was at hand: it says nothing but the key */
	renew.csr = mesh_hub_bytes(m->csr.bytes, m->csr.len);
	msg.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW;
	msg.renew = &renew;
	m->renewing = node_hub_link_send(m->link, &msg);
}

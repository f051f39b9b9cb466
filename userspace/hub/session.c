/* SPDX-License-Identifier: MIT
 *
 * The hub's side of a connection: what its frames mean.
 */
#include <stdlib.h>

#include "base/log.h"
#include "hub/relay_at.h"
#include "hub/auth_log.h"
#include "hub/server_impl.h"
#include "plat/clock.h"

typedef Taltun__Hub__V1__ToNode to_node;

/* --- sending ---------------------------------------------------------------------------------- */

bool hub_session_send(struct hub_session *e, const to_node *m)
{
	struct hub_server *s = e->server;
	size_t len;

	if (mesh_hub_to_node_pack(m, s->frame, sizeof(s->frame), &len) != MESH_HUB_OK) {
		tt_log_limited(TT_LOG_ERROR, "hub.message_failed", NULL, plat_clock_mono(), 1,
			       TT_F_U64("kind", m->message_case));
		return false;
	}
	return hub_conn_send(e->conn, s->frame, len);
}

void hub_session_refuse(struct hub_session *e, Taltun__Hub__V1__ErrorCode code, const char *text,
			enum hub_close why)
{
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Error error = TALTUN__HUB__V1__ERROR__INIT;

	if (code == TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN)
		hub_auth_failed(hub_conn_source(e->conn), HUB_AUTH_TOKEN, text);
	error.code = code;
	error.text = mesh_hub_text(text);
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR;
	m.error = &error;
	hub_session_send(e, &m);
	hub_conn_close(e->conn, why);
}

static void bad_message(struct hub_session *e, const char *what)
{
	tt_log_limited(TT_LOG_INFO, "hub.bad_message", what, plat_clock_mono(), HUB_LOG_LINES_PER_S,
		       TT_F_STR("node", e->node ? e->node->is.name : ""),
		       TT_F_ENDPOINT("from", hub_conn_source(e->conn)), TT_F_STR("what", what));
	hub_session_refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_PROTOCOL, what,
			   HUB_CLOSE_BAD_MESSAGE);
}

/* --- life ------------------------------------------------------------------------------------- */

void hub_session_opened(void *ctx, struct hub_conn *c)
{
	struct hub_server *s = ctx;
	const struct tls_cert_info *peer = hub_conn_peer(c);
	struct hub_session *e = calloc(1, sizeof(*e));

	if (!e) {
		hub_conn_close(c, HUB_CLOSE_RESET);
		return;
	}
	e->server = s;
	e->conn = c;
	tt_list_init(&e->link);
	tt_list_init(&e->curious);
	e->cookie = (uint64_t)++s->generation << 32;
	for (uint32_t i = 0; i < s->slot_count; i++) {
		uint32_t slot = (s->slot_next + i) % s->slot_count;
		if (s->slots[slot])
			continue;
		s->slots[slot] = e;
		s->slot_next = slot + 1;
		e->cookie |= slot;
		break;
	}
	e->state =
		peer && peer->role == TLS_CERT_NODE ? HUB_SESSION_GREETING : HUB_SESSION_STRANGER;
	hub_conn_set_session(c, e);
}

/* Its place in the registry is free; another connection of the same node may have taken it. */
static void leave(struct hub_session *e)
{
	struct hub_server *s = e->server;

	tt_list_del(&e->link);
	tt_list_del(&e->curious);
	if (e->node && e->node->session == e) {
		hub_store_seen(s->store, e->node->is.id, hub_wall_s());
		hub_registry_set_session(s->registry, e->node, NULL);
		hub_server_changed(s);
	}
	e->node = NULL;
}

void hub_session_closed(void *ctx, struct hub_conn *c, enum hub_close why)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_conn_session(c);

	if (why == HUB_CLOSE_TLS)
		hub_auth_tls_failed(hub_conn_source(c), hub_conn_tls_failure(c));
	if (!e)
		return;
	if (e->node)
		tt_log_limited(TT_LOG_INFO, "hub.node_left", hub_close_name(why), plat_clock_mono(),
			       HUB_LOG_LINES_PER_S, TT_F_STR("node", e->node->is.name),
			       TT_F_STR("why", hub_close_name(why)));
	leave(e);
	hub_enrol_forget(e);
	uint32_t slot = (uint32_t)e->cookie;
	if (slot < s->slot_count && s->slots[slot] == e)
		s->slots[slot] = NULL;
	hub_conn_set_session(c, NULL);
	free(e);
}

/* --- maps ------------------------------------------------------------------------------------- */

static void send_map(struct hub_session *e)
{
	struct hub_server *s = e->server;

	while (e->cursor.under_way && hub_conn_control_pending(e->conn) < HUB_MAP_WINDOW) {
		size_t len = hub_map_next(s->registry, e->node, &e->cursor, hub_wall_s(), s->frame,
					  sizeof(s->frame));
		if (!len || !hub_conn_send(e->conn, s->frame, len))
			return;
		s->stats.map_frames++;
	}
	if (!e->cursor.under_way) {
		e->map_epoch = e->cursor.epoch;
		e->map_version = e->cursor.version;
		e->map_said_s = hub_wall_s();
	}
}

void hub_session_push_map(struct hub_session *e)
{
	struct hub_server *s = e->server;

	if (e->state != HUB_SESSION_UP || e->cursor.under_way)
		return;
	if (hub_map_begin(s->registry, e->node, e->map_epoch, e->map_version, &e->map_seen,
			  &e->cursor))
		send_map(e);
	else if (hub_wall_s() - e->map_said_s >= HUB_MAP_EXTEND_S) {
		hub_map_begin_empty(s->registry, e->map_version, &e->map_seen, &e->cursor);
		send_map(e);
	}
}

void hub_session_drained(void *ctx, struct hub_conn *c)
{
	struct hub_session *e = hub_conn_session(c);

	(void)ctx;
	if (!e || e->state != HUB_SESSION_UP)
		return;
	if (e->cursor.under_way)
		send_map(e);
	if (!e->cursor.under_way)
		hub_session_push_map(e);
}

/* --- limits -------------------------------------------------------------------------------------
 */

/* One in every_s seconds, and burst at once. */
static bool may_ask(struct hub_session *e, struct hub_bucket *b, uint32_t every_s, uint32_t burst)
{
	if (hub_bucket_take(b, every_s, 1, (uint64_t)burst * every_s, hub_server_now(e->server)))
		return true;
	e->server->stats.limited++;
	return false;
}

/* Work that a node has caused, useful or not. Nothing is lost where it is too much: it waits. */
static void charge(struct hub_session *e)
{
	if (!hub_bucket_take(&e->messages, 1, HUB_MESSAGES_PER_S, HUB_MESSAGES_BURST,
			     hub_server_now(e->server)))
		hub_conn_hold(e->conn, HUB_HOLD_MS);
}

/* A node that does not read must not lose its connection for what others send it. */
static bool has_room(const struct hub_session *to)
{
	return hub_conn_control_pending(to->conn) <= to->server->opt.limits.control_bytes / 4;
}

/* --- greeting --------------------------------------------------------------------------------- */

size_t hub_session_networks(const struct hub_server *s, uint8_t *space, size_t room)
{
	const struct tt_cidr *const pools[] = {&s->opt.settings.pool4, &s->opt.settings.pool6};
	struct tt_cidr list[TT_ARRAY_LEN(pools)];
	size_t n = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(pools); i++) {
		if (pools[i]->bits == 0)
			continue;
		list[n] = *pools[i];
		tt_cidr_mask(&list[n++]);
	}
	return mesh_hub_prefixes_write(space, room, list, n);
}

static void welcome(struct hub_session *e)
{
	struct hub_server *s = e->server;
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Welcome w = TALTUN__HUB__V1__WELCOME__INIT;
	uint8_t addresses[MESH_HUB_ADDRESSES_MAX * MESH_HUB_PREFIX_BYTES];
	uint8_t networks[MESH_HUB_NETWORKS_MAX * MESH_HUB_PREFIX_BYTES];
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX] = {0};
	const struct hub_node_facts *is = &e->node->is;

	for (unsigned i = 0; i < is->address_count; i++) {
		list[i].ip = is->addresses[i];
		list[i].bits = list[i].ip.family == TT_FAMILY_V4 ? 32 : 128;
	}
	w.node_id = is->id;
	w.name = mesh_hub_text(is->name);
	w.addresses =
		mesh_hub_bytes(addresses, mesh_hub_prefixes_write(addresses, sizeof(addresses),
								  list, is->address_count));
	w.networks = mesh_hub_bytes(networks, hub_session_networks(s, networks, sizeof(networks)));
	hub_wall(&w.hub_time, &w.hub_time_ms);
	w.stun_udp_port = s->opt.stun_udp_port;
	w.relay_udp_port = s->opt.relay ? hub_relay_udp_port(s->opt.relay) : 0;
	w.keepalive_s = s->opt.settings.keepalive_s;
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME;
	m.welcome = &w;
	hub_session_send(e, &m);
}

/* The same node again: the newer connection is the one it uses. */
static void replace(struct hub_session *old)
{
	struct hub_node *n = old->node;

	tt_list_del(&old->link);
	tt_list_del(&old->curious);
	old->node = NULL;
	n->session = NULL; /* the successor takes it in this turn: nobody sees a gap */
	old->state = HUB_SESSION_ENROLLED;
	hub_session_refuse(old, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REPLACED,
			   "the same node connected again", HUB_CLOSE_REPLACED);
}

static void take_hello(struct hub_session *e, const Taltun__Hub__V1__Hello *m)
{
	struct hub_server *s = e->server;
	const struct tls_cert_info *peer = hub_conn_peer(e->conn);
	struct hub_node *n = hub_registry_find_name(s->registry, peer->name);

	if (!s->loaded) {
		hub_session_refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY,
				   "the hub is starting", HUB_CLOSE_REFUSED);
		return;
	}
	if (!n || memcmp(n->is.wg_public_key, peer->wg_public_key, 32) != 0) {
		hub_auth_failed(hub_conn_source(e->conn), HUB_AUTH_CERTIFICATE, "unknown");
		hub_session_refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REVOKED,
				   "this node is not known any more", HUB_CLOSE_REVOKED);
		return;
	}
	if (!may_ask(e, &n->hellos, HUB_HELLO_EVERY_S, HUB_HELLO_BURST)) {
		hub_session_refuse(e, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_BUSY,
				   "this node connects too often; try later", HUB_CLOSE_REFUSED);
		return;
	}
	/* a new connection is a change only where there was none: keep `online` as it is */
	bool was_here = n->session != NULL;

	if (was_here)
		replace(n->session);
	e->node = n;
	e->state = HUB_SESSION_UP;
	e->map_epoch = m->map_epoch;
	e->map_version = m->map_version;
	e->map_seen = m->map_version;
	e->up_since_s = hub_wall_s();
	mesh_hub_text_copy(e->version, sizeof(e->version), &m->version);
	tt_list_add_tail(&s->up, &e->link);
	hub_server_enlist(s, e);
	if (was_here)
		n->session = e;
	else
		hub_registry_set_session(s->registry, n, e);
	hub_conn_trust(e->conn, MESH_FRAME_TO_HUB_MAX, MESH_FRAME_RELAY_MAX);
	hub_conn_expect(e->conn, false);
	tt_log_limited(TT_LOG_INFO, "hub.node_joined", NULL, plat_clock_mono(), HUB_LOG_LINES_PER_S,
		       TT_F_STR("node", n->is.name),
		       TT_F_ENDPOINT("from", hub_conn_source(e->conn)));
	welcome(e);
	hub_session_push_map(e);
	hub_server_changed(s);
	hub_store_seen(s->store, n->is.id, hub_wall_s());
}

/* --- between nodes ---------------------------------------------------------------------------- */

/* The other end where both see each other; NULL and the reason where it cannot be talked to. */
static struct hub_node *other_end(struct hub_session *e, uint32_t id, bool *offline)
{
	struct hub_node *n = hub_registry_find(e->server->registry, id);

	*offline = false;
	if (!n || !hub_registry_sees(e->node, n))
		return NULL;
	*offline = !n->session;
	return n;
}

static void signal_failed(struct hub_session *e, uint32_t id, Taltun__Hub__V1__SignalFailure why)
{
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__SignalFailed f = TALTUN__HUB__V1__SIGNAL_FAILED__INIT;

	e->server->stats.signals_refused++;
	f.node_id = id;
	f.reason = why;
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL_FAILED;
	m.signal_failed = &f;
	hub_session_send(e, &m);
}

static void take_signal(struct hub_session *e, const Taltun__Hub__V1__Signal *in)
{
	struct hub_server *s = e->server;
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Signal out = TALTUN__HUB__V1__SIGNAL__INIT;
	bool offline;
	struct hub_node *n = other_end(e, in->node_id, &offline);

	if (!n) {
		signal_failed(e, in->node_id,
			      TALTUN__HUB__V1__SIGNAL_FAILURE__SIGNAL_FAILURE_UNKNOWN);
	} else if (offline) {
		signal_failed(e, in->node_id,
			      TALTUN__HUB__V1__SIGNAL_FAILURE__SIGNAL_FAILURE_OFFLINE);
	} else if (!has_room(n->session) ||
		   !hub_bucket_take(&e->signals, 1, HUB_SIGNALS_PER_S, HUB_SIGNALS_BURST,
				    hub_server_now(s))) {
		signal_failed(e, in->node_id, TALTUN__HUB__V1__SIGNAL_FAILURE__SIGNAL_FAILURE_BUSY);
	} else {
		s->stats.signals++;
		out.node_id = e->node->is.id;
		out.sealed = in->sealed;
		m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL;
		m.signal = &out;
		hub_session_send(n->session, &m);
	}
}

const char *hub_relay_refusal_name(enum hub_relay_refusal why)
{
	static const char *const name[] = {"disabled",	  "unknown",   "offline", "rate",
					   "not_reading", "node_full", "full"};

	return (unsigned)why < TT_ARRAY_LEN(name) ? name[why] : "unknown";
}

/* What the node is told. It keeps to TCP in any case, and asks again in its own time. */
static void relay_refused(struct hub_session *e, uint32_t id, enum hub_relay_refusal why)
{
	static const Taltun__Hub__V1__RelayRefusal said[] = {
		[HUB_RELAY_REFUSAL_DISABLED] =
			TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_DISABLED,
		[HUB_RELAY_REFUSAL_UNKNOWN] = TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_UNKNOWN,
		[HUB_RELAY_REFUSAL_OFFLINE] = TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_OFFLINE,
		[HUB_RELAY_REFUSAL_RATE] = TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_BUSY,
		[HUB_RELAY_REFUSAL_NOT_READING] =
			TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_BUSY,
		[HUB_RELAY_REFUSAL_NODE_FULL] = TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_BUSY,
		[HUB_RELAY_REFUSAL_FULL] = TALTUN__HUB__V1__RELAY_REFUSAL__RELAY_REFUSAL_BUSY,
	};
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__RelayRefused r = TALTUN__HUB__V1__RELAY_REFUSED__INIT;

	e->server->stats.relay_not_opened[why]++;
	if (why >= HUB_RELAY_REFUSAL_NODE_FULL)
		tt_log_limited(TT_LOG_WARN, "hub.relay_full", hub_relay_refusal_name(why),
			       plat_clock_mono(), 1, TT_F_STR("node", e->node->is.name),
			       TT_F_STR("why", hub_relay_refusal_name(why)));
	r.node_id = id;
	r.reason = said[why];
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_REFUSED;
	m.relay_refused = &r;
	hub_session_send(e, &m);
}

/* Where the relay is for this node: what is known of it, and where the node's own connection came
 * to, which it is sure to reach. */
static size_t relay_addresses(const struct hub_session *e, uint8_t *out, size_t room)
{
	const struct hub_server_options *opt = &e->server->opt;
	struct tt_endpoint list[MESH_HUB_ENDPOINTS_MAX], local;
	unsigned count = opt->relay_at_count;

	memcpy(list, opt->relay_at, sizeof(list));
	if (!opt->relay_at_only && hub_conn_local(e->conn, &local)) {
		local.udp_port = hub_relay_udp_port(opt->relay);
		if (count == MESH_HUB_ENDPOINTS_MAX)
			count--;
		hub_relay_at_add(list, &count, &local);
	}
	return mesh_hub_endpoints_write(out, room, list, count);
}

static void tell_leg(struct hub_session *e, uint32_t other, struct hub_leg *leg)
{
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__RelayOpened o = TALTUN__HUB__V1__RELAY_OPENED__INIT;
	uint8_t at[MESH_HUB_ENDPOINTS_MAX * MESH_HUB_ENDPOINT_BYTES];

	o.node_id = other;
	o.tag = leg->tag;
	o.key = mesh_hub_bytes(leg->key, sizeof(leg->key));
	o.addresses = mesh_hub_bytes(at, relay_addresses(e, at, sizeof(at)));
	o.expires_s = (uint32_t)(MESH_RELAY_LEG_IDLE_NS / TT_NS_PER_SEC);
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED;
	m.relay_opened = &o;
	hub_session_send(e, &m);
}

/* HUB_RELAY_REFUSAL_COUNT: it is open. */
static enum hub_relay_refusal open_relay(struct hub_session *e, struct hub_node *n,
					 struct hub_leg *mine, struct hub_leg *theirs)
{
	struct hub_server *s = e->server;

	if (!has_room(n->session))
		return HUB_RELAY_REFUSAL_NOT_READING;
	if (!hub_bucket_take(&e->signals, 1, HUB_SIGNALS_PER_S, HUB_SIGNALS_BURST,
			     hub_server_now(s)))
		return HUB_RELAY_REFUSAL_RATE;
	switch (hub_relay_open(s->opt.relay, e->node->is.id, n->is.id, mine, theirs)) {
	case HUB_RELAY_OPENED:
		break;
	case HUB_RELAY_SAME_NODE:
		return HUB_RELAY_REFUSAL_UNKNOWN;
	case HUB_RELAY_NODE_FULL:
		return HUB_RELAY_REFUSAL_NODE_FULL;
	case HUB_RELAY_FULL:
		return HUB_RELAY_REFUSAL_FULL;
	}
	return HUB_RELAY_REFUSAL_COUNT;
}

static void take_relay_open(struct hub_session *e, const Taltun__Hub__V1__RelayOpen *m)
{
	struct hub_leg mine, theirs;
	bool offline;
	struct hub_node *n = other_end(e, m->node_id, &offline);
	enum hub_relay_refusal why;

	if (!e->server->opt.relay)
		why = HUB_RELAY_REFUSAL_DISABLED;
	else if (!n)
		why = HUB_RELAY_REFUSAL_UNKNOWN;
	else if (offline)
		why = HUB_RELAY_REFUSAL_OFFLINE;
	else
		why = open_relay(e, n, &mine, &theirs);
	if (why != HUB_RELAY_REFUSAL_COUNT) {
		relay_refused(e, m->node_id, why);
		return;
	}
	tell_leg(e, n->is.id, &mine);
	tell_leg(n->session, e->node->is.id, &theirs);
}

static void take_relay_close(struct hub_session *e, const Taltun__Hub__V1__RelayClose *m)
{
	if (e->server->opt.relay)
		hub_relay_close(e->server->opt.relay, e->node->is.id, m->node_id);
}

/* A packet for another node, inside the connections of both. */
static void take_packet(struct hub_session *e, const struct mesh_frame *f)
{
	struct hub_server *s = e->server;
	uint32_t id, len;
	const uint8_t *packet = mesh_frame_relay_read(f, &id, &len);
	bool offline;
	struct hub_node *n = other_end(e, id, &offline);
	uint64_t rate = s->opt.relay_tcp_bytes_per_s;

	if (!n || offline) {
		s->stats.relay_refused_policy++;
		charge(e);
	} else if (rate && !hub_bucket_take(&e->relay, TT_MAX(len, HUB_PACKET_BYTES_MIN), rate,
					    TT_MAX(rate / 4, 262144), hub_server_now(s))) {
		/* not held for it: what is in the tunnels slows down by what is lost */
		s->stats.relay_refused_rate++;
	} else {
		struct hub_session *to = n->session;
		hub_conn_relay(to->conn, e->node->is.id, packet, len);
	}
}

/* --- dispatch --------------------------------------------------------------------------------- */

static void take_ping(struct hub_session *e, const Taltun__Hub__V1__Ping *in)
{
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;

	pong.token = in->token;
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG;
	m.pong = &pong;
	hub_session_send(e, &m);
}

static void forget_map(struct hub_session *e)
{
	if (!may_ask(e, &e->node->maps, HUB_MAP_EVERY_S, HUB_MAP_BURST))
		return;
	e->map_version = e->map_seen = 0;
	e->cursor.under_way = false;
	hub_session_push_map(e);
}

static void take_up(struct hub_session *e, const Taltun__Hub__V1__ToHub *m)
{
	charge(e);
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_MAP_REQUEST:
		forget_map(e);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW:
		if (!e->renewing &&
		    may_ask(e, &e->node->renewals, HUB_RENEWAL_EVERY_S, HUB_RENEWAL_BURST))
			hub_enrol_renew(e, m->renew);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_SIGNAL:
		take_signal(e, m->signal);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_OPEN:
		take_relay_open(e, m->relay_open);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_CLOSE:
		take_relay_close(e, m->relay_close);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_PING:
		take_ping(e, m->ping);
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_PONG:
		break;
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_GOODBYE:
		hub_conn_close(e->conn, HUB_CLOSE_BY_PEER);
		break;
	default:
		bad_message(e, "this message is not for now");
		break;
	}
}

static void take_control(struct hub_session *e, const Taltun__Hub__V1__ToHub *m)
{
	switch (e->state) {
	case HUB_SESSION_STRANGER:
		if (m->message_case == TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_START)
			hub_enrol_start(e, m->enroll_start);
		else
			bad_message(e, "a certificate is needed for this");
		break;
	case HUB_SESSION_CHALLENGED:
		if (m->message_case == TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_PROOF)
			hub_enrol_proof(e, m->enroll_proof);
		else
			bad_message(e, "a proof is next");
		break;
	case HUB_SESSION_GREETING:
		if (m->message_case == TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO)
			take_hello(e, m->hello);
		else
			bad_message(e, "Hello is next");
		break;
	case HUB_SESSION_UP:
		take_up(e, m);
		break;
	case HUB_SESSION_ENROLLED:
		if (m->message_case == TALTUN__HUB__V1__TO_HUB__MESSAGE_GOODBYE)
			hub_conn_close(e->conn, HUB_CLOSE_BY_PEER);
		break;
	case HUB_SESSION_TOKEN:
	case HUB_SESSION_SIGNING:
	case HUB_SESSION_ENROLLING:
		bad_message(e, "an answer is awaited first");
		break;
	}
}

void hub_session_frame(void *ctx, struct hub_conn *c, const struct mesh_frame *f)
{
	struct hub_server *s = ctx;
	struct hub_session *e = hub_conn_session(c);
	const Taltun__Hub__V1__ToHub *m;
	struct mesh_hub_arena arena;

	if (!e)
		return;
	if (f->kind == MESH_FRAME_RELAY) {
		if (e->state == HUB_SESSION_UP)
			take_packet(e, f);
		return;
	}
	mesh_hub_arena_init(&arena, s->arena, sizeof(s->arena));
	switch (mesh_hub_to_hub_unpack(&arena, f->body, f->len, &m)) {
	case MESH_HUB_OK:
		take_control(e, m);
		break;
	case MESH_HUB_UNKNOWN:
		break; /* of a later version */
	default:
		bad_message(e, "the message is malformed");
		break;
	}
}

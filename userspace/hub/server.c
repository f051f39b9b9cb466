/* SPDX-License-Identifier: MIT */
#include "hub/server.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "hub/server_impl.h"
#include "plat/clock.h"
#include "plat/memory.h"

struct hub_session *hub_session_by_cookie(struct hub_server *s, uint64_t cookie)
{
	uint32_t slot = (uint32_t)cookie;
	struct hub_session *e = slot < s->slot_count ? s->slots[slot] : NULL;

	return e && e->cookie == cookie ? e : NULL;
}

/* --- maps ------------------------------------------------------------------------------------- */

void hub_server_enlist(struct hub_server *s, struct hub_session *e)
{
	tt_list_del(&e->curious);
	if (!hub_registry_is_plain(e->node))
		tt_list_add_tail(&s->curious, &e->curious);
}

/* To everybody, where a gateway or the policy has changed. */
static void push_all(struct hub_server *s)
{
	struct tt_list *at, *next;

	tt_list_for_each_safe (at, next, &s->up) {
		struct hub_session *e = TT_CONTAINER_OF(at, struct hub_session, link);

		if (s->pushed_epoch != hub_registry_epoch(s->registry))
			hub_server_enlist(s, e);
		hub_session_push_map(e);
	}
}

/* Plain clients have nothing to hear of. */
static void push_curious(struct hub_server *s)
{
	struct tt_list *at, *next;

	tt_list_for_each_safe (at, next, &s->curious)
		hub_session_push_map(TT_CONTAINER_OF(at, struct hub_session, curious));
}

/* Many changes make one update: the more there are, the longer the next ones wait for each other,
 * for the sake of nodes with large maps. */
static void on_push(uv_timer_t *t)
{
	struct hub_server *s = t->data;
	uint64_t version = hub_registry_version(s->registry);
	uint64_t pause = TT_MIN((version - s->pushed_version) * HUB_MAP_COALESCE_PER_CHANGE_MS,
				(uint64_t)HUB_MAP_COALESCE_MAX_MS);

	s->push_due = false;
	s->push_at_ms = uv_now(s->loop) + pause;
	if (s->pushed_epoch != hub_registry_epoch(s->registry) ||
	    s->pushed_version < hub_registry_gateway_version(s->registry))
		push_all(s);
	else
		push_curious(s);
	s->pushed_version = version;
	s->pushed_epoch = hub_registry_epoch(s->registry);
}

void hub_server_changed(struct hub_server *s)
{
	uint64_t now = uv_now(s->loop);
	uint64_t wait = s->push_at_ms > now ? s->push_at_ms - now : 0;

	if (s->push_due || s->stopping)
		return;
	s->push_due = true;
	uv_timer_start(&s->push, on_push, TT_MAX(wait, (uint64_t)HUB_MAP_COALESCE_MS), 0);
}

/* --- the store -------------------------------------------------------------------------------- */

/* Closes connections of nodes that are revoked, and relays of pairs that must not talk any more. */
static void enforce(struct hub_server *s)
{
	for (uint32_t i = 0; i < hub_registry_count(s->registry); i++) {
		struct hub_node *n = hub_registry_at(s->registry, i);
		if (!n->is.revoked)
			continue;
		if (n->session)
			hub_session_refuse(n->session,
					   TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REVOKED,
					   "this node was revoked", HUB_CLOSE_REVOKED);
		if (s->opt.relay)
			hub_relay_close_node(s->opt.relay, n->is.id);
	}
}

static bool may_relay(void *ctx, uint32_t node_a, uint32_t node_b)
{
	const struct hub_node *a = hub_registry_find(ctx, node_a);
	const struct hub_node *b = hub_registry_find(ctx, node_b);

	return a && b && hub_registry_sees(a, b);
}

static void on_loaded(void *ctx, struct hub_snapshot *snap)
{
	struct hub_server *s = ctx;

	for (uint32_t i = 0; i < snap->count; i++) {
		int err = hub_registry_put(s->registry, &snap->node[i]);
		if (err)
			tt_log_limited(TT_LOG_ERROR, "hub.node_refused", NULL, plat_clock_mono(),
				       HUB_LOG_LINES_PER_S, TT_F_STR("node", snap->node[i].name),
				       TT_F_ERRNO("error", err));
	}
	if (hub_registry_policy_differs(s->registry, &snap->policy)) {
		hub_registry_set_policy(s->registry, &snap->policy,
					hub_registry_epoch(s->registry) + 1);
		if (s->opt.relay && s->loaded)
			hub_relay_close_unless(s->opt.relay, may_relay, s->registry);
	}
	enforce(s);
	if (!s->loaded)
		tt_log(TT_LOG_INFO, "hub.loaded", TT_F_U64("nodes", snap->count));
	s->loaded = true;
	hub_conns_hold(s->conns, false);
	hub_server_changed(s);
}

/* Many handshakes at once leave a heap of which half is holes: once they are over, those go. */
static void trim(struct hub_server *s)
{
	struct hub_conn_stats st;

	hub_conns_stats(s->conns, &st);
	s->quiet_s = st.opened == s->opened ? s->quiet_s + 1 : 0;
	s->opened = st.opened;
	if (s->quiet_s < HUB_TRIM_QUIET_S || st.opened - s->trimmed < HUB_TRIM_AFTER)
		return;
	plat_memory_trim();
	s->trimmed = st.opened;
}

static void on_second(uv_timer_t *t)
{
	struct hub_server *s = t->data;
	struct tt_list *at, *next;
	uint64_t now = hub_wall_s();

	trim(s);
	tt_log_flush(plat_clock_mono());
	tt_list_for_each_safe (at, next, &s->up) {
		struct hub_session *e = TT_CONTAINER_OF(at, struct hub_session, link);
		if (e->map_said_s && now - e->map_said_s >= HUB_MAP_EXTEND_S)
			hub_session_push_map(e);
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static int make_tls(struct hub_server *s)
{
	struct tls_context_options opt = {
		.server = true, .cert = &s->opt.cert, .key = &s->opt.key, .ca = &s->opt.ca};
	int err = tls_context_create(&opt, &s->tls);

	if (err)
		tt_log(TT_LOG_ERROR, "hub.tls_failed",
		       TT_F_STR("hint", "the hub's certificate and key do not fit together"));
	return err;
}

static int make_registry(struct hub_server *s)
{
	uint64_t random[2];

	RAND_bytes((uint8_t *)random, sizeof(random));
	/* room for the epochs of later policies; never 0 */
	s->registry = hub_registry_create((random[0] >> 1) | 1, random[1]);
	s->slot_count = s->opt.limits.connections;
	s->slots = calloc(s->slot_count, sizeof(*s->slots));
	return s->registry && s->slots ? 0 : -ENOMEM;
}

static int make_store(struct hub_server *s)
{
	struct hub_store_handlers on = {.loaded = on_loaded, .ctx = s};
	enum hub_db_outcome o = hub_store_start(s->loop, s->opt.db_path, &on, &s->store);

	if (o == HUB_DB_OK)
		return 0;
	tt_log(TT_LOG_ERROR, "hub.store_failed", TT_F_STR("file", s->opt.db_path),
	       TT_F_STR("error", hub_db_outcome_text(o)));
	return -EIO;
}

int hub_server_create(uv_loop_t *loop, const struct hub_server_options *opt,
		      struct hub_server **out)
{
	struct hub_server *s = calloc(1, sizeof(*s));
	struct hub_conn_handlers on = {.opened = hub_session_opened,
				       .frame = hub_session_frame,
				       .drained = hub_session_drained,
				       .closed = hub_session_closed,
				       .ctx = s};

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->opt = *opt;
	tt_list_init(&s->up);
	tt_list_init(&s->curious);
	uv_timer_init(loop, &s->push);
	uv_timer_init(loop, &s->second);
	s->push.data = s->second.data = s;
	int err = make_tls(s);
	if (!err)
		err = make_registry(s);
	if (!err)
		err = hub_conns_create(loop, s->tls, &opt->limits, &on, &s->conns);
	/* who came now would be told to come again: the store is read first */
	if (!err)
		hub_conns_hold(s->conns, true);
	if (!err)
		err = make_store(s);
	if (err)
		return err; /* the program ends: nothing runs yet */
	uv_timer_start(&s->second, on_second, 1000, 1000);
	*out = s;
	return 0;
}

int hub_server_listen(struct hub_server *s, const struct tt_endpoint *at)
{
	return hub_conns_listen(s->conns, at);
}

int hub_server_listen_fd(struct hub_server *s, int fd)
{
	return hub_conns_listen_fd(s->conns, fd);
}

static void part_gone(struct hub_server *s)
{
	if (--s->handles == 0 && s->stopped)
		s->stopped(s->stopped_arg);
}

static void on_timer_closed(uv_handle_t *h)
{
	part_gone(h->data);
}

static void on_part_gone(void *arg)
{
	part_gone(arg);
}

/* Not before: that a node has left is written down. */
static void on_conns_gone(void *arg)
{
	struct hub_server *s = arg;

	hub_store_stop(s->store, on_part_gone, s);
	part_gone(s);
}

static void say_restarting(struct hub_server *s)
{
	Taltun__Hub__V1__ToNode m = TALTUN__HUB__V1__TO_NODE__INIT;
	Taltun__Hub__V1__Restarting r = TALTUN__HUB__V1__RESTARTING__INIT;
	struct tt_list *at, *next;

	r.reconnect_in_ms = 1000;
	r.try_for_ms = 60000;
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_RESTARTING;
	m.restarting = &r;
	tt_list_for_each_safe (at, next, &s->up)
		hub_session_send(TT_CONTAINER_OF(at, struct hub_session, link), &m);
}

void hub_server_stop(struct hub_server *s, void (*done)(void *arg), void *arg)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	s->handles = 4;
	say_restarting(s);
	uv_close((uv_handle_t *)&s->push, on_timer_closed);
	uv_close((uv_handle_t *)&s->second, on_timer_closed);
	hub_conns_stop(s->conns, on_conns_gone, s);
}

static bool same_der(const struct tls_der *a, const struct tls_der *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int change_tls(struct hub_server *s, const struct tls_der *cert, const struct tls_der *key)
{
	struct tls_context_options opt = {
		.server = true, .cert = cert, .key = key, .ca = &s->opt.ca};
	struct hub_old_tls *old = calloc(1, sizeof(*old));
	struct tls_context *tls;
	int err = old ? tls_context_create(&opt, &tls) : -ENOMEM;

	if (err) {
		free(old);
		return err;
	}
	*old = (struct hub_old_tls){.next = s->old_tls, .tls = s->tls};
	s->old_tls = old;
	s->tls = tls;
	hub_conns_set_tls(s->conns, tls);
	s->opt.cert = *cert;
	s->opt.key = *key;
	return 0;
}

int hub_server_reload(struct hub_server *s, const struct tls_der *cert, const struct tls_der *key,
		      const struct hub_conn_limits *limits)
{
	int err = same_der(cert, &s->opt.cert) && same_der(key, &s->opt.key)
			  ? 0
			  : change_tls(s, cert, key);

	if (err)
		return err;
	/* slots are as many as at the start */
	s->opt.limits = *limits;
	s->opt.limits.connections = TT_MIN(limits->connections, s->slot_count);
	hub_conns_set_limits(s->conns, &s->opt.limits);
	return 0;
}

void hub_server_set_relay_at(struct hub_server *s, const struct tt_endpoint *at, unsigned count)
{
	if (count)
		memcpy(s->opt.relay_at, at, count * sizeof(*at));
	s->opt.relay_at_count = count;
}

static void forget_old_tls(struct hub_server *s)
{
	while (s->old_tls) {
		struct hub_old_tls *old = s->old_tls;

		s->old_tls = old->next;
		tls_context_destroy(old->tls);
		free(old);
	}
}

void hub_server_destroy(struct hub_server *s)
{
	if (!s)
		return;
	forget_old_tls(s);
	crypto_wipe(&s->opt.key, sizeof(s->opt.key));
	hub_conns_destroy(s->conns);
	hub_registry_destroy(s->registry);
	tls_context_destroy(s->tls);
	free(s->slots);
	free(s);
}

void hub_server_each_online(const struct hub_server *s,
			    void (*each)(void *ctx, const struct hub_server_online *o), void *ctx)
{
	const struct tt_list *at;

	tt_list_for_each (at, &s->up) {
		const struct hub_session *e = TT_CONTAINER_OF(at, const struct hub_session, link);
		struct hub_server_online o = {.node = &e->node->is,
					      .from = hub_conn_source(e->conn),
					      .since_s = e->up_since_s,
					      .version = e->version};
		each(ctx, &o);
	}
}

void hub_server_get_stats(const struct hub_server *s, struct hub_server_stats *out)
{
	*out = s->stats;
	hub_conns_stats(s->conns, &out->conns);
	if (s->opt.relay)
		hub_relay_get_stats(s->opt.relay, &out->relay);
	hub_store_get_stats(s->store, &out->store);
	out->nodes = hub_registry_count(s->registry);
	out->online = hub_registry_online(s->registry);
}

static uint64_t end_of(const struct tls_der *cert)
{
	struct tls_cert_info info;

	return tls_cert_parse(cert->bytes, cert->len, &info) == 0 ? info.not_after_s : 0;
}

uint64_t hub_server_certificate_end(const struct hub_server *s)
{
	return end_of(&s->opt.cert);
}

uint64_t hub_server_ca_end(const struct hub_server *s)
{
	return end_of(&s->opt.ca);
}

/* SPDX-License-Identifier: MIT
 *
 * What the hub makes of the messages of its nodes and of strangers: session, enrolment, registry
 * and maps are real; connections, store, signer and relay are played here. Every message that the
 * hub sends is looked at: no stranger gets more than an enrolment, nobody hears of, or from, a node
 * that it does not see, a node has one session at most, and what waits stays within its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hub/server_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum { CONNS = 6, NODES = 7, PENDING = 64, CONTROL_MAX = 1 << 20, CSR_LEN = 40 };

struct hub_conn {
	bool used, closing, has_peer, trusted;
	struct tls_cert_info peer;
	struct tt_endpoint source;
	void *session;
	size_t waiting; /* bytes of control */
	bool challenged, stored;
	uint8_t nonce[MESH_TOKEN_NONCE_LEN];
};

/* A request to the store or the signer that is not answered yet. */
struct request {
	enum { TOKEN, ENROLL, SIGN } kind;
	uint64_t cookie;
	void *ctx;
	void *done;
	uint8_t key[32];
};

static struct hub_server server;
static uv_loop_t loop;
static struct hub_conn conn[CONNS];
static struct request pending[PENDING];
static unsigned pending_count;
static struct hub_policy policy;
static uint32_t last_id;
static bool token_used;
static uint8_t relayed_from; /* hub_conn_relay() was called */
static uint8_t memory[MESH_HUB_ARENA_MAP], frame[MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX];
static const uint8_t secret[MESH_TOKEN_SECRET_LEN] = {9}, exporter[32] = {5};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* --- what the hub sends ----------------------------------------------------------------------- */

static const struct hub_node *node_of(const struct hub_conn *c)
{
	const struct hub_session *e = c->session;

	return e ? e->node : NULL;
}

static void check_visible(const struct hub_conn *c, uint32_t id)
{
	const struct hub_node *other = hub_registry_find(server.registry, id);

	require(node_of(c) && other && hub_registry_sees(node_of(c), other));
}

static void check_map(const struct hub_conn *c, const Taltun__Hub__V1__MapUpdate *m)
{
	for (size_t i = 0; i < m->n_peers; i++) {
		require(m->peers[i]->node_id != node_of(c)->is.id);
		check_visible(c, m->peers[i]->node_id);
	}
}

static void check_message(struct hub_conn *c, const Taltun__Hub__V1__ToNode *m)
{
	const struct hub_session *e = c->session;

	if (!c->has_peer)
		require(m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE ||
			m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED ||
			m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR);
	else
		require(m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR ||
			e->state == HUB_SESSION_UP);
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE:
		require(!c->challenged);
		c->challenged = true;
		memcpy(c->nonce, m->enroll_challenge->nonce.data, sizeof(c->nonce));
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED:
		require(c->stored);
		c->stored = false;
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE:
		check_map(c, m->map_update);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL:
		check_visible(c, m->signal->node_id);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED:
		check_visible(c, m->relay_opened->node_id);
		break;
	default:
		break;
	}
}

bool hub_conn_send(struct hub_conn *c, const uint8_t *bytes, size_t len)
{
	const Taltun__Hub__V1__ToNode *m;
	struct mesh_hub_arena a;

	require(c->used && len > MESH_FRAME_HEADER &&
		tt_load_be32(bytes) ==
			((uint32_t)MESH_FRAME_CONTROL << 24 | (uint32_t)(len - MESH_FRAME_HEADER)));
	if (c->closing)
		return false;
	mesh_hub_arena_init(&a, memory, sizeof(memory));
	require(mesh_hub_to_node_unpack(&a, bytes + MESH_FRAME_HEADER, len - MESH_FRAME_HEADER,
					&m) == MESH_HUB_OK);
	check_message(c, m);
	if (c->waiting + len > CONTROL_MAX) {
		c->closing = true;
		return false;
	}
	c->waiting += len;
	return true;
}

bool hub_conn_relay(struct hub_conn *c, uint32_t from_node, const uint8_t *packet, uint32_t len)
{
	(void)packet;
	require(c->used && len >= MESH_FRAME_PACKET_MIN);
	check_visible(c, from_node);
	relayed_from = 1;
	return !c->closing;
}

void hub_conn_close(struct hub_conn *c, enum hub_close why)
{
	require(c->used && why != HUB_CLOSE_NONE);
	c->closing = true;
}

void hub_conn_expect(struct hub_conn *c, bool next)
{
	require(c->used);
	(void)next;
}

/* A node is believed after it has shown the certificate of a node that exists. */
void hub_conn_trust(struct hub_conn *c, uint32_t control_max, uint32_t relay_max)
{
	const struct hub_node *n = node_of(c);

	require(c->has_peer && n && !n->is.revoked && strcmp(n->is.name, c->peer.name) == 0 &&
		memcmp(n->is.wg_public_key, c->peer.wg_public_key, 32) == 0);
	require(control_max <= MESH_FRAME_TO_HUB_MAX && relay_max <= MESH_FRAME_RELAY_MAX);
	c->trusted = true;
}

void hub_conn_hold(struct hub_conn *c, uint32_t ms)
{
	require(c->used && ms > 0);
}

void hub_conn_set_session(struct hub_conn *c, void *session)
{
	c->session = session;
}

void *hub_conn_session(const struct hub_conn *c)
{
	return c->session;
}

const struct tls_cert_info *hub_conn_peer(const struct hub_conn *c)
{
	return c->has_peer ? &c->peer : NULL;
}

const struct tt_endpoint *hub_conn_source(const struct hub_conn *c)
{
	return &c->source;
}

bool hub_conn_local(const struct hub_conn *c, struct tt_endpoint *out)
{
	*out = c->source;
	return true;
}

bool hub_conn_export(const struct hub_conn *c, const char *label, uint8_t *out, size_t len)
{
	(void)c;
	(void)label;
	memcpy(out, exporter, len);
	return true;
}

enum tls_failure hub_conn_tls_failure(const struct hub_conn *c)
{
	(void)c;
	return TLS_FAIL_NONE;
}

size_t hub_conn_control_pending(const struct hub_conn *c)
{
	return c->waiting;
}

const char *hub_close_name(enum hub_close why)
{
	(void)why;
	return "";
}

/* --- store, signer, relay, server ------------------------------------------------------------- */

static struct request *ask(int kind, void *done, void *ctx, uint64_t cookie)
{
	if (pending_count == PENDING)
		return NULL;
	struct request *r = &pending[pending_count++];

	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->done = done;
	r->ctx = ctx;
	r->cookie = cookie;
	return r;
}

bool hub_store_find_token(struct hub_store *s, const uint8_t id[MESH_TOKEN_ID_LEN],
			  void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				       struct hub_db_token *t),
			  void *ctx, uint64_t cookie)
{
	struct request *r = ask(TOKEN, (void *)done, ctx, cookie);

	(void)s;
	if (r)
		r->key[0] = id[0];
	return r != NULL;
}

bool hub_store_enroll(struct hub_store *s, const struct hub_db_enrolment *e,
		      void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				   struct hub_node_facts *node),
		      void *ctx, uint64_t cookie)
{
	struct request *r = ask(ENROLL, (void *)done, ctx, cookie);

	(void)s;
	if (r)
		memcpy(r->key, e->wg_public_key, 32);
	return r != NULL;
}

bool hub_store_renewed(struct hub_store *s, uint32_t id, const uint8_t *serial, size_t serial_len,
		       uint64_t until_s)
{
	(void)s, (void)serial, (void)serial_len, (void)until_s;
	return id != 0;
}

bool hub_store_seen(struct hub_store *s, uint32_t id, uint64_t now_s)
{
	(void)s, (void)now_s;
	return id != 0;
}

bool hub_signer_sign(struct hub_signer *s, const struct hub_sign_request *req,
		     void (*done)(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
				  const struct tls_der *cert),
		     void *ctx, uint64_t cookie)
{
	(void)s;
	require(mesh_hub_name_is_valid(req->name, strlen(req->name)) &&
		req->csr_len <= sizeof(req->csr));
	return ask(SIGN, (void *)done, ctx, cookie) != NULL;
}

enum hub_relay_outcome hub_relay_open(struct hub_relay *r, uint32_t node_a, uint32_t node_b,
				      struct hub_leg *a, struct hub_leg *b)
{
	const struct hub_node *x = hub_registry_find(server.registry, node_a);
	const struct hub_node *y = hub_registry_find(server.registry, node_b);

	(void)r;
	require(x && y && hub_registry_sees(x, y) && x->session && y->session);
	*a = (struct hub_leg){.tag = node_a, .key = {1}};
	*b = (struct hub_leg){.tag = node_b, .key = {2}};
	return node_a != node_b ? HUB_RELAY_OPENED : HUB_RELAY_SAME_NODE;
}

void hub_relay_close(struct hub_relay *r, uint32_t node_a, uint32_t node_b)
{
	(void)r, (void)node_b;
	require(node_a != 0);
}

uint16_t hub_relay_udp_port(const struct hub_relay *r)
{
	(void)r;
	return 3479;
}

bool hub_bucket_take(struct hub_bucket *b, uint64_t n, uint64_t rate, uint64_t burst,
		     struct tt_mono now)
{
	(void)rate, (void)burst, (void)now;
	b->level += n;
	return b->level % 16 != 15;
}

struct hub_session *hub_session_by_cookie(struct hub_server *s, uint64_t cookie)
{
	uint32_t slot = (uint32_t)cookie;
	struct hub_session *e = slot < s->slot_count ? s->slots[slot] : NULL;

	return e && e->cookie == cookie ? e : NULL;
}

void hub_server_changed(struct hub_server *s)
{
	s->push_due = true;
}

void hub_server_enlist(struct hub_server *s, struct hub_session *e)
{
	tt_list_del(&e->curious);
	if (!hub_registry_is_plain(e->node))
		tt_list_add_tail(&s->curious, &e->curious);
}

/* --- the world -------------------------------------------------------------------------------- */

static void node_key(uint32_t id, uint8_t key[32])
{
	memset(key, 0, 32);
	key[0] = (uint8_t)id;
	key[31] = 1;
}

static void put_node(uint32_t id, bool revoked, const uint8_t *key)
{
	struct hub_node_facts f = {.id = id, .revoked = revoked, .address_count = 1};

	f.role = id == 1 ? HUB_ROLE_GATEWAY : HUB_ROLE_CLIENT;
	f.groups = id == 4 || id == 5 ? 1 : id == 6 ? 2 : 0;
	snprintf(f.name, sizeof(f.name), "node-%u", id);
	if (key)
		memcpy(f.wg_public_key, key, 32);
	else
		node_key(id, f.wg_public_key);
	f.addresses[0] = tt_ip_v4_host(0x0a5a0000 + id);
	(void)hub_registry_put(server.registry, &f);
}

static void make_world(void)
{
	tt_log_set_level(TT_LOG_ERROR);
	memset(&server, 0, sizeof(server));
	memset(conn, 0, sizeof(conn));
	memset(&policy, 0, sizeof(policy));
	memset(&loop, 0, sizeof(loop));
	pending_count = 0;
	token_used = false;
	server.loop = &loop;
	server.loaded = true;
	server.slot_count = CONNS;
	server.slots = calloc(CONNS, sizeof(*server.slots));
	server.registry = hub_registry_create(77, 1);
	server.opt.relay = (struct hub_relay *)&server; /* never looked into */
	server.opt.ca.len = server.opt.cert.len = 64;
	server.opt.limits.control_bytes = CONTROL_MAX;
	memcpy(server.opt.settings.name, "hub.example", 12);
	require(server.slots && server.registry);
	tt_list_init(&server.up);
	tt_list_init(&server.curious);
	unsigned staff = (unsigned)hub_policy_group(&policy, "staff", true);
	hub_policy_allow(&policy, staff, staff);
	(void)hub_policy_group(&policy, "other", true);
	hub_registry_set_policy(server.registry, &policy, 78);
	for (last_id = 0; last_id < NODES;) {
		last_id++;
		put_node(last_id, last_id == 7, NULL);
	}
}

static void close_conn(struct hub_conn *c)
{
	if (!c->used)
		return;
	hub_session_closed(&server, c, HUB_CLOSE_RESET);
	require(!c->session);
	memset(c, 0, sizeof(*c));
}

static void open_conn(struct hub_conn *c, uint8_t who)
{
	close_conn(c);
	c->used = true;
	c->source = (struct tt_endpoint){.ip = tt_ip_v4_host(0xc6336401), .udp_port = 443};
	c->has_peer = who % 16 > 0;
	if (c->has_peer) {
		c->peer.role = who == 15 ? TLS_CERT_HUB : TLS_CERT_NODE;
		snprintf(c->peer.name, sizeof(c->peer.name), "node-%u", who % 16);
		node_key(who % 16, c->peer.wg_public_key);
		/* of a node that was there before under this name */
		c->peer.wg_public_key[1] = who & 64;
		c->has_peer = c->peer.role == TLS_CERT_NODE;
	}
	hub_session_opened(&server, c);
}

/* --- messages --------------------------------------------------------------------------------- */

static void say(struct hub_conn *c, const uint8_t *body, uint32_t len, enum mesh_frame_kind kind)
{
	/* of its own size, so that what lies behind it is not there */
	uint8_t *copy = malloc(len + 1);
	struct mesh_frame f = {.kind = kind, .body = copy, .len = len};

	require(copy);
	memcpy(copy, body, len);
	if (c->used && !c->closing && c->session)
		hub_session_frame(&server, c, &f);
	free(copy);
}

static void say_raw(struct hub_conn *c, struct input *in)
{
	uint32_t wanted = 1u + byte(in), len = (uint32_t)TT_MIN((size_t)wanted, in->left);

	say(c, in->at, len, MESH_FRAME_CONTROL);
	in->at += len;
	in->left -= len;
}

static void say_packet(struct hub_conn *c, uint32_t id)
{
	uint8_t body[MESH_FRAME_RELAY_HEADER + 40] = {0};

	tt_store_be32(body, id);
	relayed_from = 0;
	/* the reader takes no packets before hub_conn_trust() */
	if (c->trusted)
		say(c, body, sizeof(body), MESH_FRAME_RELAY);
	require(!relayed_from || ((struct hub_session *)c->session)->state == HUB_SESSION_UP);
}

static void fill_proof(const struct hub_conn *c, Taltun__Hub__V1__EnrollProof *p, uint8_t how)
{
	static uint8_t proof[MESH_TOKEN_PROOF_LEN], key[32], csr[CSR_LEN], hash[32];
	struct mesh_token_claim claim = {
		.nonce = c->nonce, .exporter = exporter, .wg_public_key = key, .csr_sha256 = hash};

	node_key(100 + how, key);
	csr[0] = how;
	tls_sha256(csr, sizeof(csr), hash);
	mesh_token_proof(proof, secret, &claim);
	proof[0] ^= how & 128;
	p->proof = mesh_hub_bytes(proof, sizeof(proof));
	p->csr = mesh_hub_bytes(csr, sizeof(csr));
	p->wg_public_key = mesh_hub_bytes(key, sizeof(key));
	p->version = mesh_hub_text("1");
	p->hostname = mesh_hub_text("h");
}

/* One that is well formed, so that the random ones are not all there is. */
static void say_message(struct hub_conn *c, uint8_t kind, uint8_t x)
{
	Taltun__Hub__V1__ToHub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__EnrollStart start = TALTUN__HUB__V1__ENROLL_START__INIT;
	Taltun__Hub__V1__EnrollProof proof = TALTUN__HUB__V1__ENROLL_PROOF__INIT;
	Taltun__Hub__V1__Hello hello = TALTUN__HUB__V1__HELLO__INIT;
	Taltun__Hub__V1__MapRequest request = TALTUN__HUB__V1__MAP_REQUEST__INIT;
	Taltun__Hub__V1__Renew renew = TALTUN__HUB__V1__RENEW__INIT;
	Taltun__Hub__V1__Signal signal = TALTUN__HUB__V1__SIGNAL__INIT;
	Taltun__Hub__V1__RelayOpen open = TALTUN__HUB__V1__RELAY_OPEN__INIT;
	Taltun__Hub__V1__RelayClose close = TALTUN__HUB__V1__RELAY_CLOSE__INIT;
	Taltun__Hub__V1__Ping ping = TALTUN__HUB__V1__PING__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;
	Taltun__Hub__V1__Goodbye bye = TALTUN__HUB__V1__GOODBYE__INIT;
	uint8_t id[MESH_TOKEN_ID_LEN] = {x};
	size_t len;

	start.token_id = mesh_hub_bytes(id, sizeof(id));
	fill_proof(c, &proof, x);
	hello.version = hello.os = mesh_hub_text("x");
	hello.map_epoch = x & 1 ? hub_registry_epoch(server.registry) : 0;
	hello.map_version = x & 1 ? hub_registry_version(server.registry) - (x >> 4) : 0;
	renew.csr = mesh_hub_bytes(id, sizeof(id));
	signal.node_id = open.node_id = close.node_id = 1 + x % 12;
	signal.sealed = mesh_hub_bytes(id, sizeof(id));
	m.message_case = 1 + kind % 11;
	/* the members of the oneof share their place */
	switch (m.message_case) {
#define CASE(NAME, member, of)                        \
	case TALTUN__HUB__V1__TO_HUB__MESSAGE_##NAME: \
		m.member = &(of);                     \
		break
		CASE(ENROLL_START, enroll_start, start);
		CASE(ENROLL_PROOF, enroll_proof, proof);
		CASE(HELLO, hello, hello);
		CASE(MAP_REQUEST, map_request, request);
		CASE(RENEW, renew, renew);
		CASE(SIGNAL, signal, signal);
		CASE(RELAY_OPEN, relay_open, open);
		CASE(RELAY_CLOSE, relay_close, close);
		CASE(PING, ping, ping);
		CASE(PONG, pong, pong);
		CASE(GOODBYE, goodbye, bye);
#undef CASE
	default:
		return;
	}
	if (mesh_hub_to_hub_pack(&m, frame, sizeof(frame), &len) == MESH_HUB_OK)
		say(c, frame + MESH_FRAME_HEADER, (uint32_t)len - MESH_FRAME_HEADER,
		    MESH_FRAME_CONTROL);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_token(const struct request *r, uint8_t how)
{
	void (*done)(void *, uint64_t, enum hub_db_outcome, struct hub_db_token *) = r->done;
	struct hub_db_token t = {.expires_s = UINT64_MAX};

	memcpy(t.secret, secret, sizeof(t.secret));
	snprintf(t.name, sizeof(t.name), "late-%u", last_id);
	t.used_s = token_used && how & 1;
	done(r->ctx, r->cookie, how & 2 ? HUB_DB_NOT_FOUND : HUB_DB_OK, &t);
}

/* The store's word counts: one of two that show the same token. */
static void answer_enroll(const struct request *r, uint8_t how)
{
	void (*done)(void *, uint64_t, enum hub_db_outcome, struct hub_node_facts *) = r->done;
	struct hub_node_facts f = {.role = HUB_ROLE_CLIENT, .address_count = 1};
	bool ok = !token_used && how % 4 == 0 && last_id < 12;

	for (unsigned i = 0; i < CONNS; i++) {
		struct hub_session *e = conn[i].session;
		conn[i].stored = ok && e && e->cookie == r->cookie;
	}
	if (ok) {
		token_used = how & 4;
		f.id = ++last_id;
		snprintf(f.name, sizeof(f.name), "node-%u", f.id);
		memcpy(f.wg_public_key, r->key, 32);
		f.addresses[0] = tt_ip_v4_host(0x0a5a0000 + f.id);
	}
	done(r->ctx, r->cookie, ok ? HUB_DB_OK : HUB_DB_TOKEN_USED, &f);
}

static const struct tls_der *some_cert(void)
{
	static struct tls_der ca_key, key, csr, ca, cert;
	struct tls_cert_request req = {.role = TLS_CERT_NODE,
				       .name = "node-1",
				       .wg_public_key = secret,
				       .not_before_s = 1000000000,
				       .not_after_s = 4000000000,
				       .serial = {1}};

	if (!cert.len) {
		require(tls_key_generate(&ca_key) == 0 && tls_key_generate(&key) == 0 &&
			tls_ca_create(&ca_key, "fuzz", 1000000000, 4000000000, &ca) == 0 &&
			tls_csr_create(&key, &csr) == 0);
		req.csr = csr.bytes;
		req.csr_len = csr.len;
		require(tls_cert_issue(&ca, &ca_key, &req, &cert) == 0);
	}
	return &cert;
}

static void answer(uint8_t how)
{
	if (!pending_count)
		return;
	struct request r = pending[0];

	memmove(pending, pending + 1, --pending_count * sizeof(r));
	if (r.kind == TOKEN) {
		answer_token(&r, how);
	} else if (r.kind == ENROLL) {
		answer_enroll(&r, how);
	} else {
		void (*done)(void *, uint64_t, enum hub_sign_outcome, const struct tls_der *) =
			r.done;
		done(r.ctx, r.cookie, how & 8 ? HUB_SIGN_FAILED : HUB_SIGN_OK, some_cert());
	}
}

/* --- what happens beside ---------------------------------------------------------------------- */

static void push_maps(void)
{
	struct tt_list *at, *next;

	tt_list_for_each_safe (at, next, &server.up)
		hub_session_push_map(TT_CONTAINER_OF(at, struct hub_session, link));
}

static void revoke_node(uint32_t id)
{
	struct hub_node *n = hub_registry_find(server.registry, id);
	uint8_t key[32];

	if (!n)
		return;
	memcpy(key, n->is.wg_public_key, 32);
	put_node(id, true, key);
	if (n->session)
		hub_session_refuse(n->session, TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_REVOKED,
				   "revoked", HUB_CLOSE_REVOKED);
}

static void change_policy(uint8_t how)
{
	if (how & 1)
		hub_policy_allow(&policy, how >> 1 & 1, how >> 2 & 1);
	else
		hub_policy_deny(&policy, how >> 1 & 1, how >> 2 & 1);
	if (hub_registry_policy_differs(server.registry, &policy))
		hub_registry_set_policy(server.registry, &policy,
					hub_registry_epoch(server.registry) + 1);
}

static void sent(struct hub_conn *c)
{
	c->waiting = 0;
	if (c->used && !c->closing)
		hub_session_drained(&server, c);
}

static void check_session(const struct hub_conn *c)
{
	const struct hub_session *e = c->session;
	bool has_node = e->state == HUB_SESSION_UP, enrols = e->state < HUB_SESSION_ENROLLED;

	require(e->conn == c && (e->node != NULL) == has_node);
	require(!has_node || (c->has_peer && c->trusted && e->node->session == e));
	require(!e->enrolment || (!c->has_peer && enrols));
	require(c->has_peer || e->state <= HUB_SESSION_ENROLLED);
	require(c->waiting <= CONTROL_MAX);
}

static void check_all(void)
{
	unsigned up = 0;
	struct tt_list *at;

	for (unsigned i = 0; i < CONNS; i++) {
		if (!conn[i].used || !conn[i].session)
			continue;
		check_session(&conn[i]);
		up += ((struct hub_session *)conn[i].session)->state == HUB_SESSION_UP;
	}
	require(hub_registry_online(server.registry) == up);
	tt_list_for_each (at, &server.up)
		up--;
	require(up == 0);
}

static void step(struct input *in)
{
	uint8_t op = byte(in);
	struct hub_conn *c = &conn[(op >> 4) % CONNS];

	switch (op % 12) {
	case 0:
		open_conn(c, byte(in));
		break;
	case 1:
		say_raw(c, in);
		break;
	case 2:
		say_packet(c, byte(in));
		break;
	case 3:
	case 4:
	case 5: {
		uint8_t kind = byte(in);
		say_message(c, kind, byte(in));
		break;
	}
	case 6:
		close_conn(c);
		break;
	case 7:
		answer(byte(in));
		break;
	case 8:
		revoke_node(byte(in) % 16);
		break;
	case 9:
		change_policy(byte(in));
		break;
	case 10:
		push_maps();
		break;
	case 11:
		loop.time += byte(in);
		sent(c);
		break;
	}
	check_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, TT_MIN(size, (size_t)4096)};

	make_world();
	while (in.left)
		step(&in);
	for (unsigned i = 0; i < CONNS; i++)
		close_conn(&conn[i]);
	/* answers that come too late */
	while (pending_count)
		answer(0);
	require(hub_registry_online(server.registry) == 0 && tt_list_empty(&server.up) &&
		tt_list_empty(&server.curious));
	for (uint32_t i = 0; i < server.slot_count; i++)
		require(!server.slots[i]);
	hub_registry_destroy(server.registry);
	free(server.slots);
	return 0;
}

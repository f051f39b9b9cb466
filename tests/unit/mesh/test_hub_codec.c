/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "mesh/hub_codec.h"

static uint8_t memory[MESH_HUB_ARENA_MAP], frame[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX + 64];
static struct mesh_hub_arena arena;
static uint8_t key[64], blob[32768], list[2048];
static size_t len;

static Taltun__Hub__V1__ToHub hub;
static Taltun__Hub__V1__ToNode node;
static const Taltun__Hub__V1__ToHub *hub_in;
static const Taltun__Hub__V1__ToNode *node_in;

#define TO_HUB(field, FIELD, value)           \
	(taltun__hub__v1__to_hub__init(&hub), \
	 hub.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_##FIELD, hub.field = (value))
#define TO_NODE(field, FIELD, value)            \
	(taltun__hub__v1__to_node__init(&node), \
	 node.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_##FIELD, node.field = (value))

/* Packs past the checks, so that unpacking can be asked what it thinks of a bad message. */
static void raw(const ProtobufCMessage *m)
{
	len = protobuf_c_message_pack(m, frame + MESH_FRAME_HEADER);
	mesh_frame_header_write(frame, MESH_FRAME_CONTROL, (uint32_t)len);
	len += MESH_FRAME_HEADER;
}

static enum mesh_hub_outcome unpack_hub(size_t arena_size)
{
	mesh_hub_arena_init(&arena, memory, arena_size);
	return mesh_hub_to_hub_unpack(&arena, frame + 4, len - 4, &hub_in);
}

static enum mesh_hub_outcome unpack_node(size_t arena_size)
{
	mesh_hub_arena_init(&arena, memory, arena_size);
	return mesh_hub_to_node_unpack(&arena, frame + 4, len - 4, &node_in);
}

/* There and back; the bad ones are refused the same way on both sides. */
static enum mesh_hub_outcome to_hub(void)
{
	enum mesh_hub_outcome o = mesh_hub_to_hub_pack(&hub, frame, sizeof(frame), &len);

	if (o != MESH_HUB_OK) {
		CU_ASSERT_EQUAL(len, 0);
		raw(&hub.base);
	}
	CU_ASSERT_EQUAL(unpack_hub(MESH_HUB_ARENA_SMALL), o);
	CU_ASSERT_EQUAL(hub_in != NULL, o == MESH_HUB_OK);
	CU_ASSERT(len <= MESH_FRAME_HEADER + MESH_FRAME_TO_HUB_MAX || o != MESH_HUB_OK);
	return o;
}

static enum mesh_hub_outcome to_node(void)
{
	enum mesh_hub_outcome o = mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len);

	if (o != MESH_HUB_OK) {
		CU_ASSERT_EQUAL(len, 0);
		raw(&node.base);
	}
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_SMALL), o);
	CU_ASSERT_EQUAL(node_in != NULL, o == MESH_HUB_OK);
	CU_ASSERT(len <= MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX || o != MESH_HUB_OK);
	return o;
}

static ProtobufCBinaryData prefixes(const char *a, const char *b)
{
	struct tt_cidr c[2];
	size_t n = 0;

	if (tt_cidr_parse(a, &c[n]) == 0)
		n++;
	if (b && tt_cidr_parse(b, &c[n]) == 0)
		n++;
	return mesh_hub_bytes(list, mesh_hub_prefixes_write(list, sizeof(list), c, n));
}

static bool same(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* --- to the hub --------------------------------------------------------------------------------
 */

static void enroll(void)
{
	Taltun__Hub__V1__EnrollStart s = TALTUN__HUB__V1__ENROLL_START__INIT;
	Taltun__Hub__V1__EnrollProof p = TALTUN__HUB__V1__ENROLL_PROOF__INIT;

	TO_HUB(enroll_start, ENROLL_START, &s);
	for (size_t n = 0; n < 20; n++) {
		s.token_id = mesh_hub_bytes(key, n);
		CU_ASSERT_EQUAL(to_hub(), n == 12 ? MESH_HUB_OK : MESH_HUB_BAD_LENGTH);
	}
	p.proof = mesh_hub_bytes(key, 32);
	p.csr = mesh_hub_bytes(blob, MESH_HUB_CSR_MAX);
	p.wg_public_key = mesh_hub_bytes(key + 1, 32);
	p.version = mesh_hub_text("0.1.0");
	p.hostname = mesh_hub_text("Laptop of A");
	TO_HUB(enroll_proof, ENROLL_PROOF, &p);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	CU_ASSERT(same(&hub_in->enroll_proof->csr, &p.csr));
	CU_ASSERT(same(&hub_in->enroll_proof->proof, &p.proof));
	CU_ASSERT(same(&hub_in->enroll_proof->wg_public_key, &p.wg_public_key));
	CU_ASSERT(same(&hub_in->enroll_proof->version, &p.version));
	CU_ASSERT(same(&hub_in->enroll_proof->hostname, &p.hostname));
	p.csr.len++;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_TOO_LONG);
	p.csr.len = 0;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_LENGTH);
	p.csr.len = 1;
	p.hostname = mesh_hub_bytes("a\0b", 3);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_TEXT);
	p.hostname = mesh_hub_text("\x1b[2J");
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_TEXT);
	p.hostname = mesh_hub_bytes(blob, MESH_HUB_TEXT_MAX + 1);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_TOO_LONG);
	p.hostname.len = MESH_HUB_TEXT_MAX;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	p.proof.len = 31;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_LENGTH);
	p.proof.len = 32;
	p.wg_public_key.len = 33;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_LENGTH);
}

static void hello(void)
{
	Taltun__Hub__V1__Hello h = TALTUN__HUB__V1__HELLO__INIT;

	h.version = mesh_hub_text("0.1.0");
	h.os = mesh_hub_text("linux");
	h.map_epoch = UINT64_MAX;
	h.map_version = 7;
	h.udp_port = 65535;
	TO_HUB(hello, HELLO, &h);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	CU_ASSERT(hub_in->hello->map_epoch == UINT64_MAX && hub_in->hello->map_version == 7);
	CU_ASSERT(hub_in->hello->udp_port == 65535 && same(&hub_in->hello->os, &h.os));
	h.udp_port = 65536;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_NUMBER);
	h.udp_port = 0;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_NUMBER);
}

static void rest_to_hub(void)
{
	Taltun__Hub__V1__Renew renew = TALTUN__HUB__V1__RENEW__INIT;
	Taltun__Hub__V1__Signal signal = TALTUN__HUB__V1__SIGNAL__INIT;
	Taltun__Hub__V1__RelayOpen open = TALTUN__HUB__V1__RELAY_OPEN__INIT;
	Taltun__Hub__V1__RelayClose close = TALTUN__HUB__V1__RELAY_CLOSE__INIT;
	Taltun__Hub__V1__Ping ping = TALTUN__HUB__V1__PING__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;
	Taltun__Hub__V1__Goodbye goodbye = TALTUN__HUB__V1__GOODBYE__INIT;
	Taltun__Hub__V1__MapRequest request = TALTUN__HUB__V1__MAP_REQUEST__INIT;

	TO_HUB(renew, RENEW, &renew);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_LENGTH);
	renew.csr = mesh_hub_bytes(blob, 100);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	TO_HUB(signal, SIGNAL, &signal);
	signal.sealed = mesh_hub_bytes(blob, MESH_HUB_SEALED_MAX);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_NUMBER);
	signal.node_id = 9;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	CU_ASSERT(hub_in->signal->node_id == 9 && same(&hub_in->signal->sealed, &signal.sealed));
	signal.sealed.len++;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_TOO_LONG);
	signal.sealed.len = 0;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_LENGTH);
	TO_HUB(relay_open, RELAY_OPEN, &open);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_NUMBER);
	open.node_id = UINT32_MAX;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	CU_ASSERT_EQUAL(hub_in->relay_open->node_id, UINT32_MAX);
	TO_HUB(relay_close, RELAY_CLOSE, &close);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_BAD_NUMBER);
	close.node_id = 1;
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	ping.token = pong.token = 5;
	TO_HUB(ping, PING, &ping);
	CU_ASSERT(to_hub() == MESH_HUB_OK && hub_in->ping->token == 5);
	TO_HUB(pong, PONG, &pong);
	CU_ASSERT(to_hub() == MESH_HUB_OK && hub_in->pong->token == 5);
	TO_HUB(goodbye, GOODBYE, &goodbye);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
	TO_HUB(map_request, MAP_REQUEST, &request);
	CU_ASSERT_EQUAL(to_hub(), MESH_HUB_OK);
}

/* --- to the node -------------------------------------------------------------------------------
 */

static void enrolled(void)
{
	Taltun__Hub__V1__EnrollChallenge c = TALTUN__HUB__V1__ENROLL_CHALLENGE__INIT;
	Taltun__Hub__V1__Enrolled e = TALTUN__HUB__V1__ENROLLED__INIT;
	Taltun__Hub__V1__Renewed r = TALTUN__HUB__V1__RENEWED__INIT;
	uint8_t names[600];
	char name[MESH_HUB_NAME_TEXT_MAX + 1];
	size_t used = 0, offset = 0;

	TO_NODE(enroll_challenge, ENROLL_CHALLENGE, &c);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LENGTH);
	c.nonce = mesh_hub_bytes(key, 32);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	CU_ASSERT(same(&node_in->enroll_challenge->nonce, &c.nonce));

	CU_ASSERT(mesh_hub_names_append(names, sizeof(names), &used, "hub.example.com"));
	CU_ASSERT(mesh_hub_names_append(names, sizeof(names), &used, "2001:db8::1"));
	CU_ASSERT_FALSE(mesh_hub_names_append(names, sizeof(names), &used, "a b"));
	CU_ASSERT_FALSE(mesh_hub_names_append(names, used + 1, &used, "a"));
	e.certificate = mesh_hub_bytes(blob, MESH_HUB_CERT_MAX);
	e.ca_chain = mesh_hub_bytes(blob, MESH_HUB_CHAIN_MAX);
	e.node_id = 4;
	e.name = mesh_hub_text("laptop-a");
	e.addresses = prefixes("10.90.0.4/32", "fd00::4/128");
	e.hub_names = mesh_hub_bytes(names, used);
	struct tt_cidr networks[2];
	uint8_t pools[2 * MESH_HUB_PREFIX_BYTES];
	CU_ASSERT_EQUAL(tt_cidr_parse("10.90.0.0/16", &networks[0]), 0);
	CU_ASSERT_EQUAL(tt_cidr_parse("fd90::/64", &networks[1]), 0);
	e.networks =
		mesh_hub_bytes(pools, mesh_hub_prefixes_write(pools, sizeof(pools), networks, 2));
	TO_NODE(enrolled, ENROLLED, &e);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	CU_ASSERT(same(&node_in->enrolled->certificate, &e.certificate));
	CU_ASSERT(same(&node_in->enrolled->ca_chain, &e.ca_chain));
	CU_ASSERT(same(&node_in->enrolled->addresses, &e.addresses));
	CU_ASSERT(same(&node_in->enrolled->networks, &e.networks));
	e.networks.len--;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	e.networks.len = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	CU_ASSERT_EQUAL(node_in->enrolled->node_id, 4);
	CU_ASSERT(mesh_hub_names_next(&node_in->enrolled->hub_names, &offset, name));
	CU_ASSERT_STRING_EQUAL(name, "hub.example.com");
	CU_ASSERT(mesh_hub_names_next(&node_in->enrolled->hub_names, &offset, name));
	CU_ASSERT_STRING_EQUAL(name, "2001:db8::1");
	CU_ASSERT_FALSE(mesh_hub_names_next(&node_in->enrolled->hub_names, &offset, name));
	e.hub_names.len--;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	e.hub_names.len = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	for (used = 0; used < 18;)
		mesh_hub_names_append(names, sizeof(names), &used, "a");
	e.hub_names.len = 16;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	e.hub_names.len = 18;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_TOO_LONG);
	e.hub_names.len = 2;
	e.addresses = prefixes("10.90.0.0/24", NULL);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	e.addresses = prefixes("", NULL);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	e.addresses = prefixes("10.90.0.4/32", NULL);
	e.ca_chain.len++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_TOO_LONG);
	e.ca_chain.len = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LENGTH);
	TO_NODE(renewed, RENEWED, &r);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LENGTH);
	r.certificate = mesh_hub_bytes(blob, 1);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
}

static void case_27_node_names(void)
{
	static const struct {
		const char *name;
		size_t len;
		enum mesh_hub_outcome o;
	} table[] = {
		{"a", 1, MESH_HUB_OK},
		{"a-1.b", 5, MESH_HUB_OK},
		{"", 0, MESH_HUB_BAD_TEXT},
		{"A", 1, MESH_HUB_BAD_TEXT},
		{"a\0", 2, MESH_HUB_BAD_TEXT},
		{"a\0b", 3, MESH_HUB_BAD_TEXT},
		{"a b", 3, MESH_HUB_BAD_TEXT},
		{"-a", 2, MESH_HUB_BAD_TEXT},
		{"a-", 2, MESH_HUB_BAD_TEXT},
		{".a", 2, MESH_HUB_BAD_TEXT},
		{"a.", 2, MESH_HUB_BAD_TEXT},
		{"a..b", 4, MESH_HUB_BAD_TEXT},
		{"a/b", 3, MESH_HUB_BAD_TEXT},
		{"a_b", 3, MESH_HUB_BAD_TEXT},
		{"\xc3\xa4", 2, MESH_HUB_BAD_TEXT},
	};
	Taltun__Hub__V1__Welcome w = TALTUN__HUB__V1__WELCOME__INIT;

	w.node_id = 1;
	w.addresses = prefixes("10.90.0.4/32", NULL);
	TO_NODE(welcome, WELCOME, &w);
	for (size_t i = 0; i < TT_ARRAY_LEN(table); i++) {
		w.name = mesh_hub_bytes(table[i].name, table[i].len);
		CU_ASSERT_EQUAL(to_node(), table[i].o);
	}
	w.name = mesh_hub_bytes(blob, MESH_HUB_NAME_MAX);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	w.name.len++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_TOO_LONG);
	w.name.len = 1;
	w.hub_time = UINT64_MAX;
	w.stun_udp_port = w.relay_udp_port = w.keepalive_s = 65535;
	w.hub_time_ms = 999;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	CU_ASSERT(node_in->welcome->hub_time == UINT64_MAX &&
		  node_in->welcome->hub_time_ms == 999 && node_in->welcome->stun_udp_port == 65535);
	w.stun_udp_port++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	w.stun_udp_port = 0;
	w.relay_udp_port++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	w.relay_udp_port = 0;
	w.keepalive_s++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	w.keepalive_s = 0;
	w.hub_time_ms++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
}

static void relay(void)
{
	Taltun__Hub__V1__RelayOpened o = TALTUN__HUB__V1__RELAY_OPENED__INIT;
	Taltun__Hub__V1__RelayRefused r = TALTUN__HUB__V1__RELAY_REFUSED__INIT;
	Taltun__Hub__V1__RelayClosed c = TALTUN__HUB__V1__RELAY_CLOSED__INIT;
	struct tt_endpoint e[5], back[5];

	for (size_t i = 0; i < 5; i++)
		tt_endpoint_parse(i & 1 ? "[2001:db8::1]:3479" : "192.0.2.1:3479", &e[i]);
	o.node_id = 2;
	o.tag = 3;
	o.key = mesh_hub_bytes(key, 32);
	o.addresses = mesh_hub_bytes(list, mesh_hub_endpoints_write(list, sizeof(list), e, 4));
	o.expires_s = MESH_HUB_LEG_EXPIRY_MAX;
	TO_NODE(relay_opened, RELAY_OPENED, &o);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	CU_ASSERT_EQUAL(mesh_hub_endpoints_read(&node_in->relay_opened->addresses, back, 5), 4);
	for (size_t i = 0; i < 4; i++)
		CU_ASSERT(tt_endpoint_equal(&e[i], &back[i]));
	CU_ASSERT_EQUAL(mesh_hub_endpoints_read(&o.addresses, back, 3), -1);
	o.addresses.len--;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	o.addresses.len = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	o.addresses.len = mesh_hub_endpoints_write(list, sizeof(list), e, 5);
	CU_ASSERT(to_node() != MESH_HUB_OK);
	o.addresses.len = mesh_hub_endpoints_write(list, sizeof(list), e, 1);
	list[1] = 1;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	list[1] = list[2] = list[3] = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	list[2] = 1;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	o.expires_s++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	o.expires_s = 1;
	o.tag = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	o.tag = 1;
	o.key.len = 31;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LENGTH);
	TO_NODE(relay_refused, RELAY_REFUSED, &r);
	r.node_id = 1;
	for (int i = -1; i < 7; i++) {
		r.reason = i;
		CU_ASSERT_EQUAL(to_node(), i >= 1 && i <= 4 ? MESH_HUB_OK : MESH_HUB_BAD_NUMBER);
	}
	TO_NODE(relay_closed, RELAY_CLOSED, &c);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	c.node_id = 1;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
}

static void rest_to_node(void)
{
	Taltun__Hub__V1__Signal s = TALTUN__HUB__V1__SIGNAL__INIT;
	Taltun__Hub__V1__SignalFailed f = TALTUN__HUB__V1__SIGNAL_FAILED__INIT;
	Taltun__Hub__V1__Ping ping = TALTUN__HUB__V1__PING__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;
	Taltun__Hub__V1__Restarting r = TALTUN__HUB__V1__RESTARTING__INIT;
	Taltun__Hub__V1__Error e = TALTUN__HUB__V1__ERROR__INIT;
	Taltun__Hub__V1__Goodbye g = TALTUN__HUB__V1__GOODBYE__INIT;

	s.node_id = 1;
	s.sealed = mesh_hub_bytes(blob, 1);
	TO_NODE(signal, SIGNAL, &s);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	f.node_id = 1;
	TO_NODE(signal_failed, SIGNAL_FAILED, &f);
	for (int i = -1; i < 7; i++) {
		f.reason = i;
		CU_ASSERT_EQUAL(to_node(), i >= 1 && i <= 3 ? MESH_HUB_OK : MESH_HUB_BAD_NUMBER);
	}
	TO_NODE(ping, PING, &ping);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	TO_NODE(pong, PONG, &pong);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	r.reconnect_in_ms = r.try_for_ms = MESH_HUB_RESTART_MAX_MS;
	TO_NODE(restarting, RESTARTING, &r);
	CU_ASSERT(to_node() == MESH_HUB_OK && node_in->restarting->try_for_ms == 600000);
	r.try_for_ms++;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	e.code = TALTUN__HUB__V1__ERROR_CODE__ERROR_CODE_TOKEN;
	e.text = mesh_hub_text("the token was used");
	TO_NODE(error, ERROR, &e);
	CU_ASSERT(to_node() == MESH_HUB_OK && same(&node_in->error->text, &e.text));
	e.text = mesh_hub_text("\n");
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_TEXT);
	TO_NODE(goodbye, GOODBYE, &g);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
}

/* --- the map -----------------------------------------------------------------------------------
 */

static Taltun__Hub__V1__Peer peers[MESH_HUB_PEERS_MAX + 1];
static Taltun__Hub__V1__Peer *pointers[MESH_HUB_PEERS_MAX + 1];

static Taltun__Hub__V1__MapUpdate update_of(size_t n)
{
	Taltun__Hub__V1__MapUpdate u = TALTUN__HUB__V1__MAP_UPDATE__INIT;

	u.epoch = u.version = u.valid_until = 1;
	u.peers = pointers;
	u.n_peers = n;
	for (size_t i = 0; i < n; i++) {
		taltun__hub__v1__peer__init(&peers[i]);
		pointers[i] = &peers[i];
		peers[i].node_id = (uint32_t)i + 1;
		peers[i].name = mesh_hub_text("a");
		peers[i].wg_public_key = mesh_hub_bytes(key, 32);
		peers[i].role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
		peers[i].addresses = mesh_hub_bytes("\4\40\12\132\0\1", 6);
	}
	return u;
}

static void map_peer(void)
{
	Taltun__Hub__V1__MapUpdate u = update_of(1);
	uint32_t removed[] = {7, 8};
	struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX + 1], back[MESH_HUB_SUBNETS_MAX];

	for (size_t i = 0; i <= MESH_HUB_SUBNETS_MAX; i++) {
		tt_cidr_parse("fd00::/64", &subnets[i]);
		subnets[i].ip.b[7] = (uint8_t)i;
	}
	u.removed_ids = removed;
	u.n_removed_ids = 2;
	u.from_version = 3;
	u.version = UINT64_MAX;
	u.more = 1;
	peers[0].online = 1;
	peers[0].keepalive_s = 10;
	peers[0].subnets = mesh_hub_bytes(list, mesh_hub_prefixes_write(list, sizeof(list), subnets,
									MESH_HUB_SUBNETS_MAX));
	TO_NODE(map_update, MAP_UPDATE, &u);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_OK);
	const Taltun__Hub__V1__MapUpdate *in = node_in->map_update;
	CU_ASSERT(in->n_peers == 1 && in->n_removed_ids == 2 && in->removed_ids[1] == 8);
	CU_ASSERT(in->version == UINT64_MAX && in->from_version == 3 && in->more);
	CU_ASSERT(in->peers[0]->online && in->peers[0]->keepalive_s == 10);
	CU_ASSERT_EQUAL(mesh_hub_prefixes_read(&in->peers[0]->subnets, back, MESH_HUB_SUBNETS_MAX),
			MESH_HUB_SUBNETS_MAX);
	CU_ASSERT(back[5].bits == 64 && tt_ip_equal(&back[5].ip, &subnets[5].ip));
	peers[0].subnets.len =
		mesh_hub_prefixes_write(list, sizeof(list), subnets, MESH_HUB_SUBNETS_MAX + 1);
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_TOO_LONG);
	peers[0].subnets.len = 17;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LIST);
	peers[0].subnets.len = 0;
	for (int i = -1; i < 4; i++) {
		peers[0].role = i;
		CU_ASSERT_EQUAL(to_node(), i == 1 || i == 2 ? MESH_HUB_OK : MESH_HUB_BAD_NUMBER);
	}
	peers[0].role = 1;
	removed[0] = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	removed[0] = 1;
	u.version = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	u.version = 9;
	u.epoch = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	u.epoch = 1;
	u.valid_until = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	u.valid_until = 1;
	peers[0].node_id = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	peers[0].node_id = 1;
	peers[0].keepalive_s = 65536;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_NUMBER);
	peers[0].keepalive_s = 0;
	peers[0].wg_public_key.len = 0;
	CU_ASSERT_EQUAL(to_node(), MESH_HUB_BAD_LENGTH);
}

static void prefix_lists(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		int count;
	} table[] = {
		{"", 0, 0},
		{"\4\0\0\0\0\0", 6, 1},
		{"\4\10\12\0\0\0", 6, 1},
		{"\4\41\12\0\0\0", 6, -1},				/* 33 bits */
		{"\4\10\12\0\0\1", 6, -1},				/* host bits */
		{"\4\10\12\0\0", 5, -1},				/* cut off */
		{"\5\10\12\0\0\0", 6, -1},				/* family */
		{"\0\0", 2, -1},					/* family */
		{"\6\200\0\0\0\0\0\0\0\0\0\0\377\377\1\2\3\4", 18, -1}, /* IPv4 in disguise */
		{"\6\201\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 18, -1},	/* 129 bits */
		{"\6\200\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 18, 1},
	};
	struct tt_cidr back[2];
	struct tt_cidr none = {0};

	for (size_t i = 0; i < TT_ARRAY_LEN(table); i++) {
		ProtobufCBinaryData f = mesh_hub_bytes(table[i].bytes, table[i].len);

		CU_ASSERT_EQUAL(mesh_hub_prefixes_read(&f, back, 2), table[i].count);
	}
	CU_ASSERT_EQUAL(mesh_hub_prefixes_write(list, sizeof(list), &none, 1), 0);
	tt_cidr_parse("10.0.0.0/8", &none);
	CU_ASSERT_EQUAL(mesh_hub_prefixes_write(list, 5, &none, 1), 0);
	CU_ASSERT_EQUAL(mesh_hub_prefixes_write(list, 6, &none, 1), 6);
}

/* Whatever is within the bounds and a frame fits the arena: many small peers, many subnets, ids. */
static void largest_maps_fit(void)
{
	Taltun__Hub__V1__MapUpdate u = update_of(MESH_HUB_PEERS_MAX);
	static uint32_t ids[MESH_HUB_PEERS_MAX + 1];
	size_t n, size = 40;

	for (n = 0; n < MESH_HUB_PEERS_MAX; n++) {
		size += mesh_hub_peer_size(&peers[n]);
		if (size > MESH_FRAME_CONTROL_MAX)
			break;
	}
	u.n_peers = n;
	TO_NODE(map_update, MAP_UPDATE, &u);
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len), MESH_HUB_OK);
	CU_ASSERT(len > MESH_FRAME_CONTROL_MAX - 100);
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_MAP), MESH_HUB_OK);
	CU_ASSERT_EQUAL(node_in->map_update->n_peers, n);
	u.n_peers = n + 2;
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len),
			MESH_HUB_TOO_LONG);
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, 100, &len), MESH_HUB_TOO_LONG);

	/* all optional fields, names of full length */
	size = 40;
	for (n = 0; n < MESH_HUB_PEERS_MAX && size < MESH_FRAME_CONTROL_MAX; n++) {
		peers[n].online = 1;
		peers[n].keepalive_s = 1;
		peers[n].subnets = mesh_hub_bytes("\4\10\12\0\0\0", 6);
		size += mesh_hub_peer_size(&peers[n]);
	}
	u.n_peers = n - 1;
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len), MESH_HUB_OK);
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_MAP), MESH_HUB_OK);

	for (n = 0; n <= MESH_HUB_PEERS_MAX; n++)
		ids[n] = UINT32_MAX;
	u.n_peers = 0;
	u.removed_ids = ids;
	u.n_removed_ids = MESH_HUB_PEERS_MAX;
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len), MESH_HUB_OK);
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_MAP), MESH_HUB_OK);
	u.n_removed_ids++;
	raw(&node.base);
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_MAP), MESH_HUB_TOO_LONG);
}

/* --- hostile bytes -----------------------------------------------------------------------------
 */

static size_t put_varint(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 128; v >>= 7)
		p[n++] = (uint8_t)(v | 128);
	p[n++] = (uint8_t)v;
	return n;
}

/* A MapUpdate of many empty peers, as many as a frame holds. */
static void case_27_a_million_peers(void)
{
	size_t body = MESH_FRAME_CONTROL_MAX - 8;

	frame[4] = 4 << 3 | 2;
	size_t at = 5 + put_varint(frame + 5, body - 4);
	for (; at + 2 < body; at += 2) {
		frame[at] = 5 << 3 | 2;
		frame[at + 1] = 0;
	}
	len = 4 + MESH_FRAME_CONTROL_MAX + 1;
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_MAP), MESH_HUB_TOO_LONG);
	len = at;
	put_varint(frame + 5, at - 8);
	enum mesh_hub_outcome o = unpack_node(MESH_HUB_ARENA_MAP);
	CU_ASSERT(o == MESH_HUB_TOO_MUCH || o == MESH_HUB_MALFORMED);
	CU_ASSERT(arena.used <= arena.size);
}

static void truncated(void)
{
	Taltun__Hub__V1__MapUpdate u = update_of(3);

	TO_NODE(map_update, MAP_UPDATE, &u);
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len), MESH_HUB_OK);
	size_t whole = len;
	for (len = 4; len < whole; len++) {
		CU_ASSERT(unpack_node(MESH_HUB_ARENA_SMALL) != MESH_HUB_OK);
		CU_ASSERT_PTR_NULL(node_in);
	}
	/* an arena of any size: whole or nothing */
	len = whole;
	for (size_t size = 0; size < 2000; size++) {
		enum mesh_hub_outcome o = unpack_node(size);

		CU_ASSERT(o == MESH_HUB_OK || o == MESH_HUB_TOO_MUCH);
		CU_ASSERT(arena.used <= size);
	}
	for (size_t room = 0; room < whole; room++)
		CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, room, &len), MESH_HUB_NO_ROOM);
}

static void unknown(void)
{
	static const uint8_t field_99[] = {0x9a, 0x06, 1, 'x'}, varint[] = {0x08, 1};

	len = 4;
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_SMALL), MESH_HUB_UNKNOWN);
	CU_ASSERT_EQUAL(unpack_hub(MESH_HUB_ARENA_SMALL), MESH_HUB_UNKNOWN);
	memcpy(frame + 4, field_99, 4);
	len = 8;
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_SMALL), MESH_HUB_UNKNOWN);
	CU_ASSERT_EQUAL(unpack_hub(MESH_HUB_ARENA_SMALL), MESH_HUB_UNKNOWN);
	memcpy(frame + 4, varint, 2);
	len = 6;
	CU_ASSERT_EQUAL(unpack_node(MESH_HUB_ARENA_SMALL), MESH_HUB_MALFORMED);
	CU_ASSERT_EQUAL(unpack_hub(MESH_HUB_ARENA_SMALL), MESH_HUB_MALFORMED);
}

/* Messages one behind the other in one body, as protobuf allows: the last counts. */
static void repeated_oneof(void)
{
	Taltun__Hub__V1__Ping ping = TALTUN__HUB__V1__PING__INIT;
	Taltun__Hub__V1__Pong pong = TALTUN__HUB__V1__PONG__INIT;

	ping.token = pong.token = 3;
	TO_HUB(ping, PING, &ping);
	size_t n = protobuf_c_message_pack(&hub.base, frame + 4);
	TO_HUB(pong, PONG, &pong);
	n += protobuf_c_message_pack(&hub.base, frame + 4 + n);
	len = 4 + n;
	CU_ASSERT_EQUAL(unpack_hub(MESH_HUB_ARENA_SMALL), MESH_HUB_OK);
	CU_ASSERT_EQUAL(hub_in->message_case, TALTUN__HUB__V1__TO_HUB__MESSAGE_PONG);
}

static void random_bytes(void)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 8);
	Taltun__Hub__V1__MapUpdate u = update_of(3);

	TO_NODE(map_update, MAP_UPDATE, &u);
	CU_ASSERT_EQUAL(mesh_hub_to_node_pack(&node, frame, sizeof(frame), &len), MESH_HUB_OK);
	for (int i = 0; i < 20000; i++) {
		uint32_t at = 4 + tt_rng_below(&rng, (uint32_t)len - 4);
		uint8_t was = frame[at];

		frame[at] = (uint8_t)tt_rng_below(&rng, 256);
		unpack_node(MESH_HUB_ARENA_SMALL);
		unpack_hub(MESH_HUB_ARENA_SMALL);
		if (i & 1)
			frame[at] = was;
	}
}

static void names(void)
{
	char text[4];
	ProtobufCBinaryData f = mesh_hub_text("abc");

	for (int i = MESH_HUB_OK; i <= MESH_HUB_BAD_NUMBER; i++)
		CU_ASSERT(i == MESH_HUB_UNKNOWN ||
			  strcmp(mesh_hub_outcome_name((enum mesh_hub_outcome)i), "unknown"));
	CU_ASSERT(mesh_hub_text_copy(text, 4, &f) && strcmp(text, "abc") == 0);
	CU_ASSERT(!mesh_hub_text_copy(text, 3, &f) && text[0] == 0);
}

/* Keys and blobs with content that is told apart; letters, so that texts may be cut from it. */
static void fill(void)
{
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i + 1);
	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = (uint8_t)('a' + i % 26);
	CU_ASSERT_EQUAL(key[0], 1);
}

TT_TESTS("hub_codec", {"fill", fill}, {"enroll", enroll}, {"hello", hello},
	 {"to the hub", rest_to_hub}, {"enrolled", enrolled},
	 {"case_27 node names", case_27_node_names}, {"relay", relay},
	 {"to the node", rest_to_node}, {"map peer", map_peer}, {"prefix lists", prefix_lists},
	 {"largest maps", largest_maps_fit}, {"case_27 a million peers", case_27_a_million_peers},
	 {"truncated", truncated}, {"unknown", unknown}, {"repeated oneof", repeated_oneof},
	 {"random bytes", random_bytes}, {"names", names})

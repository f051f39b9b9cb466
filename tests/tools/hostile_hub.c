/* SPDX-License-Identifier: MIT
 *
 * A hub that means ill: it has the certificate of a real one, and plays one script to every node
 * that connects. For tests of what a node makes of it.
 *
 *	hostile_hub [OPTION]... ADDRESS:PORT SCRIPT
 *	  --dir DIR                       {ca,server}.{crt,key} of the real hub
 *(/var/lib/taltun-hub)
 *	  --seconds N                     how long a flood takes, and how long it listens afterwards
 *(3)
 *	  --name NAME                     the certificate is for another name
 *	  --life FROM UNTIL               and valid from now + FROM to now + UNTIL seconds
 *	  --peer NAME ID KEY ADDRESS      an honest node; the first is what maps go on naming
 *
 * Prints `on NODE` when a node has said hello, `sent COUNT` when the script is through, `heard
 * MESSAGE` for each kind of message once, and `closed` where the node ended it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/b64.h"
#include "hub/file.h"
#include "mesh/frame.h"
#include "mesh/hub_codec.h"
#include "plat/clock.h"
#include "tls/session.h"

typedef Taltun__Hub__V1__ToHub to_hub;
typedef Taltun__Hub__V1__ToNode to_node;
typedef Taltun__Hub__V1__MapUpdate map_update;
typedef Taltun__Hub__V1__Peer map_peer;

#define HONEST_MAX 8
#define PEERS_MAX  2000 /* of one update */

struct honest {
	const char *name;
	uint32_t id;
	uint8_t key[32];
	struct tt_cidr address;
};

static struct honest honest[HONEST_MAX];
static unsigned honest_count;
static const struct honest *me, *other; /* who is connected, and whom its maps go on naming */
static const char *dir = "/var/lib/taltun-hub";
static unsigned seconds = 3;
static struct tls_der ca, ca_key;

static int fd = -1;
static struct tls_session *tls;
static struct mesh_frame_reader reader;
static uint8_t reader_buffer[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];
static uint8_t frame[MESH_FRAME_HEADER + 2 * MESH_FRAME_CONTROL_MAX];
static struct mesh_hub_arena arena;
static uint8_t arena_memory[MESH_HUB_ARENA_MAP];
static bool closed;
static uint64_t sent, heard[32], map_version = UINT64_C(1) << 40;

static _Noreturn void die(const char *what, const char *more)
{
	printf("failed %s %s\n", what, more);
	exit(1);
}

static uint64_t now_ms(void)
{
	return plat_clock_mono().ns / TT_NS_PER_MS;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void take_frame(const struct mesh_frame *f)
{
	const to_hub *m;

	mesh_hub_arena_init(&arena, arena_memory, sizeof(arena_memory));
	if (f->kind != MESH_FRAME_CONTROL ||
	    mesh_hub_to_hub_unpack(&arena, f->body, f->len, &m) != MESH_HUB_OK)
		return;
	if (heard[m->message_case % 32]++ == 0)
		printf("heard %d\n", (int)m->message_case);
}

static void take_plain(void)
{
	static uint8_t plain[16384];
	struct mesh_frame f;
	size_t n;

	while ((n = tls_session_read(tls, plain, sizeof(plain))) > 0) {
		mesh_frame_reader_feed(&reader, plain, n);
		while (mesh_frame_reader_next(&reader, &f) == MESH_FRAME_READY)
			take_frame(&f);
	}
}

static void ended(void)
{
	if (!closed)
		printf("closed\n");
	closed = true;
}

/* What there is to read, within so long; then what there is to say. */
static void turn(int wait_ms)
{
	static uint8_t buf[65536];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (!closed && poll(&p, 1, wait_ms) > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0) {
			ended();
			return;
		}
		if (tls_session_feed(tls, buf, (size_t)n) >= TLS_CLOSED)
			ended();
		take_plain();
		wait_ms = 0;
	}
}

static void push_out(void)
{
	static uint8_t buf[65536];
	size_t n;

	while (!closed && (n = tls_session_output(tls, buf, sizeof(buf))) > 0)
		for (size_t off = 0; off < n && !closed;) {
			ssize_t done = send(fd, buf + off, n - off, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (done > 0)
				off += (size_t)done;
			else if (errno == EAGAIN)
				/* it reads no faster: we do, or both would wait */
				turn(5);
			else
				ended();
		}
}

static void send_plain(const void *bytes, size_t len)
{
	if (!closed && !tls_session_write(tls, bytes, len))
		ended();
	push_out();
	turn(0);
	sent++;
}

/* Without the checks that an honest sender makes. */
static void send_message(const to_node *m)
{
	size_t len = taltun__hub__v1__to_node__get_packed_size(m);

	if (len > sizeof(frame) - MESH_FRAME_HEADER)
		die("too long", "");
	frame[0] = MESH_FRAME_CONTROL;
	frame[1] = (uint8_t)(len >> 16);
	frame[2] = (uint8_t)(len >> 8);
	frame[3] = (uint8_t)len;
	taltun__hub__v1__to_node__pack(m, frame + MESH_FRAME_HEADER);
	send_plain(frame, MESH_FRAME_HEADER + len);
}

#define MESSAGE(field, type, init)                                   \
	to_node m = TALTUN__HUB__V1__TO_NODE__INIT;                  \
	Taltun__Hub__V1__##type v = TALTUN__HUB__V1__##init##__INIT; \
	m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_##init;   \
	m.field = &v

static void listen_on(uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (!closed && now_ms() < end) {
		turn(20);
		push_out();
	}
}

static uint32_t below(uint32_t n)
{
	uint32_t r;

	RAND_bytes((uint8_t *)&r, sizeof(r));
	return r % n;
}

/* --- greeting --------------------------------------------------------------------------------- */

static ProtobufCBinaryData prefixes(uint8_t *space, const struct tt_cidr *list, size_t count)
{
	return mesh_hub_bytes(space, mesh_hub_prefixes_write(space, 64 * count, list, count));
}

static void welcome(void)
{
	MESSAGE(welcome, Welcome, WELCOME);
	uint8_t space[64];

	v.node_id = me->id;
	v.name = mesh_hub_text(me->name);
	v.addresses = prefixes(space, &me->address, 1);
	v.hub_time = (uint64_t)time(NULL);
	v.keepalive_s = 10;
	send_message(&m);
}

static void hello(void)
{
	struct tls_cert_info peer;

	for (uint64_t end = now_ms() + 5000;
	     !closed && now_ms() < end && !heard[TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO];)
		turn(20);
	if (closed || !tls_session_peer(tls, &peer))
		exit(1);
	printf("on %s\n", peer.name);
	for (unsigned i = 0; i < honest_count; i++)
		*(strcmp(honest[i].name, peer.name) == 0 ? &me : &other) = &honest[i];
	if (!me)
		die("who is", peer.name);
}

static void greet(void)
{
	hello();
	welcome();
}

/* --- maps ------------------------------------------------------------------------------------- */

struct peer_space {
	map_peer p;
	char name[80];
	uint8_t key[32], addresses[64], subnets[64];
};

static struct peer_space space[PEERS_MAX];
static map_peer *pointers[PEERS_MAX];

static struct tt_cidr prefix(const char *text)
{
	struct tt_cidr c;

	if (tt_cidr_parse(text, &c) != 0)
		die("prefix", text);
	return c;
}

/* A node that never was, the index-th. */
static map_peer *made_up(unsigned index, uint32_t id)
{
	struct peer_space *s = &space[index];
	struct tt_cidr a = prefix("10.200.0.0/32");

	taltun__hub__v1__peer__init(&s->p);
	a.ip.b[1] = (uint8_t)(200 + (id >> 16) % 50);
	a.ip.b[2] = (uint8_t)(id >> 8);
	a.ip.b[3] = (uint8_t)id;
	snprintf(s->name, sizeof(s->name), "x%u", id);
	RAND_bytes(s->key, sizeof(s->key));
	s->p.node_id = id;
	s->p.name = mesh_hub_text(s->name);
	s->p.wg_public_key = mesh_hub_bytes(s->key, 32);
	s->p.addresses = prefixes(s->addresses, &a, 1);
	s->p.role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
	s->p.online = 1;
	pointers[index] = &s->p;
	return &s->p;
}

static map_peer *true_one(unsigned index)
{
	struct peer_space *s = &space[index];

	made_up(index, other->id);
	snprintf(s->name, sizeof(s->name), "%s", other->name);
	memcpy(s->key, other->key, 32);
	s->p.name = mesh_hub_text(s->name);
	s->p.addresses = prefixes(s->addresses, &other->address, 1);
	return &s->p;
}

static void send_map(unsigned peers, uint64_t from, uint64_t version, bool more)
{
	MESSAGE(map_update, MapUpdate, MAP_UPDATE);

	v.epoch = 7;
	v.from_version = from;
	v.version = version;
	v.valid_until = (uint64_t)time(NULL) + 86400;
	v.peers = pointers;
	v.n_peers = peers;
	v.more = more;
	send_message(&m);
}

/* All of the map: the true peer, and one that should not be taken. */
static map_peer *bad_map(void)
{
	true_one(0);
	return made_up(1, 70000);
}

static void map_own_key(void)
{
	bad_map()->wg_public_key = mesh_hub_bytes(me->key, 32);
	send_map(2, 0, map_version, false);
}

static void map_own_id(void)
{
	bad_map()->node_id = me->id;
	send_map(2, 0, map_version, false);
}

static void map_own_address(void)
{
	bad_map()->addresses = prefixes(space[1].addresses, &me->address, 1);
	send_map(2, 0, map_version, false);
}

static void map_same_key(void)
{
	bad_map()->wg_public_key = mesh_hub_bytes(other->key, 32);
	send_map(2, 0, map_version, false);
}

static void map_same_address(void)
{
	bad_map()->addresses = prefixes(space[1].addresses, &other->address, 1);
	send_map(2, 0, map_version, false);
}

static void map_default(void)
{
	struct tt_cidr all = prefix("0.0.0.0/0");

	bad_map()->subnets = prefixes(space[1].subnets, &all, 1);
	send_map(2, 0, map_version, false);
}

static void map_public(void)
{
	struct tt_cidr a = prefix("8.8.8.8/32");

	bad_map()->addresses = prefixes(space[1].addresses, &a, 1);
	send_map(2, 0, map_version, false);
}

static void map_nul(void)
{
	bad_map()->name = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
	send_map(2, 0, map_version, false);
}

static void map_long(void)
{
	static uint8_t name[70000];

	memset(name, 'a', sizeof(name));
	bad_map()->name = (ProtobufCBinaryData){sizeof(name), name};
	send_map(2, 0, map_version, false);
}

static void map_zero_key(void)
{
	memset(space[1].key, 0, 32);
	bad_map();
	memset(space[1].key, 0, 32);
	send_map(2, 0, map_version, false);
}

/* A chain of a million peers. */
static void map_million(void)
{
	uint32_t id = 100000;

	true_one(0);
	send_map(1, 0, map_version, true);
	for (unsigned k = 0; k < 1000 && !closed; k++) {
		for (unsigned i = 0; i < 1000; i++)
			made_up(i, id++);
		send_map(1000, 0, map_version, true);
	}
}

/* Chains that begin and never end. */
static void map_no_end(void)
{
	uint32_t id = 100000;

	for (unsigned k = 0; k < 200 && !closed; k++) {
		for (unsigned i = 0; i < 1000; i++)
			made_up(i, id++);
		send_map(1000, 0, map_version + k, true);
	}
}

static void map_back(void)
{
	true_one(0);
	send_map(1, 0, map_version, false);
	send_map(1, map_version, map_version - 5, false);
	send_map(1, map_version + 5, map_version + 6, false);
	send_map(1, map_version, map_version, false);
}

/* A thousand peers that are others each time. */
static void map_storm(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		true_one(0);
		for (unsigned i = 1; i < 1000; i++)
			made_up(i, 100000 + below(900000));
		send_map(1000, 0, ++map_version, false);
	}
	true_one(0);
	send_map(1, 0, ++map_version, false);
}

static void map_refused_flood(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;)
		map_same_key();
}

/* --- floods ----------------------------------------------------------------------------------- */

static void signals(void)
{
	uint8_t sealed[2048];

	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(signal, Signal, SIGNAL);
		RAND_bytes(sealed, 64);
		v.node_id = below(2) ? other->id : 1 + below(100000);
		v.sealed = mesh_hub_bytes(sealed, 1 + below(sizeof(sealed)));
		send_message(&m);
	}
}

static void send_relay(uint32_t from, const uint8_t *packet, uint32_t len)
{
	static uint8_t buf[MESH_FRAME_RELAY_BEFORE + MESH_FRAME_PACKET_MAX];

	mesh_frame_relay_write(buf, from, len);
	memcpy(buf + MESH_FRAME_RELAY_BEFORE, packet, len);
	send_plain(buf, MESH_FRAME_RELAY_BEFORE + len);
}

/* Of strangers and of the peer; noise, and what looks like each kind of message. */
static void relayed(void)
{
	static uint8_t packet[MESH_FRAME_PACKET_MAX];

	RAND_bytes(packet, sizeof(packet));
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		static const uint32_t len[] = {MESH_FRAME_PACKET_MIN, 92, 148, 1452,
					       MESH_FRAME_PACKET_MAX};
		uint8_t kind = (uint8_t)below(7);

		RAND_bytes(packet, 32);
		if (kind >= 1 && kind <= 4)
			memcpy(packet, (uint8_t[]){kind, 0, 0, 0}, 4);
		else if (kind == 5)
			memcpy(packet, "\0\1\0\x08\x21\x12\xa4\x42", 8);
		send_relay(below(2) ? other->id : 1 + below(100000), packet,
			   len[below(TT_ARRAY_LEN(len))]);
	}
}

static void pings(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(ping, Ping, PING);
		v.token = sent;
		send_message(&m);
	}
}

static void pongs(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(pong, Pong, PONG);
		v.token = sent;
		send_message(&m);
	}
}

static void opened_at(const char *const *at, unsigned count)
{
	MESSAGE(relay_opened, RelayOpened, RELAY_OPENED);
	struct tt_endpoint e[4];
	uint8_t key[32], list[128];

	for (unsigned i = 0; i < count; i++)
		if (tt_endpoint_parse(at[i], &e[i]) != 0)
			die("endpoint", at[i]);
	RAND_bytes(key, sizeof(key));
	v.node_id = other->id;
	v.tag = 1 + below(1000000);
	v.key = mesh_hub_bytes(key, 32);
	v.addresses = mesh_hub_bytes(list, mesh_hub_endpoints_write(list, sizeof(list), e, count));
	v.expires_s = 300;
	send_message(&m);
}

static void opened_nowhere(void)
{
	static const char *const bad[] = {"127.0.0.1:3479", "224.0.0.1:3479", "255.255.255.255:9",
					  "[ff02::1]:9"};

	for (unsigned i = 0; i < TT_ARRAY_LEN(bad); i++)
		opened_at(bad + i, 1);
	opened_at(bad, TT_ARRAY_LEN(bad));
}

/* Each names a place: how often does the node send there? */
static void opened(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		char text[32];
		const char *at = text;

		snprintf(text, sizeof(text), "203.0.113.2:%u", 20000 + below(100));
		opened_at(&at, 1);
	}
}

static void renewed(void)
{
	struct tls_der key, csr, cert = {0};
	struct tls_cert_request r = {.role = TLS_CERT_NODE, .name = me->name};
	uint8_t wg[32];

	RAND_bytes(wg, sizeof(wg));
	RAND_bytes(r.serial, sizeof(r.serial));
	tls_key_generate(&key);
	tls_csr_create(&key, &csr);
	r.wg_public_key = wg;
	r.csr = csr.bytes;
	r.csr_len = csr.len;
	r.not_before_s = (uint64_t)time(NULL) - 60;
	r.not_after_s = (uint64_t)time(NULL) + 90 * 86400;
	for (unsigned i = 0; i < 200 && !closed; i++) {
		MESSAGE(renewed, Renewed, RENEWED);
		if (i == 100) /* from now on with the right WireGuard key, and another key of TLS */
			r.wg_public_key = me->key;
		if (i % 100 == 0 && tls_cert_issue(&ca, &ca_key, &r, &cert) != 0)
			die("issue", "");
		v.certificate = mesh_hub_bytes(cert.bytes, cert.len);
		if (i == 199)
			v.certificate = mesh_hub_bytes(ca.bytes, ca.len);
		send_message(&m);
	}
}

static void restarting(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.reconnect_in_ms = UINT32_MAX;
	v.try_for_ms = UINT32_MAX;
	send_message(&m);
}

static void restarting_late(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.reconnect_in_ms = v.try_for_ms = MESH_HUB_RESTART_MAX_MS;
	send_message(&m);
}

static void restarting_soon(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.try_for_ms = MESH_HUB_RESTART_MAX_MS;
	send_message(&m);
}

static void strange(void)
{
	MESSAGE(welcome, Welcome, WELCOME);
	uint8_t list[64];

	v.node_id = UINT32_MAX;
	v.name = mesh_hub_text("somebody-else");
	v.addresses = prefixes(list, &other->address, 1);
	v.hub_time = UINT64_MAX;
	v.stun_udp_port = 65535;
	v.keepalive_s = 65535;
	send_message(&m);
}

/* --- bytes that are no messages --------------------------------------------------------------- */

static void garbage(void)
{
	static uint8_t noise[16384];

	for (unsigned i = 0; i < 64 && !closed; i++) {
		RAND_bytes(noise, sizeof(noise));
		send_plain(noise, sizeof(noise));
	}
}

static void wrong_kind(void)
{
	send_plain((uint8_t[]){9, 0, 0, 1, 0}, 5);
}

static void overlong(void)
{
	send_plain((uint8_t[]){MESH_FRAME_CONTROL, 0xff, 0xff, 0xff, 0}, 5);
}

static void noise(void)
{
	uint8_t bytes[MESH_FRAME_HEADER + 200] = {MESH_FRAME_CONTROL, 0, 0, 200};

	RAND_bytes(bytes + MESH_FRAME_HEADER, 200);
	send_plain(bytes, sizeof(bytes));
}

static void drip(void)
{
	send_plain((uint8_t[]){MESH_FRAME_CONTROL, 3, 0, 0}, 4);
	for (unsigned i = 0; i < seconds && !closed; i++) {
		send_plain("", 1);
		listen_on(1000);
	}
}

static void nothing(void)
{
}

static void hang_up(void)
{
	closed = true;
}

struct script {
	const char *name;
	void (*before)(void);
	void (*play)(void);
};

static const struct script scripts[] = {
	{"garbage", greet, garbage},
	{"garbage_early", nothing, garbage},
	{"wrong_kind", greet, wrong_kind},
	{"overlong", greet, overlong},
	{"noise", greet, noise},
	{"early", hello, restarting_late},
	{"welcome_twice", greet, welcome},
	{"welcome_strange", hello, strange},
	{"map_own_key", greet, map_own_key},
	{"map_own_id", greet, map_own_id},
	{"map_own_address", greet, map_own_address},
	{"map_same_key", greet, map_same_key},
	{"map_same_address", greet, map_same_address},
	{"map_zero_key", greet, map_zero_key},
	{"map_default", greet, map_default},
	{"map_public", greet, map_public},
	{"map_nul", greet, map_nul},
	{"map_long", greet, map_long},
	{"map_million", greet, map_million},
	{"map_no_end", greet, map_no_end},
	{"map_back", greet, map_back},
	{"map_storm", greet, map_storm},
	{"map_refused_flood", greet, map_refused_flood},
	{"signals", greet, signals},
	{"relayed", greet, relayed},
	{"pings", greet, pings},
	{"pongs", greet, pongs},
	{"opened_nowhere", greet, opened_nowhere},
	{"opened", greet, opened},
	{"renewed", greet, renewed},
	{"restarting", greet, restarting},
	{"restarting_late", greet, restarting_late},
	{"restarting_soon", greet, restarting_soon},
	{"drip", greet, drip},
	{"mute", nothing, nothing},
	{"mute_hello", hello, nothing},
	{"quiet", greet, nothing},
	{"close_tls", nothing, hang_up},
	{"close_hello", hello, hang_up},
	{"close_welcome", greet, hang_up},
};

/* --- serving ---------------------------------------------------------------------------------- */

static void serve(const char *name, struct tls_context *context)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(name, "mute_tcp") == 0) {
		pause();
		return;
	}
	if (strcmp(name, "close_tcp") == 0 || tls_session_create(context, NULL, &tls) != 0)
		return;
	mesh_frame_reader_init(&reader, reader_buffer, sizeof(reader_buffer),
			       MESH_FRAME_CONTROL_MAX, MESH_FRAME_RELAY_MAX);
	while (!closed && tls_session_state(tls) == TLS_HANDSHAKE) {
		turn(1000);
		push_out();
	}
	if (tls_session_state(tls) != TLS_OPEN)
		die("tls", tls_failure_name(tls_session_failure(tls)));
	for (size_t i = 0; i < TT_ARRAY_LEN(scripts); i++)
		if (strcmp(name, scripts[i].name) == 0) {
			scripts[i].before();
			scripts[i].play();
		}
	printf("sent %llu\n", (unsigned long long)sent);
	listen_on(seconds * 1000);
}

static void make_context(const char *name, const long life[2], struct tls_context **out)
{
	char path[512];
	struct tls_der cert, key, csr;
	struct tls_cert_request r = {.role = TLS_CERT_HUB, .name = name};

	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	hub_file_read_cert(path, &ca);
	snprintf(path, sizeof(path), "%s/ca.key", dir);
	hub_file_read_key(path, &ca_key);
	snprintf(path, sizeof(path), "%s/server.crt", dir);
	hub_file_read_cert(path, &cert);
	snprintf(path, sizeof(path), "%s/server.key", dir);
	if (hub_file_read_key(path, &key) != 0)
		die("read", path);
	if (name) {
		RAND_bytes(r.serial, sizeof(r.serial));
		tls_csr_create(&key, &csr);
		r.csr = csr.bytes;
		r.csr_len = csr.len;
		r.not_before_s = (uint64_t)(time(NULL) + life[0]);
		r.not_after_s = (uint64_t)(time(NULL) + life[1]);
		if (tls_cert_issue(&ca, &ca_key, &r, &cert) != 0)
			die("issue", name);
	}
	struct tls_context_options opt = {.server = true, .cert = &cert, .key = &key, .ca = &ca};
	if (tls_context_create(&opt, out) != 0)
		die("context", "");
}

static void add_honest(char **argv)
{
	struct honest *h = &honest[honest_count++ % HONEST_MAX];

	h->name = argv[0];
	h->id = (uint32_t)atoi(argv[1]);
	if (tt_key_from_b64(argv[2], strlen(argv[2]), h->key) != 0)
		die("key", argv[2]);
	h->address = prefix(argv[3]);
}

int main(int argc, char **argv)
{
	const char *name = NULL;
	long life[2] = {-3600, 86400};
	struct tls_context *context;
	struct tt_endpoint at;
	struct sockaddr_in ss = {.sin_family = AF_INET};
	int on = 1, i = 1;

	for (; i < argc - 2; i++) {
		if (strcmp(argv[i], "--dir") == 0) {
			dir = argv[++i];
		} else if (strcmp(argv[i], "--seconds") == 0) {
			seconds = (unsigned)atoi(argv[++i]);
		} else if (strcmp(argv[i], "--name") == 0) {
			name = argv[++i];
		} else if (strcmp(argv[i], "--life") == 0) {
			life[0] = atol(argv[++i]);
			life[1] = atol(argv[++i]);
		} else if (strcmp(argv[i], "--peer") == 0 && i + 4 < argc) {
			add_honest(argv + i + 1);
			i += 4;
		}
	}
	if (argc - i != 2 || tt_endpoint_parse(argv[i], &at) != 0 || at.ip.family != TT_FAMILY_V4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGCHLD, SIG_IGN);
	make_context(name, life, &context);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&ss.sin_addr, at.ip.b, 4);
	ss.sin_port = htons(at.udp_port);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&ss, sizeof(ss)) < 0 || listen(listener, 64) < 0)
		die("listen", strerror(errno));
	printf("ready\n");
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (fork() == 0) {
			close(listener);
			serve(argv[i + 1], context);
			_exit(0);
		}
		close(fd);
	}
	return 1;
}

/* SPDX-License-Identifier: MIT
 *
 * An enrolled node that means ill: what it does to its hub, and to others by way of the hub.
 *
 *	hostile_node DIR SCRIPT [OPTION]...     DIR: of `hub_client enroll`
 *	  --at ADDRESS:PORT   where the hub is
 *	  --victim ID         a node of its map
 *	  --seconds N         for so long (2)
 *
 * Says `ready` when it begins, and in the end what came of it: `sent N heard N ENDED`, where ENDED
 *is `alive`, `closed` or `error CODE`.
 */
#include "hub_talk.h"
#include <netinet/in.h>
#include <signal.h>
#include <sys/time.h>

#include "mesh/relay.h"

#define BATCH 64

static const char *dir;
static uint32_t victim = 1;
static unsigned seconds = 2;
static uint64_t end_us;
static unsigned long long sent, heard;
static int refused; /* code of the last Error */
static bool connected;
static uint32_t leg_tag;
static uint8_t leg_key[MESH_RELAY_KEY_LEN];
static struct tt_endpoint relay_at;

static _Noreturn void finish(void)
{
	char ended[32] = "alive";

	if (!connected)
		snprintf(ended, sizeof(ended), refused ? "error %d" : "closed", refused);
	printf("sent %llu heard %llu %s\n", sent, heard, ended);
	fflush(stdout);
	_exit(0);
}

/* Also out of a send() that the hub lets wait. */
static void on_alarm(int signal)
{
	(void)signal;
	finish();
}

static bool goes_on(void)
{
	return connected && now_us() < end_us;
}

static void take(const struct mesh_frame *f)
{
	struct tt_endpoint at[MESH_HUB_ENDPOINTS_MAX];

	heard++;
	if (f->kind != MESH_FRAME_CONTROL)
		return;
	const to_node *m = unpack(f);

	if (m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR) {
		refused = (int)m->error->code;
	} else if (m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED) {
		const Taltun__Hub__V1__RelayOpened *o = m->relay_opened;
		leg_tag = o->tag;
		memcpy(leg_key, o->key.data, sizeof(leg_key));
		if (mesh_hub_endpoints_read(&o->addresses, at, TT_ARRAY_LEN(at)) > 0)
			relay_at = at[0];
	}
}

/* What has come, without waiting for more. */
static void listen_a_bit(void)
{
	struct mesh_frame f;

	while (connected) {
		connected = next_frame(&f, false);
		if (!connected || !f.len)
			return;
		take(&f);
	}
}

static void listen_for(unsigned ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t until = now_us() + (uint64_t)ms * 1000;

	while (connected && now_us() < until) {
		poll(&p, 1, 10);
		listen_a_bit();
	}
}

static void begin(void)
{
	struct tls_der cert, key, ca;
	uint8_t wg[32];
	char host[256];
	uint16_t tcp_port = read_node(dir, dir, &cert, &key, &ca, host, wg);
	struct tls_context_options opt = {.cert = &cert, .key = &key, .ca = &ca};

	dial(host, tcp_port);
	open_tls(&opt, host);
	say_hello();
	connected = true;
	refused = 0;
}

static void end(void)
{
	close(fd);
	tls_session_destroy(tls);
}

/* --- messages --------------------------------------------------------------------------------- */

static void write_raw(const void *bytes, size_t len)
{
	if (!tls_session_write(tls, bytes, len))
		connected = false;
}

static void write_message(const to_hub *m)
{
	size_t len;
	enum mesh_hub_outcome o = mesh_hub_to_hub_pack(m, frame_space, sizeof(frame_space), &len);

	if (o != MESH_HUB_OK)
		die("pack", mesh_hub_outcome_name(o));
	write_raw(frame_space, len);
	sent++;
}

static void signal_at(uint32_t id)
{
	static const uint8_t sealed[2048] = {1};
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Signal s = TALTUN__HUB__V1__SIGNAL__INIT;

	s.node_id = id;
	s.sealed = mesh_hub_bytes(sealed, sizeof(sealed));
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_SIGNAL;
	m.signal = &s;
	write_message(&m);
}

static void say_signal(void)
{
	signal_at(victim);
}

static void say_signal_nowhere(void)
{
	signal_at(4000000);
}

static void say_open(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__RelayOpen o = TALTUN__HUB__V1__RELAY_OPEN__INIT;

	o.node_id = victim;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_OPEN;
	m.relay_open = &o;
	write_message(&m);
}

static void say_open_and_close(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__RelayClose c = TALTUN__HUB__V1__RELAY_CLOSE__INIT;

	say_open();
	c.node_id = victim;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_CLOSE;
	m.relay_close = &c;
	write_message(&m);
}

static void say_request(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__MapRequest q = TALTUN__HUB__V1__MAP_REQUEST__INIT;

	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_MAP_REQUEST;
	m.map_request = &q;
	write_message(&m);
}

static void say_renew(void)
{
	static struct tls_der key, csr;
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Renew r = TALTUN__HUB__V1__RENEW__INIT;

	if (!csr.len && (tls_key_generate(&key) != 0 || tls_csr_create(&key, &csr) != 0))
		die("key", "");
	r.csr = mesh_hub_bytes(csr.bytes, csr.len);
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW;
	m.renew = &r;
	write_message(&m);
}

static void say_ping(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Ping p = TALTUN__HUB__V1__PING__INIT;

	p.token = sent + 1;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_PING;
	m.ping = &p;
	write_message(&m);
}

static void packet_to(uint32_t id, uint32_t len)
{
	static uint8_t frame[MESH_FRAME_RELAY_BEFORE + MESH_FRAME_PACKET_MAX];

	mesh_frame_relay_write(frame, id, len);
	memset(frame + MESH_FRAME_RELAY_BEFORE, 4, 64);
	write_raw(frame, MESH_FRAME_RELAY_BEFORE + len);
	sent++;
}

static void say_largest_packet(void)
{
	packet_to(victim, MESH_FRAME_PACKET_MAX);
}

static void say_smallest_packet(void)
{
	packet_to(victim, MESH_FRAME_PACKET_MIN);
}

/* As WireGuard's, of nobody: what lies behind the header is random. */
static void say_initiation(void)
{
	uint8_t frame[MESH_FRAME_RELAY_BEFORE + 148];

	RAND_bytes(frame, sizeof(frame));
	mesh_frame_relay_write(frame, victim, 148);
	tt_store_be32(frame + MESH_FRAME_RELAY_BEFORE, 0x01000000);
	write_raw(frame, sizeof(frame));
	sent++;
}

static void say_data(void)
{
	uint8_t frame[MESH_FRAME_RELAY_BEFORE + 1400];

	mesh_frame_relay_write(frame, victim, 1400);
	memset(frame + MESH_FRAME_RELAY_BEFORE, 7, 1400);
	tt_store_be32(frame + MESH_FRAME_RELAY_BEFORE, 0x04000000);
	write_raw(frame, sizeof(frame));
	sent++;
}

/* A connectivity check of nobody. */
static void say_check(void)
{
	uint8_t frame[MESH_FRAME_RELAY_BEFORE + 96] = {0};
	uint8_t *p = frame + MESH_FRAME_RELAY_BEFORE;

	mesh_frame_relay_write(frame, victim, 96);
	RAND_bytes(p, 96);
	tt_store_be32(p, 0x00010000 | 76);
	tt_store_be32(p + 4, 0x2112a442);
	tt_store_be32(p + 20, 0x00060000 | 33);
	tt_store_be32(p + 60, 0x001c0000 | 32);
	write_raw(frame, sizeof(frame));
	sent++;
}

static void say_packet_nowhere(void)
{
	packet_to(4000000 + (uint32_t)sent % 1000, MESH_FRAME_PACKET_MIN);
}

/* As fast as the hub reads, and what it says is read. */
static void flood(void (*say)(void))
{
	while (goes_on()) {
		for (unsigned i = 0; i < BATCH && connected; i++)
			say();
		push_out();
		listen_a_bit();
	}
}

/* --- scripts ---------------------------------------------------------------------------------- */

static void hello_twice(void)
{
	say_hello();
	sent++;
	listen_for(seconds * 1000);
}

/* Asks, and never reads what is answered. */
static void mute(void)
{
	while (now_us() < end_us) {
		for (unsigned i = 0; i < BATCH; i++)
			say_ping();
		push_out();
	}
	listen_for(3000);
}

/* Only stays, and never reads: others send to it. */
static void deaf(void)
{
	while (now_us() < end_us)
		usleep(10000);
}

/* A body that is no message; the frame around it is right. */
static void garbage(void)
{
	uint8_t frame[MESH_FRAME_HEADER + 64];

	RAND_bytes(frame, sizeof(frame));
	tt_store_be32(frame, (uint32_t)MESH_FRAME_CONTROL << 24 | 64);
	frame[MESH_FRAME_HEADER] = 0x0a; /* a message, of a length that is not there */
	frame[MESH_FRAME_HEADER + 1] = 0x7f;
	write_raw(frame, sizeof(frame));
	push_out();
	sent++;
	listen_for(seconds * 1000);
}

/* The largest frame that a node may send, filled with fields of later versions: ignored. And then
 * one that is a byte too long. */
static void longest(void)
{
	static uint8_t frame[MESH_FRAME_HEADER + MESH_FRAME_TO_HUB_MAX];

	/* field 1000, length-delimited, all the rest */
	static const uint8_t start[] = {0xc2, 0x3e, 0xfc, 0x7f};
	memcpy(frame + MESH_FRAME_HEADER, start, sizeof(start));
	for (unsigned i = 0; i < 200 && connected; i++) {
		tt_store_be32(frame, (uint32_t)MESH_FRAME_CONTROL << 24 | MESH_FRAME_TO_HUB_MAX);
		write_raw(frame, sizeof(frame));
		push_out();
		listen_a_bit();
		sent++;
	}
	say_ping();
	push_out();
	listen_for(500);
	printf("after the longest: %s\n", connected ? "alive" : "closed");
	tt_store_be32(frame, (uint32_t)MESH_FRAME_CONTROL << 24 | (MESH_FRAME_TO_HUB_MAX + 1));
	write_raw(frame, sizeof(frame));
	push_out();
	listen_for(seconds * 1000);
}

/* Comes and goes, as fast as it is let in. */
static void reconnect(void)
{
	unsigned welcome = 0, busy = 0;

	/* also where each takes long */
	while (now_us() < end_us || (!busy && sent < 60)) {
		struct mesh_frame f;

		connected = next_frame(&f, true);
		if (connected)
			take(&f);
		welcome += connected && !refused;
		busy += refused != 0;
		end();
		begin();
		sent++;
	}
	printf("welcome %u refused %u\n", welcome, busy);
}

/* --- the UDP relay ---------------------------------------------------------------------------- */

static int udp_socket(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(relay_at.udp_port)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(&to.sin_addr, relay_at.ip.b, 4);
	if (relay_at.ip.family != TT_FAMILY_V4 ||
	    connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("relay", "no address of IPv4");
	return s;
}

static void udp_say(int s, const void *bytes, size_t len)
{
	(void)!send(s, bytes, len, MSG_DONTWAIT);
	sent++;
}

/* Its own tag and others', keys that are wrong, sources that never bound, and answers to nothing.
 */
static void udp(void)
{
	uint8_t d[1400] = {0}, wrong[MESH_RELAY_KEY_LEN] = {7}, cookie[MESH_RELAY_COOKIE_LEN] = {1};

	say_open();
	push_out();
	for (unsigned i = 0; i < 100 && !leg_tag; i++)
		listen_for(20);
	end_us = now_us() + (uint64_t)seconds * 1000000;
	if (!leg_tag)
		die("relay", "not opened");
	int one = udp_socket(), other = udp_socket();

	for (uint64_t n = 0; now_us() < end_us; n++) {
		mesh_relay_answer_write(d, leg_tag, cookie, n & 1 ? wrong : leg_key);
		udp_say(one, d, MESH_RELAY_ANSWER_LEN);
		mesh_relay_keepalive_write(d, leg_tag, n, wrong);
		udp_say(one, d, MESH_RELAY_KEEPALIVE_LEN);
		mesh_relay_data_write(d, leg_tag + (uint32_t)(n << 17));
		udp_say(other, d, sizeof(d));
		mesh_relay_data_write(d, leg_tag);
		udp_say(other, d, sizeof(d));
		mesh_relay_probe_write(d, leg_tag);
		udp_say(other, d, 28);
		mesh_relay_request_write(d, leg_tag);
		udp_say(n & 1 ? one : other, d, MESH_RELAY_REQUEST_LEN);
		if (n % 256 == 0)
			listen_a_bit();
	}
}

#define SMALL_BUFFER 4096 /* of who does not read: little waits in its own system */

static const struct script {
	const char *name;
	void (*flood)(void);
	void (*run)(void);
	int receive_buffer; /* 0: the system's own */
} scripts[] = {
	{"signals", say_signal, NULL, 0},
	{"signals_nowhere", say_signal_nowhere, NULL, 0},
	{"opens", say_open, NULL, 0},
	{"opens_closes", say_open_and_close, NULL, 0},
	{"maps", say_request, NULL, 0},
	{"renewals", say_renew, NULL, 0},
	{"pings", say_ping, NULL, 0},
	{"largest", say_largest_packet, NULL, 0},
	{"smallest", say_smallest_packet, NULL, 0},
	{"nowhere", say_packet_nowhere, NULL, 0},
	{"initiations", say_initiation, NULL, 0},
	{"data", say_data, NULL, 0},
	{"checks", say_check, NULL, 0},
	{"hello_twice", NULL, hello_twice, 0},
	{"mute", NULL, mute, SMALL_BUFFER},
	{"deaf", NULL, deaf, SMALL_BUFFER},
	{"garbage", NULL, garbage, 0},
	{"longest", NULL, longest, 0},
	{"reconnect", NULL, reconnect, 0},
	{"udp", NULL, udp, 0},
};

static const struct script *find_script(const char *name)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(scripts); i++)
		if (strcmp(scripts[i].name, name) == 0)
			return &scripts[i];
	die("script", name);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	dir = argv[1];
	for (int i = 3; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--at") == 0)
			at_text = argv[i + 1];
		else if (strcmp(argv[i], "--victim") == 0)
			victim = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	const struct script *script = find_script(argv[2]);
	receive_buffer = script->receive_buffer;
	begin();
	printf("ready\n");
	fflush(stdout);
	end_us = now_us() + (uint64_t)seconds * 1000000;
	/* the one is to be held up, the other one to come 60 times */
	alarm(seconds + (script->run == reconnect ? 60 : 8));
	if (script->run)
		script->run();
	else
		flood(script->flood);
	finish();
}

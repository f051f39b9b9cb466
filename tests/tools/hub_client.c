/* SPDX-License-Identifier: MIT
 *
 * A node as the hub sees one, without a tunnel: for tests of the hub.
 *
 *	hub_client enroll TOKEN DIR [OPTION]...      makes DIR/{node.crt,node.key,ca.crt,wg.pub}
 *	hub_client run DIR [OPTION]...               prints what comes, one line each; reads
 *commands
 *	hub_client forge STATE NAME FROM UNTIL DIR   a certificate by the CA in STATE, for the node
 *in DIR, valid from now + FROM to now + UNTIL seconds
 *	  --at ADDRESS:PORT    where the hub is, whatever the token or DIR says
 *	  --name NAME          of the hub, to compare with its certificate
 *	  --cert DIR           certificate and key of another node
 *	  --tls12              tries TLS 1.2 and says what came of it
 *
 * Commands of run, one a line: signal ID TEXT, relay ID TEXT, flood ID COUNT BYTES, open ID, close
 * ID, ping COUNT, rtt ID COUNT (packets that another one sends back), map, request (a full map),
 * renew, garbage, quit.
 */
#include "hub_talk.h"
#include "base/b64.h"
#include "mesh/netmap.h"
#include "mesh/token.h"

static const char *name_text, *cert_dir;
static bool tls12;
static char dir_path[256];

static struct mesh_netmap map;
static struct mesh_netmap_rules rules;
static uint32_t own_id;

/* --- enrolment -------------------------------------------------------------------------------- */

static const to_node *expect(int message)
{
	struct mesh_frame f;
	const to_node *m;

	if (!next_frame(&f, true)) {
		char text[64];
		snprintf(text, sizeof(text), "%s %s",
			 tls_session_state(tls) == TLS_FAILED ? "tls" : "closed",
			 tls_failure_name(tls_session_failure(tls)));
		die("lost", text);
	}
	m = unpack(&f);
	if (m->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR) {
		char text[300];
		snprintf(text, sizeof(text), "%d %.*s", (int)m->error->code,
			 (int)m->error->text.len, (const char *)m->error->text.data);
		die("error", text);
	}
	if ((int)m->message_case != message)
		die("unexpected", "");
	return m;
}

static void print_prefixes(const ProtobufCBinaryData *field)
{
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX];
	char text[TT_IP_TEXT_MAX];
	int n = mesh_hub_prefixes_read(field, list, MESH_HUB_ADDRESSES_MAX);

	for (int i = 0; i < n; i++)
		printf("%s%s", i ? "," : "", tt_ip_format(&list[i].ip, text));
}

static void keep(const struct tls_der *key, const uint8_t wg[32],
		 const Taltun__Hub__V1__Enrolled *e, const struct mesh_token *t)
{
	struct tls_der cert = {.len = (uint32_t)e->certificate.len},
		       ca = {.len = (uint32_t)e->ca_chain.len};
	char hub[300];

	mkdir(dir_path, 0700);
	memcpy(cert.bytes, e->certificate.data, cert.len);
	memcpy(ca.bytes, e->ca_chain.data, ca.len);
	snprintf(hub, sizeof(hub), "%s %u\n", t->host, t->tcp_port);
	if (hub_file_write_cert(path_of(dir_path, "node.crt"), &cert, true) != 0 ||
	    hub_file_write_cert(path_of(dir_path, "ca.crt"), &ca, true) != 0 ||
	    hub_file_write_key(path_of(dir_path, "node.key"), key, true) != 0 ||
	    hub_file_write(path_of(dir_path, "wg.pub"), wg, 32, 0600, true) != 0 ||
	    hub_file_write(path_of(dir_path, "hub"), hub, strlen(hub), 0600, true) != 0)
		die("write", dir_path);
}

static void prove(const struct mesh_token *t, const struct tls_der *csr, const uint8_t wg[32],
		  const uint8_t *nonce)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__EnrollProof p = TALTUN__HUB__V1__ENROLL_PROOF__INIT;
	uint8_t exporter[32], hash[32], proof[32];
	struct mesh_token_claim claim = {
		.nonce = nonce, .exporter = exporter, .wg_public_key = wg, .csr_sha256 = hash};

	tls_session_export(tls, MESH_TOKEN_EXPORTER_LABEL, exporter, sizeof(exporter));
	tls_sha256(csr->bytes, csr->len, hash);
	mesh_token_proof(proof, t->secret, &claim);
	p.proof = mesh_hub_bytes(proof, 32);
	p.csr = mesh_hub_bytes(csr->bytes, csr->len);
	p.wg_public_key = mesh_hub_bytes(wg, 32);
	p.version = mesh_hub_text("test");
	p.hostname = mesh_hub_text("host");
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_PROOF;
	m.enroll_proof = &p;
	send_message(&m);
}

static int enroll(const char *text)
{
	struct mesh_token t;
	struct tls_der key, csr;
	uint8_t wg[32], nonce[32];
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__EnrollStart start = TALTUN__HUB__V1__ENROLL_START__INIT;
	enum mesh_token_outcome o = mesh_token_parse(text, strlen(text), &t);

	if (o != MESH_TOKEN_OK)
		die("token", mesh_token_outcome_text(o));
	RAND_bytes(wg, sizeof(wg));
	if (tls_key_generate(&key) != 0 || tls_csr_create(&key, &csr) != 0)
		die("key", "");
	dial(t.host, t.tcp_port);
	struct tls_context_options opt = {.ca_key_hash = t.ca_fingerprint};
	open_tls(&opt, name_text ? name_text : t.host);
	start.token_id = mesh_hub_bytes(t.id, sizeof(t.id));
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_ENROLL_START;
	m.enroll_start = &start;
	send_message(&m);
	const to_node *in = expect(TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLL_CHALLENGE);
	memcpy(nonce, in->enroll_challenge->nonce.data, 32);
	prove(&t, &csr, wg, nonce);
	in = expect(TALTUN__HUB__V1__TO_NODE__MESSAGE_ENROLLED);
	const Taltun__Hub__V1__Enrolled *e = in->enrolled;
	keep(&key, wg, e, &t);
	printf("enrolled id=%u name=%.*s addresses=", e->node_id, (int)e->name.len,
	       (const char *)e->name.data);
	print_prefixes(&e->addresses);
	putchar('\n');
	return 0;
}

/* --- running ---------------------------------------------------------------------------------- */

static void on_change(void *ctx, const struct mesh_netmap_change *c)
{
	const struct mesh_netmap_peer *p = c->is ? c->is : c->was;

	(void)ctx;
	printf("%s id=%u name=%s online=%d\n",
	       c->kind == MESH_NETMAP_ADDED	? "peer-added"
	       : c->kind == MESH_NETMAP_CHANGED ? "peer-changed"
						: "peer-removed",
	       p->node_id, p->name, p->online);
}

static void print_map(void)
{
	char text[TT_CIDR_TEXT_MAX];

	printf("map epoch=%llu version=%llu count=%u\n", (unsigned long long)map.epoch,
	       (unsigned long long)map.version, mesh_netmap_count(&map));
	for (uint32_t i = 0; i < mesh_netmap_count(&map); i++) {
		const struct mesh_netmap_peer *p = mesh_netmap_at(&map, i);
		printf("peer id=%u name=%s role=%s online=%d addresses=", p->node_id, p->name,
		       p->role == MESH_NETMAP_GATEWAY ? "gateway" : "client", p->online);
		for (unsigned a = 0; a < p->address_count; a++)
			printf("%s%s", a ? "," : "", tt_ip_format(&p->addresses[a], text));
		printf(" subnets=");
		for (unsigned s = 0; s < p->subnet_count; s++)
			printf("%s%s", s ? "," : "", tt_cidr_format(&p->subnets[s], text));
		putchar('\n');
	}
}

static void take_map(const Taltun__Hub__V1__MapUpdate *u)
{
	struct mesh_netmap_listener listener = {.changed = on_change};
	enum mesh_netmap_outcome o = mesh_netmap_apply(&map, u, &rules, &listener);

	printf("update %s from=%llu version=%llu peers=%zu removed=%zu\n",
	       mesh_netmap_outcome_name(o), (unsigned long long)u->from_version,
	       (unsigned long long)u->version, u->n_peers, u->n_removed_ids);
	if (o == MESH_NETMAP_APPLIED)
		printf("map-count %u\n", mesh_netmap_count(&map));
}

static void say_relay(const Taltun__Hub__V1__RelayOpened *o)
{
	struct tt_endpoint at[MESH_HUB_ENDPOINTS_MAX];
	int n = mesh_hub_endpoints_read(&o->addresses, at, TT_ARRAY_LEN(at));
	char text[TT_ENDPOINT_TEXT_MAX];

	printf("relay-opened id=%u tag=%u", o->node_id, o->tag);
	for (int i = 0; i < n; i++)
		printf(" at=%s", tt_endpoint_format(&at[i], text));
	putchar('\n');
}

static void take_control(const to_node *m)
{
	switch (m->message_case) {
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_WELCOME:
		own_id = m->welcome->node_id;
		printf("welcome id=%u name=%.*s stun=%u relay=%u\n", own_id,
		       (int)m->welcome->name.len, (const char *)m->welcome->name.data,
		       m->welcome->stun_udp_port, m->welcome->relay_udp_port);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE:
		take_map(m->map_update);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL:
		printf("signal from=%u %.*s\n", m->signal->node_id, (int)m->signal->sealed.len,
		       (const char *)m->signal->sealed.data);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_SIGNAL_FAILED:
		printf("signal-failed id=%u reason=%d\n", m->signal_failed->node_id,
		       (int)m->signal_failed->reason);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_OPENED:
		say_relay(m->relay_opened);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RELAY_REFUSED:
		printf("relay-refused id=%u reason=%d\n", m->relay_refused->node_id,
		       (int)m->relay_refused->reason);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RENEWED:
		printf("renewed bytes=%zu\n", m->renewed->certificate.len);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_RESTARTING:
		printf("restarting in_ms=%u for_ms=%u\n", m->restarting->reconnect_in_ms,
		       m->restarting->try_for_ms);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_ERROR:
		printf("error %d %.*s\n", (int)m->error->code, (int)m->error->text.len,
		       (const char *)m->error->text.data);
		break;
	case TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG:
		break;
	default:
		printf("message %d\n", (int)m->message_case);
	}
}

static uint64_t packets, packet_bytes;

static void send_relay(uint32_t id, const void *data, uint32_t len)
{
	static uint8_t buf[MESH_FRAME_RELAY_BEFORE + MESH_FRAME_PACKET_MAX];

	mesh_frame_relay_write(buf, id, len);
	memcpy(buf + MESH_FRAME_RELAY_BEFORE, data, len);
	tls_session_write(tls, buf, MESH_FRAME_RELAY_BEFORE + len);
}

static void answer_rtt(uint32_t to, uint32_t len)
{
	static uint8_t answer[MESH_FRAME_PACKET_MAX];

	memcpy(answer, "rtt!", 4);
	send_relay(to, answer, len);
	push_out();
}

static void take_frame(const struct mesh_frame *f)
{
	uint32_t from, len;

	if (f->kind == MESH_FRAME_CONTROL) {
		take_control(unpack(f));
		return;
	}
	const uint8_t *p = mesh_frame_relay_read(f, &from, &len);
	if (len >= 4 && memcmp(p, "rtt?", 4) == 0) {
		answer_rtt(from, len);
		return;
	}
	packets++;
	packet_bytes += len;
	if (packets <= 20)
		printf("packet from=%u len=%u %.*s\n", from, len,
		       (int)strnlen((const char *)p, len), (const char *)p);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void say_times(const char *what, uint64_t *us, unsigned count, unsigned lost)
{
	qsort(us, count, sizeof(*us), by_size);
	printf("%s count=%u median_us=%llu p99_us=%llu max_us=%llu lost=%u\n", what, count,
	       (unsigned long long)(count ? us[count / 2] : 0),
	       (unsigned long long)(count ? us[count * 99 / 100] : 0),
	       (unsigned long long)(count ? us[count - 1] : 0), lost);
}

/* Takes what comes within a moment. True: an answer to rtt() was among it. */
static bool is_answered(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct mesh_frame f;
	uint32_t from, len;

	poll(&p, 1, 1);
	for (;;) {
		if (!next_frame(&f, false))
			die("lost", "in rtt");
		if (!f.len)
			return false;
		if (f.kind == MESH_FRAME_RELAY &&
		    memcmp(mesh_frame_relay_read(&f, &from, &len), "rtt!", 4) == 0)
			return true;
		take_frame(&f);
	}
}

/* One after the other, 10 ms between them. */
static void ping(unsigned count)
{
	uint64_t *us = calloc(count, sizeof(*us));
	struct mesh_frame f;

	for (unsigned i = 0; i < count; i++) {
		to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
		Taltun__Hub__V1__Ping p = TALTUN__HUB__V1__PING__INIT;
		uint64_t began = now_us();

		p.token = i + 1;
		m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_PING;
		m.ping = &p;
		send_message(&m);
		for (;;) {
			if (!next_frame(&f, true))
				die("lost", "in ping");
			const to_node *in = f.kind == MESH_FRAME_CONTROL ? unpack(&f) : NULL;
			if (in && in->message_case == TALTUN__HUB__V1__TO_NODE__MESSAGE_PONG &&
			    in->pong->token == p.token)
				break;
			take_frame(&f);
		}
		us[i] = now_us() - began;
		usleep(10000);
	}
	say_times("pong", us, count, 0);
	free(us);
}

/* Packets that the other node sends back, 5 ms between them; what takes five seconds is lost: three
 * processes have to get a CPU for each. */
static void rtt(uint32_t id, unsigned count)
{
	static uint8_t packet[200] = "rtt?";
	uint64_t *us = calloc(count, sizeof(*us));
	unsigned lost = 0, n = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t began = now_us(), took = 0;

		send_relay(id, packet, sizeof(packet));
		push_out();
		while (!took && now_us() - began < 5000000)
			took = is_answered() ? now_us() - began : 0;
		if (took)
			us[n++] = took;
		else
			lost++;
		usleep(5000);
	}
	say_times("rtt", us, n, lost);
	free(us);
}

static void flood(uint32_t id, unsigned count, uint32_t bytes)
{
	static uint8_t data[MESH_FRAME_PACKET_MAX];

	memset(data, 'x', sizeof(data));
	for (unsigned i = 0; i < count; i++) {
		send_relay(id, data,
			   TT_MIN(TT_MAX(bytes, MESH_FRAME_PACKET_MIN), (uint32_t)sizeof(data)));
		push_out();
	}
	printf("flooded %u\n", count);
}

static void ask_renew(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Renew r = TALTUN__HUB__V1__RENEW__INIT;
	struct tls_der key, csr;

	tls_key_generate(&key);
	tls_csr_create(&key, &csr);
	r.csr = mesh_hub_bytes(csr.bytes, csr.len);
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RENEW;
	m.renew = &r;
	send_message(&m);
}

static void send_simple(const char *what, uint32_t id, const char *text)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Signal s = TALTUN__HUB__V1__SIGNAL__INIT;
	Taltun__Hub__V1__RelayOpen o = TALTUN__HUB__V1__RELAY_OPEN__INIT;
	Taltun__Hub__V1__RelayClose c = TALTUN__HUB__V1__RELAY_CLOSE__INIT;
	Taltun__Hub__V1__MapRequest q = TALTUN__HUB__V1__MAP_REQUEST__INIT;

	if (strcmp(what, "signal") == 0) {
		s.node_id = id;
		s.sealed = mesh_hub_text(text);
		m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_SIGNAL;
		m.signal = &s;
	} else if (strcmp(what, "open") == 0) {
		o.node_id = id;
		m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_OPEN;
		m.relay_open = &o;
	} else if (strcmp(what, "close") == 0) {
		c.node_id = id;
		m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_RELAY_CLOSE;
		m.relay_close = &c;
	} else {
		m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_MAP_REQUEST;
		m.map_request = &q;
	}
	send_message(&m);
}

/* False: the end is wanted. */
static bool obey(char *line)
{
	char what[16] = "", text[1024] = "";
	unsigned id = 0, more = 0;

	sscanf(line, "%15s %u %1023[^\n]", what, &id, text);
	if (strcmp(what, "quit") == 0)
		return false;
	if (strcmp(what, "relay") == 0) {
		char packet[1100];
		snprintf(packet, sizeof(packet), "%-24s", text);
		send_relay(id, packet, (uint32_t)strlen(packet));
		push_out();
	} else if (strcmp(what, "flood") == 0) {
		unsigned bytes = 1400;
		sscanf(text, "%u %u", &more, &bytes);
		flood(id, more, bytes);
	} else if (strcmp(what, "ping") == 0)
		ping(id ? id : 1);
	else if (strcmp(what, "rtt") == 0)
		rtt(id, (unsigned)strtoul(text, NULL, 10));
	else if (strcmp(what, "map") == 0)
		print_map();
	else if (strcmp(what, "count") == 0)
		printf("packets %llu bytes %llu\n", (unsigned long long)packets,
		       (unsigned long long)packet_bytes);
	else if (strcmp(what, "renew") == 0)
		ask_renew();
	else if (strcmp(what, "garbage") == 0) {
		static const uint8_t bad[] = {9, 0, 0, 4, 1, 2, 3, 4};
		tls_session_write(tls, bad, sizeof(bad));
		push_out();
	} else if (*what)
		send_simple(what, id, text);
	return true;
}

static bool read_command(void)
{
	static char line[2048];
	static size_t have;
	ssize_t n = read(0, line + have, sizeof(line) - 1 - have);
	char *end;

	if (n <= 0)
		return false;
	have += (size_t)n;
	line[have] = 0;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		if (!obey(line))
			return false;
		have -= (size_t)(end + 1 - line);
		memmove(line, end + 1, have + 1);
	}
	return true;
}

/* Until the end of the connection, or of the commands. */
static void serve(void)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	struct mesh_frame f;

	for (;;) {
		for (;;) {
			if (!next_frame(&f, false)) {
				printf("closed %s\n", tls_failure_name(tls_session_failure(tls)));
				return;
			}
			if (!f.len)
				break;
			take_frame(&f);
		}
		fflush(stdout);
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents && !read_command())
			return;
	}
}

static void try_tls12(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
	SSL *s = SSL_new(c);
	SSL_set_fd(s, fd);
	printf(SSL_connect(s) == 1 ? "tls12 accepted\n" : "tls12 refused\n");
	exit(0);
}

static int run(void)
{
	struct tls_der cert, key, ca;
	const char *dir = cert_dir ? cert_dir : dir_path;
	char host[256];
	uint16_t tcp_port = read_node(dir, dir_path, &cert, &key, &ca, host, rules.own_public_key);

	mesh_netmap_init(&map, calloc(1, mesh_netmap_memory_size(10000, 10000)), 10000, 10000, 1);
	dial(host, tcp_port);
	if (tls12)
		try_tls12();
	struct tls_context_options opt = {.cert = &cert, .key = &key, .ca = &ca};
	open_tls(&opt, name_text ? name_text : host);
	printf("open\n");
	say_hello();
	serve();
	tls_session_close(tls);
	push_out();
	return 0;
}

static int forge(char **argv)
{
	struct tls_der ca, ca_key, key, csr, cert;
	struct tls_cert_request r = {.role = TLS_CERT_NODE, .name = argv[1], .serial = {1}};
	uint8_t wg[32] = {9};
	char *text = NULL;
	size_t len;

	snprintf(dir_path, sizeof(dir_path), "%s", argv[4]);
	if (access(path_of(dir_path, "wg.pub"), F_OK) == 0 &&
	    hub_file_read(path_of(dir_path, "wg.pub"), 32, &text, &len) == 0)
		memcpy(wg, text, 32);
	free(text);
	if (hub_file_read_cert(path_of(argv[0], "ca.crt"), &ca) != 0 ||
	    hub_file_read_key(path_of(argv[0], "ca.key"), &ca_key) != 0 ||
	    tls_key_generate(&key) != 0 || tls_csr_create(&key, &csr) != 0)
		die("files", argv[0]);
	r.wg_public_key = wg;
	r.csr = csr.bytes;
	r.csr_len = csr.len;
	r.not_before_s = (uint64_t)(time(NULL) + atol(argv[2]));
	r.not_after_s = (uint64_t)(time(NULL) + atol(argv[3]));
	if (tls_cert_issue(&ca, &ca_key, &r, &cert) != 0 ||
	    hub_file_write_cert(path_of(dir_path, "node.crt"), &cert, true) != 0 ||
	    hub_file_write_key(path_of(dir_path, "node.key"), &key, true) != 0)
		die("issue", dir_path);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "forge") == 0)
		return argc == 7 ? forge(argv + 2) : 2;
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--tls12") == 0)
			tls12 = true;
		else if (strcmp(argv[i], "--at") == 0 && i + 1 < argc)
			at_text = argv[++i];
		else if (strcmp(argv[i], "--name") == 0 && i + 1 < argc)
			name_text = argv[++i];
		else if (strcmp(argv[i], "--cert") == 0 && i + 1 < argc)
			cert_dir = argv[++i];
		else
			snprintf(dir_path, sizeof(dir_path), "%s", argv[i]);
	}
	if (strcmp(argv[1], "enroll") == 0)
		return enroll(argv[2]);
	snprintf(dir_path, sizeof(dir_path), "%s", argv[2]);
	return run();
}

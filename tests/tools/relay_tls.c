/* SPDX-License-Identifier: MIT
 *
 * Load through a relay by TLS, the hub's or a TURN server's: the same sender.
 *
 *	relay_tls serve IP TCP_PORT               the hub's connections (hub/conn), and nothing but
 *	                                          the relay behind them: each to the other
 *	relay_tls cert CERT_FILE KEY_FILE         a certificate for a TURN server
 *	relay_tls LINK send SECONDS BYTES PPS     packets of BYTES each; PPS 0: as fast as TCP goes
 *	relay_tls LINK receive SECONDS            until that, or until nothing comes any more
 *
 * LINK: taltun:IP:TCP_PORT:NODE_ID | turn:IP:TCP_PORT:PEER_IP:PEER_UDP_PORT;
 * turn:IP:TCP_PORT:PEER_IP only receives, from any udp_port of the peer, and prints its own after
 * "ready"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hub/conn.h"

enum { RECORD = 16384, STUN_HEADER = 20, CHANNEL = 0x4000 };
#define SILENT	  0.4		      /* s: nothing more will come */
#define AHEAD_MAX (UINT64_C(1) << 30) /* bytes that are encrypted where there is no rate */

struct link {
	SSL *ssl;
	int fd;
	uint8_t header[8];
	unsigned header_len;
	bool turn;
	unsigned overhead; /* of a packet that is received */
	unsigned udp_port; /* turn: of the relayed address */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "relay_tls: %s: %s\n", what, errno ? strerror(errno) : "no");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

/* --- the hub's side --------------------------------------------------------------------------- */

struct identity {
	struct tls_der ca, cert, key;
};

static void make_identity(struct identity *id)
{
	static struct tls_der ca_key, csr;
	uint64_t t = (uint64_t)time(NULL);
	struct tls_cert_request req = {.role = TLS_CERT_HUB,
				       .name = "hub.bench",
				       .not_before_s = t - 60,
				       .not_after_s = t + 86400,
				       .serial = {1}};

	if (tls_key_generate(&ca_key) || tls_key_generate(&id->key) ||
	    tls_ca_create(&ca_key, "bench", t - 60, t + 86400, &id->ca) ||
	    tls_csr_create(&id->key, &csr))
		die("keys");
	req.csr = csr.bytes;
	req.csr_len = csr.len;
	if (tls_cert_issue(&id->ca, &ca_key, &req, &id->cert))
		die("certificate");
}

static struct hub_conn *end[2];

static void on_opened(void *ctx, struct hub_conn *c)
{
	(void)ctx;
	end[end[0] != NULL] = c;
	hub_conn_trust(c, MESH_FRAME_TO_HUB_MAX, MESH_FRAME_RELAY_MAX);
	hub_conn_expect(c, false);
}

static void on_frame(void *ctx, struct hub_conn *c, const struct mesh_frame *f)
{
	struct hub_conn *to = c == end[0] ? end[1] : end[0];
	uint32_t id, len;

	(void)ctx;
	if (f->kind != MESH_FRAME_RELAY || !to)
		return;
	const uint8_t *packet = mesh_frame_relay_read(f, &id, &len);

	hub_conn_relay(to, id, packet, len);
}

static void on_drained(void *ctx, struct hub_conn *c)
{
	(void)ctx;
	(void)c;
}

static void on_closed(void *ctx, struct hub_conn *c, enum hub_close why)
{
	(void)ctx;
	if (getenv("RELAY_TLS_VERBOSE"))
		fprintf(stderr, "closed: %s\n", hub_close_name(why));
	for (int i = 0; i < 2; i++)
		if (end[i] == c)
			end[i] = NULL;
}

static int serve(const char *ip, const char *port)
{
	static struct identity id;
	struct hub_conn_handlers on = {
		.opened = on_opened, .frame = on_frame, .drained = on_drained, .closed = on_closed};
	struct tls_context_options opt = {
		.server = true, .cert = &id.cert, .key = &id.key, .ca = &id.ca};
	struct tls_context *tls;
	struct hub_conns *conns;
	struct tt_endpoint at = {.udp_port = (uint16_t)atoi(port)};

	signal(SIGPIPE, SIG_IGN); /* as the hub does */
	make_identity(&id);
	if (tls_context_create(&opt, &tls) ||
	    hub_conns_create(uv_default_loop(), tls, &hub_conn_limits_default, &on, &conns) ||
	    tt_ip_parse(ip, &at.ip) || hub_conns_listen(conns, &at))
		die("hub");
	puts("ready");
	fflush(stdout);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static int write_cert(const char *cert_file, const char *key_file)
{
	static struct identity id;
	char pem[TLS_CERT_PEM_MAX];
	FILE *f = fopen(cert_file, "w"), *k = fopen(key_file, "w");

	make_identity(&id);
	if (!f || !k || tls_cert_to_pem(&id.cert, pem, sizeof(pem)) || fputs(pem, f) < 0 ||
	    tls_key_to_pem(&id.key, pem, sizeof(pem)) || fputs(pem, k) < 0)
		die("files");
	return fclose(f) | fclose(k);
}

/* --- TURN over TLS, without authentication ---------------------------------------------------- */

static size_t stun_attr(uint8_t *q, size_t len, uint16_t type, const void *v, uint16_t n)
{
	tt_store_be16(q + len, type);
	tt_store_be16(q + len + 2, n);
	memcpy(q + len + 4, v, n);
	tt_store_be16(q + 2, (uint16_t)(len + 4 + n - STUN_HEADER));
	return len + 4 + n;
}

static size_t stun_begin(uint8_t *q, uint16_t type)
{
	memset(q, 7, STUN_HEADER);
	tt_store_be16(q, type);
	tt_store_be16(q + 2, 0);
	tt_store_be32(q + 4, 0x2112a442);
	return STUN_HEADER;
}

static void stun_ask(SSL *ssl, const uint8_t *q, size_t len, uint8_t a[2048], const char *what)
{
	if (SSL_write(ssl, q, (int)len) <= 0 || SSL_read(ssl, a, 2048) < STUN_HEADER ||
	    tt_load_be16(a) != (tt_load_be16(q) | 0x100))
		die(what);
}

/* The udp_port in an answer's XOR-RELAYED-ADDRESS. */
static unsigned relayed_port(const uint8_t *a)
{
	unsigned end_at = STUN_HEADER + tt_load_be16(a + 2);

	for (unsigned at = STUN_HEADER; at + 8 <= end_at;
	     at += 4 + ((tt_load_be16(a + at + 2) + 3u) & ~3u))
		if (tt_load_be16(a + at) == 0x0016)
			return tt_load_be16(a + at + 6) ^ 0x2112;
	die("relayed address");
}

static void bind_turn(struct link *l, const char *peer_ip, const char *peer_port)
{
	struct sockaddr_in peer = address(peer_ip, peer_port ? peer_port : "0");
	uint8_t q[256], a[2048], v[8] = {0, 1};
	size_t len = stun_begin(q, 0x0003); /* Allocate */

	len = stun_attr(q, len, 0x0019, (uint8_t[]){17, 0, 0, 0}, 4);
	stun_ask(l->ssl, q, len, a, "allocation");
	l->udp_port = relayed_port(a);
	tt_store_be16(v + 2, (uint16_t)(ntohs(peer.sin_port) ^ 0x2112));
	tt_store_be32(v + 4, ntohl(peer.sin_addr.s_addr) ^ 0x2112a442);
	len = stun_begin(q, peer_port ? 0x0009 : 0x0008); /* ChannelBind, CreatePermission */
	if (peer_port)
		len = stun_attr(q, len, 0x000c, (uint8_t[]){CHANNEL >> 8, CHANNEL & 255, 0, 0}, 4);
	len = stun_attr(q, len, 0x0012, v, 8);
	stun_ask(l->ssl, q, len, a, "permission");
}

/* --- links ------------------------------------------------------------------------------------ */

static struct link open_link(char *text)
{
	struct link l = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char *part[5] = {0};
	unsigned n = 0;

	for (char *p = strtok(text, ":"); p && n < 5; p = strtok(NULL, ":"))
		part[n++] = p;
	if (n < 4)
		die("link");
	struct sockaddr_in to = address(part[1], part[2]);
	bool turn = strcmp(part[0], "turn") == 0;

	if (connect(l.fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	SSL_CTX_set_min_proto_version(ctx, turn ? TLS1_2_VERSION : TLS1_3_VERSION);
	if (!turn)
		SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\x08taltun/1", 9);
	l.ssl = SSL_new(ctx);
	SSL_set_fd(l.ssl, l.fd);
	errno = 0;
	if (SSL_connect(l.ssl) != 1) {
		ERR_print_errors_fp(stderr);
		die("TLS");
	}
	if (turn)
		bind_turn(&l, part[3], part[4]);
	l.turn = turn;
	/* without a channel it is a Data indication: header, peer, header of the data */
	l.overhead = turn ? STUN_HEADER + 12 + 4 : MESH_FRAME_RELAY_BEFORE;
	l.header_len = turn ? 4 : MESH_FRAME_RELAY_BEFORE;
	if (!turn)
		tt_store_be32(l.header, (uint32_t)atoi(part[3])); /* kept for send */
	return l;
}

static unsigned put(const struct link *l, uint8_t *at, unsigned bytes)
{
	if (l->turn) {
		tt_store_be16(at, CHANNEL);
		tt_store_be16(at + 2, (uint16_t)bytes);
	} else {
		mesh_frame_relay_write(at, tt_load_be32(l->header), bytes);
	}
	memset(at + l->header_len, 4, bytes);
	return (l->header_len + bytes + 3) & ~3u; /* TURN pads; 1,400 needs none */
}

/*
 * What is sent is encrypted beforehand, and what comes is counted by its record headers: the relay
 * has a CPU to itself, all of the generator shares another, and ciphers at both of its ends would
 * cost as much as the relay they are to load.
 */
static uint8_t *encrypt_ahead(struct link *l, const uint8_t *plain, size_t len, uint64_t records,
			      size_t *whole)
{
	BIO *out = BIO_new(BIO_s_mem());
	size_t room = records * (len + 64), used = 0;
	uint8_t *all = malloc(room);

	if (!all || !out)
		die("memory");
	SSL_set0_wbio(l->ssl, out);
	for (uint64_t i = 0; i < records; i++) {
		if (SSL_write(l->ssl, plain, (int)len) <= 0)
			die("encryption");
		int n = BIO_read(out, all + used, (int)(room - used > 65536 ? 65536 : room - used));
		used += (size_t)n;
	}
	*whole = used / records;
	return all;
}

/* At least four records in one write; where there is no rate, as much as the socket takes. */
static uint64_t send_all(const struct link *l, const uint8_t *at, size_t record, uint64_t records,
			 double seconds, double per_s)
{
	double start = now(), t;
	uint64_t sent = 0;

	while (sent < records && (t = now()) < start + seconds) {
		uint64_t due = per_s > 0 ? (uint64_t)((t - start) * per_s) + 1 : sent + 64;
		uint64_t n = due > sent ? due - sent : 0;

		if (n < 4 && sent + 4 <= records && per_s > 0) {
			usleep((unsigned)(4e6 / per_s / 2) + 1);
			continue;
		}
		n = n > 64 ? 64 : n;
		n = n > records - sent ? records - sent : n;
		for (size_t left = n * record; left;) {
			ssize_t w = write(l->fd, at, left);
			if (w <= 0)
				die("send");
			at += w;
			left -= (size_t)w;
		}
		sent += n;
	}
	return sent;
}

static int do_send(struct link *l, double seconds, unsigned bytes, double pps)
{
	static uint8_t plain[RECORD];
	unsigned len = 0, whole = (l->header_len + bytes + 3) & ~3u;
	size_t record;

	if (!l->turn && bytes % 4)
		die("a multiple of 4");
	while (len + whole <= sizeof(plain))
		len += put(l, plain + len, bytes);
	double per_s = pps / (len / whole);
	uint64_t records = pps > 0 ? (uint64_t)(per_s * seconds) + 1 : AHEAD_MAX / len;
	uint8_t *all = encrypt_ahead(l, plain, len, records, &record);
	uint64_t sent = send_all(l, all, record, records, seconds, per_s);

	free(all);
	printf("{\"sent\": %llu}\n", (unsigned long long)sent * (len / whole));
	return 0;
}

/* Plain bytes of the records that pass. */
struct record_count {
	uint8_t header[5];
	unsigned have;	/* of the header */
	size_t left;	/* of the record */
	unsigned extra; /* of each: tag, type or nonce */
	uint64_t bytes;
};

static void count_records(struct record_count *c, const uint8_t *p, size_t n)
{
	while (n) {
		if (c->left) {
			size_t skip = n < c->left ? n : c->left;

			c->left -= skip;
			p += skip;
			n -= skip;
			continue;
		}
		c->header[c->have++] = *p++;
		n--;
		if (c->have < sizeof(c->header))
			continue;
		c->have = 0;
		c->left = tt_load_be16(c->header + 3);
		if (c->header[0] != 23 || c->left <= c->extra)
			die("record");
		c->bytes += c->left - c->extra;
	}
}

static int do_receive(struct link *l, double seconds)
{
	static uint8_t buf[1 << 20];
	double first = 0, last = 0, end_at = now() + seconds;
	struct timeval t = {.tv_usec = 200000};
	struct record_count c = {.extra = SSL_version(l->ssl) == TLS1_3_VERSION ? 17 : 24};

	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	printf("ready %u\n", l->udp_port);
	fflush(stdout);
	while (now() < end_at && (first == 0 || now() < last + SILENT)) {
		ssize_t n = read(l->fd, buf, sizeof(buf));

		if (n <= 0)
			continue;
		last = now();
		if (first == 0)
			first = last;
		count_records(&c, buf, (size_t)n);
	}
	double took = last > first ? last - first : 1,
	       payload = (double)c.bytes * 1400 / (1400 + l->overhead);

	printf("{\"seconds\": %.3f, \"mbit\": %.1f, \"bytes\": %.0f}\n", took,
	       payload * 8 / took / 1e6, payload);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "cert") == 0)
		return write_cert(argv[2], argv[3]);
	if (argc < 4) {
		fprintf(stderr, "usage: relay_tls serve IP TCP_PORT | cert FILE FILE | LINK send "
				"SECONDS BYTES PPS | LINK receive SECONDS\n");
		return 64;
	}
	struct link l = open_link(argv[1]);

	if (argc == 6 && strcmp(argv[2], "send") == 0)
		return do_send(&l, atof(argv[3]), (unsigned)atoi(argv[4]), atof(argv[5]));
	return do_receive(&l, atof(argv[3]));
}

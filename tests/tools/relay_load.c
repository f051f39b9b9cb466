/* SPDX-License-Identifier: MIT
 *
 * Load through a relay, ours or a TURN server's by ChannelData: the same sender, the same receiver.
 *
 *	relay_load serve IP UDP_PORT            our relay with one allocation; prints its two legs
 *as TAG:KEY TAG:KEY relay_load LINK send SECONDS BYTES PPS  BYTES of payload each, PPS or (0) what
 *can be sent relay_load LINK receive SECONDS         until that, or until nothing comes any more;
 *prints what came, counted from the first on relay_load LINK echo SECONDS relay_load LINK ping
 *COUNT              one every 10 ms; prints the median in us
 *
 * LINK: taltun:IP:UDP_PORT:TAG:KEY | turn:IP:UDP_PORT:PEER_IP:PEER_UDP_PORT | udp:IP:UDP_PORT |
 *       listen:UDP_PORT (answers whoever was heard last)
 * Results are one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hub/relay_udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH = 32, BUFFER = 65536, SUPER = 65000, SEGMENTS = 64, BIG = 16 << 20 };

#define SILENT 0.4 /* s: nothing more will come */

struct link {
	int fd;
	uint8_t header[8];
	unsigned header_len;
	bool length_in_header; /* ChannelData */
	bool listens;
	struct sockaddr_in heard;
};

static uint8_t buf[BATCH][BUFFER];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "relay_load: %s: %s\n", what, errno ? strerror(errno) : "no");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *ip, const char *udp_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(udp_port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

static int open_udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), big = BIG;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	return fd;
}

static void wait_at_most(int fd, double seconds)
{
	struct timeval t = {(time_t)seconds, (suseconds_t)((seconds - (time_t)seconds) * 1e6)};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

/* Sends, and waits for the answer, five times. */
static size_t ask(int fd, const uint8_t *q, size_t len, uint8_t *answer, size_t cap)
{
	wait_at_most(fd, 0.3);
	for (int i = 0; i < 5; i++) {
		send(fd, q, len, 0);
		ssize_t n = recv(fd, answer, cap, 0);

		if (n > 0)
			return (size_t)n;
	}
	die("no answer");
}

/* --- our relay -------------------------------------------------------------------------------- */

static void hex(char *out, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", b[i]);
}

static int serve(const char *ip, const char *udp_port)
{
	struct hub_relay_options opt = {.listen_count = 1};
	struct hub_leg leg[2];
	struct hub_relay *r;
	char key[2][65];
	int err;

	tt_ip_parse(ip, &opt.listen[0].ip);
	opt.listen[0].udp_port = (uint16_t)atoi(udp_port);
	err = hub_relay_start(&opt, &r);
	if (err) {
		errno = -err;
		die("relay");
	}
	hub_relay_open(r, 1, 2, &leg[0], &leg[1]);
	hex(key[0], leg[0].key, 32);
	hex(key[1], leg[1].key, 32);
	printf("%u:%s %u:%s\n", leg[0].tag, key[0], leg[1].tag, key[1]);
	fflush(stdout);
	pause();
	return 0;
}

static void bind_taltun(struct link *l, const char *tag_text, const char *key_hex)
{
	uint8_t key[MESH_RELAY_KEY_LEN], q[64], a[128];
	struct mesh_relay_message m;
	uint32_t tag = (uint32_t)strtoul(tag_text, NULL, 10);

	for (int i = 0; i < 32; i++)
		key[i] =
			(uint8_t)strtoul((char[]){key_hex[2 * i], key_hex[2 * i + 1], 0}, NULL, 16);
	mesh_relay_request_write(q, tag);
	size_t len = MESH_RELAY_REQUEST_LEN;
	/* an answer that was late comes twice */
	for (int i = 0;; i++) {
		size_t n = ask(l->fd, q, len, a, sizeof(a));

		if (i == 20 || mesh_relay_parse(&m, a, n) != MESH_RELAY_OK)
			die("binding");
		if (m.type == MESH_RELAY_BOUND)
			break;
		if (m.type != MESH_RELAY_BIND_CHALLENGE)
			continue;
		mesh_relay_answer_write(q, tag, m.cookie, key);
		len = MESH_RELAY_ANSWER_LEN;
	}
	mesh_relay_data_write(l->header, tag);
	l->header_len = MESH_RELAY_HEADER;
}

/* --- TURN (RFC 8656), without authentication -------------------------------------------------- */

enum { STUN_HEADER = 20, CHANNEL = 0x4000 };

static size_t stun_begin(uint8_t *q, uint16_t type)
{
	memset(q, 0, STUN_HEADER);
	tt_store_be16(q, type);
	tt_store_be32(q + 4, 0x2112a442);
	for (int i = 8; i < STUN_HEADER; i++)
		q[i] = (uint8_t)random();
	return STUN_HEADER;
}

static size_t stun_attr(uint8_t *q, size_t len, uint16_t type, const void *v, uint16_t n)
{
	tt_store_be16(q + len, type);
	tt_store_be16(q + len + 2, n);
	memcpy(q + len + 4, v, n);
	tt_store_be16(q + 2, (uint16_t)(len + 4 + n - STUN_HEADER));
	return len + 4 + n;
}

static void stun_ask(int fd, const uint8_t *q, size_t len, const char *what)
{
	uint8_t a[1500];
	size_t n = ask(fd, q, len, a, sizeof(a));

	errno = 0;
	if (n < STUN_HEADER || tt_load_be16(a) != (tt_load_be16(q) | 0x100))
		die(what);
}

static void bind_turn(struct link *l, const char *peer_ip, const char *peer_port)
{
	struct sockaddr_in peer = address(peer_ip, peer_port);
	uint8_t q[256], v[8] = {0, 1};
	size_t len = stun_begin(q, 0x0003); /* Allocate */

	len = stun_attr(q, len, 0x0019, (uint8_t[]){17, 0, 0, 0}, 4);
	stun_ask(l->fd, q, len, "allocation");
	tt_store_be16(v + 2, (uint16_t)(ntohs(peer.sin_port) ^ 0x2112));
	tt_store_be32(v + 4, ntohl(peer.sin_addr.s_addr) ^ 0x2112a442);
	len = stun_begin(q, 0x0009); /* ChannelBind */
	len = stun_attr(q, len, 0x000c, (uint8_t[]){CHANNEL >> 8, CHANNEL & 255, 0, 0}, 4);
	len = stun_attr(q, len, 0x0012, v, 8);
	stun_ask(l->fd, q, len, "channel");
	tt_store_be16(l->header, CHANNEL);
	l->header_len = 4;
	l->length_in_header = true;
}

/* --- links ------------------------------------------------------------------------------------ */

static struct link open_link(char *text)
{
	struct link l = {.fd = open_udp()};
	char *part[5] = {0};
	unsigned n = 0;

	for (char *p = strtok(text, ":"); p && n < 5; p = strtok(NULL, ":"))
		part[n++] = p;
	if (n == 2 && strcmp(part[0], "listen") == 0) {
		struct sockaddr_in a = address("0.0.0.0", part[1]);

		l.listens = true;
		if (bind(l.fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			die("bind");
		return l;
	}
	if (n < 3)
		die("link");
	struct sockaddr_in to = address(part[1], part[2]);

	if (connect(l.fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	if (n == 5 && strcmp(part[0], "taltun") == 0)
		bind_taltun(&l, part[3], part[4]);
	else if (n == 5 && strcmp(part[0], "turn") == 0)
		bind_turn(&l, part[3], part[4]);
	else if (strcmp(part[0], "udp") != 0)
		die("link");
	return l;
}

static unsigned put(const struct link *l, uint8_t *at, unsigned bytes)
{
	memcpy(at, l->header, l->header_len);
	if (l->length_in_header)
		tt_store_be16(at + 2, (uint16_t)bytes);
	memset(at + l->header_len, 4, bytes);
	return l->header_len + bytes;
}

/* --- what is done with them ------------------------------------------------------------------- */

static int sent_report(uint64_t sent, double took)
{
	printf("{\"sent\": %llu, \"pps\": %.0f}\n", (unsigned long long)sent, (double)sent / took);
	return 0;
}

static int do_send(struct link *l, double seconds, unsigned bytes, double pps)
{
	int whole = (int)(l->header_len + bytes), segments = SUPER / whole;
	uint64_t sent = 0;
	double start = now(), t = start;

	segments = segments < SEGMENTS ? segments : SEGMENTS;
	/* bursts of a fifth of a millisecond, for servers with small buffers */
	if (pps > 0 && pps / 5000 < segments)
		segments = pps > 5000 ? (int)(pps / 5000) : 1;
	for (int i = 0; i < segments; i++)
		put(l, buf[0] + (size_t)i * (unsigned)whole, bytes);
	if (setsockopt(l->fd, IPPROTO_UDP, UDP_SEGMENT, &whole, sizeof(whole)) < 0)
		die("segmentation");
	while ((t = now()) < start + seconds) {
		double early = pps > 0 ? start + (double)sent / pps - t : 0;

		if (early > 0.0001)
			usleep((unsigned)(early * 1e6));
		ssize_t n = send(l->fd, buf[0], (size_t)(whole * segments), 0);

		if (n > 0)
			sent += (uint64_t)segments;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			die("send");
	}
	return sent_report(sent, now() - start);
}

/* The same, but each datagram goes its own way through the network stack. */
static int do_send_single(struct link *l, double seconds, unsigned bytes, double pps)
{
	static struct mmsghdr m[BATCH];
	struct iovec one = {buf[0], put(l, buf[0], bytes)};
	double start = now(), t = start;
	uint64_t sent = 0;

	for (unsigned i = 0; i < BATCH; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1};
	while ((t = now()) < start + seconds) {
		double early = pps > 0 ? start + (double)sent / pps - t : 0;

		if (early > 0.0001)
			usleep((unsigned)(early * 1e6));
		int n = sendmmsg(l->fd, m,
				 pps > 0 && pps < 5000 * BATCH ? 1 + (unsigned)pps / 5000 : BATCH,
				 0);

		if (n > 0)
			sent += (uint64_t)n;
	}
	return sent_report(sent, now() - start);
}

/* Datagrams in a message that the kernel may have put together. */
static unsigned datagrams(struct msghdr *h, unsigned len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int segment;

			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			return segment > 0 ? (len + (unsigned)segment - 1) / (unsigned)segment : 1;
		}
	return 1;
}

static int receive_batch(int fd, uint64_t *packets, uint64_t *bytes)
{
	static struct mmsghdr m[BATCH];
	static struct iovec iov[BATCH];
	static _Alignas(8) uint8_t control[BATCH][64];

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){buf[i], BUFFER};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
					       .msg_iovlen = 1,
					       .msg_control = control[i],
					       .msg_controllen = sizeof(control[i])};
	}
	int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);

	for (int i = 0; i < n; i++) {
		*packets += datagrams(&m[i].msg_hdr, m[i].msg_len);
		*bytes += m[i].msg_len;
	}
	return n;
}

static int do_receive(struct link *l, double seconds)
{
	uint64_t packets = 0, bytes = 0;
	double first = 0, last = 0, give_up = now() + seconds;
	int on = 1;

	setsockopt(l->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	wait_at_most(l->fd, 0.2);
	puts("ready");
	fflush(stdout);
	for (double t = now(); t < give_up && (first == 0 || t < last + SILENT); t = now()) {
		if (receive_batch(l->fd, &packets, &bytes) <= 0)
			continue;
		last = now();
		if (first == 0)
			first = last, packets = bytes = 0;
	}
	bytes -= packets * l->header_len;
	double took = last > first ? last - first : 1;

	printf("{\"received\": %llu, \"seconds\": %.3f, \"pps\": %.0f, \"mbit\": %.1f, "
	       "\"bytes\": %llu}\n",
	       (unsigned long long)packets, took, (double)packets / took,
	       (double)bytes * 8 / took / 1e6, (unsigned long long)bytes);
	return 0;
}

static int do_echo(struct link *l, double seconds)
{
	double end = now() + seconds;

	wait_at_most(l->fd, 0.2);
	puts("ready");
	fflush(stdout);
	while (now() < end) {
		socklen_t len = sizeof(l->heard);
		ssize_t n = recvfrom(l->fd, buf[0], BUFFER, 0, (struct sockaddr *)&l->heard, &len);

		if (n <= 0)
			continue;
		/* the relay has put our tag there */
		if (l->listens)
			sendto(l->fd, buf[0], (size_t)n, 0, (struct sockaddr *)&l->heard, len);
		else
			send(l->fd, buf[0], (size_t)n, 0);
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int do_ping(struct link *l, unsigned count)
{
	double *us = calloc(count, sizeof(*us));
	unsigned n = 0, len = put(l, buf[0], 64);

	wait_at_most(l->fd, 0.5);
	for (unsigned i = 0; us && i < count; i++) {
		double start = now();

		send(l->fd, buf[0], len, 0);
		if (recv(l->fd, buf[1], BUFFER, 0) > 0)
			us[n++] = (now() - start) * 1e6;
		usleep(10000);
	}
	if (n == 0)
		die("no echo");
	qsort(us, n, sizeof(*us), by_value);
	printf("{\"answers\": %u, \"min_us\": %.1f, \"median_us\": %.1f}\n", n, us[0], us[n / 2]);
	free(us);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc < 4) {
		fprintf(stderr, "usage: relay_load serve IP UDP_PORT | LINK send[-single] SECONDS "
				"BYTES PPS | "
				"LINK receive SECONDS | LINK echo SECONDS | LINK ping COUNT\n");
		return 64;
	}
	struct link l = open_link(argv[1]);

	if (argc == 6 && strcmp(argv[2], "send") == 0)
		return do_send(&l, atof(argv[3]), (unsigned)atoi(argv[4]), atof(argv[5]));
	if (argc == 6 && strcmp(argv[2], "send-single") == 0)
		return do_send_single(&l, atof(argv[3]), (unsigned)atoi(argv[4]), atof(argv[5]));
	if (strcmp(argv[2], "receive") == 0)
		return do_receive(&l, atof(argv[3]));
	if (strcmp(argv[2], "echo") == 0)
		return do_echo(&l, atof(argv[3]));
	return do_ping(&l, (unsigned)atoi(argv[3]));
}

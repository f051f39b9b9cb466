/* SPDX-License-Identifier: MIT
 *
 * The connection of a node that a test plays: TCP, TLS and frames, blocking, one at a time. What
 * goes wrong is said on stdout and ends the program.
 */
#ifndef TT_TESTS_HUB_TALK_H
#define TT_TESTS_HUB_TALK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "hub/file.h"
#include "mesh/hub_codec.h"
#include "tls/session.h"

typedef Taltun__Hub__V1__ToHub to_hub;
typedef Taltun__Hub__V1__ToNode to_node;

static int fd = -1;
static struct tls_session *tls;
static struct mesh_frame_reader reader;
static uint8_t reader_buffer[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];
static struct mesh_hub_arena arena;
static uint8_t arena_memory[MESH_HUB_ARENA_MAP];
static uint8_t frame_space[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];

static const char *at_text; /* where the hub is, whatever the files say */

static _Noreturn void die(const char *what, const char *more)
{
	printf("failed %s%s%s\n", what, *more ? " " : "", more);
	fflush(stdout);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static const char *path_of(const char *dir, const char *name)
{
	static char path[2][512];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* --- connection ------------------------------------------------------------------------------- */

/* 0: the system's own. Set before connect(): where it shrinks afterwards, what the hub sent into
 * the larger window is beyond it, the kernel drops such segments with the acknowledgements in them,
 * and what is sent to the hub stands still as well. */
static int receive_buffer;

static void dial(const char *host, uint16_t tcp_port)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list;
	struct tt_endpoint e;
	char name[256], service[8];
	char ip[TT_IP_TEXT_MAX];

	snprintf(name, sizeof(name), "%s", host);
	if (at_text) {
		if (tt_endpoint_parse(at_text, &e) != 0)
			die("address", at_text);
		snprintf(name, sizeof(name), "%s", tt_ip_format(&e.ip, ip));
		tcp_port = e.udp_port;
	}
	snprintf(service, sizeof(service), "%u", tcp_port);
	if (getaddrinfo(name, service, &hint, &list) != 0)
		die("resolve", name);
	fd = socket(list->ai_family, SOCK_STREAM, 0);
	if (receive_buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	if (connect(fd, list->ai_addr, list->ai_addrlen) < 0)
		die("connect", strerror(errno));
	freeaddrinfo(list);
}

static void push_out(void)
{
	uint8_t buf[16384];
	size_t n;

	while ((n = tls_session_output(tls, buf, sizeof(buf))) > 0)
		for (size_t off = 0; off < n;) {
			ssize_t sent = send(fd, buf + off, n - off, MSG_NOSIGNAL);
			if (sent <= 0)
				return;
			off += (size_t)sent;
		}
}

/* False: the socket is at its end. */
static bool pull_in(void)
{
	uint8_t buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0)
		return false;
	tls_session_feed(tls, buf, (size_t)n);
	push_out();
	return true;
}

static void open_tls(const struct tls_context_options *opt, const char *server_name)
{
	struct tls_context *context;

	if (tls_context_create(opt, &context) != 0 ||
	    tls_session_create(context, server_name, &tls) != 0)
		die("tls_context", "");
	tls_session_feed(tls, NULL, 0);
	push_out();
	while (tls_session_state(tls) == TLS_HANDSHAKE)
		if (!pull_in())
			break;
	if (tls_session_state(tls) != TLS_OPEN)
		die("tls", tls_failure_name(tls_session_failure(tls)));
	mesh_frame_reader_init(&reader, reader_buffer, sizeof(reader_buffer),
			       MESH_FRAME_CONTROL_MAX, MESH_FRAME_RELAY_MAX);
	mesh_hub_arena_init(&arena, arena_memory, sizeof(arena_memory));
}

static void send_message(const to_hub *m)
{
	size_t len;
	enum mesh_hub_outcome o = mesh_hub_to_hub_pack(m, frame_space, sizeof(frame_space), &len);

	if (o != MESH_HUB_OK)
		die("pack", mesh_hub_outcome_name(o));
	tls_session_write(tls, frame_space, len);
	push_out();
}

/* The next frame; false where the connection has ended. */
static bool next_frame(struct mesh_frame *f, bool block)
{
	static uint8_t plain[16384];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		enum mesh_frame_status st = mesh_frame_reader_next(&reader, f);
		if (st == MESH_FRAME_READY)
			return true;
		if (st != MESH_FRAME_MORE)
			die("frame", mesh_frame_status_name(st));
		size_t n = tls_session_read(tls, plain, sizeof(plain));
		if (n) {
			mesh_frame_reader_feed(&reader, plain, n);
			continue;
		}
		if (tls_session_state(tls) != TLS_OPEN)
			return false;
		if (!block && poll(&p, 1, 0) == 0) {
			f->len = 0;
			return true;
		}
		if (!pull_in())
			return false;
	}
}

static const to_node *unpack(const struct mesh_frame *f)
{
	const to_node *m;
	enum mesh_hub_outcome o = mesh_hub_to_node_unpack(&arena, f->body, f->len, &m);

	if (o != MESH_HUB_OK)
		die("unpack", mesh_hub_outcome_name(o));
	return m;
}

/* --- files ------------------------------------------------------------------------------------ */

/* What `hub_client enroll` left in dir; ca_dir has the hub's name and CA. Returns its port. */
static uint16_t read_node(const char *dir, const char *ca_dir, struct tls_der *cert,
			  struct tls_der *key, struct tls_der *ca, char host[256], uint8_t wg[32])
{
	char *text, *raw;
	unsigned tcp_port;
	size_t len;

	if (hub_file_read_cert(path_of(dir, "node.crt"), cert) != 0 ||
	    hub_file_read_key(path_of(dir, "node.key"), key) != 0 ||
	    hub_file_read_cert(path_of(ca_dir, "ca.crt"), ca) != 0 ||
	    hub_file_read(path_of(ca_dir, "hub"), 512, &text, &len) != 0 ||
	    hub_file_read(path_of(dir, "wg.pub"), 32, &raw, &len) != 0 ||
	    sscanf(text, "%255s %u", host, &tcp_port) != 2)
		die("files", dir);
	memcpy(wg, raw, 32);
	free(text);
	free(raw);
	return (uint16_t)tcp_port;
}

static void say_hello(void)
{
	to_hub m = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Hello h = TALTUN__HUB__V1__HELLO__INIT;

	h.version = mesh_hub_text("test");
	h.os = mesh_hub_text("test");
	h.udp_port = 51820;
	m.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_HELLO;
	m.hello = &h;
	send_message(&m);
}

#endif

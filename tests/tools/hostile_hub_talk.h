/* SPDX-License-Identifier: MIT
 *
 * hostile_hub: the connection of one node, what is said on it without an honest sender's checks,
 * and the greeting.
 */
#ifndef TT_TESTS_HOSTILE_HUB_TALK_H
#define TT_TESTS_HOSTILE_HUB_TALK_H

#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/addr.h"
#include "mesh/frame.h"
#include "mesh/hub_codec.h"
#include "plat/clock.h"
#include "tls/session.h"

typedef Taltun__Hub__V1__ToHub to_hub;
typedef Taltun__Hub__V1__ToNode to_node;

#define HONEST_MAX 8

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

static struct tt_cidr prefix(const char *text)
{
	struct tt_cidr c;

	if (tt_cidr_parse(text, &c) != 0)
		die("prefix", text);
	return c;
}

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

#endif

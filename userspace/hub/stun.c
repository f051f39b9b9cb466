/* SPDX-License-Identifier: MIT */
#include "hub/stun.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "hub/source.h"
#include "mesh/stun_server.h"
#include "plat/clock.h"
#include "plat/udp_io.h"

#define SOURCE_SLOTS 16384
#define BATCH	     32
#define DATAGRAM_MAX 1500 /* what is longer is no Binding request */
#define BUFFER_BYTES (1 << 20)
#define TURNS_MAX    8 /* batches in one turn of the loop: others want to be served, too */

struct socket {
	int fd; /* -1: none */
	uv_poll_t poll;
};

struct hub_stun {
	struct socket socket[2];
	uint16_t udp_port;
	struct hub_sources *sources;
	struct hub_stun_stats stats;
	unsigned handles;
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t in[BATCH][DATAGRAM_MAX];
	uint8_t out[BATCH][MESH_STUN_RESPONSE_MAX];
	struct plat_udp_rx rx[BATCH];
	struct plat_udp_tx tx[BATCH];
	struct plat_udp_dest dest[BATCH];
};

static int open_one(struct hub_stun *s, unsigned i, enum tt_family family)
{
	struct plat_udp_options opt = {
		.family = family, .udp_port = s->udp_port, .buffer_bytes = BUFFER_BYTES};
	uint16_t bound;
	int fd = plat_udp_open(&opt, &bound);

	if (fd < 0)
		return fd;
	s->socket[i].fd = fd;
	s->udp_port = bound;
	return 0;
}

static void release(struct hub_stun *s)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(s->socket); i++)
		if (s->socket[i].fd >= 0)
			close(s->socket[i].fd);
	hub_sources_destroy(s->sources);
	free(s);
}

int hub_stun_open(uint16_t udp_port, struct hub_stun **out)
{
	struct hub_stun *s = calloc(1, sizeof(*s));
	uint64_t seed;
	struct tt_rng rng = plat_rng();

	if (!s)
		return -ENOMEM;
	tt_rng_fill(&rng, &seed, sizeof(seed));
	s->socket[0].fd = s->socket[1].fd = -1;
	s->udp_port = udp_port;
	s->sources = hub_sources_create(SOURCE_SLOTS, seed);
	int err = s->sources ? 0 : -ENOMEM;
	if (!err)
		err = open_one(s, 0, TT_FAMILY_V4);
	if (!err || err == -EAFNOSUPPORT) {
		int err6 = open_one(s, 1, TT_FAMILY_V6);
		err = err6 == -EAFNOSUPPORT ? err : err6;
	}
	if (err) {
		release(s);
		return err;
	}
	*out = s;
	return 0;
}

/* --- serving ---------------------------------------------------------------------------------- */

/* True where there is an answer in tx[n]. */
static bool serve_one(struct hub_stun *s, const struct plat_udp_rx *rx, unsigned n,
		      struct tt_mono now)
{
	size_t len;

	if (rx->truncated || rx->segment != rx->len ||
	    mesh_stun_serve(s->out[n], &len, rx->buf, rx->len, &rx->src) != TT_DROP_NONE) {
		s->stats.dropped_form++;
		return false;
	}
	struct hub_source_entry *e = hub_source_get(s->sources, &rx->src.ip, now);
	if (!e || !hub_source_take(e, HUB_STUN_ANSWERS_PER_S, now)) {
		s->stats.dropped_rate++;
		return false;
	}
	/* the answer leaves by the address that was asked: a client takes it from nowhere else */
	s->dest[n] = (struct plat_udp_dest){.to = rx->src, .from = rx->dst};
	plat_udp_dest_prepare(&s->dest[n]);
	s->tx[n] = (struct plat_udp_tx){.buf = s->out[n],
					.len = (uint32_t)len,
					.segment = (uint32_t)len,
					.dest = &s->dest[n]};
	return true;
}

/* False where nothing was there. */
static bool serve_batch(struct hub_stun *s, int fd, struct tt_mono now)
{
	unsigned answers = 0, sent = 0;
	bool lost;

	for (unsigned i = 0; i < BATCH; i++)
		s->rx[i] = (struct plat_udp_rx){.buf = s->in[i], .cap = DATAGRAM_MAX};
	int n = plat_udp_recv(fd, s->rx, BATCH);
	for (int i = 0; i < n; i++)
		answers += serve_one(s, &s->rx[i], answers, now);
	if (answers)
		sent = plat_udp_send(fd, s->tx, answers, &lost);
	s->stats.answered += sent;
	s->stats.dropped_socket += answers - sent;
	return n == BATCH;
}

static void on_readable(uv_poll_t *p, int status, int events)
{
	struct hub_stun *s = p->data;
	struct socket *k = TT_CONTAINER_OF(p, struct socket, poll);
	struct tt_mono now = {uv_now(p->loop) * TT_NS_PER_MS + 1};

	(void)events;
	(void)status; /* an error of an earlier answer: reading takes it away */
	for (unsigned i = 0; i < TURNS_MAX && serve_batch(s, k->fd, now); i++)
		;
}

int hub_stun_attach(struct hub_stun *s, uv_loop_t *loop)
{
	int err = 0;

	for (unsigned i = 0; i < TT_ARRAY_LEN(s->socket) && !err; i++) {
		struct socket *k = &s->socket[i];

		if (k->fd < 0)
			continue;
		err = uv_poll_init(loop, &k->poll, k->fd);
		if (err)
			break;
		k->poll.data = s;
		s->handles++;
		err = uv_poll_start(&k->poll, UV_READABLE, on_readable);
	}
	return err;
}

uint16_t hub_stun_udp_port(const struct hub_stun *s)
{
	return s->udp_port;
}

static void all_closed(struct hub_stun *s)
{
	void (*closed)(void *) = s->closed;
	void *arg = s->closed_arg;

	release(s);
	if (closed)
		closed(arg);
}

static void on_closed(uv_handle_t *h)
{
	struct hub_stun *s = h->data;

	if (--s->handles == 0)
		all_closed(s);
}

void hub_stun_stop(struct hub_stun *s, void (*closed)(void *arg), void *arg)
{
	s->closed = closed;
	s->closed_arg = arg;
	if (s->handles == 0) {
		all_closed(s);
		return;
	}
	for (unsigned i = 0; i < TT_ARRAY_LEN(s->socket); i++)
		if (s->socket[i].fd >= 0)
			uv_close((uv_handle_t *)&s->socket[i].poll, on_closed);
}

void hub_stun_get_stats(const struct hub_stun *s, struct hub_stun_stats *out)
{
	*out = s->stats;
}

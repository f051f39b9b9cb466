/* SPDX-License-Identifier: MIT
 *
 * hub_swarm: one hub below a directory, and many enrolled nodes, all of them in this process and on
 * one loop. What the program's parts share; included by hub_swarm.c alone.
 */
#ifndef TT_TESTS_HUB_SWARM_H
#define TT_TESTS_HUB_SWARM_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <uv.h>

#include "mesh/netmap.h"
#include "wire/stream.h"

#define SWARM_GATEWAYS_MAX 64

enum swarm_state {
	SWARM_AWAY,    /* it is not meant to be connected */
	SWARM_WAITING, /* for its next attempt */
	SWARM_CONNECTING,
	SWARM_SECURING,
	SWARM_GREETING, /* Hello is sent, the Pong behind it has not come */
	SWARM_SERVED,	/* the hub has answered, and the map is whole */
};

struct swarm_node {
	struct wire_stream stream;
	uv_connect_t connect;
	uv_timer_t timer;
	struct tls_context *tls;
	uint32_t number; /* gateways first; the hub's id is one more */
	enum swarm_state state;
	bool stream_used;
	bool chain;    /* an update is not whole yet */
	bool answered; /* the Pong has come */
	uint32_t pause_ms, attempts;
	uint64_t epoch, version; /* of its map */
	uint64_t began_ns;	 /* TCP connect of the last attempt */
	uint64_t served_ns;
	/* Bits of gateways: of a client, those that it has online; of any node, those that have
	 * it online. */
	uint64_t has, seen_by;
	uint64_t joined_ns; /* the last time that both became all of them */
	uint8_t wg_public_key[32];
};

struct swarm {
	const char *hub, *dir; /* the program, and where its files go */
	uint16_t tcp_port;
	uint32_t nodes, gateways;
	uint32_t netmaps; /* gateways that apply mesh/netmap */
	uint32_t joins, gateway_joins, idle_s;

	uv_loop_t loop;
	struct wire_loop *wire;
	struct swarm_node *node;
	pid_t pid; /* of the hub */
	uint32_t served;
	uint32_t have[SWARM_GATEWAYS_MAX]; /* clients that have the gateway online */

	/* what must not be */
	uint64_t leaks;	       /* a client that sees a client */
	uint64_t bad_messages; /* that the codec refuses, or that nobody waits for */
	uint64_t bad_maps;     /* that mesh/netmap refuses */
	uint64_t hub_errors;   /* Error messages */
	uint64_t lost;	       /* connections that ended while they were served */
};
static struct swarm swarm;

static inline bool swarm_is_gateway(const struct swarm_node *n)
{
	return n->number < swarm.gateways;
}

static inline uint64_t swarm_all_gateways(void)
{
	return swarm.gateways == 64 ? UINT64_MAX : (UINT64_C(1) << swarm.gateways) - 1;
}

__attribute__((noreturn)) static inline void swarm_die(const char *what)
{
	fprintf(stderr, "hub_swarm: %s\n", what);
	exit(1);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * The UDP relay (mesh/relay.h): a thread with its own sockets. It forwards between the two bound
 * legs of an allocation and to nobody else; it answers only who names a tag that was given out, and
 * never with more than it got. The loop's thread opens and closes allocations.
 */
#ifndef TT_HUB_RELAY_UDP_H
#define TT_HUB_RELAY_UDP_H

#include "base/addr.h"
#include "mesh/relay.h"

#define HUB_RELAY_ALLOCATIONS_MAX 65536
#define HUB_RELAY_LISTEN_MAX	  4

struct hub_relay;

struct hub_relay_options {
	struct tt_endpoint listen[HUB_RELAY_LISTEN_MAX]; /* bound here; 0.0.0.0 and :: are fine */
	unsigned listen_count;
	uint64_t node_bytes_per_s; /* token bucket of what a node's legs send; 0: none */
	uint64_t node_burst_bytes;
	uint32_t node_allocations; /* that a node may have opened at a time; 0: any */
	uint64_t idle_ns;	   /* of a bound leg; 0: MESH_RELAY_LEG_IDLE_NS */
	/* Legs may also be bound from addresses that are no targets, loopback above all: for tests.
	 */
	bool any_source;
};

/*
 * 0 or -errno. Where several are asked for, a family that the host lacks is left out; a udp_port of
 * 0 is that of the first.
 */
int hub_relay_start(const struct hub_relay_options *opt, struct hub_relay **out);
void hub_relay_stop(struct hub_relay *r); /* joins the thread; NULL is allowed */
/* The number that was bound (for udp_port 0 in the options). */
uint16_t hub_relay_udp_port(const struct hub_relay *r);

struct hub_leg {
	uint32_t tag;
	uint8_t key[MESH_RELAY_KEY_LEN];
};

enum hub_relay_outcome {
	HUB_RELAY_OPENED,
	HUB_RELAY_SAME_NODE,
	HUB_RELAY_NODE_FULL, /* the node has as many open as it may */
	HUB_RELAY_FULL,
};

/*
 * Loop's thread, as the two below. An allocation for two nodes, which counts as node_a's; one that
 * exists gets new tags and keys and stays whose it was. Where there is no room for another one,
 * those that nobody has bound for idle_ns make some: the node's own where it is the node that has
 * no room. Refused, nothing has changed.
 */
enum hub_relay_outcome hub_relay_open(struct hub_relay *r, uint32_t node_a, uint32_t node_b,
				      struct hub_leg *a, struct hub_leg *b);
/* Nothing is forwarded any more when it returns, which it does after one batch at the latest. */
void hub_relay_close(struct hub_relay *r, uint32_t node_a, uint32_t node_b);
void hub_relay_close_node(struct hub_relay *r, uint32_t node);
/* Those of pairs that are not allowed; the others do not notice. Asked twice for each pair. */
void hub_relay_close_unless(struct hub_relay *r,
			    bool (*allowed)(void *ctx, uint32_t node_a, uint32_t node_b),
			    void *ctx);

struct hub_relay_stats {
	uint32_t allocations, bound_legs;
	/* datagrams, not super-datagrams; the answers to bindings count as sent */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t challenged; /* were answered with a challenge instead */
	uint64_t dropped_form, dropped_tag, dropped_source, dropped_mac, dropped_cookie;
	uint64_t dropped_unbound; /* the other leg is nowhere yet */
	uint64_t dropped_limit;	  /* a source that asked for too many challenges */
	uint64_t dropped_rate, dropped_socket;
};
/* Any thread. */
void hub_relay_get_stats(const struct hub_relay *r, struct hub_relay_stats *out);

#endif

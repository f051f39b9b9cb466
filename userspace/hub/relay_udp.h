/* SPDX-License-Identifier: MIT
 *
 * The UDP relay (mesh/relay.h): a thread with its own sockets. It forwards between the two bound
 * legs of an allocation and to nobody else; it answers only what shows a cookie, and never with
 * more than it got. The loop's thread opens and closes allocations.
 */
#ifndef TT_HUB_RELAY_UDP_H
#define TT_HUB_RELAY_UDP_H

#include "base/addr.h"
#include "mesh/relay.h"

#define HUB_RELAY_ALLOCATIONS_MAX 65536

struct hub_relay;

struct hub_relay_options {
	struct tt_endpoint listen[4]; /* bound here; 0.0.0.0 and :: are fine */
	unsigned listen_count;
	uint64_t node_bytes_per_s; /* token bucket of a node's legs together; 0: none */
	uint64_t node_burst_bytes;
};

/* 0 or -errno. */
int hub_relay_start(const struct hub_relay_options *opt, struct hub_relay **out);
void hub_relay_stop(struct hub_relay *r); /* joins the thread; NULL is allowed */
/* The number that was bound (for udp_port 0 in the options). */
uint16_t hub_relay_udp_port(const struct hub_relay *r);

struct hub_leg {
	uint32_t tag;
	uint8_t key[MESH_RELAY_KEY_LEN];
};

/* An allocation for two nodes; one that exists gets new tags and keys. False: full. */
bool hub_relay_open(struct hub_relay *r, uint32_t node_a, uint32_t node_b, struct hub_leg *a,
		    struct hub_leg *b);
/* Nothing is forwarded any more when it returns. */
void hub_relay_close(struct hub_relay *r, uint32_t node_a, uint32_t node_b);
void hub_relay_close_node(struct hub_relay *r, uint32_t node);

struct hub_relay_stats {
	uint32_t allocations, bound_legs;
	uint64_t rx_packets, tx_packets, tx_bytes;
	uint64_t dropped_form, dropped_tag, dropped_source, dropped_mac, dropped_cookie;
	uint64_t dropped_unbound; /* the other leg is nowhere yet */
	uint64_t dropped_rate, dropped_socket;
};
void hub_relay_get_stats(const struct hub_relay *r, struct hub_relay_stats *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The node's connection to its hub: name, socket, TLS, greeting; again after it was lost, with
 * growing pauses and jitter (1 s to 60 s), at once where the network has changed. What messages
 * mean is the handlers' business (node/hub_client.h). Control thread.
 */
#ifndef TT_NODE_HUB_LINK_H
#define TT_NODE_HUB_LINK_H

#include <uv.h>

#include "base/rng.h"
#include "mesh/hub_codec.h"
#include "wire/stream.h"

struct node_hub_link;

enum node_hub_state {
	NODE_HUB_WAITING, /* for the next attempt */
	NODE_HUB_RESOLVING,
	NODE_HUB_CONNECTING,
	NODE_HUB_SECURING, /* TLS */
	NODE_HUB_GREETING, /* Hello is sent */
	NODE_HUB_UP,
	NODE_HUB_STOPPED, /* the hub has refused us for good: enrol anew */
};
const char *node_hub_state_name(enum node_hub_state s); /* "greeting"; never NULL */

struct node_hub_link_handlers {
	/* Asks for the addresses of the hub's name: node_hub_link_resolved(). */
	void (*resolve)(void *ctx, const char *host, uint16_t port);
	/* A TCP socket that does not go through the tunnel; descriptor or -errno. */
	int (*socket)(void *ctx, enum tt_family family);
	/* Fills what Hello says of the map and the udp_port. */
	void (*hello)(void *ctx, Taltun__Hub__V1__Hello *m);
	/* Welcome: it is up. */
	void (*up)(void *ctx, const Taltun__Hub__V1__Welcome *m);
	/* Every other message while it is up. */
	void (*message)(void *ctx, const Taltun__Hub__V1__ToNode *m);
	/* A packet of another node; valid during the call, may be changed. */
	void (*packet)(void *ctx, uint32_t from_node, const uint8_t *packet, uint32_t len);
	/* The connection takes packets again, after node_hub_link_room() has said that it did not.
	 */
	void (*room)(void *ctx);
	/* It was up, and is no more; why is for people. */
	void (*down)(void *ctx, const char *why);
	void *ctx;
};

struct node_hub_link_options {
	uv_loop_t *loop;
	struct tls_der ca, cert, key;
	char host[254]; /* of the hub: a name or an address */
	char name[254]; /* that its certificate is for */
	uint16_t tcp_port;
	struct tt_rng rng;
	struct node_hub_link_handlers on;
};

/* Copies the options; wipe the key there. Begins to connect with node_hub_link_start(). 0 or
 * -errno: certificate and key are no good. */
int node_hub_link_create(const struct node_hub_link_options *opt, struct node_hub_link **out);
void node_hub_link_start(struct node_hub_link *l);
/* Says goodbye; frees it when its handles are closed, after which closed() runs. */
void node_hub_link_destroy(struct node_hub_link *l, void (*closed)(void *arg), void *arg);

void node_hub_link_resolved(struct node_hub_link *l, const struct tt_endpoint *addr,
			    unsigned count);
/* Addresses or routes have changed: a pause ends, what has gone with them is given up, a connection
 * is asked for a sign of life. */
void node_hub_link_network_changed(struct node_hub_link *l);
/* Another certificate (renewed); used from the next connection on. 0 or -EINVAL. */
int node_hub_link_set_cert(struct node_hub_link *l, const struct tls_der *cert);

/* False: not up, or its queue ran over. */
bool node_hub_link_send(struct node_hub_link *l, const Taltun__Hub__V1__ToHub *m);
/* A packet for another node; false: dropped, node_hub_link_get_info() counts it. */
bool node_hub_link_relay(struct node_hub_link *l, uint32_t to_node, const uint8_t *packet,
			 uint32_t len);

/* How many packets the connection takes now; 0: room() will be called, or it comes up anew. */
uint32_t node_hub_link_room(struct node_hub_link *l);
/* Hands them to the socket. */
void node_hub_link_flush(struct node_hub_link *l);

struct node_hub_link_info {
	enum node_hub_state state;
	char host[254];
	uint16_t tcp_port;
	struct tt_endpoint at;	 /* connected to, or tried last */
	uint32_t rtt_us;	 /* of the last Ping; 0: none */
	uint64_t connects, lost; /* times it was up, and went */
	struct tt_mono since;	 /* of the state */
	uint64_t retry_in_ms;	 /* while WAITING */
	char why[160];		 /* it is not up; "" where it is */
	uint64_t relayed_packets, relay_dropped;
	uint64_t cert_ends_s; /* of our certificate: wall time */
};
void node_hub_link_get_info(const struct node_hub_link *l, struct node_hub_link_info *out);
/* Where the hub is in this family: the connection's own address, or what its name came to last.
 * False: nothing is known. */
bool node_hub_link_address(const struct node_hub_link *l, enum tt_family family,
			   struct tt_endpoint *out);

#endif

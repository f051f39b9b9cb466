/* SPDX-License-Identifier: MIT
 *
 * The running hub: connections, sessions, registry, store, signer and relay, on one loop. Owned by
 * `taltun-hub serve` (hub/serve.h) and by tests.
 */
#ifndef TT_HUB_SERVER_H
#define TT_HUB_SERVER_H

#include <uv.h>

#include "hub/conn.h"
#include "hub/relay_udp.h"
#include "hub/signer.h"
#include "hub/store.h"

struct hub_server;

struct hub_server_options {
	const char *db_path;
	struct hub_settings settings;
	struct tls_der ca, cert, key; /* of the hub */
	struct hub_signer *signer;    /* attached to the loop; outlives the server */
	struct hub_relay *relay;      /* NULL: by TCP only; outlives the server */
	struct tt_endpoint relay_at[MESH_HUB_ENDPOINTS_MAX]; /* what nodes are told */
	unsigned relay_at_count;
	bool relay_at_only;	/* otherwise also where the node's connection came to */
	uint16_t stun_udp_port; /* 0: none */
	struct hub_conn_limits limits;
	uint32_t node_cert_days;
	uint64_t relay_tcp_bytes_per_s; /* token bucket of each node; 0: none */
};

/* Copies the options. 0 or -errno, with a line in the log. */
int hub_server_create(uv_loop_t *loop, const struct hub_server_options *opt,
		      struct hub_server **out);
/* After create and before the loop runs: 0 or -errno. */
int hub_server_listen(struct hub_server *s, const struct tt_endpoint *at);
int hub_server_listen_fd(struct hub_server *s, int fd);
/* New connections get this certificate; limits of the connections as well. 0 or -errno: nothing has
 * changed. packet_bytes of the limits stays what it was. */
int hub_server_reload(struct hub_server *s, const struct tls_der *cert, const struct tls_der *key,
		      const struct hub_conn_limits *limits);
/* Nodes are told other addresses of the relay from now on; count <= MESH_HUB_ENDPOINTS_MAX. */
void hub_server_set_relay_at(struct hub_server *s, const struct tt_endpoint *at, unsigned count);
/* Tells every node that the hub restarts, closes, and calls done(). */
void hub_server_stop(struct hub_server *s, void (*done)(void *arg), void *arg);
void hub_server_destroy(struct hub_server *s);

/* Why a node got no UDP relay; its packets go by TCP. */
enum hub_relay_refusal {
	HUB_RELAY_REFUSAL_DISABLED,
	HUB_RELAY_REFUSAL_UNKNOWN, /* not in its map */
	HUB_RELAY_REFUSAL_OFFLINE,
	HUB_RELAY_REFUSAL_RATE,	       /* it asked too often */
	HUB_RELAY_REFUSAL_NOT_READING, /* too much waits for the other node */
	HUB_RELAY_REFUSAL_NODE_FULL,   /* it has as many as it may */
	HUB_RELAY_REFUSAL_FULL,	       /* the relay has no room */
	HUB_RELAY_REFUSAL_COUNT,
};
const char *hub_relay_refusal_name(enum hub_relay_refusal why); /* "node_full"; never NULL */

struct hub_server_stats {
	struct hub_conn_stats conns;
	struct hub_relay_stats relay;
	struct hub_store_stats store;
	uint32_t nodes, online;
	uint64_t enrolled, enrol_refused_token, enrol_refused_proof, enrol_refused_other;
	uint64_t renewed, signals, signals_refused, map_frames, relay_refused_policy,
		relay_refused_rate;
	uint64_t relay_not_opened[HUB_RELAY_REFUSAL_COUNT];
	uint64_t limited; /* requests of nodes that came too often, and were not served */
};

/* Who is connected, in the order of arrival. */
struct hub_server_online {
	const struct hub_node_facts *node;
	const struct tt_endpoint *from;
	uint64_t since_s; /* wall time */
	const char *version;
};
void hub_server_each_online(const struct hub_server *s,
			    void (*each)(void *ctx, const struct hub_server_online *o), void *ctx);
void hub_server_get_stats(const struct hub_server *s, struct hub_server_stats *out);
/* When the hub's certificate in use, and the CA's, ends: wall time in seconds; 0: unknown. */
uint64_t hub_server_certificate_end(const struct hub_server *s);
uint64_t hub_server_ca_end(const struct hub_server *s);

#endif

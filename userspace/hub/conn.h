/* SPDX-License-Identifier: MIT
 *
 * TCP connections to the hub: TLS, frames, deadlines and bounded queues. What the frames mean is
 * the handlers' business. Everything runs on the loop's thread.
 *
 * Two queues per connection. Control: in order, nothing is ever left out; a node that lets it grow
 * past its bound is closed. Data (packets that are relayed): bounded, the oldest goes first, and it
 * is sent only where no control waits, so that a tunnel under load never keeps the hub from being
 * heard. Several packets share one TLS record.
 *
 * Memory of a quiet connection is its TLS state and this struct; buffers are held only while
 * something is unfinished.
 */
#ifndef TT_HUB_CONN_H
#define TT_HUB_CONN_H

#include <uv.h>

#include "base/addr.h"
#include "mesh/frame.h"
#include "tls/session.h"

struct hub_conn;
struct hub_conns;

enum hub_close {
	HUB_CLOSE_NONE,
	HUB_CLOSE_BY_PEER,	  /* in order */
	HUB_CLOSE_RESET,	  /* the socket failed */
	HUB_CLOSE_TLS,		  /* hub_conn_tls_failure() */
	HUB_CLOSE_HANDSHAKE_SLOW, /* no TLS within its time */
	HUB_CLOSE_STAGE_SLOW,	  /* open, but what has to come next did not come */
	HUB_CLOSE_SILENT,	  /* no sign of life */
	HUB_CLOSE_NOT_READING,	  /* its control queue ran over, or nothing left for long */
	HUB_CLOSE_BAD_FRAME,
	HUB_CLOSE_BAD_MESSAGE,
	HUB_CLOSE_REFUSED,  /* the hub said Error */
	HUB_CLOSE_REPLACED, /* the same node connected again */
	HUB_CLOSE_REVOKED,
	HUB_CLOSE_SHUTDOWN,
	HUB_CLOSE_COUNT,
};
const char *hub_close_name(enum hub_close why); /* "stage_slow"; never NULL */

/* Why a connection was not accepted. */
enum hub_turned_away {
	HUB_TURNED_AWAY_FULL,	/* connections in all */
	HUB_TURNED_AWAY_SOURCE, /* connections from one address that are not enrolled nodes' */
	HUB_TURNED_AWAY_RATE,	/* new ones a second from one address */
	HUB_TURNED_AWAY_MEMORY,
	HUB_TURNED_AWAY_LEFT, /* it had left before its turn came */
	HUB_TURNED_AWAY_COUNT,
};
const char *hub_turned_away_name(enum hub_turned_away why); /* "rate"; never NULL */

struct hub_conn_handlers {
	/* TLS stands; hub_conn_peer() says who it is. */
	void (*opened)(void *ctx, struct hub_conn *c);
	/* The frame is valid during the call. */
	void (*frame)(void *ctx, struct hub_conn *c, const struct mesh_frame *f);
	/* The control queue is empty: time for what comes in pieces. */
	void (*drained)(void *ctx, struct hub_conn *c);
	/* The last call for this connection; it opened or not. */
	void (*closed)(void *ctx, struct hub_conn *c, enum hub_close why);
	void *ctx;
};

struct hub_conn_limits {
	uint32_t connections;	/* in all */
	uint32_t per_source;	/* without a certificate, from one IPv4 address or IPv6 /64 */
	uint32_t accepts_per_s; /* of one source, with as much burst; 0: any */
	uint32_t handshake_ms;	/* TCP accepted to TLS open */
	uint32_t stage_ms;	/* hub_conn_expect() */
	uint32_t silent_ms;	/* without any byte, once a session stands */
	uint32_t control_bytes; /* queue */
	uint32_t data_packets;	/* queue of one connection, of HUB_CONN_DATA_BYTES at most */
	uint32_t packet_bytes;	/* of all queued packets together */
};
#define HUB_CONN_DATA_BYTES (1024 * 1024)
/* What an operator gets who says nothing. */
extern const struct hub_conn_limits hub_conn_limits_default;

/* tls is used by new connections until hub_conns_set_tls(); it stays the caller's. 0 or -ENOMEM. */
int hub_conns_create(uv_loop_t *loop, struct tls_context *tls, const struct hub_conn_limits *limits,
		     const struct hub_conn_handlers *handlers, struct hub_conns **out);
/* Listens on an address; several times for several. 0 or -errno. */
int hub_conns_listen(struct hub_conns *s, const struct tt_endpoint *at);
/* The same for a descriptor that is bound already, as a service manager passes it. */
int hub_conns_listen_fd(struct hub_conns *s, int fd);
/* While held, what comes waits in the system's queue; it is not held to begin with. */
void hub_conns_hold(struct hub_conns *s, bool hold);
/* For connections that come from now on; packet_bytes stays. */
void hub_conns_set_limits(struct hub_conns *s, const struct hub_conn_limits *limits);
void hub_conns_set_tls(struct hub_conns *s, struct tls_context *tls);
/* Accepts nothing more and closes all; done() runs when the last one is gone. */
void hub_conns_stop(struct hub_conns *s, void (*done)(void *arg), void *arg);
void hub_conns_destroy(struct hub_conns *s); /* after done(); NULL is allowed */

/* A whole frame, header included (mesh_hub_to_node_pack). False: it is being closed, or its queue
 * ran over and it is closed now. Goes out at the end of this turn of the loop. */
bool hub_conn_send(struct hub_conn *c, const uint8_t *frame, size_t len);
/* A packet from another node. False: dropped (closing, no buffer); the oldest gives way. */
bool hub_conn_relay(struct hub_conn *c, uint32_t from_node, const uint8_t *packet, uint32_t len);
/* Sends what is queued first. closed() is called later. */
void hub_conn_close(struct hub_conn *c, enum hub_close why);

/* The next step has to come within stage_ms from now; false: none is expected, it may be silent for
 * silent_ms. */
void hub_conn_expect(struct hub_conn *c, bool next);
/* Reads no more for so long; TCP holds the other side back. What has been read already still comes.
 */
void hub_conn_hold(struct hub_conn *c, uint32_t ms);
/* It belongs to a node that proved itself: other bounds count. */
void hub_conn_trust(struct hub_conn *c, uint32_t control_max, uint32_t relay_max);

void hub_conn_set_session(struct hub_conn *c, void *session);
void *hub_conn_session(const struct hub_conn *c);
const struct tls_cert_info *hub_conn_peer(const struct hub_conn *c); /* NULL: no certificate */
const struct tt_endpoint *hub_conn_source(const struct hub_conn *c);
/* The address that it came to. False: it is gone. */
bool hub_conn_local(const struct hub_conn *c, struct tt_endpoint *out);
bool hub_conn_export(const struct hub_conn *c, const char *label, uint8_t *out, size_t len);
enum tls_failure hub_conn_tls_failure(const struct hub_conn *c);
/* Bytes that wait in the control queue. */
size_t hub_conn_control_pending(const struct hub_conn *c);

struct hub_conn_stats {
	uint32_t connections;
	uint64_t accepted, opened;
	uint64_t turned_away[HUB_TURNED_AWAY_COUNT];
	uint64_t closed[HUB_CLOSE_COUNT];
	uint64_t tls_failed[TLS_FAIL_COUNT];
	uint64_t relayed_packets, relayed_bytes;
	uint64_t relay_dropped_oldest, relay_dropped_memory, relay_dropped_share;
	uint64_t held; /* how often somebody had to wait: hub_conn_hold() */
	uint64_t packet_bytes;
};
void hub_conns_stats(const struct hub_conns *s, struct hub_conn_stats *out);

#endif

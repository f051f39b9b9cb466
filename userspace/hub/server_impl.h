/* SPDX-License-Identifier: MIT
 *
 * The server's own state, shared by server.c, session*.c and enrol.c alone.
 */
#ifndef TT_HUB_SERVER_IMPL_H
#define TT_HUB_SERVER_IMPL_H

#include "base/list.h"
#include "hub/maps.h"
#include "hub/server.h"

#define HUB_LOG_LINES_PER_S 50 /* of what nodes and strangers can cause, of each kind */
#define HUB_SIGNALS_PER_S   50
#define HUB_SIGNALS_BURST   200
/* What a node may ask for, one in so many seconds, and so many at once. */
#define HUB_HELLO_EVERY_S   3
#define HUB_HELLO_BURST	    20
#define HUB_MAP_EVERY_S	    15
#define HUB_MAP_BURST	    5
#define HUB_RENEWAL_EVERY_S 60
#define HUB_RENEWAL_BURST   10
/* Messages, and packets that go nowhere. Whoever has more to say is not read for a while. */
#define HUB_MESSAGES_PER_S	       1000
#define HUB_MESSAGES_BURST	       4000
#define HUB_HOLD_MS		       500
#define HUB_PACKET_BYTES_MIN	       128 /* a small packet is as much work as one of these */
#define HUB_MAP_WINDOW		       (64 * 1024) /* of map bytes queued for one node at a time */
#define HUB_MAP_COALESCE_MS	       5	   /* where it is quiet */
#define HUB_MAP_COALESCE_MAX_MS	       100	   /* where much changes: */
#define HUB_MAP_COALESCE_PER_CHANGE_MS 2	   /* as many of the last push */
#define HUB_TRIM_AFTER		       256	   /* handshakes, */
#define HUB_TRIM_QUIET_S	       3	   /* and none for so long */
#define HUB_MAP_EXTEND_S	       86400	   /* valid_until is moved on this often */
#define HUB_SEEN_EVERY_S	       3600

enum hub_session_state {
	HUB_SESSION_STRANGER,	/* no certificate: EnrollStart is next */
	HUB_SESSION_TOKEN,	/* the store looks for its token */
	HUB_SESSION_CHALLENGED, /* EnrollProof is next */
	HUB_SESSION_SIGNING,
	HUB_SESSION_ENROLLING, /* the store writes */
	HUB_SESSION_ENROLLED,  /* it will come back with its certificate */
	HUB_SESSION_GREETING,  /* a certificate: Hello is next */
	HUB_SESSION_UP,
};

/* What an enrolment has to remember; allocated while one goes on, wiped. */
struct hub_enrolment {
	struct hub_db_token token;
	uint8_t nonce[MESH_TOKEN_NONCE_LEN];
	uint8_t wg_public_key[32];
	char version[64], hostname[64];
	struct hub_sign_request sign;
	struct tls_der cert;
};

struct hub_session {
	struct hub_server *server;
	struct hub_conn *conn;
	struct tt_list link;	/* hub_server.up, while it is up */
	struct tt_list curious; /* hub_server.curious, where it sees more than gateways */
	uint64_t cookie;	/* for answers that may come too late */
	enum hub_session_state state;
	struct hub_node *node; /* from Hello on */
	struct hub_enrolment *enrolment;

	uint64_t map_epoch, map_version; /* that the node has, once what is under way has come */
	uint64_t map_seen;
	uint64_t map_said_s; /* wall time of the last update */
	struct hub_map_cursor cursor;

	struct hub_bucket signals, relay, messages;
	bool renewing;
	uint64_t up_since_s;
	char version[64];
};

/* A context that has sessions still. */
struct hub_old_tls {
	struct hub_old_tls *next;
	struct tls_context *tls;
};

struct hub_server {
	uv_loop_t *loop;
	struct hub_server_options opt;
	struct tls_context *tls;
	struct hub_old_tls *old_tls;
	struct hub_conns *conns;
	struct hub_store *store;
	struct hub_registry *registry;
	struct tt_list up, curious;
	struct hub_session **slots; /* by cookie's low half */
	uint32_t slot_count, slot_next;
	uint32_t generation;
	uv_timer_t push, second;
	bool push_due;
	uint64_t pushed_version, pushed_epoch;
	uint64_t push_at_ms; /* of the loop's clock: not before */
	bool loaded;	     /* the store has been read once */
	struct hub_server_stats stats;
	/* handshakes that there had been, a second ago and at the last trim */
	uint64_t opened, trimmed;
	unsigned quiet_s;
	unsigned handles;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	uint8_t frame[MESH_FRAME_HEADER + MESH_FRAME_CONTROL_MAX];
	uint8_t arena[MESH_HUB_ARENA_SMALL];
};

static inline void hub_wall(uint64_t *s, uint32_t *ms)
{
	uv_timeval64_t t;

	uv_gettimeofday(&t);
	*s = (uint64_t)t.tv_sec;
	*ms = (uint32_t)t.tv_usec / 1000;
}

static inline uint64_t hub_wall_s(void)
{
	uint64_t s;
	uint32_t ms;

	hub_wall(&s, &ms);
	return s;
}

static inline struct tt_mono hub_server_now(const struct hub_server *s)
{
	return (struct tt_mono){uv_now(s->loop) * TT_NS_PER_MS + 1};
}

/* server.c */
struct hub_session *hub_session_by_cookie(struct hub_server *s, uint64_t cookie);
/* The registry has changed: maps go out soon. */
void hub_server_changed(struct hub_server *s);
/* A session is up, or has another policy: puts it where the right changes reach it. */
void hub_server_enlist(struct hub_server *s, struct hub_session *e);

/* session.c: what a connection's frames mean. */
void hub_session_opened(void *ctx, struct hub_conn *c);
void hub_session_frame(void *ctx, struct hub_conn *c, const struct mesh_frame *f);
void hub_session_drained(void *ctx, struct hub_conn *c);
void hub_session_closed(void *ctx, struct hub_conn *c, enum hub_close why);
/* Sends what of the map is new. */
void hub_session_push_map(struct hub_session *e);
bool hub_session_send(struct hub_session *e, const Taltun__Hub__V1__ToNode *m);
/* Error, and the connection is closed after it. */
/* What addresses are given from, as a list of hub.proto; room for MESH_HUB_NETWORKS_MAX entries.
 * Returns its length. */
size_t hub_session_networks(const struct hub_server *s, uint8_t *space, size_t room);
void hub_session_refuse(struct hub_session *e, Taltun__Hub__V1__ErrorCode code, const char *text,
			enum hub_close why);

/* enrol.c */
void hub_enrol_start(struct hub_session *e, const Taltun__Hub__V1__EnrollStart *m);
void hub_enrol_proof(struct hub_session *e, const Taltun__Hub__V1__EnrollProof *m);
void hub_enrol_renew(struct hub_session *e, const Taltun__Hub__V1__Renew *m);
void hub_enrol_forget(struct hub_session *e);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The hub link's own state; shared by hub_link*.c alone: its life, clock and sending are in
 * hub_link.c, getting and losing the connection in hub_link_dial.c, what the hub says in
 * hub_link_stream.c.
 */
#ifndef TT_NODE_HUB_LINK_IMPL_H
#define TT_NODE_HUB_LINK_IMPL_H

#include "node/hub_link.h"

#define NODE_HUB_LINK_RETRY_MIN_MS 1000
#define NODE_HUB_LINK_RETRY_MAX_MS 60000
#define NODE_HUB_LINK_REPLACED_MAX 6	 /* 60 s, doubling up to 32 minutes */
#define NODE_HUB_LINK_STEP_MS	   10000 /* a name, a connection, TLS, a Welcome: each has so long */
/* Of the control thread's time what a hub says may take a quarter. */
#define NODE_HUB_LINK_BUDGET_PART   4
#define NODE_HUB_LINK_ADDRESSES_MAX 8

struct node_hub_link {
	struct node_hub_link_options opt;
	struct tls_context *tls;
	uint64_t cert_ends_s; /* wall time */
	struct wire_loop *wire;
	struct wire_stats stats;
	uv_timer_t tick;
	enum node_hub_state state;
	struct tt_mono since, deadline; /* of the state; deadline 0: none */

	struct wire_stream stream;
	uv_connect_t connect;
	bool stream_used; /* until closed() */
	struct tt_endpoint addr[NODE_HUB_LINK_ADDRESSES_MAX];
	unsigned addr_count, addr_next;
	struct tt_endpoint at; /* connected to, or tried last */

	uint64_t pause_ms;    /* of the next failure */
	unsigned short_lives; /* connections in a row that were up for less than SHORT_MS */
	unsigned replaced;    /* that ended in a row because this node connected from elsewhere */
	struct tt_mono keen_until; /* a restart was announced: no growing pauses until then */
	struct tt_mono frame_at;   /* the last whole frame */
	int64_t budget_ns;	   /* of time for what the hub says; below 0: it has to wait */
	uint64_t budget_at;	   /* uv_hrtime() */
	bool paused;
	struct tt_mono said_at; /* the log: out of reach */
	char said[160];
	struct tt_mono pinged;
	uint64_t ping_token; /* of the Ping under way; 0: none */
	uint32_t rtt_us;
	uint64_t connects, lost;
	char why[160];

	bool ending;
	unsigned handles;
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t frame[MESH_FRAME_HEADER + MESH_HUB_SMALL_MAX];
	uint8_t *arena; /* MESH_HUB_ARENA_MAP */
};

/* hub_link.c */
struct tt_mono node_hub_link_now(const struct node_hub_link *l);
/* Sets the timer to the next thing that is due. */
void node_hub_link_arm(struct node_hub_link *l);
/* within_ms: of the state; 0: no end. */
void node_hub_link_enter(struct node_hub_link *l, enum node_hub_state state, uint64_t within_ms);
void node_hub_link_ping(struct node_hub_link *l);
/* The stream is closed while the link ends. */
void node_hub_link_stream_gone(struct node_hub_link *l);

/* hub_link_dial.c */
/* The next address, or the name anew. */
void node_hub_link_attempt(struct node_hub_link *l);
void node_hub_link_wait(struct node_hub_link *l, uint64_t ms);
/* The connection, or the attempt, is over; why may be l->why. for_good: no other follows. */
void node_hub_link_lost(struct node_hub_link *l, const char *why, bool for_good);

/* hub_link_stream.c */
extern const struct wire_handlers node_hub_link_on_stream; /* ctx: the link */
/* Reads on where the budget allows it again. */
void node_hub_link_resume(struct node_hub_link *l);

#endif

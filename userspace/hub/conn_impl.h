/* SPDX-License-Identifier: MIT
 *
 * The connections' own state; conn.c alone.
 */
#ifndef TT_HUB_CONN_IMPL_H
#define TT_HUB_CONN_IMPL_H

#include "base/list.h"
#include "base/types.h"
#include "hub/conn.h"
#include "hub/source.h"
#include "wire/listener.h"
#include "wire/stream.h"

#define HUB_CONN_LISTENERS_MAX	  8
#define HUB_CONN_TICK_MS	  250
#define HUB_CONN_LINGER_MS	  2000	/* to send what is queued when it is closed */
#define HUB_CONN_STUCK_MS	  30000 /* what is queued did not move */
#define HUB_CONN_ACCEPTS_PER_TURN 32	/* of the loop */

struct hub_conn {
	struct wire_stream stream;
	struct hub_conns *all;
	struct tt_list link;	    /* hub_conns.list */
	struct tls_cert_info *peer; /* allocated; NULL: none */
	void *session;
	struct tt_endpoint source;
	struct hub_source_entry *counted; /* while it counts as a stranger of its source */
	struct tt_mono deadline;	  /* 0: none */
	struct tt_mono held_until;	  /* 0: it is read */
	bool opened, silent_allowed, gone;
	enum hub_close ending; /* why it is being closed */
};

struct hub_conns {
	uv_loop_t *loop;
	struct wire_loop *wire;
	struct tls_context *tls;
	struct hub_conn_limits limits;
	struct hub_conn_handlers on;
	struct tt_list list;
	struct hub_sources *sources;
	struct wire_listener listener[HUB_CONN_LISTENERS_MAX];
	unsigned listeners;
	bool held; /* hub_conns_hold() */
	uv_timer_t tick;
	struct hub_conn_stats stats;
	struct wire_stats data;
	bool stopping;
	unsigned handles; /* of this struct, that are not closed */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

#endif

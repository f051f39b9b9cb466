/* SPDX-License-Identifier: MIT
 *
 * The connections' own state, shared by conn*.c alone.
 */
#ifndef TT_HUB_CONN_IMPL_H
#define TT_HUB_CONN_IMPL_H

#include "base/list.h"
#include "base/types.h"
#include "hub/conn.h"
#include "hub/source.h"

#define HUB_CONN_LISTENERS_MAX 8
#define HUB_CONN_SMALL	       16	   /* of the reader, while no frame is unfinished */
#define HUB_CONN_RECORD	       (16 * 1024) /* plain bytes of one TLS record */
#define HUB_CONN_WRITE_MAX     (64 * 1024) /* for the wire at once */
#define HUB_CONN_READ_MAX      (64 * 1024)
#define HUB_CONN_TICK_MS       250
#define HUB_CONN_LINGER_MS     2000  /* to send what is queued when it is closed */
#define HUB_CONN_STUCK_MS      30000 /* what is queued did not move */

struct hub_chunk {
	struct hub_chunk *next;
	uint32_t len, off;
	uint8_t bytes[];
};

struct hub_queue {
	struct hub_chunk *first, *last;
	uint32_t count;
	size_t bytes;
};

struct hub_conn {
	uv_tcp_t tcp;
	struct hub_conns *all;
	struct tt_list link;  /* hub_conns.list */
	struct tt_list dirty; /* hub_conns.dirty; itself where it is in none */
	struct tls_session *tls;
	struct tls_cert_info *peer; /* allocated; NULL: none */
	void *session;
	struct tt_endpoint source;
	struct hub_source_entry *counted; /* while it counts as a stranger of its source */
	struct tt_mono deadline;	  /* 0: none */
	struct tt_mono moved;		  /* last time the socket took something, or had nothing */
	struct tt_mono heard;
	bool opened, writing, drain_due, silent_allowed, said_goodbye;
	enum hub_close ending; /* why it is being closed */
	struct hub_queue control, data;
	struct mesh_frame_reader reader;
	uint8_t *frame_buffer; /* allocated; NULL: `small` */
	uint8_t small[HUB_CONN_SMALL];
	uv_write_t write;
	uint8_t *write_buffer; /* allocated while it is being written */
};

struct hub_conns {
	uv_loop_t *loop;
	struct tls_context *tls;
	struct hub_conn_limits limits;
	struct hub_conn_handlers on;
	struct tt_list list, dirty;
	struct hub_sources *sources;
	uv_tcp_t *listener[HUB_CONN_LISTENERS_MAX];
	unsigned listeners;
	uv_timer_t tick;
	uv_prepare_t turn_end;
	struct tt_mono now; /* of the loop's turn */
	struct hub_conn_stats stats;
	bool stopping;
	unsigned handles; /* of this struct, that are not closed */
	void (*stopped)(void *arg);
	void *stopped_arg;
	uint8_t read_buffer[HUB_CONN_READ_MAX];
	uint8_t plain[HUB_CONN_RECORD];
	uint8_t record[HUB_CONN_RECORD];
	uint8_t wire[HUB_CONN_WRITE_MAX + 4096];
};

static inline struct tt_mono hub_conn_now(const struct hub_conns *s)
{
	return (struct tt_mono){uv_now(s->loop) * TT_NS_PER_MS + 1};
}

/* conn_io.c */
void hub_conn_start_reading(struct hub_conn *c);
void hub_conn_mark(struct hub_conn *c); /* it has something to send */
void hub_conn_flush(struct hub_conn *c);
void hub_conn_free_queues(struct hub_conn *c);
void hub_conn_on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf);

/* conn.c: at once, without sending anything more. */
void hub_conn_drop(struct hub_conn *c, enum hub_close why);

#endif

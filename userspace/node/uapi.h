/* SPDX-License-Identifier: MIT
 *
 * WireGuard's cross-platform configuration protocol (https://www.wireguard.com/xplatform/), server
 * side: what wg(8) and wg-quick(8) speak. Streams: a request is applied line by line and a reply is
 * rendered peer by peer as the client takes it, so that neither a 4 MB request nor a client that
 * does not read holds anything up. Control thread.
 */
#ifndef TT_NODE_UAPI_H
#define TT_NODE_UAPI_H

#include <uv.h>

#include "node/device.h"

#define NODE_UAPI_CLIENTS_MAX 16
#define NODE_UAPI_LINE_MAX    4096
#define NODE_UAPI_REQUEST_MAX (64u << 20) /* bytes of one set */
#define NODE_UAPI_IDLE_MS     30000	  /* between two bytes; earlier where others wait */

/* --- the protocol, without a socket ----------------------------------------------------------- */

/* One set operation in progress. */
struct node_uapi_set {
	struct node_device *device;
	struct node_peer *peer; /* somebody else may remove it between two lines */
	tt_peer_id id;		/* of peer, to see whether it is still there */
	uint64_t serial;
	bool in_peer; /* a public_key line has been seen */
	bool dummy;   /* the current peer is ourselves, or update_only named a stranger */
	bool created; /* this operation added the current peer */
	int error;    /* first -errno; the rest of the request is skipped */
};
void node_uapi_set_begin(struct node_uapi_set *s, struct node_device *d);
/* One "key=value" line without its newline; NUL-terminated. */
void node_uapi_set_line(struct node_uapi_set *s, char *line);
/* Publishes; returns 0 or the first -errno. Also called where the client vanished half way. */
int node_uapi_set_end(struct node_uapi_set *s);

/* A get operation: renders the next piece into buf; 0 at the end. cap >= NODE_UAPI_PIECE_MIN. */
#define NODE_UAPI_PIECE_MIN 4096
struct node_uapi_get {
	struct node_device *device;
	int stage;
	tt_peer_id peer;
	uint64_t serial; /* of that peer: its id may be another's by the next piece */
	uint32_t allowed_cursor;
	bool own_only; /* not those of the hub's map, which come and go with it; after begin() */
};
void node_uapi_get_begin(struct node_uapi_get *g, struct node_device *d);
size_t node_uapi_get_piece(struct node_uapi_get *g, char *buf, size_t cap);

/* --- the server ------------------------------------------------------------------------------- */

struct node_uapi;

/*
 * Reserves locked memory for what clients send and read, which holds keys; while the right to lock
 * is still held. Once a process; node_uapi_serve() does it where nobody has. 0 or -errno.
 */
int node_uapi_prepare(void);
/*
 * Serves on a listening descriptor, which it takes. changed() runs after each set. One client more
 * than NODE_UAPI_CLIENTS_MAX takes the place of the one that has been silent longest between two
 * operations; where all are within one, it is the one to be closed. 0 or -errno.
 */
int node_uapi_serve(uv_loop_t *loop, int listen_fd, struct node_device *d,
		    void (*changed)(void *ctx), void *ctx, struct node_uapi **out);
/* Closes everything; the loop must run once more before it is freed by itself. */
void node_uapi_stop(struct node_uapi *u);

#endif

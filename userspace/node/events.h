/* SPDX-License-Identifier: MIT
 *
 * What happens to the node, told to whoever listens at the control socket (`taltun events`), one
 * JSON object a line:
 *
 *	{"v":1,"event":"path","time":1790000000.123,"interface":"tt0","peer":"office",
 *	 "path":"punched","path_was":"relay_udp","why":"a better path"}
 *
 * "event", "time", "interface" and "why" are always there, other fields where they say something.
 * Control thread.
 */
#ifndef TT_NODE_EVENTS_H
#define TT_NODE_EVENTS_H

#include "base/addr.h"

struct node_control;
struct node_mesh_event;

enum node_event_kind {
	NODE_EVENT_PEER_UP,	 /* "peer_up": it answers */
	NODE_EVENT_PEER_IDLE,	 /* "peer_idle": silent, and nobody asks for it */
	NODE_EVENT_PEER_OFFLINE, /* "peer_offline": it does not answer */
	NODE_EVENT_PEER_ADDED,	 /* "peer_added", "peer_removed": by the hub's map */
	NODE_EVENT_PEER_REMOVED,
	NODE_EVENT_PATH,  /* "path": a managed peer is sent to by another one */
	NODE_EVENT_ROAM,  /* "roam": a plain peer's endpoint has changed */
	NODE_EVENT_REKEY, /* "rekey": a session took the place of another */
	NODE_EVENT_MTU,	  /* "mtu": of a path, measured */
	NODE_EVENT_HUB_UP,
	NODE_EVENT_HUB_DOWN,
	NODE_EVENT_MAP_REFUSED, /* "map_refused" */
	NODE_EVENT_FIREWALL,	/* "firewall": others have changed the table of [gateway] */
	NODE_EVENT_COUNT
};

/* Everything is borrowed for the call. */
struct node_event {
	enum node_event_kind kind;
	const char *why;			   /* for people; NULL: nothing to say */
	const char *peer;			   /* name; NULL or "": none */
	const uint8_t *public_key;		   /* 32 bytes; NULL: about no peer */
	struct tt_endpoint endpoint, endpoint_was; /* unset: none */
	const char *path, *path_was;		   /* names of path kinds; NULL */
	uint32_t mtu, rtt_us;			   /* 0: none */
};

const char *node_event_name(enum node_event_kind kind); /* never NULL */

/* To all who listen; c may be NULL. Costs nothing where nobody does. */
void node_events_emit(struct node_control *c, const struct node_event *e);
/* The mesh's events. */
void node_events_mesh(struct node_control *c, const struct node_mesh_event *e);

#endif

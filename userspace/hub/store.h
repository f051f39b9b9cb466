/* SPDX-License-Identifier: MIT
 *
 * The server's store: hub/db.h in a thread of its own, so that a slow disk stalls no connection.
 * Requests are bounded; answers come back on the loop's thread in order. The loop's thread calls.
 */
#ifndef TT_HUB_STORE_H
#define TT_HUB_STORE_H

#include <uv.h>

#include "hub/db.h"

#define HUB_STORE_PENDING_MAX 4096
#define HUB_STORE_LOOK_MS     250 /* how often it looks whether somebody else has written */

struct hub_store;

/* Everything, as it is now. Belongs to the callee, but for facts.subnets of the nodes, which
 * hub_registry_put() takes. */
struct hub_snapshot {
	struct hub_policy policy;
	uint32_t count;
	struct hub_node_facts *node;
};

struct hub_store_handlers {
	/* Once after the start, then whenever another process has written. */
	void (*loaded)(void *ctx, struct hub_snapshot *s);
	void *ctx;
};

/* Opens the file (made by init) and starts the thread. Outcome of opening it. */
enum hub_db_outcome hub_store_start(uv_loop_t *loop, const char *path,
				    const struct hub_store_handlers *on, struct hub_store **out);
/* Waits for what is pending; no answer comes any more. closed() runs when its handles are gone. */
void hub_store_stop(struct hub_store *s, void (*closed)(void *arg), void *arg);

/* Each: false where too much is pending; then done() is not called. */
bool hub_store_find_token(struct hub_store *s, const uint8_t id[MESH_TOKEN_ID_LEN],
			  void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				       struct hub_db_token *t),
			  void *ctx, uint64_t cookie);
/* Strings of e are copied. */
bool hub_store_enroll(struct hub_store *s, const struct hub_db_enrolment *e,
		      void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				   struct hub_node_facts *node),
		      void *ctx, uint64_t cookie);
/* No answer: what fails is logged, and tried again with the next. */
bool hub_store_renewed(struct hub_store *s, uint32_t id, const uint8_t *serial, size_t serial_len,
		       uint64_t until_s);
bool hub_store_seen(struct hub_store *s, uint32_t id, uint64_t now_s);

struct hub_store_stats {
	bool loaded; /* it has been read once */
	uint32_t pending;
	uint64_t failures; /* of reading and writing */
};
void hub_store_get_stats(const struct hub_store *s, struct hub_store_stats *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The control socket of a running hub: one JSON object in one line, one for an answer, and the end.
 *
 *	{"op":"status"}                       -> what `taltun-hub status --json` prints
 *	{"op":"log-level"}                    -> {"ok":true,"level":"info"}
 *	{"op":"log-level","level":"debug"}    -> the same; it is that until the next reload
 *
 * What is not understood: {"ok":false,"error":"..."}. Whoever may open the socket may ask.
 */
#ifndef TT_HUB_CONTROL_H
#define TT_HUB_CONTROL_H

#include "hub/server.h"
#include "hub/stun.h"

#define HUB_CONTROL_CLIENTS_MAX 16
#define HUB_CONTROL_LINE_MAX	1024 /* of a request */

struct hub_control;

struct hub_control_sources {
	const struct hub_server *server;
	const struct hub_stun *stun; /* NULL: none */
	const struct hub_signer *signer;
	const char *name; /* of the hub */
	uint64_t started_s;
};

/* Listens at path (mode 0600); a socket of a hub that is no more is replaced. 0 or -errno:
 * -EADDRINUSE where a hub answers there. */
int hub_control_open(uv_loop_t *loop, const char *path, const struct hub_control_sources *sources,
		     struct hub_control **out);
/* Takes the socket away. closed() runs when nothing of it is left. */
void hub_control_stop(struct hub_control *c, void (*closed)(void *arg), void *arg);

#endif

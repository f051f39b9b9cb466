/* SPDX-License-Identifier: MIT
 *
 * The control socket of a running hub: who connects gets one JSON object, and the end. Whoever may
 * open the socket may ask; it changes nothing.
 */
#ifndef TT_HUB_CONTROL_H
#define TT_HUB_CONTROL_H

#include "hub/server.h"
#include "hub/stun.h"

#define HUB_CONTROL_CLIENTS_MAX 16

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

/* SPDX-License-Identifier: MIT
 *
 * Where nodes are told that the UDP relay is, if the operator does not say: what the hub's name
 * means, asked for again and again beside the loop, since DNS may be slow, down, or changed. Next
 * to that a node is told the address that its own connection came to (hub/session.c), so that the
 * relay works before there is an answer, and without any.
 */
#ifndef TT_HUB_RELAY_AT_H
#define TT_HUB_RELAY_AT_H

#include <uv.h>

#include "base/addr.h"

struct hub_relay_at;

/*
 * Loop's thread, as found() and closed(). found() gets up to MESH_HUB_ENDPOINTS_MAX addresses,
 * those that the host has first; none that would be no target for a node. 0 or -ENOMEM.
 */
int hub_relay_at_start(uv_loop_t *loop, const char *name, uint16_t udp_port,
		       void (*found)(void *arg, const struct tt_endpoint *at, unsigned count),
		       void *arg, struct hub_relay_at **out);
/* found() is not called any more, closed() once all is over; that waits for an answer under way. */
void hub_relay_at_stop(struct hub_relay_at *a, void (*closed)(void *arg), void *arg);

/* Appends e to a list of *count where it is not in there and there is room for it. */
void hub_relay_at_add(struct tt_endpoint *list, unsigned *count, const struct tt_endpoint *e);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The hub's STUN server (mesh/stun_server.h) on the loop: one socket of each family that the host
 * has. A source (IPv4 address, IPv6 /64) gets a bounded number of answers a second.
 */
#ifndef TT_HUB_STUN_H
#define TT_HUB_STUN_H

#include <uv.h>

#include "base/types.h"

#define HUB_STUN_ANSWERS_PER_S 50 /* to one source, with as much burst */

struct hub_stun;

/* 0 or -errno: the port is taken, or there is no family to serve. */
int hub_stun_open(uint16_t udp_port, struct hub_stun **out);
int hub_stun_attach(struct hub_stun *s, uv_loop_t *loop);
/* The number that was bound (for udp_port 0). */
uint16_t hub_stun_udp_port(const struct hub_stun *s);
/* Attached or not. closed() runs when nothing of it is left. */
void hub_stun_stop(struct hub_stun *s, void (*closed)(void *arg), void *arg);

struct hub_stun_stats {
	uint64_t answered, dropped_form, dropped_rate, dropped_socket;
};
void hub_stun_get_stats(const struct hub_stun *s, struct hub_stun_stats *out);

#endif

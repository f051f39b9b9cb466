/* SPDX-License-Identifier: MIT
 *
 * Who connects: a bounded table of source addresses (IPv4 /32, IPv6 /64) with the number of their
 * connections and a token bucket of new ones. A full table refuses. One thread.
 */
#ifndef TT_HUB_SOURCE_H
#define TT_HUB_SOURCE_H

#include "base/addr.h"

struct hub_sources;
struct hub_source_entry;

/* slots: a power of two. NULL: no memory. seed: random, so that nobody chooses what collides. */
struct hub_sources *hub_sources_create(uint32_t slots, uint64_t seed);
void hub_sources_destroy(struct hub_sources *s);

/* The entry of an address, new where there is none; NULL: the table is full. It stays while its
 * count is above 0, and for some time after. */
struct hub_source_entry *hub_source_get(struct hub_sources *s, const struct tt_ip *ip,
					struct tt_mono now);
uint32_t hub_source_count(const struct hub_source_entry *e);
void hub_source_hold(struct hub_source_entry *e);
void hub_source_release(struct hub_source_entry *e);
/* Takes one of rate tokens a second, with as much burst; rate 0: always true. */
bool hub_source_take(struct hub_source_entry *e, uint32_t rate, struct tt_mono now);

#endif

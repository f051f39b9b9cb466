/* SPDX-License-Identifier: MIT
 *
 * How many handshakes one source may have us compute under load: a token bucket per IPv4 address
 * and per IPv6 /64, 20 a second, 5 at once. The table has a fixed size; a bucket that is full again
 * says nothing and makes room first; where none is, new sources are refused.
 */
#ifndef TT_WG_RATELIMIT_H
#define TT_WG_RATELIMIT_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/types.h"

#define WG_RATELIMIT_PER_SECOND 20
#define WG_RATELIMIT_BURST	5
#define WG_RATELIMIT_MAX	65536 /* entries */

struct wg_ratelimit_entry {
	uint64_t prefix; /* IPv4 address, or the first half of an IPv6 one */
	uint64_t tokens; /* in ns of credit at `last` */
	struct tt_mono last;
	uint32_t hash_next;
	uint32_t lru_next, lru_prev; /* least recently asked first */
	uint8_t family;
};

struct wg_ratelimit {
	struct wg_ratelimit_entry *entries; /* [capacity], caller's */
	uint32_t *buckets;		    /* [capacity], caller's */
	uint32_t capacity;		    /* a power of two, <= WG_RATELIMIT_MAX */
	uint32_t count;
	uint32_t lru_head, lru_tail;
	uint8_t hash_key[16];
};

/* Draws the key of the hash, so that nobody can choose addresses that collide. */
void wg_ratelimit_init(struct wg_ratelimit *r, struct wg_ratelimit_entry *entries,
		       uint32_t *buckets, uint32_t capacity, const struct tt_rng *rng);

/* Whether this source may have one more handshake now. */
bool wg_ratelimit_allow(struct wg_ratelimit *r, const struct tt_ip *source, struct tt_mono now);

#endif

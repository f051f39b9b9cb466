/* SPDX-License-Identifier: MIT
 *
 * Allowed IPs, in two shapes:
 *
 *  - struct wg_allowedips: the mutable set of the control thread. Prefix -> peer, "later wins"
 *    (inserting a prefix that another peer holds moves it), and per peer the order of insertion.
 *    Index-linked inside one caller-owned array, so that the caller may grow it with realloc.
 *  - struct wg_lpm: an immutable longest-prefix-match table for the workers, built in one go per
 *    configuration transaction (131,000 entries in at most 50 ms), in one caller-owned block.
 *
 * Pure: no allocation, no lock.
 */
#ifndef TT_WG_ALLOWEDIPS_H
#define TT_WG_ALLOWEDIPS_H

#include "base/addr.h"
#include "base/types.h"

struct wg_allowedips_entry {
	struct tt_cidr prefix;
	tt_peer_id peer;
	uint32_t hash_next;
	uint32_t peer_next, peer_prev;
};

struct wg_allowedips_peer {
	uint32_t head, tail; /* entries in order of insertion */
	uint32_t count;
};

struct wg_allowedips {
	struct wg_allowedips_entry *entries; /* [capacity], caller's */
	uint32_t *buckets;		     /* [capacity], caller's */
	struct wg_allowedips_peer *peers;    /* [peer_capacity], caller's */
	uint32_t capacity;
	uint32_t peer_capacity;
	uint32_t count;
	uint32_t free_head;
};

enum wg_allowedips_outcome {
	WG_AIP_ADDED,
	WG_AIP_MOVED,	/* another peer held it */
	WG_AIP_PRESENT, /* this peer holds it already */
	WG_AIP_REMOVED,
	WG_AIP_ABSENT,
	WG_AIP_FULL, /* grow, then try again */
};

/* capacity and peer_capacity > 0; the arrays need not be initialised. */
void wg_allowedips_init(struct wg_allowedips *t, struct wg_allowedips_entry *entries,
			uint32_t *buckets, uint32_t capacity, struct wg_allowedips_peer *peers,
			uint32_t peer_capacity);
/* Hands over larger arrays; entries[] and peers[] hold the old content in their first part. */
void wg_allowedips_grow(struct wg_allowedips *t, struct wg_allowedips_entry *entries,
			uint32_t *buckets, uint32_t capacity, struct wg_allowedips_peer *peers,
			uint32_t peer_capacity);

/* The prefix's host bits are zeroed by the callee. */
enum wg_allowedips_outcome wg_allowedips_insert(struct wg_allowedips *t,
						const struct tt_cidr *prefix, tt_peer_id peer);
/* ABSENT where the prefix is not this peer's. */
enum wg_allowedips_outcome wg_allowedips_remove(struct wg_allowedips *t,
						const struct tt_cidr *prefix, tt_peer_id peer);
void wg_allowedips_remove_peer(struct wg_allowedips *t, tt_peer_id peer);

/* Iterates one peer's prefixes in order of insertion: start with *cursor = 0; false at the end. */
bool wg_allowedips_next(const struct wg_allowedips *t, tt_peer_id peer, uint32_t *cursor,
			struct tt_cidr *prefix);

struct wg_lpm;

/* Bytes that wg_lpm_build() needs for the set as it is, its scratch space included. */
size_t wg_lpm_size(const struct wg_allowedips *t);
/* Builds the table in mem (64-byte aligned, wg_lpm_size() bytes). Returns mem. */
struct wg_lpm *wg_lpm_build(const struct wg_allowedips *t, void *mem);

/* Longest match, or TT_PEER_NONE. addr in network byte order. Any thread. */
tt_peer_id wg_lpm_lookup4(const struct wg_lpm *l, const uint8_t addr[4]);
tt_peer_id wg_lpm_lookup6(const struct wg_lpm *l, const uint8_t addr[16]);
/*
 * The same, but TT_PEER_NONE where the longest match is a default route (length 0, or the half that
 * length 1 is): that a peer takes what nobody else does tells nothing about whose the address is.
 */
tt_peer_id wg_lpm_specific4(const struct wg_lpm *l, const uint8_t addr[4]);
tt_peer_id wg_lpm_specific6(const struct wg_lpm *l, const uint8_t addr[16]);

#endif

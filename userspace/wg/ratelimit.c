/* SPDX-License-Identifier: MIT */
#include "wg/ratelimit.h"

#include "crypto/blake2s.h"

#define COST_NS (TT_NS_PER_SEC / WG_RATELIMIT_PER_SECOND)
#define FULL_NS (COST_NS * WG_RATELIMIT_BURST)

/* Links are entry number + 1; 0 is none. */

void wg_ratelimit_init(struct wg_ratelimit *r, struct wg_ratelimit_entry *entries,
		       uint32_t *buckets, uint32_t capacity, const struct tt_rng *rng)
{
	tt_assert(capacity && (capacity & (capacity - 1)) == 0 && capacity <= WG_RATELIMIT_MAX);
	*r = (struct wg_ratelimit){.entries = entries, .buckets = buckets, .capacity = capacity};
	memset(buckets, 0, capacity * sizeof(*buckets));
	tt_rng_fill(rng, r->hash_key, sizeof(r->hash_key));
}

static uint64_t wg_ratelimit_prefix(const struct tt_ip *ip)
{
	return ip->family == TT_FAMILY_V4 ? tt_load_be32(ip->b) : tt_load_be64(ip->b);
}

static uint32_t *wg_ratelimit_bucket(const struct wg_ratelimit *r, uint8_t family, uint64_t prefix)
{
	uint8_t text[9], h[4];

	text[0] = family;
	tt_store_le64(text + 1, prefix);
	crypto_blake2s(h, sizeof(h), r->hash_key, sizeof(r->hash_key), text, sizeof(text));
	return &r->buckets[tt_load_le32(h) & (r->capacity - 1)];
}

static void wg_ratelimit_lru_remove(struct wg_ratelimit *r, uint32_t link)
{
	struct wg_ratelimit_entry *e = &r->entries[link - 1];

	*(e->lru_prev ? &r->entries[e->lru_prev - 1].lru_next : &r->lru_head) = e->lru_next;
	*(e->lru_next ? &r->entries[e->lru_next - 1].lru_prev : &r->lru_tail) = e->lru_prev;
}

static void wg_ratelimit_lru_append(struct wg_ratelimit *r, uint32_t link)
{
	struct wg_ratelimit_entry *e = &r->entries[link - 1];

	e->lru_next = 0;
	e->lru_prev = r->lru_tail;
	*(r->lru_tail ? &r->entries[r->lru_tail - 1].lru_next : &r->lru_head) = link;
	r->lru_tail = link;
}

/* Takes the least recently asked entry out, if its bucket is full again. */
static uint32_t wg_ratelimit_evict(struct wg_ratelimit *r, struct tt_mono now)
{
	uint32_t link = r->lru_head;
	struct wg_ratelimit_entry *e = &r->entries[link - 1];

	if (tt_mono_since(now, e->last) < FULL_NS)
		return 0;
	uint32_t *at = wg_ratelimit_bucket(r, e->family, e->prefix);
	while (*at != link)
		at = &r->entries[*at - 1].hash_next;
	*at = e->hash_next;
	wg_ratelimit_lru_remove(r, link);
	return link;
}

static bool wg_ratelimit_insert(struct wg_ratelimit *r, uint8_t family, uint64_t prefix,
				struct tt_mono now)
{
	uint32_t link = r->count < r->capacity ? ++r->count : wg_ratelimit_evict(r, now);

	if (!link)
		return false;
	uint32_t *bucket = wg_ratelimit_bucket(r, family, prefix);
	r->entries[link - 1] = (struct wg_ratelimit_entry){
		.prefix = prefix,
		.tokens = FULL_NS - COST_NS,
		.last = now,
		.hash_next = *bucket,
		.family = family,
	};
	*bucket = link;
	wg_ratelimit_lru_append(r, link);
	return true;
}

bool wg_ratelimit_allow(struct wg_ratelimit *r, const struct tt_ip *source, struct tt_mono now)
{
	uint64_t prefix = wg_ratelimit_prefix(source);
	uint32_t link = *wg_ratelimit_bucket(r, source->family, prefix);

	while (link && (r->entries[link - 1].prefix != prefix ||
			r->entries[link - 1].family != source->family))
		link = r->entries[link - 1].hash_next;
	if (!link)
		return wg_ratelimit_insert(r, source->family, prefix, now);

	struct wg_ratelimit_entry *e = &r->entries[link - 1];
	e->tokens = TT_MIN(e->tokens + tt_mono_since(now, e->last), FULL_NS);
	e->last = now;
	wg_ratelimit_lru_remove(r, link);
	wg_ratelimit_lru_append(r, link);
	if (e->tokens < COST_NS)
		return false;
	e->tokens -= COST_NS;
	return true;
}

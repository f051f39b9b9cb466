/* SPDX-License-Identifier: MIT */
#include "wg/allowedips.h"

/* Links are entry number + 1; 0 is none. So memory that is all zero is an empty list. */
#define LINK(i) ((i) + 1)

static uint64_t wg_allowedips_mix(uint64_t v)
{
	v ^= v >> 32;
	v *= UINT64_C(0xd6e8feb86659fd93);
	v ^= v >> 32;
	v *= UINT64_C(0xd6e8feb86659fd93);
	return v ^ v >> 32;
}

static uint32_t *wg_allowedips_bucket(const struct wg_allowedips *t, const struct tt_cidr *p)
{
	uint64_t h = wg_allowedips_mix(tt_load_be64(p->ip.b) + p->ip.family);

	h = wg_allowedips_mix(h ^ tt_load_be64(p->ip.b + 8) ^ p->bits);
	return &t->buckets[(uint32_t)(((h >> 32) * t->capacity) >> 32)];
}

static bool wg_allowedips_same(const struct tt_cidr *a, const struct tt_cidr *b)
{
	return a->bits == b->bits && a->ip.family == b->ip.family &&
	       memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b)) == 0;
}

static void wg_allowedips_free_range(struct wg_allowedips *t, uint32_t from)
{
	for (uint32_t i = t->capacity; i-- > from;) {
		t->entries[i] = (struct wg_allowedips_entry){.peer = TT_PEER_NONE};
		t->entries[i].hash_next = t->free_head;
		t->free_head = LINK(i);
	}
}

void wg_allowedips_init(struct wg_allowedips *t, struct wg_allowedips_entry *entries,
			uint32_t *buckets, uint32_t capacity, struct wg_allowedips_peer *peers,
			uint32_t peer_capacity)
{
	*t = (struct wg_allowedips){entries, buckets, peers, capacity, peer_capacity, 0, 0};
	memset(buckets, 0, capacity * sizeof(*buckets));
	memset(peers, 0, peer_capacity * sizeof(*peers));
	wg_allowedips_free_range(t, 0);
}

void wg_allowedips_grow(struct wg_allowedips *t, struct wg_allowedips_entry *entries,
			uint32_t *buckets, uint32_t capacity, struct wg_allowedips_peer *peers,
			uint32_t peer_capacity)
{
	uint32_t old = t->capacity;

	tt_assert(capacity >= old && peer_capacity >= t->peer_capacity);
	memset(peers + t->peer_capacity, 0, (peer_capacity - t->peer_capacity) * sizeof(*peers));
	*t = (struct wg_allowedips){entries,	   buckets,  peers,	  capacity,
				    peer_capacity, t->count, t->free_head};
	memset(buckets, 0, capacity * sizeof(*buckets));
	for (uint32_t i = 0; i < old; i++) {
		struct wg_allowedips_entry *e = &entries[i];
		if (e->peer == TT_PEER_NONE)
			continue;
		uint32_t *bucket = wg_allowedips_bucket(t, &e->prefix);
		e->hash_next = *bucket;
		*bucket = LINK(i);
	}
	wg_allowedips_free_range(t, old);
}

/* The link that leads to the prefix, or the empty one at the end of its chain. */
static uint32_t *wg_allowedips_find(const struct wg_allowedips *t, const struct tt_cidr *p)
{
	uint32_t *link = wg_allowedips_bucket(t, p);

	while (*link && !wg_allowedips_same(&t->entries[*link - 1].prefix, p))
		link = &t->entries[*link - 1].hash_next;
	return link;
}

static void wg_allowedips_attach(struct wg_allowedips *t, uint32_t i, tt_peer_id peer)
{
	struct wg_allowedips_entry *e = &t->entries[i];
	struct wg_allowedips_peer *p = &t->peers[peer];

	e->peer = peer;
	e->peer_next = 0;
	e->peer_prev = p->tail;
	*(p->tail ? &t->entries[p->tail - 1].peer_next : &p->head) = LINK(i);
	p->tail = LINK(i);
	p->count++;
}

static void wg_allowedips_detach(struct wg_allowedips *t, uint32_t i)
{
	struct wg_allowedips_entry *e = &t->entries[i];
	struct wg_allowedips_peer *p = &t->peers[e->peer];

	*(e->peer_prev ? &t->entries[e->peer_prev - 1].peer_next : &p->head) = e->peer_next;
	*(e->peer_next ? &t->entries[e->peer_next - 1].peer_prev : &p->tail) = e->peer_prev;
	p->count--;
	e->peer = TT_PEER_NONE;
}

enum wg_allowedips_outcome wg_allowedips_insert(struct wg_allowedips *t,
						const struct tt_cidr *prefix, tt_peer_id peer)
{
	struct tt_cidr p = *prefix;

	tt_assert(peer < t->peer_capacity);
	tt_cidr_mask(&p);
	uint32_t *link = wg_allowedips_find(t, &p);
	if (*link) {
		uint32_t i = *link - 1;
		if (t->entries[i].peer == peer)
			return WG_AIP_PRESENT;
		wg_allowedips_detach(t, i);
		wg_allowedips_attach(t, i, peer);
		return WG_AIP_MOVED;
	}
	if (!t->free_head)
		return WG_AIP_FULL;
	uint32_t i = t->free_head - 1;
	t->free_head = t->entries[i].hash_next;
	t->entries[i].prefix = p;
	t->entries[i].hash_next = 0;
	*link = LINK(i);
	wg_allowedips_attach(t, i, peer);
	t->count++;
	return WG_AIP_ADDED;
}

static void wg_allowedips_drop(struct wg_allowedips *t, uint32_t *link)
{
	uint32_t i = *link - 1;

	*link = t->entries[i].hash_next;
	wg_allowedips_detach(t, i);
	t->entries[i].hash_next = t->free_head;
	t->free_head = LINK(i);
	t->count--;
}

enum wg_allowedips_outcome wg_allowedips_remove(struct wg_allowedips *t,
						const struct tt_cidr *prefix, tt_peer_id peer)
{
	struct tt_cidr p = *prefix;

	tt_cidr_mask(&p);
	uint32_t *link = wg_allowedips_find(t, &p);
	if (!*link || t->entries[*link - 1].peer != peer)
		return WG_AIP_ABSENT;
	wg_allowedips_drop(t, link);
	return WG_AIP_REMOVED;
}

void wg_allowedips_remove_peer(struct wg_allowedips *t, tt_peer_id peer)
{
	tt_assert(peer < t->peer_capacity);
	while (t->peers[peer].head) {
		struct tt_cidr p = t->entries[t->peers[peer].head - 1].prefix;
		wg_allowedips_drop(t, wg_allowedips_find(t, &p));
	}
}

bool wg_allowedips_next(const struct wg_allowedips *t, tt_peer_id peer, uint32_t *cursor,
			struct tt_cidr *prefix)
{
	tt_assert(peer < t->peer_capacity);
	uint32_t link = *cursor ? t->entries[*cursor - 1].peer_next : t->peers[peer].head;

	if (!link)
		return false;
	*cursor = link;
	*prefix = t->entries[link - 1].prefix;
	return true;
}

/* SPDX-License-Identifier: MIT
 *
 * Allocations: the loop's side of the relay.
 */
#include "hub/relay_udp.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/mem.h"
#include "hub/relay_impl.h"
#include "plat/clock.h"

#define CHAINS 65536u
/* Where all are in use: so many are looked at for one that is wanted, and so many given up. */
#define RECLAIM_SCAN 8192u
#define RECLAIM_MAX  64u
#define RECLAIM_REST TT_NS_PER_SEC /* of a node that has no room, between looks */

static uint32_t chain_of(uint32_t a, uint32_t b)
{
	uint64_t h = ((uint64_t)a << 32 | b) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 48) % CHAINS;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static uint32_t *node_slot(struct hub_relay *r, uint32_t id)
{
	uint32_t *at = &r->node_chain[chain_of(id, 0)];

	while (*at != RELAY_NONE && r->node[*at].id != id)
		at = &r->node[*at].next;
	return at;
}

/* Puts those that have no leg on the free list. */
static void nodes_reclaim(struct hub_relay *r)
{
	for (uint32_t n = 0; n < r->used_nodes; n++) {
		uint32_t *slot = node_slot(r, r->node[n].id);

		if (r->node[n].first != RELAY_NONE)
			continue;
		*slot = r->node[n].next;
		r->node[n].next = r->free_node;
		r->free_node = n;
	}
}

static uint32_t node_take(struct hub_relay *r)
{
	if (r->free_node == RELAY_NONE && r->used_nodes == RELAY_LEGS)
		nodes_reclaim(r);
	uint32_t n = r->free_node;

	if (n == RELAY_NONE)
		return r->used_nodes++;
	r->free_node = r->node[n].next;
	return n;
}

/*
 * A node stays when its last leg has gone, so that closing and opening again fills no bucket. There
 * is room for one of every leg, so one is found where there is room for an allocation.
 */
static uint32_t node_get(struct hub_relay *r, uint32_t id)
{
	uint32_t n = *node_slot(r, id);

	if (n != RELAY_NONE)
		return n;
	n = node_take(r);
	r->node[n] = (struct relay_node){
		.id = id, .first = RELAY_NONE, .last = RELAY_NONE, .next = RELAY_NONE};
	r->bucket[n] = (struct relay_bucket){0};
	*node_slot(r, id) = n; /* the end of its chain */
	return n;
}

static void link_to_node(struct hub_relay *r, uint32_t leg)
{
	struct relay_allocation *a = &r->allocation[leg / 2];
	struct relay_node *n = &r->node[a->owner[leg & 1]];

	a->prev_of[leg & 1] = RELAY_NONE;
	a->next_of[leg & 1] = n->first;
	if (n->first != RELAY_NONE)
		r->allocation[n->first / 2].prev_of[n->first & 1] = leg;
	else
		n->last = leg;
	n->first = leg;
	n->opened += a->opener == (leg & 1);
}

static void unlink_from_node(struct hub_relay *r, uint32_t leg)
{
	struct relay_allocation *a = &r->allocation[leg / 2];
	struct relay_node *n = &r->node[a->owner[leg & 1]];
	uint32_t prev = a->prev_of[leg & 1], next = a->next_of[leg & 1];

	if (prev != RELAY_NONE)
		r->allocation[prev / 2].next_of[prev & 1] = next;
	else
		n->first = next;
	if (next != RELAY_NONE)
		r->allocation[next / 2].prev_of[next & 1] = prev;
	else
		n->last = prev;
	n->opened -= a->opener == (leg & 1);
}

/* --- allocations ------------------------------------------------------------------------------ */

/* The lower id is leg 2i's node. */
static uint32_t *pair_slot(struct hub_relay *r, uint32_t low, uint32_t high)
{
	uint32_t *at = &r->pair_chain[chain_of(low, high)];

	for (; *at != RELAY_NONE; at = &r->allocation[*at].next)
		if (r->allocation[*at].node[0] == low && r->allocation[*at].node[1] == high)
			break;
	return at;
}

/* Legs whose tag is 0 are the loop's thread's when it returns. */
static void wait_for_turn(struct hub_relay *r)
{
	uint64_t turn = atomic_load_explicit(&r->turn, memory_order_seq_cst);

	if (turn % 2 == 0)
		return;
	while (atomic_load_explicit(&r->turn, memory_order_seq_cst) == turn)
		plat_thread_yield();
}

static void withdraw(struct hub_relay *r, uint32_t i)
{
	for (unsigned side = 0; side < 2; side++)
		atomic_store_explicit(&r->leg[2 * i + side].tag, 0, memory_order_seq_cst);
}

/* After withdraw() and wait_for_turn(). */
static void release(struct hub_relay *r, uint32_t i)
{
	struct relay_allocation *a = &r->allocation[i];

	for (unsigned side = 0; side < 2; side++) {
		struct relay_leg *l = &r->leg[2 * i + side];

		if (l->bound)
			atomic_fetch_sub_explicit(&r->bound_legs, 1, memory_order_relaxed);
		l->bound = false;
		crypto_wipe(l->key, sizeof(l->key));
		unlink_from_node(r, 2 * i + side);
	}
	*pair_slot(r, a->node[0], a->node[1]) = a->next;
	a->next = r->free_allocation;
	r->free_allocation = i;
	atomic_fetch_sub_explicit(&r->allocations, 1, memory_order_relaxed);
}

static uint32_t tag_with(uint16_t random, uint32_t leg)
{
	return (uint32_t)random << RELAY_INDEX_BITS | leg;
}

static bool is_unbound(struct hub_relay *r, uint32_t i)
{
	return !atomic_load_explicit(&r->leg[2 * i].bound, memory_order_relaxed) &&
	       !atomic_load_explicit(&r->leg[2 * i + 1].bound, memory_order_relaxed);
}

/* Somebody has bound it after all. */
static void give_back(struct hub_relay *r, uint32_t i)
{
	for (uint32_t leg = 2 * i; leg <= 2 * i + 1; leg++)
		atomic_store_explicit(&r->leg[leg].tag,
				      tag_with(r->allocation[i].last_random[leg & 1], leg),
				      memory_order_seq_cst);
}

static bool is_idle(struct hub_relay *r, uint32_t i, struct tt_mono now)
{
	return is_unbound(r, i) && tt_mono_since(now, r->allocation[i].opened) >= r->opt.idle_ns;
}

/* Those that are withdrawn, unless somebody was faster. */
static void release_idle(struct hub_relay *r, const uint32_t *idle, uint32_t n)
{
	if (n)
		wait_for_turn(r);
	for (uint32_t k = 0; k < n; k++) {
		if (is_unbound(r, idle[k]))
			release(r, idle[k]);
		else
			give_back(r, idle[k]);
	}
}

/*
 * A pair keeps its allocation when it has gone silent, or direct, and so all of them are in use one
 * day. Those that nobody has bound for long make room; who still wants one asks again.
 */
static void reclaim(struct hub_relay *r)
{
	struct tt_mono now = plat_clock_mono();
	uint32_t idle[RECLAIM_MAX], n = 0;

	for (uint32_t k = 0; k < RECLAIM_SCAN && n < RECLAIM_MAX; k++) {
		uint32_t i = r->reclaim_at;

		r->reclaim_at = (i + 1) % HUB_RELAY_ALLOCATIONS_MAX;
		if (!is_idle(r, i, now))
			continue;
		withdraw(r, i);
		idle[n++] = i;
	}
	release_idle(r, idle, n);
}

/* The same of those that a node has opened, the oldest first; not each time that it asks. */
static void reclaim_of(struct hub_relay *r, struct relay_node *node)
{
	struct tt_mono now = plat_clock_mono();
	uint32_t idle[RECLAIM_MAX], n = 0, leg = node->last;

	if (tt_mono_is_set(node->looked) && tt_mono_since(now, node->looked) < RECLAIM_REST)
		return;
	node->looked = now;
	for (uint32_t k = 0; leg != RELAY_NONE && k < RECLAIM_SCAN && n < RECLAIM_MAX; k++) {
		const struct relay_allocation *a = &r->allocation[leg / 2];

		if (a->opener == (leg & 1) && is_idle(r, leg / 2, now)) {
			withdraw(r, leg / 2);
			idle[n++] = leg / 2;
		}
		leg = a->prev_of[leg & 1];
	}
	release_idle(r, idle, n);
}

static bool may_open(struct hub_relay *r, uint32_t id)
{
	uint32_t n = *node_slot(r, id);

	if (!r->opt.node_allocations || n == RELAY_NONE)
		return true;
	if (r->node[n].opened >= r->opt.node_allocations)
		reclaim_of(r, &r->node[n]);
	return r->node[n].opened < r->opt.node_allocations;
}

/* RELAY_NONE: all are in use. */
static uint32_t allocation_take(struct hub_relay *r)
{
	if (r->free_allocation == RELAY_NONE && r->used_allocations == HUB_RELAY_ALLOCATIONS_MAX)
		reclaim(r);
	uint32_t i = r->free_allocation;

	if (i != RELAY_NONE)
		r->free_allocation = r->allocation[i].next;
	else if (r->used_allocations < HUB_RELAY_ALLOCATIONS_MAX)
		i = r->used_allocations++;
	return i;
}

/* Not the one that this place had before, so that nobody talks on with what was closed. */
static uint32_t draw_tag(const struct tt_rng *rng, uint32_t leg, uint16_t *last_random)
{
	uint16_t random;

	do
		random = (uint16_t)(tt_rng_u32(rng) >> RELAY_INDEX_BITS);
	while (random == *last_random || random == 0);
	*last_random = random;
	return tag_with(random, leg);
}

static void open_leg(struct hub_relay *r, uint32_t leg, struct hub_leg *out)
{
	struct relay_allocation *a = &r->allocation[leg / 2];
	struct relay_leg *l = &r->leg[leg];
	struct tt_rng rng = plat_rng();

	a->owner[leg & 1] = node_get(r, a->node[leg & 1]);
	link_to_node(r, leg);
	tt_rng_fill(&rng, out->key, sizeof(out->key));
	out->tag = draw_tag(&rng, leg, &a->last_random[leg & 1]);
	memcpy(l->key, out->key, sizeof(l->key));
	atomic_store_explicit(&l->tag, 0, memory_order_relaxed);
	l->node = a->owner[leg & 1];
	l->bound = false;
	l->gso_strikes = 0;
	l->sequence = 0;
	l->probes = (struct relay_bucket){0};
	l->batch = 0;
}

enum hub_relay_outcome hub_relay_open(struct hub_relay *r, uint32_t node_a, uint32_t node_b,
				      struct hub_leg *a, struct hub_leg *b)
{
	uint32_t low = TT_MIN(node_a, node_b), high = TT_MAX(node_a, node_b);
	bool swapped = low != node_a;
	uint8_t opener = swapped;

	if (low == high)
		return HUB_RELAY_SAME_NODE;
	uint32_t i = *pair_slot(r, low, high);

	if (i != RELAY_NONE)
		opener = r->allocation[i].opener;
	else if (!may_open(r, node_a))
		return HUB_RELAY_NODE_FULL;
	hub_relay_close(r, node_a, node_b);
	i = allocation_take(r);
	if (i == RELAY_NONE)
		return HUB_RELAY_FULL;
	struct relay_allocation *e = &r->allocation[i];

	e->node[0] = low;
	e->node[1] = high;
	e->opener = opener;
	e->opened = plat_clock_mono();
	e->next = r->pair_chain[chain_of(low, high)];
	r->pair_chain[chain_of(low, high)] = i;
	open_leg(r, 2 * i, swapped ? b : a);
	open_leg(r, 2 * i + 1, swapped ? a : b);
	atomic_store_explicit(&r->legs_used, 2 * r->used_allocations, memory_order_release);
	atomic_fetch_add_explicit(&r->allocations, 1, memory_order_relaxed);
	atomic_store_explicit(&r->leg[2 * i].tag, (swapped ? b : a)->tag, memory_order_seq_cst);
	atomic_store_explicit(&r->leg[2 * i + 1].tag, (swapped ? a : b)->tag, memory_order_seq_cst);
	return HUB_RELAY_OPENED;
}

void hub_relay_close(struct hub_relay *r, uint32_t node_a, uint32_t node_b)
{
	uint32_t i = *pair_slot(r, TT_MIN(node_a, node_b), TT_MAX(node_a, node_b));

	if (i == RELAY_NONE)
		return;
	withdraw(r, i);
	wait_for_turn(r);
	release(r, i);
}

void hub_relay_close_node(struct hub_relay *r, uint32_t node)
{
	uint32_t n = *node_slot(r, node), leg;

	if (n == RELAY_NONE || r->node[n].first == RELAY_NONE)
		return;
	for (leg = r->node[n].first; leg != RELAY_NONE;
	     leg = r->allocation[leg / 2].next_of[leg & 1])
		withdraw(r, leg / 2);
	wait_for_turn(r);
	/* the node goes with its last allocation */
	for (leg = r->node[n].first; leg != RELAY_NONE;) {
		uint32_t next = r->allocation[leg / 2].next_of[leg & 1];

		release(r, leg / 2);
		leg = next;
	}
}

/* One wait for all. */
void hub_relay_close_unless(struct hub_relay *r,
			    bool (*allowed)(void *ctx, uint32_t node_a, uint32_t node_b), void *ctx)
{
	uint32_t next, closed = 0;

	for (uint32_t c = 0; c < CHAINS; c++)
		for (uint32_t i = r->pair_chain[c]; i != RELAY_NONE; i = r->allocation[i].next) {
			const struct relay_allocation *a = &r->allocation[i];
			if (allowed(ctx, a->node[0], a->node[1]))
				continue;
			withdraw(r, i);
			closed++;
		}
	if (!closed)
		return;
	wait_for_turn(r);
	for (uint32_t c = 0; c < CHAINS; c++)
		for (uint32_t i = r->pair_chain[c]; i != RELAY_NONE; i = next) {
			const struct relay_allocation *a = &r->allocation[i];
			next = a->next;
			if (!allowed(ctx, a->node[0], a->node[1]))
				release(r, i);
		}
}

/* --- life ------------------------------------------------------------------------------------- */

static void free_all(struct hub_relay *r)
{
	relay_sockets_close(r);
	for (uint32_t i = 0; r->leg && i < 2 * r->used_allocations; i++)
		crypto_wipe(r->leg[i].key, sizeof(r->leg[i].key));
	free(r->leg);
	free(r->bucket);
	free(r->allocation);
	free(r->node);
	free(r->pair_chain);
	free(r->node_chain);
	free(r->buffers);
	crypto_wipe(r, sizeof(*r));
	free(r);
}

/* Tables are sized for the most there can be; what is never used never becomes memory. */
static bool allocate(struct hub_relay *r)
{
	r->leg = aligned_alloc(TT_CACHELINE, RELAY_LEGS * sizeof(*r->leg));
	r->bucket = calloc(RELAY_LEGS, sizeof(*r->bucket));
	r->allocation = calloc(HUB_RELAY_ALLOCATIONS_MAX, sizeof(*r->allocation));
	r->node = calloc(RELAY_LEGS, sizeof(*r->node));
	r->pair_chain = malloc(CHAINS * sizeof(*r->pair_chain));
	r->node_chain = malloc(CHAINS * sizeof(*r->node_chain));
	r->buffers = malloc((size_t)RELAY_BATCH * RELAY_BUFFER);
	if (!r->leg || !r->bucket || !r->allocation || !r->node || !r->pair_chain ||
	    !r->node_chain || !r->buffers)
		return false;
	memset(r->pair_chain, 0xff, CHAINS * sizeof(*r->pair_chain));
	memset(r->node_chain, 0xff, CHAINS * sizeof(*r->node_chain));
	r->free_allocation = r->free_node = RELAY_NONE;
	return true;
}

static void prepare(struct hub_relay *r)
{
	r->rng = plat_rng();
	r->limit_seed = tt_rng_u32(&r->rng);
	r->now = r->swept = plat_clock_mono();
	r->batch = 1;
	for (unsigned i = 0; i < RELAY_BATCH; i++)
		r->rx[i] = (struct plat_udp_rx){.buf = r->buffers + (size_t)i * RELAY_BUFFER,
						.cap = RELAY_BUFFER};
}

int hub_relay_start(const struct hub_relay_options *opt, struct hub_relay **out)
{
	struct hub_relay *r = aligned_alloc(TT_CACHELINE, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->opt = *opt;
	if (!r->opt.idle_ns)
		r->opt.idle_ns = MESH_RELAY_LEG_IDLE_NS;
	for (unsigned i = 0; i < HUB_RELAY_LISTEN_MAX; i++)
		r->fd[i] = -1;
	if (allocate(r)) {
		prepare(r);
		err = relay_sockets_open(r);
	}
	if (!err)
		err = plat_thread_start(&r->thread, "tt-relay", relay_main, r);
	if (err) {
		free_all(r);
		return err;
	}
	*out = r;
	return 0;
}

void hub_relay_stop(struct hub_relay *r)
{
	if (!r)
		return;
	atomic_store_explicit(&r->stopping, true, memory_order_relaxed);
	plat_waiter_wake(&r->waiter);
	plat_thread_join(&r->thread);
	free_all(r);
}

uint16_t hub_relay_udp_port(const struct hub_relay *r)
{
	return r->udp_port;
}

static uint64_t value(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void hub_relay_get_stats(const struct hub_relay *r, struct hub_relay_stats *out)
{
	const struct relay_counters *c = &r->count;

	*out = (struct hub_relay_stats){
		.allocations = atomic_load_explicit(&r->allocations, memory_order_relaxed),
		.bound_legs = atomic_load_explicit(&r->bound_legs, memory_order_relaxed),
		.rx_packets = value(&c->rx_packets),
		.rx_bytes = value(&c->rx_bytes),
		.tx_packets = value(&c->tx_packets),
		.tx_bytes = value(&c->tx_bytes),
		.challenged = value(&c->challenged),
		.dropped_form = value(&c->form),
		.dropped_tag = value(&c->tag),
		.dropped_source = value(&c->source),
		.dropped_mac = value(&c->mac),
		.dropped_cookie = value(&c->cookie),
		.dropped_unbound = value(&c->unbound),
		.dropped_limit = value(&c->limit),
		.dropped_rate = value(&c->rate),
		.dropped_socket = value(&c->socket),
	};
}

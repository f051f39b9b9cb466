/* SPDX-License-Identifier: MIT
 *
 * What a datagram means: forwarding between bound legs, and their binding.
 */
#include "hub/relay_impl.h"

#include "mesh/address.h"
#include "mesh/source_rate.h"

#define SWEEP_NS     TT_NS_PER_SEC
#define SWEEP_LEGS   4096u
#define DATA_HEADER  ((uint32_t)MESH_RELAY_MAGIC << 24 | MESH_RELAY_DATA << 16)
#define PROBE_HEADER ((uint32_t)MESH_RELAY_MAGIC << 24 | MESH_RELAY_PROBE << 16)

uint64_t relay_bucket_take(struct relay_bucket *b, uint64_t n, uint64_t unit, uint64_t rate,
			   uint64_t burst, struct tt_mono now)
{
	/* a minute's worth at most, so that the product fits */
	uint64_t us = TT_MIN(tt_mono_since(now, b->filled) / TT_NS_PER_US, UINT64_C(60000000));
	uint64_t millionths = us * TT_MIN(rate, UINT64_C(100000000000)) + b->part;

	if (!tt_mono_is_set(b->filled) || b->level + millionths / 1000000 >= burst) {
		*b = (struct relay_bucket){.level = burst, .filled = now};
	} else {
		b->level += millionths / 1000000;
		b->part = (uint32_t)(millionths % 1000000);
		b->filled = tt_mono_add_ns(b->filled, us * TT_NS_PER_US);
	}
	if (n > b->level)
		n = b->level / unit * unit;
	b->level -= n;
	return n;
}

/* NULL: nobody's tag. */
static struct relay_leg *find(struct hub_relay *r, uint32_t tag)
{
	uint32_t index = tag & (RELAY_LEGS - 1);

	if (tag == 0 || index >= atomic_load_explicit(&r->legs_used, memory_order_acquire))
		return NULL;
	struct relay_leg *l = &r->leg[index];

	return atomic_load_explicit(&l->tag, memory_order_seq_cst) == tag ? l : NULL;
}

static struct relay_leg *other_leg(struct hub_relay *r, const struct relay_leg *l)
{
	return &r->leg[(uint32_t)(l - r->leg) ^ 1];
}

static uint32_t tag_of(const struct relay_leg *l)
{
	return atomic_load_explicit(&l->tag, memory_order_relaxed);
}

/* --- binding ---------------------------------------------------------------------------------- */

static void unbind(struct hub_relay *r, struct relay_leg *l)
{
	l->bound = false;
	atomic_fetch_sub_explicit(&r->bound_legs, 1, memory_order_relaxed);
}

/* Idle legs are unbound where they are met, and by the sweep where they are not. */
static bool is_bound(struct hub_relay *r, struct relay_leg *l)
{
	if (l->bound && tt_mono_since(r->now, l->heard) >= r->opt.idle_ns)
		unbind(r, l);
	return l->bound;
}

static bool is_from(const struct relay_leg *l, const struct plat_udp_rx *rx, unsigned socket)
{
	return l->socket == socket && tt_endpoint_equal(&l->source, &rx->src);
}

/* Where an answer may go at all: a forged source must not make us talk to our own services. */
static bool may_answer(const struct hub_relay *r, const struct plat_udp_rx *rx)
{
	if (mesh_address_is_own(&rx->src, &rx->dst, 1, r->udp_port) ||
	    mesh_address_is_own(&rx->src, r->at, r->sockets, r->udp_port))
		return false;
	return r->opt.any_source ? tt_endpoint_is_set(&rx->src) : mesh_address_is_target(&rx->src);
}

/* A bucket shared by all sources that fall on it; who does, nobody outside can say. */
static bool within_limit(struct hub_relay *r, const struct tt_ip *source)
{
	uint64_t who = mesh_source_of_ip(source);
	uint32_t h = r->limit_seed;

	for (unsigned i = 0; i < 8; i++, who >>= 8) {
		h = (h ^ (uint8_t)who) * 0x01000193u;
		h ^= h >> 15;
	}
	return relay_bucket_take(&r->limit[(h * 0x9e3779b9u) >> 20], 1, 1, RELAY_LIMIT_PER_S,
				 RELAY_LIMIT_PER_S, r->now) == 1;
}

static void challenge(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
		      uint32_t tag)
{
	uint8_t cookie[MESH_RELAY_COOKIE_LEN];

	if (!may_answer(r, rx)) {
		relay_count(&r->count.source, 1);
		return;
	}
	if (!within_limit(r, &rx->src.ip)) {
		relay_count(&r->count.limit, 1);
		return;
	}
	mesh_relay_cookie_make(&r->cookies, cookie, &rx->src, tag);
	mesh_relay_challenge_write(relay_answer_begin(r), tag, cookie);
	relay_answer_send(r, rx, socket, MESH_RELAY_CHALLENGE_LEN);
	relay_count(&r->count.challenged, 1);
}

static void confirm(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
		    const struct relay_leg *l, const struct mesh_relay_message *m)
{
	mesh_relay_bound_write(relay_answer_begin(r), m, (uint32_t)(r->opt.idle_ns / TT_NS_PER_SEC),
			       l->key);
	relay_answer_send(r, rx, socket, MESH_RELAY_BOUND_LEN);
}

/* The only place that sets where a leg is. */
static void bind_to(struct hub_relay *r, struct relay_leg *l, unsigned socket,
		    const struct plat_udp_rx *rx)
{
	relay_flush(r); /* what is queued points to the old destination */
	if (!l->bound)
		atomic_fetch_add_explicit(&r->bound_legs, 1, memory_order_relaxed);
	l->bound = true;
	l->socket = (uint8_t)socket;
	l->gso_strikes = 0;
	l->source = rx->src;
	l->dest = (struct plat_udp_dest){.to = rx->src, .from = rx->dst};
	plat_udp_dest_prepare(&l->dest);
}

static void take_answer(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
			struct relay_leg *l, const struct mesh_relay_message *m)
{
	if (!mesh_relay_cookie_check(&r->cookies, m->cookie, &rx->src, m->tag)) {
		relay_count(&r->count.cookie, 1);
	} else if (!mesh_relay_mac_check(m, l->key)) {
		relay_count(&r->count.mac, 1);
	} else if (!may_answer(r, rx)) {
		relay_count(&r->count.source, 1);
	} else {
		if (!is_bound(r, l) || !is_from(l, rx, socket) ||
		    !tt_ip_equal(&l->dest.from, &rx->dst))
			bind_to(r, l, socket, rx);
		l->heard = r->now;
		confirm(r, socket, rx, l, m);
	}
}

/*
 * A keepalive refreshes but never moves a leg: it could be copied and sent again from elsewhere,
 * and a node could name a victim as its source. From elsewhere it asks for a challenge.
 */
static void take_keepalive(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
			   struct relay_leg *l, const struct mesh_relay_message *m)
{
	if (!mesh_relay_mac_check(m, l->key) || m->sequence < l->sequence) {
		relay_count(&r->count.mac, 1);
	} else if (!is_bound(r, l) || !is_from(l, rx, socket)) {
		challenge(r, socket, rx, m->tag);
	} else {
		l->sequence = m->sequence;
		l->heard = r->now;
		confirm(r, socket, rx, l, m);
	}
}

static void take_other(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
		       const uint8_t *p, uint32_t len)
{
	struct mesh_relay_message m;
	struct relay_leg *l;

	if (mesh_relay_parse(&m, p, len) != MESH_RELAY_OK || m.type == MESH_RELAY_DATA ||
	    m.type == MESH_RELAY_BIND_CHALLENGE || m.type == MESH_RELAY_BOUND ||
	    m.type == MESH_RELAY_PROBE) {
		relay_count(&r->count.form, 1);
		return;
	}
	l = find(r, m.tag);
	if (!l)
		relay_count(&r->count.tag, 1);
	else if (m.type == MESH_RELAY_BIND_REQUEST)
		challenge(r, socket, rx, m.tag);
	else if (m.type == MESH_RELAY_BIND_ANSWER)
		take_answer(r, socket, rx, l, &m);
	else
		take_keepalive(r, socket, rx, l, &m);
}

/* --- data ------------------------------------------------------------------------------------- */

/* What mesh_relay_parse() says of DATA, for one look per datagram. */
static inline bool is_data(const uint8_t *p, uint32_t len)
{
	return len >= MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN && tt_load_be32(p) == DATA_HEADER &&
	       p[MESH_RELAY_HEADER] != MESH_RELAY_MAGIC;
}

static inline bool is_probe(const uint8_t *p, uint32_t len)
{
	return len >= MESH_RELAY_HEADER + MESH_RELAY_INNER_MIN && tt_load_be32(p) == PROBE_HEADER &&
	       p[MESH_RELAY_HEADER] != MESH_RELAY_MAGIC;
}

static uint32_t datagrams(uint32_t len, uint32_t segment)
{
	return (len + segment - 1) / segment;
}

static void retag(uint8_t *p, uint32_t len, uint32_t segment, uint32_t tag)
{
	for (uint32_t at = 0; at < len; at += segment)
		tt_store_be32(p + at + 4, tag);
}

/* The bound leg that so many datagrams came from, where the other one is bound as well; NULL: they
 * go nowhere, which is counted. */
static struct relay_leg *sender(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
				uint32_t tag, uint32_t count)
{
	struct relay_leg *from = find(r, tag);

	if (!from) {
		relay_count(&r->count.tag, count);
		return NULL;
	}
	if (!is_bound(r, from) || !is_from(from, rx, socket)) {
		relay_count(&r->count.source, count);
		challenge(r, socket, rx, tag);
		return NULL;
	}
	from->heard = r->now;
	if (is_bound(r, other_leg(r, from)))
		return from;
	relay_count(&r->count.unbound, count);
	return NULL;
}

/* How many of len bytes the node of this leg may send on, in whole datagrams. */
static uint32_t within_rate(struct hub_relay *r, const struct relay_leg *from, uint32_t len,
			    uint32_t segment)
{
	uint32_t pass = len;

	if (r->opt.node_bytes_per_s)
		pass = (uint32_t)relay_bucket_take(
			&r->bucket[from->node], len, segment, r->opt.node_bytes_per_s,
			TT_MAX(r->opt.node_burst_bytes, (uint64_t)RELAY_BUFFER), r->now);
	if (pass < len)
		relay_count(&r->count.rate, datagrams(len, segment) - pass / segment);
	return pass;
}

/* Datagrams with one tag, of `segment` bytes each but the last; room: as relay_forward(). */
static void take_data(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
		      uint8_t *p, uint32_t len, uint32_t room)
{
	uint32_t segment = TT_MIN(rx->segment, len);
	struct relay_leg *from =
		sender(r, socket, rx, tt_load_be32(p + 4), datagrams(len, segment));
	uint32_t pass = from ? within_rate(r, from, len, segment) : 0;

	if (pass == 0)
		return;
	struct relay_leg *to = other_leg(r, from);

	retag(p, pass, segment, tag_of(to));
	relay_forward(r, to, p, pass, segment, rx->ecn, pass == len ? room : 0);
}

/* Each is three system calls of its own, so they have a limit of their own. */
static void take_probe(struct hub_relay *r, unsigned socket, const struct plat_udp_rx *rx,
		       uint8_t *p, uint32_t len)
{
	struct relay_leg *from = sender(r, socket, rx, tt_load_be32(p + 4), 1);

	if (!from)
		return;
	if (!relay_bucket_take(&from->probes, 1, 1, RELAY_PROBES_PER_S, RELAY_PROBES_PER_S,
			       r->now)) {
		relay_count(&r->count.rate, 1);
		return;
	}
	if (!within_rate(r, from, len, len))
		return;
	const struct relay_leg *to = other_leg(r, from);

	mesh_relay_data_write(p, tag_of(to));
	relay_send_whole(r, to, p, len);
}

/* How many bytes from p on are data with the tag of the first. */
static uint32_t run_length(const uint8_t *p, uint32_t len, uint32_t segment)
{
	uint32_t at = segment;

	while (at < len && is_data(p + at, TT_MIN(segment, len - at)) &&
	       memcmp(p + at + 4, p + 4, 4) == 0)
		at += segment;
	return TT_MIN(at, len);
}

void relay_take(struct hub_relay *r, unsigned socket, struct plat_udp_rx *rx)
{
	if (rx->len == 0 || rx->truncated) {
		relay_count(&r->count.rx_packets, 1);
		relay_count(&r->count.form, 1);
		return;
	}
	relay_count(&r->count.rx_packets, datagrams(rx->len, rx->segment));
	relay_count(&r->count.rx_bytes, rx->len);
	for (uint32_t at = 0; at < rx->len;) {
		uint8_t *p = rx->buf + at;
		uint32_t left = rx->len - at, n = TT_MIN(rx->segment, left);

		if (is_data(p, n)) {
			n = run_length(p, left, n);
			take_data(r, socket, rx, p, n, n == left ? rx->cap - rx->len : 0);
		} else if (is_probe(p, n)) {
			take_probe(r, socket, rx, p, n);
		} else {
			take_other(r, socket, rx, p, n);
		}
		at += n;
	}
}

/* --- time ------------------------------------------------------------------------------------- */

void relay_sweep(struct hub_relay *r)
{
	uint32_t used = atomic_load_explicit(&r->legs_used, memory_order_acquire);

	if (tt_mono_since(r->now, r->swept) < SWEEP_NS)
		return;
	r->swept = r->now;
	for (uint32_t i = 0; i < TT_MIN(SWEEP_LEGS, used); i++) {
		r->sweep_at = r->sweep_at + 1 < used ? r->sweep_at + 1 : 0;
		struct relay_leg *l = &r->leg[r->sweep_at];

		if (atomic_load_explicit(&l->tag, memory_order_seq_cst))
			is_bound(r, l);
	}
}

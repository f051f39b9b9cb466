/* SPDX-License-Identifier: MIT */
#include "mesh/pmtu.h"

#include "mesh/check.h"

#define OUTER_MAX    65528 /* so that one more step is a number as well */
#define CONFIRMS_MAX 2

/* What links and tunnels usually carry; tried before anything in between. */
static const uint16_t usual[] = {1500, 1492, 1480, 1420, 1400, 1280};
_Static_assert(TT_ARRAY_LEN(usual) + 3 <= MESH_PMTU_SIZES, "the usual sizes, a hint, two bounds");

static uint16_t headers(const struct mesh_pmtu *p)
{
	return mesh_pmtu_headers((enum tt_family)p->family, p->relayed);
}

static uint16_t round_down(uint32_t outer)
{
	return (uint16_t)(TT_MIN(outer, (uint32_t)OUTER_MAX) & ~(MESH_PMTU_STEP - 1u));
}

static bool is_out(const struct mesh_pmtu *p)
{
	return p->state == MESH_PMTU_SEARCH || p->state == MESH_PMTU_VERIFY;
}

static void set_link(struct mesh_pmtu *p, uint32_t link_mtu)
{
	uint16_t floor = p->family == TT_FAMILY_V4 ? MESH_PMTU_FLOOR_V4 : MESH_PMTU_FLOOR_V6;

	link_mtu = TT_MIN(link_mtu, (uint32_t)OUTER_MAX);
	p->ceiling = round_down(link_mtu);
	p->floor = TT_MIN(floor, p->ceiling);
	p->state = p->floor < headers(p) + MESH_CHECK_LEN_MIN ? MESH_PMTU_OFF : MESH_PMTU_REST;
	p->known = p->known && p->state != MESH_PMTU_OFF;
	/* what was measured stays until a search says otherwise, as far as the link carries it */
	p->outer = p->known ? TT_MIN(p->outer, p->ceiling) : (uint16_t)link_mtu;
	p->count = 0;
	p->due = true;
	p->retry_ns = MESH_PMTU_RETRY_NS;
}

void mesh_pmtu_start(struct mesh_pmtu *p, enum tt_family family, bool relayed, uint32_t link_mtu)
{
	memset(p, 0, sizeof(*p));
	p->family = (uint8_t)family;
	p->relayed = relayed;
	set_link(p, link_mtu);
}

void mesh_pmtu_link_changed(struct mesh_pmtu *p, uint32_t link_mtu, struct tt_mono now)
{
	if (round_down(link_mtu) == p->ceiling)
		return;
	set_link(p, link_mtu);
	p->at = now;
}

/* --- events ----------------------------------------------------------------------------------- */

void mesh_pmtu_suspect(struct mesh_pmtu *p)
{
	p->suspect = true;
}

void mesh_pmtu_too_big(struct mesh_pmtu *p, uint32_t outer)
{
	uint16_t size = round_down(outer);

	if (size >= p->outer)
		return;
	p->hint = size > p->floor ? size : 0;
	mesh_pmtu_suspect(p);
}

/* What carries a size carries all that are smaller. */
static void passed(struct mesh_pmtu *p, uint16_t outer)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->size[i].outer <= outer)
			p->size[i].passed = true;
}

static bool all_passed(const struct mesh_pmtu *p)
{
	for (unsigned i = 0; i < p->count; i++)
		if (!p->size[i].passed)
			return false;
	return true;
}

/* The outer size of the probe with this id; 0: none is out. */
static uint16_t probe_of(const struct mesh_pmtu *p, const uint8_t id[MESH_CHECK_ID_LEN])
{
	for (unsigned i = 0; is_out(p) && i < p->count; i++)
		for (unsigned k = 0; k < p->tries; k++)
			if (memcmp(p->size[i].id[k], id, MESH_CHECK_ID_LEN) == 0)
				return p->size[i].outer;
	return 0;
}

bool mesh_pmtu_awaits(const struct mesh_pmtu *p, const uint8_t id[MESH_CHECK_ID_LEN])
{
	return probe_of(p, id) != 0;
}

bool mesh_pmtu_answered(struct mesh_pmtu *p, const uint8_t id[MESH_CHECK_ID_LEN],
			struct tt_mono now)
{
	uint16_t outer = probe_of(p, id);

	if (!outer)
		return false;
	passed(p, outer);
	if (all_passed(p))
		p->at = now;
	return true;
}

/* --- volleys ---------------------------------------------------------------------------------- */

static void add(struct mesh_pmtu *p, uint16_t outer)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->size[i].outer == outer)
			return;
	if (p->count < MESH_PMTU_SIZES)
		p->size[p->count++] = (struct mesh_pmtu_size){.outer = outer};
}

/* The smallest that was not answered and the largest that was; 0: none. */
static void read_volley(const struct mesh_pmtu *p, uint16_t *carried, uint16_t *lost)
{
	*carried = *lost = 0;
	for (unsigned i = 0; i < p->count; i++) {
		uint16_t outer = p->size[i].outer;

		if (p->size[i].passed)
			*carried = TT_MAX(*carried, outer);
		else if (!*lost || outer < *lost)
			*lost = outer;
	}
}

/* Usual sizes that are in doubt, and what ICMP has said. */
static void add_usual(struct mesh_pmtu *p)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(usual); i++)
		if (usual[i] > p->low && usual[i] < p->high)
			add(p, usual[i]);
	if (p->hint > p->low && p->hint < p->high)
		add(p, p->hint);
	p->hint = 0;
}

static void add_between(struct mesh_pmtu *p)
{
	uint32_t gap = p->high - p->low;

	for (uint32_t i = 1; i < MESH_PMTU_SIZES; i++) {
		uint16_t outer = round_down(p->low + gap * i / MESH_PMTU_SIZES);
		if (outer > p->low)
			add(p, outer);
	}
}

/*
 * The next sizes to tell apart, the lower bound among them as the control; false: the search is
 * over. `high` is past the ceiling as long as nothing was lost.
 */
static bool next_volley(struct mesh_pmtu *p)
{
	p->count = 0;
	p->eager = MESH_PMTU_SIZES;
	if (p->low >= p->ceiling)
		return false;
	if (p->high > p->ceiling) {
		add(p, p->ceiling);
		p->eager = 1; /* most links carry what they say */
	}
	add(p, p->low);
	add_usual(p);
	if (p->eager == 1)
		return true;
	if (p->count == 1 && p->high - p->low > MESH_PMTU_GRAIN)
		add_between(p);
	/* three losses in a row may have been chance: once more before it is believed */
	if (p->count == 1 && p->confirms < CONFIRMS_MAX) {
		p->confirms++;
		if (p->high - p->low > MESH_PMTU_STEP)
			add_between(p);
		add(p, p->high);
	}
	return p->count > 1;
}

static void publish(struct mesh_pmtu *p, struct tt_mono now)
{
	p->state = MESH_PMTU_REST;
	p->known = true;
	p->due = false;
	p->outer = p->low;
	p->at = tt_mono_add_ns(now, MESH_PMTU_HINT_NS);
	p->retry_ns = MESH_PMTU_RETRY_NS;
	p->verify_at = tt_mono_add_ns(now, MESH_PMTU_VERIFY_NS);
	p->raise_at = p->low < p->ceiling ? tt_mono_add_ns(now, MESH_PMTU_RAISE_NS)
					  : (struct tt_mono){UINT64_MAX};
}

static void fire(struct mesh_pmtu *p, enum mesh_pmtu_state state, struct tt_mono now)
{
	p->state = (uint8_t)state;
	p->tries = 0;
	p->at = now;
}

static void search_on(struct mesh_pmtu *p, struct tt_mono now)
{
	if (next_volley(p))
		fire(p, MESH_PMTU_SEARCH, now);
	else
		publish(p, now);
}

/* Nothing came back at all: that says something about the path, and nothing about sizes. */
static void give_up(struct mesh_pmtu *p, struct tt_mono now)
{
	p->state = MESH_PMTU_REST;
	p->due |= !p->known;
	p->at = tt_mono_add_ns(now, p->retry_ns);
	p->verify_at = tt_mono_add_ns(now, MESH_PMTU_VERIFY_NS);
	p->retry_ns = TT_MIN(2 * p->retry_ns, MESH_PMTU_RETRY_MAX_NS);
}

static void conclude_verify(struct mesh_pmtu *p, uint16_t carried, uint16_t lost,
			    struct tt_mono now)
{
	if (!lost) {
		p->state = MESH_PMTU_REST;
		p->hint = 0;
		p->retry_ns = MESH_PMTU_RETRY_NS;
		p->at = tt_mono_add_ns(now, MESH_PMTU_HINT_NS);
		p->verify_at = tt_mono_add_ns(now, MESH_PMTU_VERIFY_NS);
		return;
	}
	p->low = carried;
	p->high = lost;
	p->confirms = 0;
	search_on(p, now);
}

static void conclude(struct mesh_pmtu *p, struct tt_mono now)
{
	uint16_t carried, lost;

	read_volley(p, &carried, &lost);
	if (!carried) {
		give_up(p, now);
	} else if (p->state == MESH_PMTU_VERIFY) {
		conclude_verify(p, carried, lost, now);
	} else {
		/* more than was believed lost gets through after all: the rest is open again */
		if (carried >= p->high)
			p->high = p->ceiling + (carried < p->ceiling ? 0 : MESH_PMTU_STEP);
		p->low = carried;
		p->high = lost ? TT_MIN(lost, p->high) : p->high;
		search_on(p, now);
	}
}

/* --- time ------------------------------------------------------------------------------------- */

static void begin(struct mesh_pmtu *p, struct tt_mono now)
{
	bool raise = p->known && !tt_mono_before(now, p->raise_at);

	if (p->due || raise) {
		p->low = p->known && !p->due ? p->outer : p->floor;
		p->high = (uint16_t)(p->ceiling + MESH_PMTU_STEP);
		p->confirms = 0;
		p->suspect = false;
		search_on(p, now);
	} else if (p->known && (p->suspect || !tt_mono_before(now, p->verify_at))) {
		p->suspect = false;
		p->count = 0;
		p->eager = 1;
		p->low = p->floor;
		p->high = p->outer;
		add(p, p->outer);
		add(p, p->floor);
		add_usual(p);
		fire(p, MESH_PMTU_VERIFY, now);
	}
}

static uint64_t rto(uint32_t rtt_us)
{
	if (!rtt_us)
		return MESH_PMTU_RTO_NS;
	return TT_MAX(2 * rtt_us * TT_NS_PER_US, MESH_PMTU_RTO_MIN_NS);
}

static unsigned send_volley(struct mesh_pmtu *p, uint32_t rtt_us, struct tt_mono now,
			    const struct tt_rng *rng, struct mesh_pmtu_probe *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->count; i++) {
		struct mesh_pmtu_size *s = &p->size[i];

		tt_rng_fill(rng, s->id[p->tries], MESH_CHECK_ID_LEN);
		if (s->passed || (p->tries == 0 && i >= p->eager))
			continue;
		out[n] = (struct mesh_pmtu_probe){.outer = s->outer,
						  .check_len = (uint16_t)(s->outer - headers(p))};
		memcpy(out[n++].id, s->id[p->tries], MESH_CHECK_ID_LEN);
	}
	p->tries++;
	p->at = tt_mono_add_ns(now, rto(rtt_us));
	return n;
}

unsigned mesh_pmtu_run(struct mesh_pmtu *p, bool busy, uint32_t rtt_us, struct tt_mono now,
		       const struct tt_rng *rng, struct mesh_pmtu_probe *out)
{
	if (p->state == MESH_PMTU_OFF)
		return 0;
	if (is_out(p) && p->tries > 0 &&
	    (all_passed(p) || (p->tries == MESH_PMTU_TRIES && !tt_mono_before(now, p->at))))
		conclude(p, now);
	if (p->state == MESH_PMTU_REST && busy && !tt_mono_before(now, p->at))
		begin(p, now);
	if (is_out(p) && !tt_mono_before(now, p->at))
		return send_volley(p, rtt_us, now, rng, out);
	return 0;
}

struct tt_mono mesh_pmtu_next_deadline(const struct mesh_pmtu *p, bool busy)
{
	struct tt_mono when = {UINT64_MAX};

	if (is_out(p))
		return p->at;
	if (p->state == MESH_PMTU_OFF || !busy)
		return when;
	if (p->due || p->suspect)
		return p->at;
	when = tt_mono_before(p->verify_at, p->raise_at) ? p->verify_at : p->raise_at;
	return tt_mono_before(when, p->at) ? p->at : when;
}

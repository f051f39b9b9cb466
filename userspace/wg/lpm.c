/* SPDX-License-Identifier: MIT
 *
 * Longest-prefix match as a search among ranges. Nested prefixes cut the address space into ranges
 * that each belong to one peer (or to none); a range is its first address. The sorted array of
 * first addresses gets an index on top, one key out of every node of the level below, so that a
 * look-up reads one node per level: five for 131,000 IPv4 prefixes, one for a handful, and no
 * choice of prefixes makes it worse.
 *
 * Nodes are compared without branches; IPv4 keys are signed (flipped) so that baseline x86 does it
 * four at a time.
 */
#include "wg/allowedips.h"

#define LPM_LEVELS 8
#define V4_NODE	   16
#define V6_NODE	   8

struct lpm_node4 {
	int32_t key[V4_NODE];
};

struct lpm_node6 {
	uint64_t hi[V6_NODE];
	uint64_t lo[V6_NODE];
};

struct lpm_level {
	uint32_t offset; /* nodes from the family's first */
	uint32_t last;	 /* number of its last key */
};

struct lpm_tree {
	void *nodes;
	tt_peer_id *owner;    /* [ranges] */
	tt_peer_id *specific; /* [ranges]: the same, but NONE where only a default prefix matches */
	uint32_t levels;
	struct lpm_level level[LPM_LEVELS]; /* 0: all ranges */
};

struct wg_lpm {
	struct lpm_tree v4, v6;
};

/* Scratch: a prefix while it is sorted, and then a range. IPv4 lies in the upper half of hi. */
struct lpm_item {
	uint64_t hi, lo;
	tt_peer_id peer;
	uint32_t bits; /* in terms of the 128-bit key; of a range: of the prefix that owns it */
};

/* Of a default route: everything, or one of the halves it is often written as. */
static bool lpm_is_default(const struct lpm_item *e)
{
	return e->bits <= 1;
}

/* --- layout ----------------------------------------------------------------------------------- */

static size_t lpm_node_count(uint32_t keys, uint32_t per_node)
{
	size_t nodes = 0;

	do {
		keys = (keys + per_node - 1) / per_node;
		nodes += keys;
	} while (keys > 1);
	return nodes;
}

/* A prefix begins one range and its end another; one more begins at address zero. */
static uint32_t lpm_max_ranges(uint32_t prefixes)
{
	return 2 * prefixes + 1;
}

static void lpm_count(const struct wg_allowedips *t, uint32_t *n4, uint32_t *n6)
{
	*n4 = *n6 = 0;
	for (uint32_t i = 0; i < t->capacity; i++) {
		if (t->entries[i].peer == TT_PEER_NONE)
			continue;
		if (t->entries[i].prefix.ip.family == TT_FAMILY_V4)
			++*n4;
		else
			++*n6;
	}
}

struct lpm_layout {
	size_t nodes4, nodes6, owner4, owner6, specific4, specific6, scratch, total;
	uint32_t n4, n6;
};

static struct lpm_layout lpm_layout(const struct wg_allowedips *t)
{
	struct lpm_layout l;
	size_t at = TT_ALIGN_UP(sizeof(struct wg_lpm), (size_t)TT_CACHELINE);

	lpm_count(t, &l.n4, &l.n6);
	uint32_t r4 = lpm_max_ranges(l.n4), r6 = lpm_max_ranges(l.n6);
	l.nodes4 = at;
	at += lpm_node_count(r4, V4_NODE) * sizeof(struct lpm_node4);
	l.nodes6 = at;
	at += lpm_node_count(r6, V6_NODE) * sizeof(struct lpm_node6);
	l.owner4 = at;
	at += r4 * sizeof(tt_peer_id);
	l.owner6 = at;
	at += r6 * sizeof(tt_peer_id);
	l.specific4 = at;
	at += r4 * sizeof(tt_peer_id);
	l.specific6 = at;
	at += r6 * sizeof(tt_peer_id);
	at = TT_ALIGN_UP(at, (size_t)TT_CACHELINE);
	l.scratch = at;
	/* Both families in turn: two arrays to sort between, the ranges then replace the second,
	 * which therefore has room for twice as many and one. */
	at += (3 * (size_t)TT_MAX(l.n4, l.n6) + 1) * sizeof(struct lpm_item);
	l.total = TT_ALIGN_UP(at, (size_t)TT_CACHELINE);
	return l;
}

size_t wg_lpm_size(const struct wg_allowedips *t)
{
	return lpm_layout(t).total;
}

/* --- from prefixes to ranges ------------------------------------------------------------------ */

#define LPM_DIGITS 17 /* bytes of (address, length), least significant first */

static unsigned lpm_digit(const struct lpm_item *e, unsigned d)
{
	if (d == 0)
		return e->bits;
	return (d <= 8 ? e->lo >> (8 * (d - 1)) : e->hi >> (8 * (d - 9))) & 0xff;
}

/* Radix sort by address, then by length. Digits in which all items agree cost nothing, which are
 * most of them. Returns whichever of a and b holds the result. */
static struct lpm_item *lpm_sort(struct lpm_item *a, struct lpm_item *b, uint32_t n)
{
	for (unsigned d = 0; d < LPM_DIGITS; d++) {
		uint32_t at[256] = {0}, sum = 0;
		for (uint32_t i = 0; i < n; i++)
			at[lpm_digit(&a[i], d)]++;
		if (n == 0 || at[lpm_digit(&a[0], d)] == n)
			continue;
		for (unsigned v = 0; v < 256; v++) {
			uint32_t count = at[v];
			at[v] = sum;
			sum += count;
		}
		for (uint32_t i = 0; i < n; i++)
			b[at[lpm_digit(&a[i], d)]++] = a[i];
		struct lpm_item *swap = a;
		a = b;
		b = swap;
	}
	return a;
}

static bool lpm_less(uint64_t ahi, uint64_t alo, uint64_t bhi, uint64_t blo)
{
	return ahi < bhi || (ahi == bhi && alo < blo);
}

/* First address behind the prefix; false where it reaches the end of the address space. */
static bool lpm_end(const struct lpm_item *e, uint64_t *hi, uint64_t *lo)
{
	*hi = e->hi;
	*lo = e->lo;
	if (e->bits == 0)
		return false;
	if (e->bits <= 64) {
		*hi += UINT64_C(1) << (64 - e->bits);
		return *hi != 0;
	}
	*lo += UINT64_C(1) << (128 - e->bits);
	*hi += *lo == 0;
	return *hi != 0 || *lo != 0;
}

struct lpm_ranges {
	struct lpm_item *r;
	uint32_t n;
};

/* by: the prefix that owns the range; NULL: none does. */
static void lpm_range_begin(struct lpm_ranges *out, uint64_t hi, uint64_t lo,
			    const struct lpm_item *by)
{
	struct lpm_item *last = out->n ? &out->r[out->n - 1] : NULL;

	if (!last || last->hi != hi || last->lo != lo)
		last = &out->r[out->n++];
	*last = (struct lpm_item){hi, lo, by ? by->peer : TT_PEER_NONE, by ? by->bits : 0};
}

/* Walks the sorted prefixes with a stack of those that contain the present address. */
static void lpm_sweep(struct lpm_ranges *out, const struct lpm_item *p, uint32_t n)
{
	const struct lpm_item *stack[129];
	uint32_t depth = 0;

	lpm_range_begin(out, 0, 0, NULL);
	for (uint32_t i = 0; i <= n; i++) {
		while (depth) {
			uint64_t hi, lo;
			bool ends = lpm_end(stack[depth - 1], &hi, &lo);
			if (i < n && (!ends || lpm_less(p[i].hi, p[i].lo, hi, lo)))
				break;
			depth--;
			if (ends)
				lpm_range_begin(out, hi, lo, depth ? stack[depth - 1] : NULL);
		}
		if (i < n) {
			stack[depth++] = &p[i];
			lpm_range_begin(out, p[i].hi, p[i].lo, &p[i]);
		}
	}
}

/* Neighbours of one owner become one range. */
static void lpm_coalesce(struct lpm_ranges *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < out->n; i++)
		if (n == 0 || out->r[n - 1].peer != out->r[i].peer ||
		    lpm_is_default(&out->r[n - 1]) != lpm_is_default(&out->r[i]))
			out->r[n++] = out->r[i];
	out->n = n;
}

/* --- from ranges to the tree ------------------------------------------------------------------ */

static void lpm_put4(void *nodes, size_t pos, const struct lpm_item *e)
{
	struct lpm_node4 *n = nodes;

	n[pos / V4_NODE].key[pos % V4_NODE] =
		(int32_t)((e ? (uint32_t)(e->hi >> 32) : UINT32_MAX) ^ UINT32_C(0x80000000));
}

static void lpm_put6(void *nodes, size_t pos, const struct lpm_item *e)
{
	struct lpm_node6 *n = nodes;

	n[pos / V6_NODE].hi[pos % V6_NODE] = e ? e->hi : UINT64_MAX;
	n[pos / V6_NODE].lo[pos % V6_NODE] = e ? e->lo : UINT64_MAX;
}

static void lpm_index(struct lpm_tree *tree, const struct lpm_ranges *ranges, uint32_t per_node,
		      void (*put)(void *nodes, size_t pos, const struct lpm_item *e))
{
	uint32_t keys = ranges->n, offset = 0;
	size_t step = 1; /* ranges between two keys of this level */

	for (tree->levels = 0;; step *= per_node) {
		uint32_t nodes = (keys + per_node - 1) / per_node;
		tt_assert(tree->levels < LPM_LEVELS);
		tree->level[tree->levels++] = (struct lpm_level){offset, keys - 1};
		for (uint32_t i = 0; i < nodes * per_node; i++)
			put(tree->nodes, (size_t)offset * per_node + i,
			    i < keys ? &ranges->r[i * step] : NULL);
		if (nodes == 1)
			break;
		offset += nodes;
		keys = nodes;
	}
	for (uint32_t i = 0; i < ranges->n; i++) {
		tree->owner[i] = ranges->r[i].peer;
		tree->specific[i] =
			lpm_is_default(&ranges->r[i]) ? TT_PEER_NONE : ranges->r[i].peer;
	}
}

static void lpm_gather(struct lpm_item *out, const struct wg_allowedips *t, enum tt_family family)
{
	for (uint32_t i = 0; i < t->capacity; i++) {
		const struct wg_allowedips_entry *e = &t->entries[i];
		if (e->peer == TT_PEER_NONE || e->prefix.ip.family != family)
			continue;
		*out++ = (struct lpm_item){
			.hi = tt_load_be64(e->prefix.ip.b),
			.lo = tt_load_be64(e->prefix.ip.b + 8),
			.peer = e->peer,
			.bits = e->prefix.bits,
		};
	}
}

static struct lpm_ranges lpm_ranges_of(const struct wg_allowedips *t, enum tt_family family,
				       struct lpm_item *scratch, uint32_t n)
{
	struct lpm_item *a = scratch, *b = scratch + n;

	lpm_gather(a, t, family);
	struct lpm_item *sorted = lpm_sort(a, b, n);
	if (sorted != a)
		memcpy(a, sorted, n * sizeof(*a));
	struct lpm_ranges ranges = {b, 0};
	lpm_sweep(&ranges, a, n);
	lpm_coalesce(&ranges);
	return ranges;
}

struct wg_lpm *wg_lpm_build(const struct wg_allowedips *t, void *mem)
{
	struct lpm_layout l = lpm_layout(t);
	uint8_t *base = mem;
	struct wg_lpm *lpm = mem;
	struct lpm_item *scratch = (struct lpm_item *)(base + l.scratch);

	lpm->v4.nodes = base + l.nodes4;
	lpm->v4.owner = (tt_peer_id *)(base + l.owner4);
	lpm->v6.nodes = base + l.nodes6;
	lpm->v6.owner = (tt_peer_id *)(base + l.owner6);
	lpm->v4.specific = (tt_peer_id *)(base + l.specific4);
	lpm->v6.specific = (tt_peer_id *)(base + l.specific6);
	struct lpm_ranges ranges = lpm_ranges_of(t, TT_FAMILY_V4, scratch, l.n4);
	lpm_index(&lpm->v4, &ranges, V4_NODE, lpm_put4);
	ranges = lpm_ranges_of(t, TT_FAMILY_V6, scratch, l.n6);
	lpm_index(&lpm->v6, &ranges, V6_NODE, lpm_put6);
	return lpm;
}

/* --- look-up ---------------------------------------------------------------------------------- */

/* In each level: the last key that is not above the address. The first key of a node never is,
 * since it sent us there; padding may count for the highest address, hence the minimum. */
static uint32_t lpm_find4(const struct wg_lpm *l, const uint8_t addr[4])
{
	const struct lpm_node4 *nodes = l->v4.nodes;
	int32_t x = (int32_t)(tt_load_be32(addr) ^ UINT32_C(0x80000000));
	uint32_t pos = 0;

	for (uint32_t i = l->v4.levels; i-- > 0;) {
		const struct lpm_node4 *n = &nodes[l->v4.level[i].offset + pos];
		int32_t above = 0;
		for (unsigned k = 0; k < V4_NODE; k++)
			above += n->key[k] > x;
		pos = pos * V4_NODE + (V4_NODE - 1 - (uint32_t)above);
		pos = TT_MIN(pos, l->v4.level[i].last);
	}
	return pos;
}

static uint32_t lpm_find6(const struct wg_lpm *l, const uint8_t addr[16])
{
	const struct lpm_node6 *nodes = l->v6.nodes;
	uint64_t hi = tt_load_be64(addr), lo = tt_load_be64(addr + 8);
	uint32_t pos = 0;

	for (uint32_t i = l->v6.levels; i-- > 0;) {
		const struct lpm_node6 *n = &nodes[l->v6.level[i].offset + pos];
		uint32_t above = 0;
		for (unsigned k = 0; k < V6_NODE; k++)
			above += (n->hi[k] > hi) | ((n->hi[k] == hi) & (n->lo[k] > lo));
		pos = pos * V6_NODE + (V6_NODE - 1 - above);
		pos = TT_MIN(pos, l->v6.level[i].last);
	}
	return pos;
}

tt_peer_id wg_lpm_lookup4(const struct wg_lpm *l, const uint8_t addr[4])
{
	return l->v4.owner[lpm_find4(l, addr)];
}

tt_peer_id wg_lpm_lookup6(const struct wg_lpm *l, const uint8_t addr[16])
{
	return l->v6.owner[lpm_find6(l, addr)];
}

tt_peer_id wg_lpm_specific4(const struct wg_lpm *l, const uint8_t addr[4])
{
	return l->v4.specific[lpm_find4(l, addr)];
}

tt_peer_id wg_lpm_specific6(const struct wg_lpm *l, const uint8_t addr[16])
{
	return l->v6.specific[lpm_find6(l, addr)];
}

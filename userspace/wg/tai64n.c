/* SPDX-License-Identifier: MIT */
#include "wg/tai64n.h"

/* TAI was 10 s ahead of UTC at the beginning of 1972; leap seconds since then are ignored, as
 * everybody else ignores them. */
#define TAI64_EPOCH (UINT64_C(0x4000000000000000) + 10)

static struct wg_tai64n wg_tai64n_of(struct tt_wall w)
{
	struct wg_tai64n t;

	tt_store_be64(t.b, TAI64_EPOCH + w.sec);
	tt_store_be32(t.b + 8, w.nsec & ~(WG_TAI64N_GRAIN - 1));
	return t;
}

/* One grain later, cut to the grain: the result is always newer. */
static struct wg_tai64n wg_tai64n_after(const struct wg_tai64n *last)
{
	struct wg_tai64n t;
	uint64_t sec = tt_load_be64(last->b);
	uint64_t nsec =
		(uint64_t)(tt_load_be32(last->b + 8) & ~(WG_TAI64N_GRAIN - 1)) + WG_TAI64N_GRAIN;

	if (nsec >= TT_NS_PER_SEC) {
		nsec = 0;
		sec++;
	}
	tt_store_be64(t.b, sec);
	tt_store_be32(t.b + 8, (uint32_t)nsec);
	return t;
}

int wg_tai64n_compare(const struct wg_tai64n *a, const struct wg_tai64n *b)
{
	/* Stamps are no secret once they are decrypted: the order of comparing tells nothing. */
	uint64_t as = tt_load_be64(a->b), bs = tt_load_be64(b->b);
	uint32_t an = tt_load_be32(a->b + 8), bn = tt_load_be32(b->b + 8);

	if (as != bs)
		return as < bs ? -1 : 1;
	return (an > bn) - (an < bn);
}

bool wg_tai64n_next(struct wg_tai64n *out, const struct wg_tai64n *last, struct tt_wall now,
		    struct tt_wall limit)
{
	struct wg_tai64n t = wg_tai64n_of(now);

	if (wg_tai64n_compare(&t, last) <= 0)
		t = wg_tai64n_after(last);
	if (limit.sec) {
		struct wg_tai64n top = wg_tai64n_of(limit);
		if (wg_tai64n_compare(&t, &top) > 0)
			return false;
	}
	*out = t;
	return true;
}

struct tt_wall wg_tai64n_wall(const struct wg_tai64n *t)
{
	uint64_t sec = tt_load_be64(t->b);

	if (sec < TAI64_EPOCH)
		return (struct tt_wall){0};
	return (struct tt_wall){sec - TAI64_EPOCH, tt_load_be32(t->b + 8)};
}

/* SPDX-License-Identifier: MIT */
#include "datapath/roam.h"

static void lock(struct dp_peer *p)
{
	while (atomic_flag_test_and_set_explicit(&p->roam_lock, memory_order_acquire))
		plat_thread_relax();
}

static void unlock(struct dp_peer *p)
{
	atomic_flag_clear_explicit(&p->roam_lock, memory_order_release);
}

static bool same_source(const struct dp_roam *r, const struct dp_frame *f)
{
	const struct dp_origin *o = f->origin;

	return r->via == f->via && r->tag == f->tag && tt_endpoint_equal(&r->src, &o->src) &&
	       tt_ip_equal(&r->dst, &o->dst) && r->ifindex == o->ifindex;
}

static void set_source(struct dp_peer *p, unsigned i, const struct dp_frame *f, struct tt_mono now)
{
	p->roam[i] = (struct dp_roam){.src = f->origin->src,
				      .dst = f->origin->dst,
				      .ifindex = f->origin->ifindex,
				      .via = (enum dp_via)f->via,
				      .tag = f->tag,
				      .at = now};
	p->roam_fresh |= (uint8_t)(1u << i);
}

/* --- managed peers ---------------------------------------------------------------------------- */

static bool is_due(struct tt_mono now, const struct dp_roam *r)
{
	return !r->at.ns || tt_mono_since(now, r->at) >= DP_ROAM_EVERY_NS;
}

/* The entry of this source, else the oldest one. */
static unsigned find_source(const struct dp_peer *p, const struct dp_frame *f)
{
	unsigned oldest = 0;

	for (unsigned i = 0; i < DP_ROAMS; i++) {
		if (same_source(&p->roam[i], f))
			return i;
		if (tt_mono_before(p->roam[i].at, p->roam[oldest].at))
			oldest = i;
	}
	return oldest;
}

/*
 * Entries younger than the interval are not replaced: a peer whose packets come from ever new
 * sources costs DP_ROAMS reports in that time, and no more.
 */
static void note_managed(struct dp_worker *w, struct dp_peer *p, struct dp_path *path,
			 const struct dp_frame *f, bool from_path)
{
	struct tt_mono reported = {atomic_load_explicit(&path->reported_at, memory_order_relaxed)};

	if (from_path) {
		if (reported.ns && tt_mono_since(w->now, reported) < DP_ROAM_EVERY_NS)
			return;
		atomic_store_explicit(&path->reported_at, w->now.ns, memory_order_relaxed);
	}
	lock(p);
	unsigned i = find_source(p, f);
	bool due = is_due(w->now, &p->roam[i]);

	if (due)
		set_source(p, i, f, w->now);
	unlock(p);
	/* that the sending path lives may be heard a little later */
	if (due && from_path)
		dp_worker_raise_later(w, p, DP_FACT_ROAMED);
	else if (due)
		dp_worker_raise(w, p, DP_FACT_ROAMED);
}

/* --- plain peers ------------------------------------------------------------------------------ */

/* What was reported before and not acted upon is not reported again. */
static void note_plain(struct dp_worker *w, struct dp_peer *p, const struct dp_frame *f)
{
	lock(p);
	bool news = !same_source(&p->roam[0], f);

	if (news)
		set_source(p, 0, f, w->now);
	unlock(p);
	if (news)
		dp_worker_raise(w, p, DP_FACT_ROAMED);
}

void dp_roam_note(struct dp_worker *w, struct dp_peer *p, const struct dp_frame *f)
{
	struct dp_path *path = tt_epoch_load(&p->path);
	const struct dp_origin *o = f->origin;
	bool managed = path && path->managed;
	/* where control left the source address to the kernel, any is the path's */
	bool from_path = path && tt_endpoint_equal(&path->dest.to, &o->src) &&
			 path->via == f->via && path->tag == f->tag &&
			 (tt_ip_equal(&path->dest.from, &o->dst) ||
			  (managed && path->dest.from.family == TT_FAMILY_NONE));

	if (tt_unlikely(managed))
		note_managed(w, p, path, f, from_path);
	else if (tt_unlikely(!from_path))
		note_plain(w, p, f);
}

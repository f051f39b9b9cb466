/* SPDX-License-Identifier: MIT */
#include "datapath/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/decap.h"
#include "datapath/encap.h"
#include "datapath/inner_write.h"
#include "plat/clock.h"

#define SCRATCH_BYTES  (66048)
#define INNER_CHECK_NS TT_NS_PER_SEC
#define TX_RETRY_NS    (60 * TT_NS_PER_US)
#define HOLD_NS	       (10 * TT_NS_PER_MS)
#define TURNS_UNASKED  8

/* To a sender after a sleep of so long, to readers after so many datagrams; what takes longer than
 * so is not them. */
#define YIELD_SLEPT_NS	TT_NS_PER_MS
#define YIELD_SENDER_NS (50 * TT_NS_PER_US)
#define YIELD_DATAGRAMS 32
#define YIELD_READER_NS TT_NS_PER_MS

/* Looking on: how long, the share of the time it may take, how much of it may be saved up, and how
 * often it may be in vain before it is left, and is tried again. */
#define SPIN_NS	       (250 * TT_NS_PER_US)
#define SPIN_SHARE     50
#define SPIN_CREDIT_NS (400 * TT_NS_PER_US)
#define SPIN_LEAST_NS  (50 * TT_NS_PER_US)
#define SPIN_MISSES    4
#define SPIN_TRY_AGAIN 32

int dp_worker_init(struct dp_worker *w, struct dp_plane *pl, unsigned id,
		   struct dp_inner_port *inner, struct dp_outer_port *outer)
{
	int err;

	w->plane = pl;
	w->id = id;
	w->inner = inner;
	w->outer = outer;
	dp_gro_init(&w->gro, inner->flags);
	err = plat_waiter_open(&w->waiter);
	if (err)
		return err;
	err = dp_staging_init(&w->staging);
	if (err)
		goto err_waiter;
	err = dp_port_relay_init(&w->relay);
	if (err)
		goto err_staging;
	w->relay.bell = &pl->relay_bell;
	err = -ENOMEM;
	w->scratch[0] = aligned_alloc(TT_CACHELINE, SCRATCH_BYTES);
	w->scratch[1] = aligned_alloc(TT_CACHELINE, SCRATCH_BYTES);
	w->aead_memory = aligned_alloc(CRYPTO_AEAD_CTX_ALIGN, crypto_aead_ctx_size());
	if (!w->scratch[0] || !w->scratch[1] || !w->aead_memory)
		goto err_memory;
	w->aead = crypto_aead_ctx_init(w->aead_memory);
	if (!w->aead)
		goto err_memory;
	return 0;
err_memory:
	free(w->scratch[0]);
	free(w->scratch[1]);
	free(w->aead_memory);
	dp_port_relay_destroy(&w->relay);
err_staging:
	dp_staging_destroy(&w->staging);
err_waiter:
	plat_waiter_close(&w->waiter);
	return err;
}

void dp_worker_destroy(struct dp_worker *w)
{
	free(w->scratch[0]);
	free(w->scratch[1]);
	free(w->aead_memory);
	dp_port_relay_destroy(&w->relay);
	dp_staging_destroy(&w->staging);
	plat_waiter_close(&w->waiter);
}

/* --- facts ----------------------------------------------------------------------------------- */

void dp_worker_raise(struct dp_worker *w, struct dp_peer *p, uint32_t facts)
{
	uint32_t set = atomic_load_explicit(&p->flags, memory_order_relaxed);

	if ((set & facts) != facts || !(set & DP_FACT_RUNG))
		dp_plane_raise(w->plane, p, facts);
}

void dp_worker_raise_later(struct dp_worker *w, struct dp_peer *p, uint32_t facts)
{
	if ((atomic_fetch_or(&p->flags, facts) & facts) == facts)
		return;
	if (w->later_count == DP_RING_LATER) {
		dp_plane_raise(w->plane, p, facts);
		return;
	}
	if (!w->later_count)
		w->later_due = tt_mono_add_ns(w->now, DP_RING_DELAY_NS);
	w->later[w->later_count++] = p->id;
}

static void ring_later(struct dp_worker *w)
{
	for (unsigned i = 0; i < w->later_count; i++) {
		struct dp_peer *p = dp_plane_peer(w->plane, w->later[i]);

		if (p && (atomic_load(&p->flags) & ~(uint32_t)DP_FACT_RUNG))
			dp_plane_raise(w->plane, p, 0);
	}
	w->later_count = 0;
}

void dp_worker_need_handshake(struct dp_worker *w, struct dp_peer *p)
{
	uint64_t asked = atomic_load_explicit(&p->asked, memory_order_relaxed);

	if (asked && tt_mono_since(w->now, (struct tt_mono){asked}) < DP_ASK_AGAIN_NS) {
		dp_worker_raise_later(w, p, DP_FACT_NEED_HANDSHAKE);
		return;
	}
	atomic_store_explicit(&p->asked, w->now.ns, memory_order_relaxed);
	dp_worker_raise(w, p, DP_FACT_NEED_HANDSHAKE);
}

void dp_worker_note_tx(struct dp_worker *w, struct dp_peer *p, uint32_t packets, uint64_t bytes,
		       bool data)
{
	dp_count(&w->counters.tx_packets, packets);
	dp_count(&w->counters.tx_bytes, bytes);
	if (dp_peer_batch_tx(p, w->now, packets, bytes, data))
		dp_worker_raise_later(w, p, DP_FACT_TIMERS);
}

void dp_worker_note_rx(struct dp_worker *w, struct dp_peer *p, uint32_t packets, uint64_t bytes,
		       bool data)
{
	if (dp_peer_batch_rx(p, w->now, packets, bytes, data))
		dp_worker_raise_later(w, p, DP_FACT_TIMERS);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void apply_fds(struct dp_worker *w)
{
	uint32_t generation = atomic_load(&w->plane->fds_generation);

	/* what was received before belongs to the old descriptors; a batch never spans turns */
	dp_plane_apply_fds(w->plane, w);
	for (unsigned lane = 0; lane < DP_OUTER_LANES; lane++)
		plat_waiter_set(&w->waiter, DP_SLOT_LANE0 + lane,
				w->outer->ops->fd(w->outer, lane));
	atomic_store(&w->fds_applied, generation);
}

/* What control asked for, and what time has brought. */
static void housekeeping(struct dp_worker *w)
{
	if (tt_unlikely(atomic_load_explicit(&w->plane->fds_generation, memory_order_relaxed) !=
			atomic_load_explicit(&w->fds_applied, memory_order_relaxed)))
		apply_fds(w);
	if (tt_unlikely(atomic_load_explicit(&w->scan_staged, memory_order_relaxed)) &&
	    atomic_exchange(&w->scan_staged, false))
		dp_encap_staged(w);
	if (tt_unlikely(dp_port_relay_arrived(&w->relay)))
		w->ready |= 1u << (DP_SLOT_LANE0 + DP_LANE_RELAY);
	if (w->later_count && !tt_mono_before(w->now, w->later_due))
		ring_later(w);
	if (w->id == 0 && tt_mono_since(w->now, w->inner_checked) >= INNER_CHECK_NS)
		dp_inner_check(w);
}

void dp_worker_turn(struct dp_worker *w)
{
	bool received = false;

	housekeeping(w);
	for (unsigned lane = 0; lane <= DP_LANE_RELAY; lane++)
		if (w->ready & (1u << (DP_SLOT_LANE0 + lane)))
			received |= dp_decap_turn(w, lane);
	/* the answer to what was just written is often there already: a ping's always is */
	if (!w->held && (received || (w->ready & (1u << DP_SLOT_INNER))))
		dp_encap_turn(w);
	dp_count(&w->counters.loops, 1);
}

static uint64_t until(struct tt_mono now, struct tt_mono deadline)
{
	return tt_mono_before(now, deadline) ? deadline.ns - now.ns : 0;
}

/* --- when to look on, when to sleep ------------------------------------------------------------
 */

/* Ends the look-on that is under way, and pays for it. */
static void spin_end(struct dp_spin *s, struct tt_mono now, bool hit)
{
	uint64_t left = until(now, s->until);

	if (!s->until.ns)
		return;
	s->credit_ns += left; /* all of it was taken at the beginning */
	s->until = (struct tt_mono){0};
	s->misses = hit ? 0 : s->misses + 1;
}

static bool spin_pays(struct dp_spin *s)
{
	return s->misses < SPIN_MISSES || ++s->passed % SPIN_TRY_AGAIN == 0;
}

/* After a turn that sent something: its answer may be near. */
static void spin_begin(struct dp_worker *w)
{
	struct dp_spin *s = &w->spin;
	uint64_t sent = atomic_load_explicit(&w->counters.tx_batches, memory_order_relaxed);
	bool news = sent != s->sent;

	s->sent = sent;
	if (!news || !s->limit_ns || !spin_pays(s))
		return;
	/* the turn itself took longer than many an answer */
	w->now = plat_clock_mono();
	s->credit_ns += tt_mono_since(w->now, s->credited) / SPIN_SHARE;
	s->credit_ns = TT_MIN(s->credit_ns, SPIN_CREDIT_NS);
	s->credited = w->now;
	if (s->credit_ns < SPIN_LEAST_NS)
		return;
	uint64_t spin = TT_MIN(s->credit_ns, s->limit_ns);
	s->credit_ns -= spin;
	s->until = tt_mono_add_ns(w->now, spin);
}

/* 0: look only. */
static uint64_t wait_time(const struct dp_worker *w, bool waits)
{
	uint64_t t = PLAT_WAITER_FOREVER;

	if (w->ready || w->plane->poll == DP_POLL_BUSY || tt_mono_before(w->now, w->spin.until))
		return 0;
	if (waits)
		t = TX_RETRY_NS;
	if (w->later_count)
		t = TT_MIN(t, until(w->now, w->later_due));
	if (w->id == 0)
		t = TT_MIN(t, until(w->now, tt_mono_add_ns(w->inner_checked, INNER_CHECK_NS)));
	return t;
}

/*
 * The kernel has no room for what was sent before, and nothing announces that it has again. For a
 * moment nothing more is taken in that would join it. If it takes longer, something is wrong with
 * that queue, and others may need the worker.
 */
static bool is_held(struct dp_worker *w, bool waits)
{
	if (!waits)
		w->held_since = (struct tt_mono){0};
	else if (!w->held_since.ns)
		w->held_since = w->now;
	return waits && tt_mono_since(w->now, w->held_since) < HOLD_NS;
}

/* For how long packets are to gather before the next turn; 0: not at all. */
static uint64_t gather_time(struct dp_worker *w)
{
	uint64_t reads = atomic_load_explicit(&w->counters.tun_rx_reads, memory_order_relaxed);
	uint64_t rest = dp_gather_rest(&w->gather, reads, w->now);

	return w->ready || w->plane->poll == DP_POLL_BUSY ? 0 : rest;
}

/* Takes nothing from the inner port for a while. What is received goes on meanwhile. */
static void look_elsewhere(struct dp_worker *w, uint64_t timeout)
{
	uint32_t others = w->ready & ~(1u << DP_SLOT_INNER);

	if (!others) {
		w->ready |= plat_waiter_wait_without(&w->waiter, DP_SLOT_INNER, timeout) &
			    ~PLAT_WAITER_WOKEN;
		dp_count(&w->counters.sleeps, timeout > 0);
	}
	w->now = plat_clock_mono();
	w->slept = false;
}

static void yield(struct dp_worker *w, struct dp_yield *y)
{
	struct tt_mono before = w->now;

	if (!dp_yield_pays(y, before))
		return;
	plat_thread_yield();
	w->now = plat_clock_mono();
	dp_yield_took(y, tt_mono_since(w->now, before), w->now);
}

/*
 * Learns what is ready, and sleeps until something is. While there is work at hand the kernel is
 * asked only every few turns, so that no port waits long for the others.
 */
static void look(struct dp_worker *w)
{
	if (w->outer->ops->peek)
		w->ready |= w->outer->ops->peek(w->outer) << DP_SLOT_LANE0;
	bool waits = w->outer->ops->tx_retry && w->outer->ops->tx_retry(w->outer);
	w->held = is_held(w, waits);
	if (w->held) {
		look_elsewhere(w, w->plane->poll == DP_POLL_BUSY ? 0 : TX_RETRY_NS);
		return;
	}
	uint64_t rest = gather_time(w);
	if (rest) {
		look_elsewhere(w, rest);
		w->ready |= 1u << DP_SLOT_INNER;
		return;
	}
	if (w->ready && ++w->unasked < TURNS_UNASKED) {
		w->now = plat_clock_mono();
		w->slept = false;
		return;
	}
	uint64_t timeout = wait_time(w, waits);
	struct tt_mono before = w->now;
	uint32_t ready = plat_waiter_wait(&w->waiter, timeout);

	w->unasked = 0;
	w->now = plat_clock_mono();
	/*
	 * Who writes the first packet after a quiet time wakes us, and we often run in its place.
	 * As long as both want this CPU the next to be woken goes to another, which sleeps deeply.
	 */
	if (timeout && ready == 1u << DP_SLOT_INNER &&
	    tt_mono_since(w->now, before) >= YIELD_SLEPT_NS)
		yield(w, &w->to_sender);
	w->slept = timeout;
	if (timeout)
		dp_count(&w->counters.sleeps, 1);
	w->ready |= ready & ~PLAT_WAITER_WOKEN;
}

/* A turn that found nothing to do, and will be followed by the next at once. */
static void idle_turn(struct dp_worker *w)
{
	if (w->plane->poll == DP_POLL_BUSY || w->spin.until.ns)
		plat_thread_yield(); /* to whom it shares the CPU with, if anybody */
	if (w->spin.until.ns && !tt_mono_before(w->now, w->spin.until))
		spin_end(&w->spin, w->now, false);
}

/*
 * Datagrams have no flow control: what does not fit a socket's buffer is lost, and that holds no
 * more than a batch or two. Whoever reads them on this CPU gets it between two batches.
 */
static void serve_readers(struct dp_worker *w)
{
	uint32_t datagrams = w->datagrams;

	w->datagrams = 0;
	if (datagrams < YIELD_DATAGRAMS)
		return;
	w->now = plat_clock_mono();
	yield(w, &w->to_reader);
}

void dp_worker_run(void *arg)
{
	struct dp_worker *w = arg;
	struct dp_plane *pl = w->plane;

	/*
	 * Where there are more CPUs than workers, the scheduler keeps workers that never sleep
	 * apart, also those of other processes, of which we know nothing. An operator who gives us
	 * as many CPUs as workers (CPUAffinity=) means one for each.
	 */
	if (pl->poll == DP_POLL_BUSY && plat_thread_cpus() == pl->workers)
		plat_thread_pin(w->id);
	/* on one CPU it would take it from whom it waits for */
	if (pl->poll == DP_POLL_ADAPTIVE && plat_thread_cpus() > 1) {
		w->spin.limit_ns = SPIN_NS;
		w->to_sender.long_ns = YIELD_SENDER_NS;
	}
	if (pl->poll != DP_POLL_BUSY)
		w->to_reader.long_ns = YIELD_READER_NS;
	apply_fds(w);
	plat_waiter_set(&w->waiter, DP_SLOT_INNER, w->inner->ops->fd(w->inner));
	w->now = plat_clock_mono();
	while (!atomic_load_explicit(&pl->stop, memory_order_relaxed)) {
		look(w);
		bool work = w->ready;

		if (work)
			spin_end(&w->spin, w->now, true);
		atomic_store_explicit(&w->in_turn, true, memory_order_relaxed);
		tt_epoch_enter(&pl->epoch, w->id);
		dp_worker_turn(w);
		tt_epoch_leave(&pl->epoch, w->id);
		atomic_store_explicit(&w->in_turn, false, memory_order_relaxed);
		dp_count(&w->counters.busy_loops, work);
		serve_readers(w);
		if (work)
			spin_begin(w);
		else
			idle_turn(w);
	}
}

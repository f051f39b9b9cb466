/* SPDX-License-Identifier: MIT */
#include "wg/timers.h"

#define NEVER UINT64_MAX

static struct tt_mono later(struct tt_mono a, struct tt_mono b)
{
	return a.ns > b.ns ? a : b;
}

static bool wg_timers_in_series(const struct wg_timers *t)
{
	return tt_mono_is_set(t->series_start);
}

/* --- when each rule is due (ns; NEVER: not at all) -------------------------------------------- */

static uint64_t wg_timers_gate(const struct wg_timers *t)
{
	uint64_t gap = t->restarted ? WG_RESTART_GAP_NS : WG_REKEY_TIMEOUT_NS;

	return tt_mono_is_set(t->handshake_sent) ? t->handshake_sent.ns + gap : 0;
}

bool wg_timers_may_initiate(const struct wg_timers *t, struct tt_mono now)
{
	return now.ns >= wg_timers_gate(t);
}

static uint64_t wg_timers_due_retry(const struct wg_timers *t)
{
	return wg_timers_in_series(t) ? TT_MAX(t->retry_at.ns, wg_timers_gate(t)) : NEVER;
}

static uint64_t wg_timers_due_give_up(const struct wg_timers *t)
{
	return wg_timers_in_series(t) ? t->give_up_at.ns : NEVER;
}

static uint64_t wg_timers_due_wanted(const struct wg_timers *t, const struct wg_facts *f)
{
	bool wanted = t->wanted || f->need_handshake;

	return wanted && !wg_timers_in_series(t) ? wg_timers_gate(t) : NEVER;
}

/* 15 s after data that nothing has answered. What happened after that data - a handshake message,
 * or this rule itself - starts the 15 s anew, provided that more data was sent since. */
static uint64_t wg_timers_due_renewal(const struct wg_timers *t, const struct wg_facts *f)
{
	struct tt_mono base = f->unanswered_tx_since, since = later(t->renewed, t->handshake_rx);

	if (!tt_mono_is_set(base) || wg_timers_in_series(t))
		return NEVER;
	if (since.ns >= base.ns) {
		if (f->last_data_tx.ns <= since.ns)
			return NEVER;
		base = since;
	}
	return base.ns + WG_NEW_HANDSHAKE_NS + t->jitter_ns;
}

static uint64_t wg_timers_due_keepalive(const struct wg_timers *t, const struct wg_facts *f)
{
	if (!tt_mono_is_set(f->unanswered_rx_since))
		return NEVER;
	uint64_t due =
		later(f->unanswered_rx_since, t->keepalive_given).ns + WG_KEEPALIVE_TIMEOUT_NS;
	/* Without a session there is nothing to send it on, and nobody who waits for it. */
	if (!tt_mono_is_set(t->current_born) || due >= t->current_born.ns + WG_REJECT_AFTER_TIME_NS)
		return NEVER;
	return due;
}

static uint64_t wg_timers_due_persistent(const struct wg_timers *t, const struct wg_facts *f)
{
	if (!t->persistent_s)
		return NEVER;
	if (t->persistent_now)
		return 0;
	struct tt_mono base = later(later(f->last_tx, t->handshake_sent), t->persistent_base);
	return base.ns + t->persistent_s * TT_NS_PER_SEC;
}

static uint64_t wg_timers_due_zero(const struct wg_timers *t)
{
	return tt_mono_is_set(t->keys_born) ? t->keys_born.ns + WG_ZERO_KEYS_NS : NEVER;
}

struct tt_mono wg_timers_next_deadline(const struct wg_timers *t, const struct wg_facts *f)
{
	uint64_t due = TT_MIN(wg_timers_due_retry(t), wg_timers_due_give_up(t));

	due = TT_MIN(due, wg_timers_due_wanted(t, f));
	due = TT_MIN(due, wg_timers_due_renewal(t, f));
	due = TT_MIN(due, wg_timers_due_keepalive(t, f));
	due = TT_MIN(due, wg_timers_due_persistent(t, f));
	due = TT_MIN(due, wg_timers_due_zero(t));
	return (struct tt_mono){due};
}

/* --- what is done then ------------------------------------------------------------------------ */

static void wg_timers_series_end(struct wg_timers *t)
{
	t->series_start = t->give_up_at = t->retry_at = (struct tt_mono){0};
}

static uint32_t wg_timers_attempt(struct wg_timers *t, struct tt_mono now, const struct tt_rng *rng)
{
	t->jitter_ns = tt_rng_below(rng, (uint32_t)WG_REKEY_TIMEOUT_JITTER_NS + 1);
	t->retry_at = tt_mono_add_ns(now, WG_REKEY_TIMEOUT_NS + t->jitter_ns);
	t->persistent_base = now;
	t->attempts++;
	t->wanted = false;
	return WG_TIMER_INITIATE;
}

static bool wg_timers_go_offline(struct wg_timers *t, const struct wg_facts *f)
{
	if (f->last_rx.ns > t->series_start.ns)
		return false; /* a live session still delivers */
	bool was = tt_mono_is_set(t->offline_since);
	t->offline_since = t->series_start;
	return !was;
}

static uint32_t wg_timers_series(struct wg_timers *t, const struct wg_facts *f, struct tt_mono now,
				 const struct tt_rng *rng)
{
	uint32_t actions = 0;

	/* As long as somebody has something to send, the attempts go on. */
	if (f->need_handshake)
		t->give_up_at = tt_mono_add_ns(now, WG_REKEY_ATTEMPT_TIME_NS);
	if (now.ns >= t->retry_at.ns && wg_timers_go_offline(t, f))
		actions |= WG_TIMER_UNANSWERED;
	if (now.ns >= wg_timers_due_give_up(t)) {
		wg_timers_series_end(t);
		t->renewed =
			now; /* what was sent meanwhile does not begin a new series by itself */
		return actions | WG_TIMER_GIVE_UP;
	}
	if (now.ns >= wg_timers_due_retry(t))
		actions |= wg_timers_attempt(t, now, rng);
	return actions;
}

static uint32_t wg_timers_series_begin(struct wg_timers *t, struct tt_mono now,
				       const struct tt_rng *rng)
{
	t->series_start = now;
	t->give_up_at = tt_mono_add_ns(now, WG_REKEY_ATTEMPT_TIME_NS);
	return wg_timers_attempt(t, now, rng);
}

static bool wg_timers_usable(const struct wg_timers *t, struct tt_mono now)
{
	return tt_mono_is_set(t->current_born) &&
	       tt_mono_since(now, t->current_born) < WG_REJECT_AFTER_TIME_NS;
}

/* A keepalive that no session can carry asks for one. */
static uint32_t wg_timers_persistent(struct wg_timers *t, struct tt_mono now)
{
	t->persistent_now = false;
	t->persistent_base = now;
	if (wg_timers_usable(t, now))
		return WG_TIMER_PERSISTENT;
	t->wanted = true;
	return 0;
}

uint32_t wg_timers_run(struct wg_timers *t, const struct wg_facts *f, struct tt_mono now,
		       const struct tt_rng *rng)
{
	uint32_t actions = 0;

	if (now.ns >= wg_timers_due_zero(t)) {
		t->keys_born = t->current_born = (struct tt_mono){0};
		actions |= WG_TIMER_ZERO_KEYS;
	}
	if (now.ns >= wg_timers_due_keepalive(t, f)) {
		t->keepalive_given = now;
		if (wg_timers_usable(t, now))
			actions |= WG_TIMER_KEEPALIVE;
	}
	if (now.ns >= wg_timers_due_persistent(t, f))
		actions |= wg_timers_persistent(t, now);
	if (wg_timers_in_series(t)) {
		t->wanted = false;
		return actions | wg_timers_series(t, f, now, rng);
	}
	if (now.ns >= wg_timers_due_renewal(t, f)) {
		t->renewed = now;
		t->wanted = true;
	}
	t->wanted |= f->need_handshake;
	if (now.ns >= wg_timers_due_wanted(t, f))
		actions |= wg_timers_series_begin(t, now, rng);
	return actions;
}

/* --- events and settings ---------------------------------------------------------------------- */

void wg_timers_initiation_sent(struct wg_timers *t, struct tt_mono now)
{
	t->handshake_sent = now;
	t->restarted = false;
}

void wg_timers_response_sent(struct wg_timers *t, struct tt_mono now)
{
	t->handshake_sent = t->handshake_rx = now;
	t->restarted = false;
}

void wg_timers_handshake_done(struct wg_timers *t, struct tt_mono now)
{
	wg_timers_series_end(t);
	t->handshake_rx = now;
	t->offline_since = (struct tt_mono){0};
	t->attempts = 0;
	t->wanted = false;
	t->established = true;
}

void wg_timers_set_persistent(struct wg_timers *t, uint16_t seconds, struct tt_mono now)
{
	t->persistent_now = seconds != 0;
	t->persistent_base = now;
	t->persistent_s = seconds;
}

void wg_timers_want_handshake(struct wg_timers *t)
{
	t->wanted = true;
}

void wg_timers_restart(struct wg_timers *t)
{
	if (wg_timers_in_series(t) || tt_mono_is_set(t->offline_since))
		t->wanted = true;
	wg_timers_series_end(t);
	t->restarted = true;
}

enum wg_peer_status wg_timers_status(const struct wg_timers *t, const struct wg_facts *f,
				     struct tt_mono now)
{
	struct tt_mono heard = later(f->last_rx, t->handshake_rx);

	if (!t->established)
		return WG_PEER_NEVER;
	if (tt_mono_is_set(t->offline_since) && f->last_rx.ns <= t->offline_since.ns)
		return WG_PEER_OFFLINE;
	if (tt_mono_is_set(heard) && tt_mono_since(now, heard) < WG_ONLINE_NS)
		return WG_PEER_ONLINE;
	return WG_PEER_IDLE;
}

/* SPDX-License-Identifier: MIT
 *
 * What is done about the paths: choosing, watching the one in use, checking, asking.
 */
#include "mesh/path_impl.h"

/* A path that fell silent must answer so often before it is chosen again. */
#define PROOFS_AFTER_SILENCE 2
#define STUCK_DOUBLINGS	     5
#define TRIES_IN_VAIN	     5 /* 0.6 s */

/* Checks of a path that is being tried: both sides send at these gaps from the exchange on, so that
 * the packets of one open the NAT of the other. */
static const uint16_t probe_gap_ms[] = {100, 100, 200, 200, 400, 400, 800, 800, 1600};
#define PROBES_MAX (TT_ARRAY_LEN(probe_gap_ms))

struct emit {
	struct mesh_path_action *out;
	unsigned n;
};

static void emit(struct emit *e, enum mesh_path_act act, uint8_t index)
{
	tt_assert(e->n < MESH_PATH_ACTIONS_MAX);
	e->out[e->n++] = (struct mesh_path_action){.act = act, .index = index};
}

static struct tt_mono sooner(struct tt_mono a, struct tt_mono b)
{
	return tt_mono_before(b, a) ? b : a;
}

/* --- choosing --------------------------------------------------------------------------------- */

/* Faster counts only where it is noticed: 20 % and 10 ms. */
static bool faster(const struct mesh_path *a, const struct mesh_path *b)
{
	return a->rtt_us && b->rtt_us && (uint64_t)a->rtt_us * 5 <= (uint64_t)b->rtt_us * 4 &&
	       b->rtt_us - a->rtt_us >= 10000;
}

static bool usable(const struct mesh_path *p, struct tt_mono now)
{
	if (p->state != MESH_PATH_ALIVE || p->proofs)
		return false;
	if (p->kind == MESH_PATH_RELAY_TCP)
		return true;
	/* the peer may have let its own leg of the UDP relay go: only an answer says that it stands
	 */
	uint64_t fresh = p->kind == MESH_PATH_RELAY_UDP ? 2 * MESH_FRESH_NS : MESH_FRESH_NS;

	return tt_mono_is_set(p->proved) && tt_mono_since(now, p->proved) < fresh;
}

static bool better(const struct mesh_path *a, const struct mesh_path *b, struct tt_mono now)
{
	bool a_narrow = mesh_path_is_narrow(a, now);

	if (a_narrow != mesh_path_is_narrow(b, now))
		return !a_narrow;
	if (a->kind != b->kind)
		return a->kind < b->kind;
	return a->rtt_us && (!b->rtt_us || a->rtt_us < b->rtt_us);
}

/* The best path but `old`, or NULL. */
static struct mesh_path *best(struct mesh_paths *ps, const struct mesh_path *old,
			      struct tt_mono now)
{
	struct mesh_path *b = NULL;

	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];
		if (p != old && usable(p, now) && (!b || better(p, b, now)))
			b = p;
	}
	return b;
}

/* It was asked in vain since it could have answered, and is still heard. */
static bool is_heard_only(const struct mesh_paths *ps, const struct mesh_path *p)
{
	return (p->state == MESH_PATH_FAILED || p->tries >= TRIES_IN_VAIN) &&
	       tt_mono_before(tt_mono_add_ns(ps->selected_at, MESH_QUIET_NS), p->heard);
}

/* The address but `old` at which the peer was heard last, by WireGuard, after `since`; in_vain: of
 * those that are only heard. NULL: nowhere. It may be used, as a hint. */
static struct mesh_path *heard_last(struct mesh_paths *ps, const struct mesh_path *old,
				    struct tt_mono since, bool in_vain, struct tt_mono now)
{
	struct mesh_path *last = NULL;

	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];
		if (p == old || p->state == MESH_PATH_UNUSED || !tt_mono_before(since, p->heard) ||
		    tt_mono_since(now, p->heard) >= MESH_ACTIVE_NS)
			continue;
		if ((!in_vain || is_heard_only(ps, p)) &&
		    (!last || tt_mono_before(last->heard, p->heard)))
			last = p;
	}
	if (last)
		last->state = MESH_PATH_HINT;
	return last;
}

/* Where the peer was heard since the path in use was chosen, or the last one lost. */
static struct mesh_path *heard_since(struct mesh_paths *ps, struct tt_mono now)
{
	return heard_last(ps, NULL, ps->selected_at, false, now);
}

/*
 * Where there is nothing better: a relay whose other end is not known to stand, or that was silent,
 * then where the peer has just been heard (it was started anew, and its hub is not there yet: it
 * waits for our answer), then an address of earlier days.
 */
static struct mesh_path *last_resort(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *udp = &ps->path[SLOT_RELAY_UDP], *tcp = &ps->path[SLOT_RELAY_TCP];

	if (udp->state == MESH_PATH_ALIVE)
		return udp;
	if (tcp->state == MESH_PATH_ALIVE)
		return tcp;
	struct mesh_path *p = heard_since(ps, now);
	if (p)
		return p;
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (ps->path[i].state == MESH_PATH_HINT && mesh_paths_are_wanted(ps, now))
			return &ps->path[i];
	return NULL;
}

static void choose(struct mesh_paths *ps, struct mesh_path *p, enum mesh_path_cause cause,
		   struct tt_mono now)
{
	/* what made it leave the path that was announced is told, not what came in the same turn */
	bool on_the_way = ps->selected != ps->announced && ps->selected != MESH_PATH_NO && p &&
			  (cause == MESH_CAUSE_BETTER_KIND || cause == MESH_CAUSE_FASTER);

	ps->selected = p ? (uint8_t)(p - ps->path) : MESH_PATH_NO;
	if (!on_the_way)
		ps->cause = (uint8_t)(p ? cause : MESH_CAUSE_NONE_LEFT);
	ps->selected_at = now;
	ps->quiet_since = (struct tt_mono){0};
	ps->stuck = 0;
	ps->moved = ps->left = ps->doubt = false;
	ps->shared_at = (struct tt_mono){0};
	ps->reprobe_at = p && mesh_path_is_relay(p) ? tt_mono_add_ns(now, MESH_REPROBE_NS)
						    : (struct tt_mono){0};
}

/* Everything that is not in use is tried again. */
static void probe_all(struct mesh_paths *ps, struct tt_mono now)
{
	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (i == ps->selected || p->state == MESH_PATH_UNUSED || p->state == MESH_PATH_HINT)
			continue;
		if (p->kind != MESH_PATH_RELAY_TCP || p->proofs)
			mesh_path_probe(p, now);
	}
	ps->exchange_due = true;
	ps->reasks = 0;
}

/* It has to win back what it was believed. */
static void demote(struct mesh_path *p)
{
	p->proofs = PROOFS_AFTER_SILENCE;
	if (!mesh_path_is_relay(p))
		p->state = MESH_PATH_FAILED;
}

/* Nothing is better than what is in use and does not answer: stay, and look around now and then. */
static void be_stuck(struct mesh_paths *ps, struct tt_mono now)
{
	ps->reprobe_at = tt_mono_add_ns(now, MESH_STUCK_NS << TT_MIN(ps->stuck, STUCK_DOUBLINGS));
	if (ps->stuck < UINT8_MAX)
		ps->stuck++;
	ps->doubt = false; /* anything heard is good news now */
	probe_all(ps, now);
}

/*
 * The peer was heard at this address, by WireGuard, later than by the path in use: it was started
 * anew, say, and there is no hub to exchange keys for a check. Or there is one, and the peer
 * answers no check at all and takes nothing from a relay: its configuration names us, as one does
 * any WireGuard peer. Its packets prove where it is, then.
 */
static struct mesh_path *heard_at(struct mesh_paths *ps, const struct mesh_path *old,
				  struct tt_mono now)
{
	/* with a hub a check can prove it, and was to */
	bool hub = ps->path[SLOT_RELAY_TCP].state == MESH_PATH_ALIVE;

	return heard_last(ps, old, old->heard, hub, now);
}

/*
 * In need, the relay by TCP: it stands. The peer may have let its leg of the other one go since
 * that was proved; it is asked as well, and is better a round trip later.
 */
static struct mesh_path *rescue(struct mesh_paths *ps, const struct mesh_path *old,
				struct tt_mono now)
{
	struct mesh_path *p = best(ps, old, now), *tcp = &ps->path[SLOT_RELAY_TCP];
	bool certain = !p || p->kind != MESH_PATH_RELAY_UDP ||
		       tt_mono_since(now, p->proved) < MESH_QUIET_NS;

	return certain || old == tcp || !usable(tcp, now) ? p : tcp;
}

static void fell_silent(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *old = mesh_path_selected(ps), *p = rescue(ps, old, now);
	enum mesh_path_cause cause = ps->moved		     ? MESH_CAUSE_NETWORK
				     : ps->left || ps->doubt ? MESH_CAUSE_LEFT
							     : MESH_CAUSE_SILENT;

	if (!p)
		p = heard_at(ps, old, now);
	if (!p) {
		be_stuck(ps, now);
		return;
	}
	demote(old);
	choose(ps, p, cause, now);
	probe_all(ps, now);
	if (p->state == MESH_PATH_HINT)
		return;
	/* that one is to answer soon, too */
	mesh_path_probe(p, now);
	mesh_paths_suspect(ps, now);
}

static void relay_is_gone(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *p = best(ps, NULL, now);

	choose(ps, p ? p : last_resort(ps, now), MESH_CAUSE_RELAY_GONE, now);
	probe_all(ps, now);
}

/* Leaves a path that carries too little; false: there is nothing else. */
static bool leave_narrow(struct mesh_paths *ps, struct mesh_path *old, struct tt_mono now)
{
	struct mesh_path *p = best(ps, old, now);

	if (!p || mesh_path_is_narrow(p, now))
		return false;
	choose(ps, p, MESH_CAUSE_NARROW, now);
	return true;
}

static void promote(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *old = mesh_path_selected(ps), *p = best(ps, old, now);

	if (!old && !p)
		p = last_resort(ps, now);
	else if (!p && old->state == MESH_PATH_HINT)
		p = heard_since(ps, now); /* it is not where it was, or was said to be */
	if (!p)
		return;
	if (!old || old->state != MESH_PATH_ALIVE)
		choose(ps, p, MESH_CAUSE_FIRST, now);
	else if (ps->stuck)
		fell_silent(ps, now);
	else if (mesh_path_is_narrow(p, now))
		return;
	else if (p->kind < old->kind)
		choose(ps, p, MESH_CAUSE_BETTER_KIND, now);
	else if (p->kind == old->kind && faster(p, old))
		choose(ps, p, MESH_CAUSE_FASTER, now);
}

/* --- the path in use -------------------------------------------------------------------------- */

/* Since when data was sent on the path in use without anything heard over it; 0: it was heard. */
static struct tt_mono quiet_start(const struct mesh_paths *ps, const struct mesh_path *p,
				  const struct mesh_path_facts *f)
{
	struct tt_mono base = mesh_path_later(p->heard, ps->selected_at);

	if (!tt_mono_before(base, f->last_data_tx))
		return (struct tt_mono){0};
	if (!tt_mono_before(f->unanswered_tx_since, base))
		return f->unanswered_tx_since;
	/* something comes, but another way: sending went on all the time, or has just begun */
	return tt_mono_since(f->last_data_tx, base) <= 2 * MESH_QUIET_NS ? base : f->last_data_tx;
}

/* Time a path gets to answer: at least two checks and their round trip. */
static uint64_t patience(const struct mesh_paths *ps, const struct mesh_path *p)
{
	return TT_MAX(ps->doubt ? MESH_DOUBTED_NS : MESH_SILENT_NS,
		      (uint64_t)p->rtt_us * TT_NS_PER_US * 3 / 2);
}

static bool is_gone(const struct mesh_path *p)
{
	return mesh_path_is_relay(p) && p->state != MESH_PATH_ALIVE;
}

static void watch_selected(struct mesh_paths *ps, const struct mesh_path_facts *f,
			   struct tt_mono now)
{
	struct mesh_path *p = mesh_path_selected(ps);

	if (!p)
		return;
	if (is_gone(p)) {
		relay_is_gone(ps, now);
		return;
	}
	if (mesh_path_is_narrow(p, now) && leave_narrow(ps, p, now))
		return;
	if (p->state == MESH_PATH_HINT || ps->stuck)
		return;
	if (ps->left) {
		fell_silent(ps, now);
		ps->left = false;
		return;
	}
	if (!tt_mono_is_set(ps->quiet_since))
		ps->quiet_since = quiet_start(ps, p, f);
	if (!tt_mono_is_set(ps->quiet_since))
		return;
	uint64_t quiet = tt_mono_since(now, ps->quiet_since);

	if (quiet < MESH_QUIET_NS)
		return;
	if (!tt_mono_is_set(p->check_at))
		mesh_path_probe(p, now);
	if (p->tries == 0) {
		/* its time begins with the question, however late that comes */
		mesh_paths_suspect(ps, mesh_path_later(p->check_at, now));
	} else if (quiet >= MESH_QUIET_NS + patience(ps, p)) {
		fell_silent(ps, now);
	}
}

/* A busy path is measured now and then; a relayed one looks for something better. */
static void refresh(struct mesh_paths *ps, const struct mesh_path_facts *f, struct tt_mono now)
{
	struct mesh_path *p = mesh_path_selected(ps);

	if (tt_mono_is_set(f->last_data_tx) &&
	    tt_mono_since(now, f->last_data_tx) < MESH_ACTIVE_NS &&
	    !tt_mono_before(f->last_data_tx, ps->wanted_at))
		mesh_paths_wanted(ps, f->last_data_tx);
	if (!p || !mesh_paths_are_wanted(ps, now))
		return;
	bool busy = tt_mono_is_set(f->last_data_tx) &&
		    tt_mono_since(now, f->last_data_tx) < MESH_QUIET_NS;

	if (busy && !tt_mono_is_set(p->check_at) && p->state == MESH_PATH_ALIVE &&
	    tt_mono_since(now, p->checked) >= MESH_RTT_NS)
		mesh_path_probe(p, now);
	if (!tt_mono_is_set(ps->reprobe_at) || tt_mono_before(now, ps->reprobe_at))
		return;
	if (ps->stuck) {
		fell_silent(ps, now);
	} else {
		ps->reprobe_at = tt_mono_add_ns(now, MESH_REPROBE_NS);
		probe_all(ps, now);
	}
}

/* --- checks ----------------------------------------------------------------------------------- */

static void send_check(struct mesh_paths *ps, struct mesh_path *p, struct tt_mono now,
		       const struct tt_rng *rng, struct emit *e)
{
	struct mesh_check_sent *s = &p->sent[p->sent_next];

	p->sent_next = (uint8_t)((p->sent_next + 1) % MESH_CHECKS_PENDING);
	tt_rng_fill(rng, s->id, sizeof(s->id));
	s->at = p->checked = now;
	emit(e, MESH_ACT_CHECK, (uint8_t)(p - ps->path));
	memcpy(e->out[e->n - 1].id, s->id, sizeof(s->id));
}

/* When the next check of this path is due, after one was sent; 0: no more for now. */
static struct tt_mono plan_check(const struct mesh_paths *ps, const struct mesh_path *p,
				 struct tt_mono now)
{
	if (p - ps->path == ps->selected && tt_mono_is_set(ps->quiet_since))
		return tt_mono_add_ns(now, ps->stuck   ? MESH_STUCK_NS
					   : ps->doubt ? MESH_PATH_GAP_NS
						       : MESH_RECHECK_NS);
	/* the last one gets its time as well before the path counts as failed */
	if (p->tries > PROBES_MAX)
		return (struct tt_mono){0};
	return tt_mono_add_ns(now, probe_gap_ms[p->tries - 1] * TT_NS_PER_MS);
}

/* Takes one check of the peer's allowance; false: there is none now. */
static bool may_check(struct mesh_paths *ps, struct tt_mono now)
{
	uint64_t credit = MESH_CHECKS_BURST * MESH_CHECK_GAP_NS;
	uint64_t full = now.ns > credit ? now.ns - credit : 0;

	ps->checks_at.ns = TT_MAX(ps->checks_at.ns, full);
	if (tt_mono_before(now, tt_mono_add_ns(ps->checks_at, MESH_CHECK_GAP_NS)))
		return false;
	ps->checks_at = tt_mono_add_ns(ps->checks_at, MESH_CHECK_GAP_NS);
	return true;
}

static void check_path(struct mesh_paths *ps, struct mesh_path *p, struct tt_mono now,
		       const struct tt_rng *rng, struct emit *e)
{
	bool in_use = p - ps->path == ps->selected;

	if (p->tries >= PROBES_MAX && !(in_use && tt_mono_is_set(ps->quiet_since))) {
		p->check_at = (struct tt_mono){0};
		p->tries = 0;
		if (!mesh_path_is_relay(p) && !in_use)
			p->state = MESH_PATH_FAILED;
		return;
	}
	/* the path in use is few checks, and nothing that others do may keep them back */
	if (!may_check(ps, now) && !in_use)
		return;
	if (p->tries < UINT8_MAX)
		p->tries++;
	send_check(ps, p, now, rng, e);
	p->check_at = plan_check(ps, p, now);
}

static void run_checks(struct mesh_paths *ps, struct tt_mono now, const struct tt_rng *rng,
		       struct emit *e)
{
	if (!mesh_paths_are_wanted(ps, now))
		return;
	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (p->state != MESH_PATH_UNUSED && tt_mono_is_set(p->check_at) &&
		    !tt_mono_before(now, p->check_at))
			check_path(ps, p, now, rng, e);
	}
}

static struct tt_mono next_check(const struct mesh_paths *ps)
{
	struct tt_mono next = {UINT64_MAX};
	struct tt_mono allowed = tt_mono_add_ns(ps->checks_at, MESH_CHECK_GAP_NS);

	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		const struct mesh_path *p = &ps->path[i];

		if (p->state == MESH_PATH_UNUSED || !tt_mono_is_set(p->check_at))
			continue;
		bool free = i == ps->selected || p->tries >= PROBES_MAX;
		next = sooner(next, free ? p->check_at : mesh_path_later(p->check_at, allowed));
	}
	return next;
}

/* --- the hub's part --------------------------------------------------------------------------- */

static bool rested(struct tt_mono last, uint64_t ns, struct tt_mono now)
{
	return !tt_mono_is_set(last) || tt_mono_since(now, last) >= ns;
}

/* When an exchange that the peer has not answered is repeated; 0: it is not. */
static struct tt_mono reask_at(const struct mesh_paths *ps)
{
	const struct mesh_path *p = mesh_paths_selected(ps);

	if ((p && !mesh_path_is_relay(p)) || !tt_mono_is_set(ps->exchanged_at) || ps->reasks == 0 ||
	    ps->reasks > MESH_REASKS_MAX)
		return (struct tt_mono){0};
	return tt_mono_add_ns(ps->exchanged_at, MESH_REASK_NS << (ps->reasks - 1));
}

static bool wants_relay(const struct mesh_paths *ps, struct tt_mono now)
{
	const struct mesh_path *p = mesh_paths_selected(ps), *udp = &ps->path[SLOT_RELAY_UDP];

	if (p && !mesh_path_is_relay(p))
		return false;
	if (udp->state == MESH_PATH_UNUSED)
		return true;
	/* bound here, and nobody answers: the other end has let its leg go */
	return p && p != udp && !tt_mono_is_set(udp->check_at) &&
	       tt_mono_since(now, udp->proved) >= 2 * MESH_FRESH_NS;
}

static void talk(struct mesh_paths *ps, struct tt_mono now, struct emit *e)
{
	struct tt_mono again = reask_at(ps);

	if (ps->path[SLOT_RELAY_TCP].state != MESH_PATH_ALIVE || !mesh_paths_are_wanted(ps, now))
		return;
	if (tt_mono_is_set(again) && !tt_mono_before(now, again))
		ps->exchange_due = true;
	if (ps->exchange_due && rested(ps->exchanged_at, MESH_EXCHANGE_NS, now)) {
		/* what asks for the peer's candidates is an answer as well */
		emit(e, MESH_ACT_EXCHANGE, MESH_PATH_NO);
		ps->exchange_due = ps->answer_due = false;
		ps->exchanged_at = now;
		if (ps->reasks <= MESH_REASKS_MAX)
			ps->reasks++;
	} else if (ps->answer_due && rested(ps->answered_at, MESH_EXCHANGE_NS, now)) {
		emit(e, MESH_ACT_ANSWER, MESH_PATH_NO);
		ps->answer_due = false;
		ps->answered_at = now;
	}
}

static void ask_relay(struct mesh_paths *ps, struct tt_mono now, struct emit *e)
{
	if (ps->path[SLOT_RELAY_TCP].state != MESH_PATH_ALIVE || !mesh_paths_are_wanted(ps, now) ||
	    !wants_relay(ps, now) || tt_mono_before(now, ps->relay_ask_at))
		return;
	emit(e, MESH_ACT_OPEN_RELAY, MESH_PATH_NO);
	ps->relay_ask_at = tt_mono_add_ns(now, ps->relay_ask_ns);
	ps->relay_ask_ns = TT_MIN(2 * ps->relay_ask_ns, MESH_RELAY_ASK_MAX);
}

static struct tt_mono next_talk(const struct mesh_paths *ps, struct tt_mono now)
{
	struct tt_mono next = {UINT64_MAX};

	if (ps->path[SLOT_RELAY_TCP].state != MESH_PATH_ALIVE)
		return next;
	if (ps->exchange_due)
		next = sooner(next, tt_mono_add_ns(ps->exchanged_at, MESH_EXCHANGE_NS));
	if (ps->answer_due)
		next = sooner(next, tt_mono_add_ns(ps->answered_at, MESH_EXCHANGE_NS));
	if (tt_mono_is_set(reask_at(ps)))
		next = sooner(next, reask_at(ps));
	/* the wish may have come after the run's own look at it */
	if (wants_relay(ps, now))
		next = sooner(next,
			      mesh_path_later(ps->relay_ask_at, tt_mono_add_ns(now, TT_NS_PER_MS)));
	return next;
}

/* --- time ------------------------------------------------------------------------------------- */

unsigned mesh_paths_run(struct mesh_paths *ps, const struct mesh_path_facts *f, struct tt_mono now,
			const struct tt_rng *rng, struct mesh_path_action *out)
{
	struct emit e = {.out = out};

	refresh(ps, f, now);
	watch_selected(ps, f, now);
	promote(ps, now);
	if (ps->selected != ps->announced)
		emit(&e, MESH_ACT_SELECT, ps->selected);
	ps->announced = ps->selected;
	/* before the checks, which need the keys that are told here */
	talk(ps, now, &e);
	run_checks(ps, now, rng, &e);
	/* after them: one that has had no answer to its last is asked for anew */
	ask_relay(ps, now, &e);
	return e.n;
}

/* When the path in use is to be looked at. */
static struct tt_mono next_watch(const struct mesh_paths *ps, struct tt_mono now)
{
	const struct mesh_path *p = mesh_paths_selected(ps);
	struct tt_mono asked, over;

	if (!p || p->state == MESH_PATH_HINT)
		return (struct tt_mono){UINT64_MAX};
	if (ps->stuck || !tt_mono_is_set(ps->quiet_since))
		return tt_mono_add_ns(now, MESH_QUIET_NS); /* whether there is traffic */
	asked = tt_mono_add_ns(ps->quiet_since, MESH_QUIET_NS);
	if (tt_mono_before(now, asked))
		return asked;
	over = tt_mono_add_ns(asked, patience(ps, p));
	/* after that only its next check decides */
	return tt_mono_before(now, over) ? over : tt_mono_add_ns(now, MESH_QUIET_NS);
}

struct tt_mono mesh_paths_next_deadline(const struct mesh_paths *ps,
					const struct mesh_path_facts *f, struct tt_mono now)
{
	struct tt_mono next = {UINT64_MAX};

	(void)f;
	if (!mesh_paths_are_wanted(ps, now))
		return next;
	next = sooner(next_check(ps), next_talk(ps, now));
	next = sooner(next, next_watch(ps, now));
	if (tt_mono_is_set(ps->reprobe_at) && mesh_paths_selected(ps))
		next = sooner(next, ps->reprobe_at);
	return next;
}

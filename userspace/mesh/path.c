/* SPDX-License-Identifier: MIT */
#include "mesh/path.h"

#include "mesh/address.h"

#define SLOT_RELAY_TCP 0
#define SLOT_RELAY_UDP 1
#define SLOT_ADDRESS   2

/* A path that fell silent must answer so often before it is chosen again. */
#define PROOFS_AFTER_SILENCE 2
#define RELAY_ASK_NS	     (10 * TT_NS_PER_SEC)

/* Checks of a path that is being tried: both sides send at these gaps from the exchange on, so that
 * the packets of one open the NAT of the other. */
static const uint16_t probe_gap_ms[] = {100, 100, 200, 200, 400, 400, 800, 800, 1600};
#define PROBES_MAX (TT_ARRAY_LEN(probe_gap_ms))

static struct tt_mono later(struct tt_mono a, struct tt_mono b)
{
	return tt_mono_before(a, b) ? b : a;
}

static struct tt_mono sooner(struct tt_mono a, struct tt_mono b)
{
	return tt_mono_before(b, a) ? b : a;
}

static bool is_relay(const struct mesh_path *p)
{
	return p->kind == MESH_PATH_RELAY_UDP || p->kind == MESH_PATH_RELAY_TCP;
}

static uint8_t index_of(const struct mesh_paths *ps, const struct mesh_path *p)
{
	return (uint8_t)(p - ps->path);
}

static struct mesh_path *selected(struct mesh_paths *ps)
{
	return ps->selected == MESH_PATH_NO ? NULL : &ps->path[ps->selected];
}

const struct mesh_path *mesh_paths_selected(const struct mesh_paths *ps)
{
	return ps->selected == MESH_PATH_NO ? NULL : &ps->path[ps->selected];
}

void mesh_paths_init(struct mesh_paths *ps)
{
	memset(ps, 0, sizeof(*ps));
	ps->selected = MESH_PATH_NO;
	ps->path[SLOT_RELAY_TCP].kind = MESH_PATH_RELAY_TCP;
	ps->path[SLOT_RELAY_UDP].kind = MESH_PATH_RELAY_UDP;
}

/* --- finding and making paths ----------------------------------------------------------------- */

static struct mesh_path *find(struct mesh_paths *ps, enum mesh_path_kind kind,
			      const struct tt_endpoint *remote)
{
	if (kind == MESH_PATH_RELAY_TCP)
		return &ps->path[SLOT_RELAY_TCP];
	if (kind == MESH_PATH_RELAY_UDP)
		return &ps->path[SLOT_RELAY_UDP];
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (ps->path[i].state != MESH_PATH_UNUSED &&
		    tt_endpoint_equal(&ps->path[i].remote, remote))
			return &ps->path[i];
	return NULL;
}

/* What is missed least: never the path in use, not what is proved, not what the peer still names.
 */
static unsigned worth(const struct mesh_paths *ps, const struct mesh_path *p)
{
	if (p->state == MESH_PATH_UNUSED)
		return 0;
	if (index_of(ps, p) == ps->selected)
		return 5;
	if (p->state == MESH_PATH_ALIVE)
		return 4;
	if (p->named)
		return 3;
	return p->state == MESH_PATH_PROBING ? 2 : 1;
}

/* A free slot, or that of a path worth less than `above`; NULL: none. */
static struct mesh_path *make(struct mesh_paths *ps, enum mesh_path_kind kind,
			      const struct tt_endpoint *remote, unsigned above)
{
	struct mesh_path *least = &ps->path[SLOT_ADDRESS];

	if (!mesh_address_is_target(remote))
		return NULL;
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (worth(ps, &ps->path[i]) < worth(ps, least))
			least = &ps->path[i];
	if (worth(ps, least) >= above)
		return NULL;
	*least = (struct mesh_path){.kind = (uint8_t)kind, .remote = *remote};
	return least;
}

static void probe(struct mesh_path *p, struct tt_mono now)
{
	if (p->state != MESH_PATH_ALIVE)
		p->state = MESH_PATH_PROBING;
	p->tries = 0;
	p->check_at = now;
}

/* --- events ----------------------------------------------------------------------------------- */

void mesh_paths_wanted(struct mesh_paths *ps, struct tt_mono now)
{
	bool was =
		tt_mono_is_set(ps->wanted_at) && tt_mono_since(now, ps->wanted_at) < MESH_ACTIVE_NS;

	ps->wanted_at = now;
	if (!was)
		ps->exchange_due = true;
}

void mesh_paths_relay(struct mesh_paths *ps, enum mesh_path_kind kind, bool up, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, NULL);

	if (up == (p->state == MESH_PATH_ALIVE))
		return;
	*p = (struct mesh_path){.kind = (uint8_t)kind};
	if (!up)
		return;
	p->state = MESH_PATH_ALIVE;
	p->heard = now;
	p->check_at = now; /* for its round trip */
	if (kind == MESH_PATH_RELAY_TCP) {
		ps->exchange_due = true;
		ps->relay_asked_at = (struct tt_mono){0};
	}
}

void mesh_paths_hint(struct mesh_paths *ps, const struct tt_endpoint *remote)
{
	struct mesh_path *p = find(ps, MESH_PATH_PUNCHED, remote);

	if (p)
		return;
	p = make(ps, MESH_PATH_PUNCHED, remote, 1);
	if (p)
		p->state = MESH_PATH_HINT;
}

void mesh_paths_exchange(struct mesh_paths *ps, const struct mesh_candidate *c, unsigned n,
			 bool asks, struct tt_mono now)
{
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		ps->path[i].named = false;
	for (unsigned i = 0; i < n; i++) {
		enum mesh_path_kind kind =
			c[i].kind == MESH_CANDIDATE_HOST ? MESH_PATH_DIRECT : MESH_PATH_PUNCHED;
		struct mesh_path *p = find(ps, kind, &c[i].at);

		if (!p)
			p = make(ps, kind, &c[i].at, 3);
		if (!p)
			continue;
		p->named = true;
		if (kind == MESH_PATH_DIRECT)
			p->kind = (uint8_t)kind;
		probe(p, now);
	}
	ps->answer_due |= asks;
	ps->wanted_at = now;
}

void mesh_paths_network_changed(struct mesh_paths *ps, struct tt_mono now)
{
	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (p->state == MESH_PATH_UNUSED)
			continue;
		if (!is_relay(p) && i != ps->selected)
			p->state = MESH_PATH_FAILED;
		probe(p, now);
		if (is_relay(p))
			p->state = MESH_PATH_ALIVE;
	}
	ps->exchange_due = true;
	/* the path in use has to answer now, as if it had been silent for a second already */
	if (ps->selected != MESH_PATH_NO)
		ps->quiet_since =
			(struct tt_mono){now.ns > MESH_QUIET_NS ? now.ns - MESH_QUIET_NS : 1};
}

static void heard(struct mesh_paths *ps, struct mesh_path *p, struct tt_mono at)
{
	p->heard = later(p->heard, at);
	if (index_of(ps, p) == ps->selected &&
	    !tt_mono_before(at, (struct tt_mono){ps->quiet_since.ns}))
		ps->quiet_since = (struct tt_mono){0};
}

void mesh_paths_heard(struct mesh_paths *ps, enum mesh_path_kind kind,
		      const struct tt_endpoint *remote, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, remote);

	if (!p) {
		p = make(ps, MESH_PATH_PUNCHED, remote, 2);
		if (!p)
			return;
		probe(p, now);
		return;
	}
	/* the handshake itself has proved a hint that was tried */
	if (p->state == MESH_PATH_HINT && index_of(ps, p) == ps->selected)
		p->state = MESH_PATH_ALIVE;
	else if (p->state == MESH_PATH_FAILED || p->state == MESH_PATH_HINT)
		probe(p, now);
	if (p->state == MESH_PATH_ALIVE)
		heard(ps, p, now);
}

void mesh_paths_check_came(struct mesh_paths *ps, enum mesh_path_kind kind,
			   const struct tt_endpoint *remote, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, remote);

	if (p && is_relay(p))
		return;
	if (!p)
		p = make(ps, MESH_PATH_PUNCHED, remote, 3);
	/* the way is open from there to here: try the other direction at once */
	if (p && p->state != MESH_PATH_ALIVE && (p->state != MESH_PATH_PROBING || p->tries > 0) &&
	    !(tt_mono_is_set(p->check_at) && !tt_mono_before(now, p->check_at))) {
		uint8_t tries = p->state == MESH_PATH_PROBING ? p->tries : 0;
		probe(p, now);
		p->tries = TT_MIN(tries, (uint8_t)2);
	} else if (p && p->state == MESH_PATH_UNUSED) {
		probe(p, now);
	}
}

static void note_rtt(struct mesh_path *p, uint64_t ns)
{
	uint64_t us = TT_MAX(ns / TT_NS_PER_US, UINT64_C(1));

	us = TT_MIN(us, UINT64_C(60000000));
	p->rtt_us = p->rtt_us ? (uint32_t)((7 * (uint64_t)p->rtt_us + us) / 8) : (uint32_t)us;
}

bool mesh_paths_awaits(const struct mesh_paths *ps, enum mesh_path_kind kind,
		       const struct tt_endpoint *remote, const uint8_t id[MESH_CHECK_ID_LEN])
{
	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		const struct mesh_path *p = &ps->path[i];

		if (p->state == MESH_PATH_UNUSED ||
		    (is_relay(p) ? p->kind != kind
				 : kind == MESH_PATH_RELAY_UDP || kind == MESH_PATH_RELAY_TCP ||
					   !tt_endpoint_equal(&p->remote, remote)))
			continue;
		for (unsigned k = 0; k < MESH_CHECKS_PENDING; k++)
			if (tt_mono_is_set(p->sent[k].at) &&
			    memcmp(p->sent[k].id, id, MESH_CHECK_ID_LEN) == 0)
				return true;
	}
	return false;
}

void mesh_paths_offer_again(struct mesh_paths *ps)
{
	const struct mesh_path *p = mesh_paths_selected(ps);

	if (!p || is_relay(p))
		ps->exchange_due = true;
}

bool mesh_paths_check_answered(struct mesh_paths *ps, enum mesh_path_kind kind,
			       const struct tt_endpoint *remote,
			       const uint8_t id[MESH_CHECK_ID_LEN], struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, remote);
	struct mesh_check_sent *s = NULL;

	for (unsigned i = 0; p && i < MESH_CHECKS_PENDING; i++)
		if (tt_mono_is_set(p->sent[i].at) &&
		    memcmp(p->sent[i].id, id, MESH_CHECK_ID_LEN) == 0)
			s = &p->sent[i];
	if (!s)
		return false;
	note_rtt(p, tt_mono_since(now, s->at));
	s->at = (struct tt_mono){0}; /* ids are for one answer */
	p->tries = 0;
	if (p->proofs)
		p->proofs--;
	p->check_at = p->proofs ? tt_mono_add_ns(now, MESH_RECHECK_NS) : (struct tt_mono){0};
	if (!p->proofs)
		p->state = MESH_PATH_ALIVE;
	heard(ps, p, now);
	return true;
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
	if (p->state != MESH_PATH_ALIVE)
		return false;
	return is_relay(p) || tt_mono_since(now, p->heard) < MESH_FRESH_NS;
}

/* The best path but `not`, or NULL. */
static struct mesh_path *best(struct mesh_paths *ps, const struct mesh_path * not,
			      struct tt_mono now)
{
	struct mesh_path *b = NULL;

	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (p == not || p->proofs || !usable(p, now))
			continue;
		if (!b || p->kind < b->kind ||
		    (p->kind == b->kind && p->rtt_us && (!b->rtt_us || p->rtt_us < b->rtt_us)))
			b = p;
	}
	return b;
}

static struct mesh_path *hint(struct mesh_paths *ps)
{
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (ps->path[i].state == MESH_PATH_HINT)
			return &ps->path[i];
	return NULL;
}

struct emit {
	struct mesh_path_action *out;
	unsigned n;
};

static void emit(struct emit *e, enum mesh_path_act act, uint8_t index)
{
	e->out[e->n++] = (struct mesh_path_action){.act = act, .index = index};
}

static void choose(struct mesh_paths *ps, struct mesh_path *p, enum mesh_path_cause cause,
		   struct tt_mono now)
{
	ps->selected = p ? index_of(ps, p) : MESH_PATH_NO;
	ps->cause = (uint8_t)cause;
	ps->selected_at = now;
	ps->quiet_since = (struct tt_mono){0};
	ps->reprobe_at =
		p && is_relay(p) ? tt_mono_add_ns(now, MESH_REPROBE_NS) : (struct tt_mono){0};
}

/* Everything that is not in use is tried again. */
static void probe_all(struct mesh_paths *ps, struct tt_mono now)
{
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (i != ps->selected && ps->path[i].state != MESH_PATH_UNUSED &&
		    ps->path[i].state != MESH_PATH_HINT)
			probe(&ps->path[i], now);
}

/* The path in use is no good any more: the next one, and that is to answer soon. */
static void fall_back(struct mesh_paths *ps, enum mesh_path_cause cause, struct tt_mono now)
{
	struct mesh_path *old = selected(ps);
	struct mesh_path *p = best(ps, old, now);

	if (!p && cause == MESH_CAUSE_SILENT) {
		/* nothing better: stay, and look for others */
		ps->quiet_since = now;
		probe_all(ps, now);
		ps->exchange_due = true;
		return;
	}
	if (old && !is_relay(old)) {
		old->state = MESH_PATH_FAILED;
		old->proofs = PROOFS_AFTER_SILENCE;
	}
	choose(ps, p ? p : hint(ps), p || hint(ps) ? cause : MESH_CAUSE_NONE_LEFT, now);
	probe_all(ps, now);
	ps->exchange_due = true;
	if (p) {
		p->tries = 0;
		p->check_at = now;
		ps->quiet_since =
			(struct tt_mono){now.ns > MESH_QUIET_NS ? now.ns - MESH_QUIET_NS : 1};
	}
}

static void promote(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *old = selected(ps), *p = best(ps, old, now);

	if (!p)
		return;
	if (!old || old->state == MESH_PATH_HINT)
		choose(ps, p, MESH_CAUSE_FIRST, now);
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
	struct tt_mono base = later(p->heard, ps->selected_at);

	if (!tt_mono_before(base, f->last_data_tx))
		return (struct tt_mono){0};
	if (!tt_mono_before(f->unanswered_tx_since, base))
		return f->unanswered_tx_since;
	/* something comes, but another way: sending went on all the time, or has just begun */
	return tt_mono_since(f->last_data_tx, base) <= 2 * MESH_QUIET_NS ? base : f->last_data_tx;
}

/* Time a path gets to answer: at least two checks and their round trip. */
static uint64_t patience(const struct mesh_path *p)
{
	return TT_MAX(MESH_SILENT_NS, (uint64_t)p->rtt_us * TT_NS_PER_US * 3 / 2);
}

static void watch_selected(struct mesh_paths *ps, const struct mesh_path_facts *f,
			   struct tt_mono now)
{
	struct mesh_path *p = selected(ps);

	if (!p)
		return;
	if (is_relay(p) && p->state != MESH_PATH_ALIVE) {
		fall_back(ps, MESH_CAUSE_RELAY_GONE, now);
		return;
	}
	if (p->state == MESH_PATH_HINT)
		return;
	if (!tt_mono_is_set(ps->quiet_since))
		ps->quiet_since = quiet_start(ps, p, f);
	if (!tt_mono_is_set(ps->quiet_since))
		return;
	uint64_t quiet = tt_mono_since(now, ps->quiet_since);

	if (quiet >= MESH_QUIET_NS + patience(p)) {
		fall_back(ps, MESH_CAUSE_SILENT, now);
	} else if (quiet >= MESH_QUIET_NS && !tt_mono_is_set(p->check_at)) {
		p->tries = 0;
		p->check_at = now;
	}
}

/* --- checks ----------------------------------------------------------------------------------- */

static void send_check(struct mesh_paths *ps, struct mesh_path *p, struct tt_mono now,
		       const struct tt_rng *rng, struct emit *e)
{
	struct mesh_check_sent *s = &p->sent[p->sent_next];

	p->sent_next = (uint8_t)((p->sent_next + 1) % MESH_CHECKS_PENDING);
	tt_rng_fill(rng, s->id, sizeof(s->id));
	s->at = now;
	emit(e, MESH_ACT_CHECK, index_of(ps, p));
	memcpy(e->out[e->n - 1].id, s->id, sizeof(s->id));
}

/* When the next check of this path is due, after one was sent; 0: no more for now. */
static struct tt_mono plan_check(const struct mesh_paths *ps, const struct mesh_path *p,
				 struct tt_mono now)
{
	bool in_use = index_of(ps, p) == ps->selected;

	if (in_use && tt_mono_is_set(ps->quiet_since))
		return tt_mono_add_ns(now, MESH_RECHECK_NS);
	if (p->tries >= PROBES_MAX || (is_relay(p) && p->tries >= 3))
		return (struct tt_mono){0};
	return tt_mono_add_ns(now, probe_gap_ms[p->tries] * TT_NS_PER_MS);
}

static void run_checks(struct mesh_paths *ps, struct tt_mono now, const struct tt_rng *rng,
		       struct emit *e)
{
	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (p->state == MESH_PATH_UNUSED || !tt_mono_is_set(p->check_at) ||
		    tt_mono_before(now, p->check_at))
			continue;
		if (p->tries < UINT8_MAX)
			p->tries++;
		if (p->tries > PROBES_MAX && i != ps->selected) {
			p->check_at = (struct tt_mono){0};
			if (!is_relay(p))
				p->state = MESH_PATH_FAILED;
			continue;
		}
		send_check(ps, p, now, rng, e);
		p->check_at = plan_check(ps, p, now);
	}
}

static bool active(const struct mesh_paths *ps, struct tt_mono now)
{
	return tt_mono_is_set(ps->wanted_at) && tt_mono_since(now, ps->wanted_at) < MESH_ACTIVE_NS;
}

/* A busy path is measured now and then; a relayed one looks for something better. */
static void refresh(struct mesh_paths *ps, const struct mesh_path_facts *f, struct tt_mono now)
{
	struct mesh_path *p = selected(ps);

	if (tt_mono_is_set(f->last_data_tx) && tt_mono_since(now, f->last_data_tx) < MESH_RTT_NS)
		mesh_paths_wanted(ps, now);
	if (!p || !active(ps, now))
		return;
	bool busy = tt_mono_since(now, f->last_data_tx) < TT_NS_PER_SEC;
	struct tt_mono last = {0};

	for (unsigned i = 0; i < MESH_CHECKS_PENDING; i++)
		last = later(last, p->sent[i].at);
	last = later(last, p->heard);
	if (busy && !tt_mono_is_set(p->check_at) && p->tries == 0 &&
	    tt_mono_since(now, later(last, ps->selected_at)) >= MESH_RTT_NS)
		p->check_at = now;
	if (is_relay(p) && tt_mono_is_set(ps->reprobe_at) && !tt_mono_before(now, ps->reprobe_at)) {
		ps->reprobe_at = tt_mono_add_ns(now, MESH_REPROBE_NS);
		ps->exchange_due = true;
		probe_all(ps, now);
	}
}

/* --- the hub's part --------------------------------------------------------------------------- */

static void talk(struct mesh_paths *ps, struct tt_mono now, struct emit *e)
{
	const struct mesh_path *tcp = &ps->path[SLOT_RELAY_TCP], *udp = &ps->path[SLOT_RELAY_UDP];
	const struct mesh_path *p = selected(ps);

	if (tcp->state != MESH_PATH_ALIVE || !active(ps, now))
		return;
	bool rested = !tt_mono_is_set(ps->exchanged_at) ||
		      tt_mono_since(now, ps->exchanged_at) >= MESH_EXCHANGE_NS;

	if (ps->exchange_due && rested) {
		/* what asks for the peer's candidates is an answer as well */
		emit(e, MESH_ACT_EXCHANGE, MESH_PATH_NO);
		ps->exchange_due = ps->answer_due = false;
		ps->exchanged_at = now;
	} else if (ps->answer_due) {
		emit(e, MESH_ACT_ANSWER, MESH_PATH_NO);
		ps->answer_due = false;
	}
	if ((!p || is_relay(p)) && udp->state != MESH_PATH_ALIVE &&
	    (!tt_mono_is_set(ps->relay_asked_at) ||
	     tt_mono_since(now, ps->relay_asked_at) >= RELAY_ASK_NS)) {
		emit(e, MESH_ACT_OPEN_RELAY, MESH_PATH_NO);
		ps->relay_asked_at = now;
	}
}

/* --- time ------------------------------------------------------------------------------------- */

unsigned mesh_paths_run(struct mesh_paths *ps, const struct mesh_path_facts *f, struct tt_mono now,
			const struct tt_rng *rng, struct mesh_path_action *out)
{
	struct emit e = {.out = out};
	uint8_t before = ps->selected;

	refresh(ps, f, now);
	watch_selected(ps, f, now);
	promote(ps, now);
	if (ps->selected == MESH_PATH_NO && hint(ps) && active(ps, now))
		choose(ps, hint(ps), MESH_CAUSE_FIRST, now);
	if (ps->selected != before)
		emit(&e, MESH_ACT_SELECT, ps->selected);
	run_checks(ps, now, rng, &e);
	talk(ps, now, &e);
	return e.n;
}

struct tt_mono mesh_paths_next_deadline(const struct mesh_paths *ps,
					const struct mesh_path_facts *f, struct tt_mono now)
{
	struct tt_mono next = {UINT64_MAX};
	const struct mesh_path *p = mesh_paths_selected(ps);
	bool tcp = ps->path[SLOT_RELAY_TCP].state == MESH_PATH_ALIVE;

	for (unsigned i = 0; i < MESH_PATHS_MAX; i++)
		if (ps->path[i].state != MESH_PATH_UNUSED && tt_mono_is_set(ps->path[i].check_at))
			next = sooner(next, ps->path[i].check_at);
	if (p && tt_mono_is_set(ps->quiet_since)) {
		next = sooner(next, tt_mono_add_ns(ps->quiet_since, MESH_QUIET_NS));
		if (tt_mono_since(now, ps->quiet_since) >= MESH_QUIET_NS)
			next = sooner(later(next, now),
				      tt_mono_add_ns(ps->quiet_since, MESH_QUIET_NS + patience(p)));
	} else if (p && tt_mono_is_set(f->last_data_tx) &&
		   tt_mono_since(now, f->last_data_tx) < 2 * MESH_QUIET_NS) {
		next = sooner(next, tt_mono_add_ns(now, MESH_QUIET_NS / 4));
	}
	if (tcp && active(ps, now)) {
		if (ps->exchange_due || ps->answer_due)
			next = sooner(next, tt_mono_add_ns(ps->exchanged_at, MESH_EXCHANGE_NS));
		if (tt_mono_is_set(ps->reprobe_at))
			next = sooner(next, ps->reprobe_at);
		if ((!p || is_relay(p)) && ps->path[SLOT_RELAY_UDP].state != MESH_PATH_ALIVE)
			next = sooner(next, tt_mono_add_ns(ps->relay_asked_at, RELAY_ASK_NS));
	}
	return next;
}

/* --- words ------------------------------------------------------------------------------------ */

const char *mesh_path_kind_name(enum mesh_path_kind kind)
{
	static const char *const name[] = {"none", "direct", "punched", "relay_udp", "relay_tcp"};

	return (unsigned)kind < TT_ARRAY_LEN(name) ? name[kind] : "none";
}

const char *mesh_path_cause_text(enum mesh_path_cause cause)
{
	static const char *const text[] = {
		[MESH_CAUSE_FIRST] = "first path",
		[MESH_CAUSE_BETTER_KIND] = "a better kind of path was proved",
		[MESH_CAUSE_FASTER] = "a faster path was proved",
		[MESH_CAUSE_SILENT] = "the path fell silent",
		[MESH_CAUSE_RELAY_GONE] = "the relay is gone",
		[MESH_CAUSE_NETWORK] = "the network changed",
		[MESH_CAUSE_NONE_LEFT] = "no path is left",
	};

	return (unsigned)cause < TT_ARRAY_LEN(text) ? text[cause] : "unknown";
}

const char *mesh_paths_why_not_direct(const struct mesh_paths *ps)
{
	const struct mesh_path *p = mesh_paths_selected(ps);
	unsigned named = 0, probing = 0;

	if (p && !is_relay(p))
		return "";
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++) {
		named += ps->path[i].named;
		probing += ps->path[i].state == MESH_PATH_PROBING;
	}
	if (probing)
		return "checks are under way";
	if (named)
		return "no check was answered: a firewall or NAT is in the way";
	if (!tt_mono_is_set(ps->exchanged_at))
		return "candidates were not exchanged yet";
	return "the peer has named no address";
}

/* SPDX-License-Identifier: MIT */
#include "mesh/path.h"

#include "mesh/address.h"
#include "mesh/path_impl.h"

void mesh_paths_init(struct mesh_paths *ps)
{
	memset(ps, 0, sizeof(*ps));
	ps->selected = ps->announced = MESH_PATH_NO;
	ps->path[SLOT_RELAY_TCP].kind = MESH_PATH_RELAY_TCP;
	ps->path[SLOT_RELAY_UDP].kind = MESH_PATH_RELAY_UDP;
	ps->relay_ask_ns = MESH_RELAY_ASK_NS;
}

const struct mesh_path *mesh_paths_selected(const struct mesh_paths *ps)
{
	return ps->selected == MESH_PATH_NO ? NULL : &ps->path[ps->selected];
}

/* --- the table -------------------------------------------------------------------------------- */

static uint8_t index_of(const struct mesh_paths *ps, const struct mesh_path *p)
{
	return (uint8_t)(p - ps->path);
}

/* MESH_PATH_NO where there is none. */
static uint8_t find_index(const struct mesh_paths *ps, enum mesh_path_kind kind,
			  const struct tt_endpoint *remote)
{
	if (kind == MESH_PATH_RELAY_TCP)
		return SLOT_RELAY_TCP;
	if (kind == MESH_PATH_RELAY_UDP)
		return SLOT_RELAY_UDP;
	for (uint8_t i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++)
		if (ps->path[i].state != MESH_PATH_UNUSED &&
		    tt_endpoint_equal(&ps->path[i].remote, remote))
			return i;
	return MESH_PATH_NO;
}

static struct mesh_path *find(struct mesh_paths *ps, enum mesh_path_kind kind,
			      const struct tt_endpoint *remote)
{
	uint8_t i = find_index(ps, kind, remote);

	return i == MESH_PATH_NO ? NULL : &ps->path[i];
}

enum worth {
	WORTH_NOTHING,
	WORTH_LITTLE, /* failed, a hint, or proved long ago */
	WORTH_A_TRY,
	WORTH_NAMED,
	WORTH_PROVED,
	WORTH_IN_USE,
};

static enum worth worth(const struct mesh_paths *ps, const struct mesh_path *p, struct tt_mono now)
{
	if (p->state == MESH_PATH_UNUSED)
		return WORTH_NOTHING;
	if (index_of(ps, p) == ps->selected)
		return WORTH_IN_USE;
	if (p->state == MESH_PATH_ALIVE && tt_mono_since(now, p->heard) < MESH_STALE_NS)
		return WORTH_PROVED;
	if (p->named)
		return WORTH_NAMED;
	return p->state == MESH_PATH_PROBING ? WORTH_A_TRY : WORTH_LITTLE;
}

/* A free slot, or that of the path worth least (the one silent for longest), if that is less than
 * `than`; NULL: none. */
static struct mesh_path *make(struct mesh_paths *ps, enum mesh_path_kind kind,
			      const struct tt_endpoint *remote, enum worth than, struct tt_mono now)
{
	struct mesh_path *least = &ps->path[SLOT_ADDRESS];

	if (!mesh_address_is_target(remote))
		return NULL;
	for (unsigned i = SLOT_ADDRESS + 1; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];
		enum worth a = worth(ps, p, now), b = worth(ps, least, now);
		if (a < b || (a == b && tt_mono_before(p->heard, least->heard)))
			least = p;
	}
	if (worth(ps, least, now) >= than)
		return NULL;
	*least = (struct mesh_path){.kind = (uint8_t)kind, .remote = *remote};
	return least;
}

/* --- wishes ----------------------------------------------------------------------------------- */

void mesh_paths_wanted(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *p = mesh_path_selected(ps);
	bool was = mesh_paths_are_wanted(ps, now);

	ps->wanted_at = mesh_path_later(ps->wanted_at, now);
	if (was)
		return;
	ps->exchange_due = true;
	ps->reasks = 0;
	/* NATs forget in less time than that */
	if (p && !mesh_path_is_relay(p) && p->state == MESH_PATH_ALIVE) {
		mesh_paths_suspect(ps, now);
		mesh_path_probe(p, now);
	}
}

void mesh_paths_offer_again(struct mesh_paths *ps)
{
	const struct mesh_path *p = mesh_path_selected(ps);

	if (!p || mesh_path_is_relay(p))
		ps->exchange_due = true;
}

/* --- what others say -------------------------------------------------------------------------- */

void mesh_paths_relay(struct mesh_paths *ps, enum mesh_path_kind kind, bool up, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, NULL);

	if (up == (p->state != MESH_PATH_UNUSED))
		return;
	*p = (struct mesh_path){.kind = (uint8_t)kind, .checked = p->checked};
	if (index_of(ps, p) == ps->selected)
		ps->shared_at = (struct tt_mono){0};
	/* another allocation is another way, even where the kind stays in use */
	if (index_of(ps, p) == ps->announced)
		ps->announced = MESH_PATHS_MAX;
	if (!up)
		return;
	p->state = MESH_PATH_ALIVE;
	p->heard = now;
	mesh_path_probe(p, now);
	if (kind == MESH_PATH_RELAY_UDP) {
		p->proofs = 1;
		ps->relay_ask_ns = MESH_RELAY_ASK_NS;
	}
	if (kind == MESH_PATH_RELAY_TCP) {
		ps->exchange_due = true;
		ps->reasks = 0;
		ps->relay_ask_at = now;
		ps->relay_ask_ns = MESH_RELAY_ASK_NS;
	}
}

void mesh_paths_hint(struct mesh_paths *ps, const struct tt_endpoint *remote)
{
	struct mesh_path *p;

	if (find(ps, MESH_PATH_PUNCHED, remote))
		return;
	p = make(ps, MESH_PATH_PUNCHED, remote, WORTH_LITTLE, (struct tt_mono){0});
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
			p = make(ps, kind, &c[i].at, WORTH_NAMED, now);
		if (!p)
			continue;
		p->named = true;
		if (kind == MESH_PATH_DIRECT)
			p->kind = (uint8_t)kind;
		/* one that is being asked already is not to be given more time */
		if (index_of(ps, p) != ps->selected || !tt_mono_is_set(ps->quiet_since))
			mesh_path_probe(p, now);
	}
	/* with these keys relays can be proved as well */
	for (unsigned i = 0; i < SLOT_ADDRESS; i++)
		if (ps->path[i].proofs)
			mesh_path_probe(&ps->path[i], now);
	ps->answer_due |= asks;
	ps->exchange_came = true;
	ps->reasks = MESH_REASKS_MAX + 1;
	ps->wanted_at = mesh_path_later(ps->wanted_at, now);
}

/* What was proved of this path belongs to another network. */
static void unprove(struct mesh_path *p, struct tt_mono now)
{
	p->rtt_us = 0;
	p->proved = (struct tt_mono){0};
	if (p->kind == MESH_PATH_RELAY_UDP)
		p->proofs = TT_MAX(p->proofs, 1);
	else if (p->kind != MESH_PATH_RELAY_TCP)
		p->state = MESH_PATH_FAILED;
	mesh_path_probe(p, now);
}

void mesh_paths_network_changed(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *used = mesh_path_selected(ps);

	for (unsigned i = 0; i < MESH_PATHS_MAX; i++) {
		struct mesh_path *p = &ps->path[i];

		if (p->state == MESH_PATH_UNUSED || p->state == MESH_PATH_HINT)
			continue;
		p->narrow_until = (struct tt_mono){0};
		if (p == used)
			mesh_path_probe(p, now);
		else
			unprove(p, now);
	}
	ps->exchange_due = true;
	ps->reasks = 0;
	ps->stuck = 0;
	ps->relay_ask_ns = MESH_RELAY_ASK_NS;
	if (used && used->state != MESH_PATH_HINT && mesh_paths_are_wanted(ps, now)) {
		ps->moved = true;
		mesh_paths_suspect(ps, now);
	}
}

bool mesh_paths_too_narrow(struct mesh_paths *ps, struct tt_mono now)
{
	struct mesh_path *p = mesh_path_selected(ps);

	if (!p || p->kind == MESH_PATH_RELAY_TCP || mesh_path_is_narrow(p, now))
		return false;
	p->narrow_until = tt_mono_add_ns(now, MESH_NARROW_NS);
	return true;
}

/* --- what comes by a path --------------------------------------------------------------------- */

/* answered: not only from there to here. */
static void heard(struct mesh_paths *ps, struct mesh_path *p, bool answered, struct tt_mono now)
{
	p->heard = mesh_path_later(p->heard, now);
	if (index_of(ps, p) != ps->selected || (ps->doubt && !answered))
		return;
	ps->quiet_since = (struct tt_mono){0};
	ps->moved = ps->doubt = false;
	if (!ps->stuck)
		return;
	ps->stuck = 0;
	ps->reprobe_at =
		mesh_path_is_relay(p) ? tt_mono_add_ns(now, MESH_REPROBE_NS) : (struct tt_mono){0};
}

/* A check of the peer came: the way is open from there to here, so the other direction is tried
 * soon, but not from the beginning each time. */
static void check_back(struct mesh_path *p, struct tt_mono now)
{
	bool under_way = p->state == MESH_PATH_PROBING || p->proofs;
	uint8_t tries = under_way ? TT_MIN(p->tries, 2) : 0;

	if (!under_way && p->state == MESH_PATH_ALIVE &&
	    tt_mono_since(now, p->proved) < MESH_FRESH_NS)
		return;
	if (under_way && tt_mono_is_set(p->check_at) && !tt_mono_before(now, p->check_at))
		return; /* due already */
	mesh_path_probe(p, now);
	p->tries = tries;
}

/* Data of the peer came by a path that is not in use: whether that goes both ways is seen now and
 * then, as long as it comes. */
static void look_back(struct mesh_path *p, struct tt_mono now)
{
	struct tt_mono last = mesh_path_later(p->proved, p->checked);

	if (!tt_mono_is_set(p->check_at) &&
	    (!tt_mono_is_set(last) || tt_mono_since(now, last) >= MESH_FRESH_NS))
		mesh_path_probe(p, now);
}

/* The peer was seen to use our path, all of its packets that were under way by others have come,
 * and now it uses a worse one: nothing of ours reaches it, or its NAT has another mapping. */
static bool has_left(const struct mesh_paths *ps, const struct mesh_path *used,
		     const struct mesh_path *p, struct tt_mono now)
{
	return p->kind > used->kind && tt_mono_before(used->heard, now) &&
	       tt_mono_is_set(ps->shared_at) &&
	       tt_mono_since(now, ps->shared_at) >= MESH_SETTLED_NS &&
	       (!tt_mono_is_set(ps->followed) ||
		tt_mono_since(now, ps->followed) >= MESH_FOLLOW_NS);
}

/*
 * The peer sends by another path than we do. Where it has left ours we follow at once, and ours has
 * to win back what it was believed: its packets are authenticated and fresh, so nobody else can
 * tell us that. Where it may merely send another way, ours has to answer at once.
 */
static void doubt_selected(struct mesh_paths *ps, const struct mesh_path *p, struct tt_mono now)
{
	const struct mesh_path *used = mesh_paths_selected(ps);

	if (!used || used == p || used->state == MESH_PATH_HINT || ps->stuck ||
	    p->kind < used->kind || (p->kind == used->kind && !tt_mono_is_set(ps->shared_at)))
		return;
	if (has_left(ps, used, p, now)) {
		ps->left = true;
		ps->followed = now;
		return;
	}
	if (tt_mono_is_set(ps->doubted) && tt_mono_since(now, ps->doubted) < MESH_DOUBT_NS)
		return;
	ps->doubt = true;
	ps->doubted = now;
	ps->shared_at = (struct tt_mono){0};
	if (!tt_mono_is_set(ps->quiet_since) || tt_mono_since(now, ps->quiet_since) < MESH_QUIET_NS)
		mesh_paths_suspect(ps, now);
}

void mesh_paths_heard(struct mesh_paths *ps, enum mesh_path_kind kind,
		      const struct tt_endpoint *remote, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, remote);

	if (!p) {
		p = make(ps, MESH_PATH_PUNCHED, remote, WORTH_A_TRY, now);
		if (!p)
			return;
		mesh_path_probe(p, now);
		p->heard = now;
		doubt_selected(ps, p, now);
		return;
	}
	if (p->state == MESH_PATH_UNUSED)
		return;
	doubt_selected(ps, p, now);
	/* the handshake itself has proved a hint that was tried */
	if (p->state == MESH_PATH_HINT && index_of(ps, p) == ps->selected)
		p->state = MESH_PATH_ALIVE;
	if (index_of(ps, p) != ps->selected && !mesh_path_is_relay(p))
		look_back(p, now);
	if (index_of(ps, p) == ps->selected && !tt_mono_is_set(ps->shared_at))
		ps->shared_at = now;
	heard(ps, p, false, now);
}

void mesh_paths_check_came(struct mesh_paths *ps, enum mesh_path_kind kind,
			   const struct tt_endpoint *remote, struct tt_mono now)
{
	struct mesh_path *p = find(ps, kind, remote);

	if (!p) {
		p = make(ps, MESH_PATH_PUNCHED, remote, WORTH_NAMED, now);
		if (p)
			mesh_path_probe(p, now);
	} else if (p->state != MESH_PATH_UNUSED && index_of(ps, p) != ps->selected &&
		   (!mesh_path_is_relay(p) || p->proofs)) {
		check_back(p, now);
	}
}

static void note_rtt(struct mesh_path *p, uint64_t ns)
{
	uint64_t us = TT_MAX(ns / TT_NS_PER_US, UINT64_C(1));

	us = TT_MIN(us, UINT64_C(60000000));
	p->rtt_us = p->rtt_us ? (uint32_t)((7 * (uint64_t)p->rtt_us + us) / 8) : (uint32_t)us;
}

/* Which check of this path has the id; MESH_CHECKS_PENDING: none. */
static unsigned find_sent(const struct mesh_path *p, const uint8_t id[MESH_CHECK_ID_LEN])
{
	for (unsigned i = 0; i < MESH_CHECKS_PENDING; i++)
		if (tt_mono_is_set(p->sent[i].at) &&
		    memcmp(p->sent[i].id, id, MESH_CHECK_ID_LEN) == 0)
			return i;
	return MESH_CHECKS_PENDING;
}

bool mesh_paths_awaits(const struct mesh_paths *ps, enum mesh_path_kind kind,
		       const struct tt_endpoint *remote, const uint8_t id[MESH_CHECK_ID_LEN])
{
	uint8_t i = find_index(ps, kind, remote);

	return i != MESH_PATH_NO && find_sent(&ps->path[i], id) < MESH_CHECKS_PENDING;
}

bool mesh_paths_check_answered(struct mesh_paths *ps, enum mesh_path_kind kind,
			       const struct tt_endpoint *remote,
			       const uint8_t id[MESH_CHECK_ID_LEN], struct tt_mono now)
{
	if (!mesh_paths_awaits(ps, kind, remote, id))
		return false;
	struct mesh_path *p = find(ps, kind, remote);
	struct mesh_check_sent *s = &p->sent[find_sent(p, id)];

	note_rtt(p, tt_mono_since(now, s->at));
	s->at = (struct tt_mono){0}; /* ids are for one answer */
	p->tries = 0;
	if (p->proofs)
		p->proofs--;
	p->check_at = p->proofs ? tt_mono_add_ns(now, MESH_RECHECK_NS) : (struct tt_mono){0};
	if (!p->proofs) {
		p->state = MESH_PATH_ALIVE;
		p->proved = now;
	}
	heard(ps, p, true, now);
	return true;
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
		[MESH_CAUSE_LEFT] = "the peer has left the path",
		[MESH_CAUSE_RELAY_GONE] = "the relay is gone",
		[MESH_CAUSE_NETWORK] = "the network changed",
		[MESH_CAUSE_NARROW] = "the path carries too little for IPv6",
		[MESH_CAUSE_NONE_LEFT] = "no path is left",
	};

	return (unsigned)cause < TT_ARRAY_LEN(text) ? text[cause] : "unknown";
}

const char *mesh_paths_why_not_direct(const struct mesh_paths *ps)
{
	const struct mesh_path *p = mesh_paths_selected(ps);
	unsigned named = 0, probing = 0, narrow = 0;

	if (p && !mesh_path_is_relay(p))
		return "";
	for (unsigned i = SLOT_ADDRESS; i < MESH_PATHS_MAX; i++) {
		named += ps->path[i].named;
		probing += ps->path[i].state == MESH_PATH_PROBING;
		narrow += ps->path[i].state == MESH_PATH_ALIVE &&
			  tt_mono_is_set(ps->path[i].narrow_until);
	}
	if (!tt_mono_is_set(ps->wanted_at))
		return "nothing was sent to the peer yet";
	if (ps->path[SLOT_RELAY_TCP].state == MESH_PATH_UNUSED && !ps->exchange_came)
		return "the hub does not reach the peer";
	if (narrow)
		return "the direct path carries too little for IPv6";
	if (probing)
		return "checks are under way";
	if (named)
		return "no check was answered: a firewall or NAT is in the way";
	if (!ps->exchange_came)
		return tt_mono_is_set(ps->exchanged_at) ? "the peer has not told its addresses"
							: "candidates were not exchanged yet";
	return "the peer has named no address";
}

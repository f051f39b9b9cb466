/* SPDX-License-Identifier: MIT
 *
 * The path machine under random events against what must always hold: nothing is used that was not
 * proved, nothing is told twice, no run leads to the next at the same time, and no event makes it
 * send more than its bounds.
 */
#include "tt_test.h"

#include "mesh/path_impl.h"

#define EVENTS 100000
#define KNOWN  64
#define WINDOW (MESH_CHECKS_BURST + 32 + 11) /* no second has more */

static struct mesh_paths ps;
static struct mesh_path_facts facts;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

/* What was answered since it was last not to be believed, by address. */
/* heard: by WireGuard, which proves the peer as well; it counts where there is no hub */
static bool answered[KNOWN], is_hint[KNOWN], heard[KNOWN], relay_up[2];
static struct tt_mono window[WINDOW], last_exchange, last_answer;
static unsigned checks;
static uint8_t told;

static struct {
	uint8_t index;
	uint8_t kind;
	struct tt_endpoint remote;
	uint8_t id[MESH_CHECK_ID_LEN];
} out[KNOWN];
static unsigned out_next;

static struct tt_endpoint address(unsigned n)
{
	struct tt_endpoint e = {.ip = tt_ip_v4_host(0xc0000200 + n), .udp_port = 7};

	return e;
}

static void set_up(uint64_t s)
{
	mesh_paths_init(&ps);
	memset(&facts, 0, sizeof(facts));
	memset(answered, 0, sizeof(answered));
	memset(is_hint, 0, sizeof(is_hint));
	memset(heard, 0, sizeof(heard));
	memset(relay_up, 0, sizeof(relay_up));
	memset(window, 0, sizeof(window));
	memset(out, 0, sizeof(out));
	last_exchange = last_answer = (struct tt_mono){0};
	told = MESH_PATH_NO;
	rng = tt_rng_seeded_init(&seed, s);
	now = (struct tt_mono){1000 * TT_NS_PER_SEC};
}

static void check_selected(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	CU_ASSERT_EQUAL(told, ps.selected);
	/* the relay by TCP takes all sizes */
	CU_ASSERT(!p || !mesh_path_is_narrow(p, now) || !relay_up[0] ||
		  ps.path[SLOT_RELAY_TCP].proofs);
	if (!p) {
		CU_ASSERT(!relay_up[0]);
		return;
	}
	if (mesh_path_is_relay(p)) {
		CU_ASSERT(relay_up[p->kind == MESH_PATH_RELAY_UDP]);
		return;
	}
	unsigned n = p->remote.ip.b[3];
	CU_ASSERT(n < KNOWN && (answered[n] || is_hint[n] || heard[n]));
	CU_ASSERT(answered[n] || heard[n] || !relay_up[0] || p->state == MESH_PATH_ALIVE);
}

static void note_check(const struct mesh_path_action *a)
{
	const struct mesh_path *p = &ps.path[a->index];
	struct tt_mono *slot = &window[checks++ % WINDOW];

	CU_ASSERT(slot->ns == 0 || tt_mono_since(now, *slot) >= TT_NS_PER_SEC);
	*slot = now;
	CU_ASSERT(p->state != MESH_PATH_UNUSED);
	CU_ASSERT(mesh_paths_are_wanted(&ps, now));
	out[out_next].index = a->index;
	out[out_next].kind = p->kind;
	out[out_next].remote = p->remote;
	memcpy(out[out_next].id, a->id, sizeof(a->id));
	out_next = (out_next + 1) % KNOWN;
}

static void note_time(struct tt_mono *last)
{
	CU_ASSERT(last->ns == 0 || tt_mono_since(now, *last) >= MESH_EXCHANGE_NS);
	CU_ASSERT(relay_up[0]);
	*last = now;
}

static void run(void)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];
	unsigned n = mesh_paths_run(&ps, &facts, now, &rng, a), selects = 0;

	CU_ASSERT_FATAL(n <= MESH_PATH_ACTIONS_MAX);
	for (unsigned i = 0; i < n; i++)
		switch (a[i].act) {
		case MESH_ACT_SELECT:
			CU_ASSERT_EQUAL(i, 0);
			told = a[i].index;
			selects++;
			break;
		case MESH_ACT_CHECK:
			note_check(&a[i]);
			break;
		case MESH_ACT_EXCHANGE:
			note_time(&last_exchange);
			break;
		case MESH_ACT_ANSWER:
			note_time(&last_answer);
			break;
		case MESH_ACT_OPEN_RELAY:
			/* again also where the leg stands and nobody answers on it */
			CU_ASSERT(relay_up[0]);
			break;
		}
	CU_ASSERT(selects <= 1);
	check_selected();
	CU_ASSERT_FATAL(mesh_paths_next_deadline(&ps, &facts, now).ns > now.ns);
	/* again at once: nothing is left to do, but for what begins where something has ended */
	n = mesh_paths_run(&ps, &facts, now, &rng, a);
	CU_ASSERT(n == 0 || (n == 1 && a[0].act == MESH_ACT_CHECK));
	if (n && a[0].act == MESH_ACT_CHECK)
		note_check(&a[0]);
	n = mesh_paths_run(&ps, &facts, now, &rng, a);
	CU_ASSERT_EQUAL(n, 0);
}

static enum mesh_path_kind random_kind(void)
{
	switch (tt_rng_below(&rng, 6)) {
	case 0:
		return MESH_PATH_RELAY_UDP;
	case 1:
		return MESH_PATH_RELAY_TCP;
	default:
		return MESH_PATH_PUNCHED;
	}
}

static void answer(void)
{
	unsigned i = tt_rng_below(&rng, KNOWN);
	bool truth = tt_rng_below(&rng, 4) > 0;
	struct tt_endpoint remote = out[i].remote;

	if (!out[i].kind)
		return;
	if (!truth)
		remote = address(tt_rng_below(&rng, KNOWN));
	bool same = truth || tt_endpoint_equal(&remote, &out[i].remote);
	bool relay = out[i].kind == MESH_PATH_RELAY_TCP || out[i].kind == MESH_PATH_RELAY_UDP;
	bool took = mesh_paths_check_answered(
		&ps, relay ? (enum mesh_path_kind)out[i].kind : MESH_PATH_PUNCHED, &remote,
		out[i].id, now);

	CU_ASSERT(!took || same || relay);
	if (took && !relay)
		answered[remote.ip.b[3]] = true;
	if (took)
		CU_ASSERT(!mesh_paths_check_answered(
			&ps, relay ? (enum mesh_path_kind)out[i].kind : MESH_PATH_PUNCHED, &remote,
			out[i].id, now));
}

static void exchange(void)
{
	struct mesh_candidate c[16];
	unsigned n = tt_rng_below(&rng, 17);

	for (unsigned i = 0; i < n; i++) {
		c[i].kind = tt_rng_below(&rng, 2) ? MESH_CANDIDATE_HOST : MESH_CANDIDATE_REFLEXIVE;
		c[i].at = address(tt_rng_below(&rng, KNOWN));
	}
	mesh_paths_exchange(&ps, c, n, tt_rng_below(&rng, 2), now);
}

static void pass_time(void)
{
	struct tt_mono next = mesh_paths_next_deadline(&ps, &facts, now);

	switch (tt_rng_below(&rng, 40)) {
	case 0:
		now.ns += (uint64_t)tt_rng_below(&rng, 200000) * TT_NS_PER_MS;
		break;
	case 1:
	case 2:
		now.ns += (uint64_t)tt_rng_below(&rng, 2000) * TT_NS_PER_MS;
		break;
	default:
		/* a deadline may be past where an event has come since */
		next.ns = TT_MAX(next.ns, now.ns);
		now.ns = TT_MIN(next.ns, now.ns + tt_rng_below(&rng, 300) * TT_NS_PER_MS);
	}
}

static void data(void)
{
	facts.last_data_tx = now;
	if (tt_rng_below(&rng, 3) == 0)
		facts.unanswered_tx_since = (struct tt_mono){0};
	else if (!tt_mono_is_set(facts.unanswered_tx_since))
		facts.unanswered_tx_since = now;
}

static void event(void)
{
	struct tt_endpoint e = address(tt_rng_below(&rng, KNOWN));
	unsigned relay = tt_rng_below(&rng, 2);

	switch (tt_rng_below(&rng, 24)) {
	case 0:
		mesh_paths_wanted(&ps, now);
		break;
	case 1:
		if (tt_rng_below(&rng, 4) == 0) {
			relay_up[relay] = tt_rng_below(&rng, 3) > 0;
			mesh_paths_relay(&ps, relay ? MESH_PATH_RELAY_UDP : MESH_PATH_RELAY_TCP,
					 relay_up[relay], now);
		}
		break;
	case 2:
		mesh_paths_hint(&ps, &e);
		is_hint[e.ip.b[3]] = true;
		break;
	case 3:
		exchange();
		break;
	case 4:
		if (tt_rng_below(&rng, 10) == 0)
			mesh_paths_network_changed(&ps, now);
		break;
	case 5:
	case 6:
		mesh_paths_heard(&ps, random_kind(), &e, now);
		heard[e.ip.b[3]] = true;
		break;
	case 7:
		mesh_paths_check_came(&ps, random_kind(), &e, now);
		break;
	case 8:
		mesh_paths_offer_again(&ps);
		if (tt_rng_below(&rng, 10) == 0)
			mesh_paths_too_narrow(&ps, now);
		break;
	case 9:
	case 10:
	case 11:
		data();
		break;
	case 12:
	case 13:
	case 14:
	case 15:
	case 16:
		answer();
		break;
	default:
		pass_time();
	}
	CU_ASSERT_PTR_NOT_NULL(mesh_paths_why_not_direct(&ps));
}

static void random_events(void)
{
	for (unsigned s = 0; s < 5; s++) {
		set_up(s + 1);
		for (unsigned i = 0; i < EVENTS / 5; i++) {
			event();
			if (tt_rng_below(&rng, 3))
				run();
		}
	}
}

/* With nothing but time, every machine comes to rest. */
static void comes_to_rest(void)
{
	for (unsigned s = 0; s < 50; s++) {
		set_up(100 + s);
		for (unsigned i = 0; i < 200; i++) {
			event();
			run();
		}
		unsigned runs = 0;
		for (; runs < 2000; runs++) {
			struct tt_mono next = mesh_paths_next_deadline(&ps, &facts, now);
			if (next.ns == UINT64_MAX)
				break;
			now = next;
			run();
		}
		CU_ASSERT(runs < 2000);
	}
}

TT_TESTS("path model", {"random events", random_events}, {"comes to rest", comes_to_rest})

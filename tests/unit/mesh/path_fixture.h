/* SPDX-License-Identifier: MIT
 *
 * A choice of paths on a virtual clock, and a small peer that answers checks over the ways that a
 * test opens. Included by one test program at a time.
 */
#ifndef TT_TEST_PATH_FIXTURE_H
#define TT_TEST_PATH_FIXTURE_H

#include "tt_test.h"

#include "mesh/path_impl.h"

#define MS(n)	  ((uint64_t)(n)*TT_NS_PER_MS)
#define SEC(n)	  ((uint64_t)(n)*TT_NS_PER_SEC)
#define WAYS	  16
#define FLIGHT	  512
#define CHECKS_1S 106 /* no second has more: a burst, an allowance, the path in use */

static struct mesh_paths ps;
static struct mesh_path_facts facts;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;

/* Ways over which the peer answers, by the remote's last byte; relays at 0 and 1. */
struct way {
	bool open;
	uint64_t rtt;
};
static struct way way[WAYS];

struct answer {
	struct tt_mono at;
	uint8_t kind;
	struct tt_endpoint remote;
	uint8_t id[MESH_CHECK_ID_LEN];
};
static struct answer flight[FLIGHT];
static unsigned in_flight;

static unsigned checks, selects, exchanges, answers, opens, runs;
static bool sending; /* data goes out all the time */
static bool data_comes;
static struct tt_mono check_times[1024];

static inline struct tt_endpoint address(unsigned n)
{
	struct tt_endpoint e = {.ip = tt_ip_v4_host(0xc0000200 + n), .udp_port = 7};

	return e;
}

static inline void set_up(void)
{
	mesh_paths_init(&ps);
	memset(&facts, 0, sizeof(facts));
	memset(way, 0, sizeof(way));
	in_flight = checks = selects = exchanges = answers = opens = runs = 0;
	memset(check_times, 0, sizeof(check_times));
	sending = data_comes = false;
	rng = tt_rng_seeded_init(&seed, 9);
	now = (struct tt_mono){SEC(1000)};
}

static inline enum mesh_path_kind kind(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	return p ? (enum mesh_path_kind)p->kind : MESH_PATH_NONE;
}

static inline unsigned remote(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	return p && !mesh_path_is_relay(p) ? p->remote.ip.b[3] : 0;
}

static inline struct way *way_of(const struct mesh_path *p)
{
	if (p->kind == MESH_PATH_RELAY_TCP)
		return &way[0];
	return p->kind == MESH_PATH_RELAY_UDP ? &way[1] : &way[p->remote.ip.b[3] % WAYS];
}

static inline void send_check(const struct mesh_path_action *a)
{
	const struct mesh_path *p = &ps.path[a->index];
	const struct way *w = way_of(p);

	/* no more than the bound in any second */
	struct tt_mono *slot = &check_times[checks % CHECKS_1S];
	CU_ASSERT(slot->ns == 0 || tt_mono_since(now, *slot) >= SEC(1));
	*slot = now;
	checks++;
	CU_ASSERT(mesh_paths_awaits(&ps, (enum mesh_path_kind)p->kind, &p->remote, a->id));
	if (!w->open || in_flight == FLIGHT)
		return;
	struct answer *to = &flight[in_flight++];
	*to = (struct answer){tt_mono_add_ns(now, w->rtt), p->kind, p->remote, {0}};
	memcpy(to->id, a->id, sizeof(to->id));
}

static inline unsigned run(void)
{
	struct mesh_path_action a[MESH_PATH_ACTIONS_MAX];
	unsigned n = mesh_paths_run(&ps, &facts, now, &rng, a), selected = 0;

	runs++;
	for (unsigned i = 0; i < n; i++) {
		selected += a[i].act == MESH_ACT_SELECT;
		exchanges += a[i].act == MESH_ACT_EXCHANGE;
		answers += a[i].act == MESH_ACT_ANSWER;
		opens += a[i].act == MESH_ACT_OPEN_RELAY;
		if (a[i].act == MESH_ACT_CHECK)
			send_check(&a[i]);
	}
	CU_ASSERT(selected <= 1);
	selects += selected;
	CU_ASSERT(mesh_paths_next_deadline(&ps, &facts, now).ns > now.ns);
	return n;
}

static inline void deliver(void)
{
	for (unsigned i = 0; i < in_flight;) {
		struct answer a = flight[i];
		if (tt_mono_before(now, a.at)) {
			i++;
			continue;
		}
		flight[i] = flight[--in_flight];
		mesh_paths_check_answered(&ps, (enum mesh_path_kind)a.kind, &a.remote, a.id, now);
	}
}

/* Data in both directions over the path in use, as far as the test wants it. */
static inline void traffic(void)
{
	const struct mesh_path *p = mesh_paths_selected(&ps);

	if (!sending)
		return;
	facts.last_data_tx = now;
	if (p && data_comes && way_of(p)->open) {
		facts.unanswered_tx_since = (struct tt_mono){0};
		mesh_paths_heard(&ps, (enum mesh_path_kind)p->kind, &p->remote, now);
	} else if (!tt_mono_is_set(facts.unanswered_tx_since)) {
		facts.unanswered_tx_since = now;
	}
}

/* Time passes; runs only at deadlines and where something happens. */
static inline void pass(uint64_t ns)
{
	struct tt_mono end = tt_mono_add_ns(now, ns);

	run();
	while (tt_mono_before(now, end)) {
		struct tt_mono next = mesh_paths_next_deadline(&ps, &facts, now);

		next.ns = TT_MIN(next.ns, end.ns);
		for (unsigned i = 0; i < in_flight; i++)
			next.ns = TT_MIN(next.ns, TT_MAX(flight[i].at.ns, now.ns + 1));
		if (sending)
			next.ns = TT_MIN(next.ns, now.ns + MS(50));
		CU_ASSERT_FATAL(next.ns > now.ns);
		now = next;
		traffic();
		deliver();
		run();
	}
}

static inline void names(unsigned from, unsigned n, uint8_t what, bool asks)
{
	struct mesh_candidate c[16];

	for (unsigned i = 0; i < n; i++) {
		c[i].kind = what;
		c[i].at = address(from + i);
	}
	mesh_paths_exchange(&ps, c, n, asks, now);
}

/* Relayed by TCP, with traffic. */
static inline void relayed(void)
{
	set_up();
	way[0] = (struct way){true, MS(40)};
	mesh_paths_relay(&ps, MESH_PATH_RELAY_TCP, true, now);
	mesh_paths_wanted(&ps, now);
	sending = data_comes = true;
	pass(MS(1));
}

static inline void direct(void)
{
	relayed();
	way[5] = (struct way){true, MS(20)};
	names(5, 1, MESH_CANDIDATE_HOST, false);
	pass(MS(500));
	CU_ASSERT_EQUAL(kind(), MESH_PATH_DIRECT);
}

/* Until the path in use is another kind; ns, or the limit. */
static inline uint64_t until_not(enum mesh_path_kind k, uint64_t limit)
{
	struct tt_mono begin = now;

	while (kind() == k && tt_mono_since(now, begin) < limit)
		pass(MS(5));
	return tt_mono_since(now, begin);
}

#endif

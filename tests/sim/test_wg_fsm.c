/* SPDX-License-Identifier: MIT
 *
 * Random events against two nodes, and what must hold after each of them: no counter used twice, no
 * packet delivered twice, no endpoint moved by what was not authentic, initiations 5 s apart, every
 * session in exactly one slot with exactly one index, deadlines in the future. At the end the two
 * must find each other again.
 */
#include "tt_test.h"

#include "wg_sim.h"

#define EVENTS 600
#define SEEN   (1u << 14)

static struct sim sim;
static struct tt_endpoint attacker;
static uint64_t sent[SEEN];
static uint32_t counters_reused, moved_by_attacker, slots_wrong, deadlines_wrong, not_recovered;
static struct sim_datagram recorded[32];
static uint32_t recorded_count;

/* Remembers (receiver index, counter) of each packet; a second one is nonce reuse, for an index
 * stands for one key. */
static void note_counter(const struct sim_datagram *d)
{
	uint64_t id = tt_load_le64(d->bytes + 8) << 32 | tt_load_le32(d->bytes + 4);
	uint32_t at = (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 50);

	for (; sent[at]; at = (at + 1) & (SEEN - 1)) {
		if (sent[at] == id) {
			counters_reused++;
			return;
		}
	}
	sent[at] = id;
}

static bool record(struct sim *s, struct sim_datagram *d)
{
	(void)s;
	if (d->bytes[0] == WG_MSG_DATA)
		note_counter(d);
	recorded[recorded_count++ % 32] = *d;
	return true;
}

static void ev_send(int node)
{
	for (uint32_t n = tt_rng_below(&sim.rng, 4); n > 0; n--)
		sim_send(&sim, node);
}

/* A recorded datagram again, from where it came. */
static void ev_replay(void)
{
	struct sim_datagram *d = &recorded[tt_rng_below(&sim.rng, 32)];

	for (int i = 0; i < 2; i++)
		if (d->len && tt_endpoint_equal(&sim.node[i].address, &d->to))
			sim_inject(&sim, i, &d->from, d->bytes, d->len);
}

/* A recorded datagram with bits changed, mac1 put right, from the attacker. */
static void ev_forge(void)
{
	struct sim_datagram d = recorded[tt_rng_below(&sim.rng, 32)];
	int node = (int)tt_rng_below(&sim.rng, 2);

	if (!d.len)
		return;
	uint32_t at = 4 + tt_rng_below(&sim.rng, (uint32_t)d.len - 4);
	if (d.bytes[0] == WG_MSG_INITIATION || d.bytes[0] == WG_MSG_RESPONSE) {
		/* past the sender's index, which nobody authenticates */
		at = 8 + tt_rng_below(&sim.rng, (uint32_t)d.len - 8 - 2 * WG_MAC_LEN);
		struct wg_cookie c = {.keys = sim.node[node].dev.cookie.keys};
		d.bytes[at] ^= (uint8_t)(1 + tt_rng_below(&sim.rng, 255));
		wg_cookie_stamp(&c, d.bytes, d.len, sim.now);
	} else {
		d.bytes[at] ^= (uint8_t)(1 + tt_rng_below(&sim.rng, 255));
	}
	sim_inject(&sim, node, &attacker, d.bytes, d.len);
}

static void ev_roam(int node)
{
	sim.node[node].address.udp_port = (uint16_t)(1024 + tt_rng_below(&sim.rng, 60000));
}

static void ev_restart(int node)
{
	struct sim_peer *p = sim_peer(&sim, node);

	p->endpoint = sim.node[!node].address;
	p->last_initiation = (struct tt_mono){0};
	wg_timers_restart(&p->wg.timers);
}

static void ev_expire(int node)
{
	struct sim_peer *p = sim_peer(&sim, node);
	struct wg_displaced out;

	wg_peer_expire(&sim.node[node].dev, &p->wg, sim.now, &out);
	for (uint32_t i = 0; i < out.count; i++) {
		free(out.session[i]);
		sim.node[node].sessions_live--;
	}
}

static void ev_network(void)
{
	sim.loss_pct = tt_rng_below(&sim.rng, 3) * 20;
	sim.dup_pct = tt_rng_below(&sim.rng, 3) * 10;
	sim.delay_ns = tt_rng_below(&sim.rng, 200) * TT_NS_PER_MS;
	sim.jitter_ns = tt_rng_below(&sim.rng, 100) * TT_NS_PER_MS;
}

static void event(void)
{
	int node = (int)tt_rng_below(&sim.rng, 2);

	switch (tt_rng_below(&sim.rng, 24)) {
	case 0:
		sim_run(&sim, tt_rng_below(&sim.rng, 700));
		break;
	case 1:
		sim.now.ns += tt_rng_below(&sim.rng, 400) * TT_NS_PER_SEC; /* suspend */
		break;
	case 2:
		sim.node[node].deaf = !sim.node[node].deaf;
		break;
	case 3:
		sim.node[node].under_load = !sim.node[node].under_load;
		break;
	case 4:
		ev_roam(node);
		break;
	case 5:
		ev_restart(node);
		break;
	case 6:
		ev_network();
		break;
	case 7:
		if (tt_rng_below(&sim.rng, 8) == 0)
			ev_expire(node);
		break;
	case 8:
		wg_timers_set_persistent(&sim_peer(&sim, node)->wg.timers,
					 (uint16_t)tt_rng_below(&sim.rng, 30), sim.now);
		break;
	case 9:
		sim.node[node].wall_offset_s += (int64_t)tt_rng_below(&sim.rng, 7200) - 3600;
		break;
	case 10:
	case 11:
		ev_replay();
		break;
	case 12:
	case 13:
	case 14:
		ev_forge();
		break;
	case 15:
	case 16:
	case 17:
		sim_run(&sim, tt_rng_below(&sim.rng, 3000) / 100.0);
		break;
	default:
		ev_send(node);
		sim_run(&sim, tt_rng_below(&sim.rng, 100) / 1000.0);
		break;
	}
}

static void check_node(int node)
{
	struct sim_node *n = &sim.node[node];
	struct wg_peer *p = &n->peer[0].wg;
	struct wg_session *slot[] = {p->previous, p->current, p->next};
	uint32_t live = 0;

	for (int i = 0; i < 3; i++) {
		if (!slot[i])
			continue;
		live++;
		slots_wrong +=
			wg_index_find(&n->dev.index, slot[i]->local_index).kind != WG_INDEX_SESSION;
		slots_wrong += slot[i] == slot[(i + 1) % 3];
	}
	slots_wrong += live != n->sessions_live;
	slots_wrong += n->dev.index.used != live + (p->handshake == WG_HANDSHAKE_INITIATED);
	slots_wrong += p->timers.current_born.ns != (p->current ? p->current->born.ns : 0);
	moved_by_attacker += tt_endpoint_equal(&n->peer[0].endpoint, &attacker);
	sim_poll(&sim, node);
	deadlines_wrong += wg_timers_next_deadline(&p->timers, &n->peer[0].facts).ns <= sim.now.ns;
}

static void recover(void)
{
	for (int i = 0; i < 2; i++) {
		sim.node[i].deaf = sim.node[i].under_load = false;
		ev_restart(i);
	}
	sim.loss_pct = sim.dup_pct = 0;
	sim.delay_ns = 10 * TT_NS_PER_MS;
	sim.jitter_ns = 0;
	sim_run(&sim, 200); /* whatever was half dead is dead then */
	not_recovered += !sim_connect(&sim);
}

static void one_life(uint64_t seed)
{
	sim_init(&sim, seed);
	tt_endpoint_parse("203.0.113.1:666", &attacker);
	memset(sent, 0, sizeof(sent));
	memset(recorded, 0, sizeof(recorded));
	sim.node[0].dev.rekey_after_bytes = seed % 2 ? 2000 : 0;
	sim.tap = record;
	for (int i = 0; i < EVENTS; i++) {
		event();
		check_node(0);
		check_node(1);
	}
	recover();
}

static void random_events(void)
{
	uint32_t handshakes = 0, delivered = 0, left = 0;

	for (uint64_t seed = 1; seed <= 30; seed++) {
		one_life(seed);
		for (int i = 0; i < 2; i++) {
			handshakes += (uint32_t)sim.node[i].dev.handshakes_done;
			delivered += sim_peer(&sim, i)->data_rx;
		}
		left += sim_end(&sim);
	}
	printf("  %u sessions made, %u packets delivered\n", handshakes, delivered);
	CU_ASSERT_EQUAL(counters_reused, 0);
	CU_ASSERT_EQUAL(moved_by_attacker, 0);
	CU_ASSERT_EQUAL(slots_wrong, 0);
	CU_ASSERT_EQUAL(deadlines_wrong, 0);
	CU_ASSERT_EQUAL(not_recovered, 0);
	CU_ASSERT_EQUAL(left, 0);
	CU_ASSERT(handshakes > 500);
}

TT_TESTS("wg_fsm", {"random events against invariants", random_events})

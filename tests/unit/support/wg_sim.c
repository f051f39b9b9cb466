/* SPDX-License-Identifier: MIT */
#include "wg_sim.h"

#include <stdlib.h>
#include "crypto/mem.h"
#include "crypto/x25519.h"

#define PAYLOAD 64

static void sim_flush(struct sim_node *n, struct sim_peer *p);

struct tt_wall sim_wall(const struct sim_node *n)
{
	return (struct tt_wall){(uint64_t)(1700000000 + n->wall_offset_s) +
					n->sim->now.ns / TT_NS_PER_SEC,
				(uint32_t)(n->sim->now.ns % TT_NS_PER_SEC)};
}

/* --- network ---------------------------------------------------------------------------------- */

static void sim_enqueue(struct sim *sim, const struct sim_datagram *d)
{
	uint64_t jitter =
		sim->jitter_ns ? tt_rng_below(&sim->rng, (uint32_t)sim->jitter_ns + 1) : 0;

	for (int i = 0; i < SIM_FLIGHT; i++) {
		if (sim->flight[i].due)
			continue;
		sim->flight[i] = *d;
		sim->flight[i].due = sim->now.ns + sim->delay_ns + jitter;
		sim->flight_high = TT_MAX(sim->flight_high, i + 1);
		return;
	}
	sim->overflow++;
}

void sim_transmit(struct sim *sim, const struct tt_endpoint *from, const struct tt_endpoint *to,
		  const void *bytes, size_t len)
{
	struct sim_datagram d = {.from = *from, .to = *to, .len = len};

	memcpy(d.bytes, bytes, len);
	if (sim->tap && !sim->tap(sim, &d))
		return;
	if (tt_rng_below(&sim->rng, 100) < sim->loss_pct)
		return;
	sim_enqueue(sim, &d);
	if (tt_rng_below(&sim->rng, 100) < sim->dup_pct)
		sim_enqueue(sim, &d);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void sim_release(struct sim_node *n, const struct wg_displaced *out)
{
	for (uint32_t i = 0; i < out->count; i++) {
		crypto_wipe(out->session[i], sizeof(*out->session[i]));
		free(out->session[i]);
		n->sessions_live--;
	}
}

static struct wg_session *sim_find_session(struct sim_node *n, uint32_t index,
					   struct sim_peer **owner)
{
	struct wg_index_ref ref = wg_index_find(&n->dev.index, index);

	if (ref.kind != WG_INDEX_SESSION)
		return NULL;
	struct sim_peer *p = &n->peer[ref.peer];
	struct wg_session *all[] = {p->wg.previous, p->wg.current, p->wg.next};
	for (int i = 0; i < 3; i++) {
		if (all[i] && all[i]->local_index == index) {
			*owner = p;
			return all[i];
		}
	}
	abort(); /* an index that leads nowhere */
}

/* --- sending ---------------------------------------------------------------------------------- */

static void sim_emit(struct sim_node *n, struct sim_peer *p, const void *bytes, size_t len)
{
	if (tt_endpoint_is_set(&p->endpoint))
		sim_transmit(n->sim, &n->address, &p->endpoint, bytes, len);
}

static bool sim_seal(struct sim_node *n, struct sim_peer *p, const uint8_t *plain, size_t len)
{
	struct wg_session *s = wg_peer_sending_session(&p->wg, n->sim->now);
	uint8_t packet[PAYLOAD + WG_DATA_OVERHEAD];

	if (!s)
		return false;
	enum wg_session_use use = wg_data_seal(s, n->sim->now, plain, len, 1420, packet);
	if (use == WG_SESSION_DEAD)
		return false;
	if (use == WG_SESSION_USABLE_REKEY && !atomic_exchange(&s->rekey_asked, true))
		p->facts.need_handshake = true;
	p->facts.last_tx = n->sim->now;
	p->facts.unanswered_rx_since = (struct tt_mono){0};
	sim_emit(n, p, packet, wg_data_padded_len(len, 1420) + WG_DATA_OVERHEAD);
	return true;
}

static bool sim_seal_data(struct sim_node *n, struct sim_peer *p, uint64_t seq)
{
	uint8_t plain[PAYLOAD] = {0};

	tt_store_le64(plain, seq);
	if (!sim_seal(n, p, plain, sizeof(plain)))
		return false;
	p->data_tx++;
	p->facts.last_data_tx = n->sim->now;
	if (!tt_mono_is_set(p->facts.unanswered_tx_since))
		p->facts.unanswered_tx_since = n->sim->now;
	return true;
}

static void sim_keepalive(struct sim_node *n, struct sim_peer *p)
{
	p->keepalives += sim_seal(n, p, NULL, 0);
}

static void sim_flush(struct sim_node *n, struct sim_peer *p)
{
	uint32_t count = p->staged_count;

	p->staged_count = 0;
	for (uint32_t i = 0; i < count; i++)
		sim_seal_data(n, p, p->staged[i]);
}

void sim_send_to(struct sim *sim, int a, tt_peer_id peer)
{
	struct sim_node *n = &sim->node[a];
	struct sim_peer *p = &n->peer[peer];
	uint64_t seq = sim->next_seq++ % SIM_SEQS;

	if (tt_mono_before(sim->now, n->up_at))
		return;
	if (!sim_seal_data(n, p, seq)) {
		if (p->staged_count < SIM_STAGED)
			p->staged[p->staged_count++] = seq;
		p->facts.need_handshake = true;
	}
	sim_poll(sim, a);
}

void sim_send(struct sim *sim, int a)
{
	sim_send_to(sim, a, 0);
}

/* --- control ---------------------------------------------------------------------------------- */

enum wg_initiate_outcome sim_make_initiation(struct sim *sim, int node,
					     struct wg_msg_initiation *out)
{
	struct sim_node *n = &sim->node[node];

	return wg_peer_initiate(&n->dev, &n->peer[0].wg, sim->now, sim_wall(n), &n->rng, out);
}

static void sim_initiate(struct sim_node *n, struct sim_peer *p)
{
	struct wg_msg_initiation msg;
	struct tt_mono now = n->sim->now;

	if (wg_peer_initiate(&n->dev, &p->wg, now, sim_wall(n), &n->rng, &msg) != WG_INITIATE_OK)
		return;
	if (tt_mono_is_set(p->last_initiation) &&
	    tt_mono_since(now, p->last_initiation) < WG_REKEY_TIMEOUT_NS && !n->sim->restarted)
		n->sim->too_early++;
	p->last_initiation = now;
	p->initiations++;
	sim_emit(n, p, &msg, sizeof(msg));
}

static void sim_act(struct sim_node *n, struct sim_peer *p)
{
	struct wg_displaced out;
	uint32_t a = wg_peer_run_timers(&n->dev, &p->wg, &p->facts, n->sim->now, &n->rng, &out);

	p->facts.need_handshake = false;
	sim_release(n, &out);
	p->unanswered += (a & WG_TIMER_UNANSWERED) != 0;
	p->give_ups += (a & WG_TIMER_GIVE_UP) != 0;
	p->zeroed += (a & WG_TIMER_ZERO_KEYS) != 0;
	if (a & (WG_TIMER_UNANSWERED | WG_TIMER_GIVE_UP))
		p->staged_count = 0;
	if (a & WG_TIMER_INITIATE)
		sim_initiate(n, p);
	if (a & (WG_TIMER_KEEPALIVE | WG_TIMER_PERSISTENT))
		sim_keepalive(n, p);
}

void sim_poll(struct sim *sim, int node)
{
	struct sim_node *n = &sim->node[node];

	for (int i = 0; i < SIM_PEERS; i++) {
		if (!n->peer[i].used)
			continue;
		sim_act(n, &n->peer[i]);
		if (n->peer[i].facts.need_handshake) /* a keepalive found its session old */
			sim_act(n, &n->peer[i]);
	}
}

/* --- receiving -------------------------------------------------------------------------------- */

static void sim_confirm(struct sim_node *n, struct sim_peer *p)
{
	enum wg_confirm_outcome outcome;

	do {
		struct wg_displaced out;

		outcome = wg_peer_confirm(&n->dev, &p->wg, n->sim->now, sim_wall(n), &out);
		p->promoted += outcome == WG_CONFIRM_PROMOTED;
		p->switched += outcome == WG_CONFIRM_SWITCHED;
		p->kept += outcome == WG_CONFIRM_KEPT;
		sim_release(n, &out);
		if (outcome != WG_CONFIRM_NOTHING)
			sim_flush(n, p);
	} while (outcome != WG_CONFIRM_NOTHING);
}

static void sim_data_facts(struct sim_node *n, struct sim_peer *p, const uint8_t *plain, size_t len)
{
	struct wg_facts *f = &p->facts;

	f->last_rx = n->sim->now;
	f->unanswered_tx_since = (struct tt_mono){0};
	if (len == 0) {
		p->keepalive_rx++;
		return;
	}
	f->last_data_rx = n->sim->now;
	if (!tt_mono_is_set(f->unanswered_rx_since))
		f->unanswered_rx_since = n->sim->now;
	uint64_t seq = tt_load_le64(plain) % SIM_SEQS;
	n->duplicates += n->seen[seq];
	n->seen[seq] = 1;
	p->data_rx++;
}

static enum tt_drop sim_rx_data(struct sim_node *n, const struct tt_endpoint *from,
				const uint8_t *bytes, size_t len)
{
	uint8_t plain[SIM_MTU];
	struct wg_data_opened opened;
	struct sim_peer *p;

	if (len < WG_DATA_MIN)
		return TT_DROP_RX_TOO_SHORT;
	struct wg_session *s = sim_find_session(n, tt_load_le32(bytes + 4), &p);
	if (!s)
		return TT_DROP_DATA_UNKNOWN_INDEX;
	enum tt_drop drop = wg_data_open(s, n->sim->now, bytes, len, plain, &opened);
	if (drop != TT_DROP_NONE)
		return drop;
	if (opened.newest)
		p->endpoint = *from;
	sim_data_facts(n, p, plain, opened.len);
	if (s == p->wg.current && wg_session_rekey_on_receive(s, n->sim->now) &&
	    !atomic_exchange(&s->rekey_asked, true))
		p->facts.need_handshake = true;
	if (s != p->wg.current)
		sim_confirm(n, p);
	return TT_DROP_NONE;
}

static enum tt_drop sim_rx_handshake(struct sim_node *n, const struct tt_endpoint *from,
				     const uint8_t *bytes, size_t len)
{
	struct wg_session *spare = calloc(1, sizeof(*spare));
	struct wg_rx_result r;

	n->last_outcome = wg_device_receive(&n->dev, n->sim->now, sim_wall(n), &n->rng,
					    n->under_load, from, bytes, len, spare, &r);
	if (r.session)
		n->sessions_live++;
	else if (!crypto_is_zero(spare, sizeof(*spare)))
		abort(); /* touched without being used */
	if (!r.session)
		free(spare);
	struct sim_peer *p = r.peer == TT_PEER_NONE ? NULL : &n->peer[r.peer];
	if (r.authenticated)
		p->endpoint = *from;
	if (r.reply_len)
		sim_transmit(n->sim, &n->address, from, r.reply, r.reply_len);
	sim_release(n, &r.displaced);
	if (r.outcome == WG_RX_SESSION_READY) {
		p->ready++;
		if (p->staged_count)
			sim_flush(n, p);
		else
			sim_keepalive(n, p);
	}
	return r.reason;
}

enum tt_drop sim_inject(struct sim *sim, int node, const struct tt_endpoint *from,
			const uint8_t *bytes, size_t len)
{
	struct sim_node *n = &sim->node[node];

	if (wg_message_type_of(bytes, len) == WG_MSG_DATA)
		n->last_drop = sim_rx_data(n, from, bytes, len);
	else
		n->last_drop = sim_rx_handshake(n, from, bytes, len);
	n->rx_drops[n->last_drop]++;
	sim_poll(sim, node);
	return n->last_drop;
}

static void sim_deliver(struct sim *sim, struct sim_datagram *slot)
{
	struct sim_datagram d = *slot;

	slot->due = 0;
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &sim->node[i];
		if (!tt_endpoint_equal(&n->address, &d.to) || n->deaf)
			continue;
		if (!tt_mono_before(sim->now, n->up_at))
			sim_inject(sim, i, &d.from, d.bytes, d.len);
		else if (n->sockets_stay)
			slot->due = n->up_at.ns;
	}
}

/* --- the clock -------------------------------------------------------------------------------- */

static struct sim_datagram *sim_earliest(struct sim *sim)
{
	struct sim_datagram *best = NULL;

	while (sim->flight_high && !sim->flight[sim->flight_high - 1].due)
		sim->flight_high--;
	for (int i = 0; i < sim->flight_high; i++)
		if (sim->flight[i].due && (!best || sim->flight[i].due < best->due))
			best = &sim->flight[i];
	return best;
}

static uint64_t sim_next_timer(struct sim *sim, int *node)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < SIM_NODES; i++) {
		for (int j = 0; j < SIM_PEERS; j++) {
			struct sim_peer *p = &sim->node[i].peer[j];
			if (!p->used)
				continue;
			uint64_t due = wg_timers_next_deadline(&p->wg.timers, &p->facts).ns;
			due = TT_MAX(due, sim->node[i].up_at.ns);
			if (due < best) {
				best = due;
				*node = i;
			}
		}
	}
	return best;
}

void sim_run(struct sim *sim, double seconds)
{
	uint64_t end = sim->now.ns + (uint64_t)(seconds * 1e9);

	for (;;) {
		int node = 0;
		struct sim_datagram *d = sim_earliest(sim);
		uint64_t timer = sim_next_timer(sim, &node);
		uint64_t due = d ? TT_MIN(d->due, timer) : timer;
		if (due > end)
			break;
		sim->now.ns = TT_MAX(sim->now.ns, due);
		if (d && d->due <= timer)
			sim_deliver(sim, d);
		else
			sim_poll(sim, node);
	}
	sim->now.ns = end;
}

/* --- a node that dies and comes back ---------------------------------------------------------- */

static void sim_peer_reborn(struct sim_node *n, tt_peer_id id)
{
	struct sim_peer *p = &n->peer[id];
	struct wg_displaced out;
	uint8_t public_key[WG_KEY_LEN], psk[WG_KEY_LEN];
	tt_peer_id again;

	memcpy(public_key, p->wg.remote.public_key, WG_KEY_LEN);
	memcpy(psk, p->wg.remote.psk, WG_KEY_LEN);
	wg_device_remove_peer(&n->dev, id, n->sim->now, &out);
	sim_release(n, &out);
	memset(&p->wg, 0, sizeof(p->wg));
	p->facts = (struct wg_facts){0};
	p->staged_count = 0;
	p->last_initiation = (struct tt_mono){0};
	if (wg_device_add_peer(&n->dev, public_key, &p->wg, &again) != WG_ADD_PEER_OK ||
	    again != id)
		abort();
	wg_peer_set_psk(&p->wg, psk);
	wg_timers_want_handshake(&p->wg.timers);
}

void sim_kill(struct sim *sim, int node, double seconds, bool sockets_stay)
{
	struct sim_node *n = &sim->node[node];

	n->up_at = tt_mono_add_ns(sim->now, (uint64_t)(seconds * 1e9));
	n->sockets_stay = sockets_stay;
	for (tt_peer_id id = 0; id < SIM_PEERS; id++)
		if (n->peer[id].used)
			sim_peer_reborn(n, id);
	/* the successor remembers no index; what is drawn anew must not collide by chance only */
	wg_index_init(&n->dev.index, n->indices, TT_ARRAY_LEN(n->indices));
}

/* --- set-up ----------------------------------------------------------------------------------- */

static void sim_node_init(struct sim *sim, int i)
{
	struct sim_node *n = &sim->node[i];
	uint8_t key[WG_KEY_LEN];
	bool changed;

	n->sim = sim;
	n->rng = tt_rng_seeded_init(&n->seed, tt_rng_u32(&sim->rng));
	uint8_t v4[4] = {192, 0, 2, (uint8_t)(i + 1)};
	n->address = (struct tt_endpoint){.ip = tt_ip_v4(v4), .udp_port = 51820};
	struct wg_device_memory m = {n->peer_slots, n->peer_buckets, SIM_PEERS,	       n->indices,
				     256,	    n->limits,	     n->limit_buckets, 64};
	wg_device_init(&n->dev, &m, &n->rng);
	tt_rng_fill(&n->rng, key, sizeof(key));
	wg_device_set_private_key(&n->dev, key, sim->now, &changed);
}

static tt_peer_id sim_add(struct sim *sim, int a, int b, const uint8_t psk[WG_KEY_LEN])
{
	struct sim_node *n = &sim->node[a];
	tt_peer_id id;
	int slot = 0;

	while (n->peer[slot].used)
		slot++;
	if (wg_device_add_peer(&n->dev, sim->node[b].dev.self.public_key, &n->peer[slot].wg, &id) !=
		    WG_ADD_PEER_OK ||
	    (int)id != slot)
		abort();
	n->peer[slot].used = true;
	n->peer[slot].endpoint = sim->node[b].address;
	wg_peer_set_psk(&n->peer[slot].wg, psk);
	return id;
}

tt_peer_id sim_pair(struct sim *sim, int a, int b)
{
	uint8_t psk[WG_KEY_LEN];

	tt_rng_fill(&sim->rng, psk, sizeof(psk));
	sim_add(sim, b, a, psk);
	return sim_add(sim, a, b, psk);
}

void sim_init(struct sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->rng = tt_rng_seeded_init(&sim->seed, seed);
	sim->now = (struct tt_mono){1000 * TT_NS_PER_SEC};
	sim->delay_ns = 10 * TT_NS_PER_MS;
	for (int i = 0; i < SIM_NODES; i++)
		sim_node_init(sim, i);
	sim_pair(sim, 0, 1);
}

bool sim_connect(struct sim *sim)
{
	uint32_t rx0 = sim_peer(sim, 0)->data_rx, rx1 = sim_peer(sim, 1)->data_rx;

	for (int i = 0; i < 10; i++) {
		sim_send(sim, 0);
		sim_run(sim, 0.5);
		sim_send(sim, 1);
		sim_run(sim, 0.5);
		if (sim_peer(sim, 0)->data_rx > rx0 && sim_peer(sim, 1)->data_rx > rx1)
			return true;
	}
	return false;
}

uint32_t sim_end(struct sim *sim)
{
	uint32_t left = 0;

	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &sim->node[i];
		for (tt_peer_id id = 0; id < SIM_PEERS; id++) {
			struct wg_displaced out;
			if (!n->peer[id].used)
				continue;
			wg_device_remove_peer(&n->dev, id, sim->now, &out);
			sim_release(n, &out);
			n->peer[id].used = false;
		}
		left += n->sessions_live + n->dev.index.used + n->duplicates;
	}
	return left + sim->too_early;
}

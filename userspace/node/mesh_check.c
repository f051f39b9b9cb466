/* SPDX-License-Identifier: MIT
 *
 * Checks and offers of one peer, to and from the wire.
 */
#include <errno.h>

#include "crypto/mem.h"
#include "node/mesh_impl.h"

#define CHECK_BYTES 2048

static bool pair_of(struct node_mesh *m, struct node_mesh_peer *p, struct mesh_pair *pair)
{
	pair->own_key = m->opt.rules.own_public_key;
	pair->peer_key = p->key;
	pair->static_static = p->peer ? node_peer_shared_secret(m->opt.device, p->peer) : NULL;
	return pair->static_static != NULL;
}

/* --- ufrags ----------------------------------------------------------------------------------- */

static uint32_t slot_of(const uint8_t ufrag[MESH_UFRAG_LEN])
{
	return tt_load_le32(ufrag) % NODE_MESH_UFRAG_SLOTS;
}

static void unlist(struct node_mesh *m, struct node_mesh_ufrag *u)
{
	struct node_mesh_ufrag **at = &m->ufrags[slot_of(u->ufrag)];

	if (!u->listed)
		return;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	u->listed = false;
}

void node_mesh_forget_ufrags(struct node_mesh *m, struct node_mesh_peer *p)
{
	unlist(m, &p->ufrag[0]);
	unlist(m, &p->ufrag[1]);
}

static void list_ufrags(struct node_mesh *m, struct node_mesh_peer *p)
{
	node_mesh_forget_ufrags(m, p);
	for (unsigned i = 0; i < 2; i++) {
		struct node_mesh_ufrag *u = &p->ufrag[i];
		if (!p->keys.local[i].set)
			continue;
		memcpy(u->ufrag, p->keys.local[i].ufrag, MESH_UFRAG_LEN);
		u->peer = p;
		u->listed = true;
		u->next = m->ufrags[slot_of(u->ufrag)];
		m->ufrags[slot_of(u->ufrag)] = u;
	}
}

static struct node_mesh_peer *find_by_ufrag(struct node_mesh *m,
					    const uint8_t ufrag[MESH_UFRAG_LEN])
{
	for (struct node_mesh_ufrag *u = m->ufrags[slot_of(ufrag)]; u; u = u->next)
		if (memcmp(u->ufrag, ufrag, MESH_UFRAG_LEN) == 0)
			return u->peer;
	return NULL;
}

/* --- offers ----------------------------------------------------------------------------------- */

void node_mesh_send_offer(struct node_mesh *m, struct node_mesh_peer *p, bool asks)
{
	Taltun__Hub__V1__ToHub msg = TALTUN__HUB__V1__TO_HUB__INIT;
	Taltun__Hub__V1__Signal signal = TALTUN__HUB__V1__SIGNAL__INIT;
	uint8_t sealed[MESH_EXCHANGE_MAX], nonce[MESH_EXCHANGE_NONCE];
	struct mesh_offer offer = {.asks = asks};
	struct mesh_pair pair;
	struct tt_wall wall = node_mesh_hub_clock(m);

	if (!pair_of(m, p, &pair))
		return;
	/* peers refuse what is not newer */
	m->generation = TT_MAX(m->generation + 1, wall.sec * 1000 + wall.nsec / 1000000);
	mesh_check_renew(&p->keys, &m->opt.rng);
	list_ufrags(m, p);
	offer.generation = m->generation;
	memcpy(offer.ufrag, p->keys.local[0].ufrag, MESH_UFRAG_LEN);
	memcpy(offer.key, p->keys.local[0].key, MESH_CHECK_KEY_LEN);
	offer.count = (uint8_t)node_mesh_candidates(m, offer.candidate);
	tt_rng_fill(&m->opt.rng, nonce, sizeof(nonce));
	size_t len = mesh_exchange_seal(sealed, &offer, &pair, nonce);

	crypto_wipe(&offer, sizeof(offer));
	signal.node_id = p->node_id;
	signal.sealed = mesh_hub_bytes(sealed, len);
	msg.message_case = TALTUN__HUB__V1__TO_HUB__MESSAGE_SIGNAL;
	msg.signal = &signal;
	node_hub_link_send(m->link, &msg);
}

/* What is reached by a tunnel is no way for a tunnel. */
static void leave_out_inside(struct node_mesh *m, struct mesh_offer *o)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < o->count; i++)
		if (!dp_plane_is_inside(node_device_plane(m->opt.device), &o->candidate[i].at.ip))
			o->candidate[kept++] = o->candidate[i];
	o->count = (uint8_t)kept;
}

void node_mesh_take_offer(struct node_mesh *m, struct node_mesh_peer *p, const uint8_t *sealed,
			  size_t len)
{
	struct mesh_offer offer;
	struct mesh_pair pair;
	struct tt_mono now = plat_clock_mono();

	if (!pair_of(m, p, &pair) ||
	    mesh_exchange_open(&offer, sealed, len, &pair) != MESH_EXCHANGE_OK) {
		m->drops[TT_DROP_STUN_INTEGRITY]++;
		return;
	}
	if (mesh_check_accept(&p->keys, &offer, now)) {
		leave_out_inside(m, &offer);
		mesh_paths_exchange(&p->paths, offer.candidate, offer.count, offer.asks, now);
		/* the first offer of a peer finds us without keys of our own: checks begin with
		 * our answer */
		node_mesh_run_peer(m, p);
	}
	crypto_wipe(&offer, sizeof(offer));
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Who was asked with this id. Two that share a place are rare, and one of them is asked again. */
static uint32_t *asked_with(struct node_mesh *m, const uint8_t id[MESH_CHECK_ID_LEN])
{
	return &m->asked[tt_load_le32(id) % NODE_MESH_ASKED_SLOTS];
}

/* Over a path of the peer, whatever its kind. */
static void send_over(struct node_mesh *m, struct node_mesh_peer *p, enum mesh_path_kind kind,
		      const struct tt_endpoint *to, const uint8_t *bytes, size_t len)
{
	struct dp_route r;

	memset(&r, 0, sizeof(r));
	switch (kind) {
	case MESH_PATH_RELAY_TCP:
		r.via = DP_VIA_RELAY_TCP;
		r.tag = p->node_id;
		break;
	case MESH_PATH_RELAY_UDP:
		if (!mesh_relay_bind_is_usable(&p->bind))
			return;
		r.via = DP_VIA_RELAY_UDP;
		r.tag = p->bind.tag;
		r.dest.to = *mesh_relay_bind_address(&p->bind);
		break;
	default:
		r.dest.to = *to;
		break;
	}
	plat_udp_dest_prepare(&r.dest);
	/* what cannot be sent is as good as lost: checks are repeated */
	(void)node_mesh_send_route(m, &r, bytes, len);
}

void node_mesh_send_check(struct node_mesh *m, struct node_mesh_peer *p, unsigned index,
			  const uint8_t id[MESH_CHECK_ID_LEN])
{
	const struct mesh_path *path = &p->paths.path[index];
	uint8_t bytes[CHECK_BYTES];
	struct mesh_pair pair;
	size_t len;

	if (!pair_of(m, p, &pair))
		return;
	len = mesh_check_request(&p->keys, &pair, id, 0, bytes, sizeof(bytes));
	if (!len)
		return;
	*asked_with(m, id) = p->node_id;
	send_over(m, p, (enum mesh_path_kind)path->kind, &path->remote, bytes, len);
}

void node_mesh_send_probe(struct node_mesh *m, struct node_mesh_peer *p,
			  const struct mesh_pmtu_probe *probe)
{
	uint8_t bytes[MESH_RELAY_HEADER + 9000];
	const struct mesh_path *path = mesh_paths_selected(&p->paths);
	struct plat_udp_dest dest;
	struct mesh_pair pair;
	size_t before = path->kind == MESH_PATH_RELAY_UDP ? MESH_RELAY_HEADER : 0;

	if (!pair_of(m, p, &pair))
		return;
	size_t len = mesh_check_request(&p->keys, &pair, probe->id, probe->check_len,
					bytes + before, sizeof(bytes) - before);

	if (!len)
		return;
	*asked_with(m, probe->id) = p->node_id;
	memset(&dest, 0, sizeof(dest));
	dest.to = path->remote;
	if (before) {
		mesh_relay_probe_write(bytes, p->bind.tag);
		dest.to = *mesh_relay_bind_address(&p->bind);
	}
	plat_udp_dest_prepare(&dest);
	/* the kernel knows better already: that is what an answer that never comes says, too */
	if (m->opt.send_probe(m->opt.ctx, &dest, bytes, before + len) == -EMSGSIZE)
		mesh_pmtu_too_big(&p->pmtu, m->opt.route_mtu(m->opt.ctx, &dest.to.ip));
}

/* --- receiving -------------------------------------------------------------------------------- */

static enum mesh_path_kind kind_of(enum dp_via via)
{
	return via == DP_VIA_RELAY_TCP	 ? MESH_PATH_RELAY_TCP
	       : via == DP_VIA_RELAY_UDP ? MESH_PATH_RELAY_UDP
					 : MESH_PATH_PUNCHED;
}

/*
 * Behind this is cryptography. One source cannot have more of it than its share, and all of them
 * together no more than the control thread can spare.
 */
static bool may_look(struct node_mesh *m, uint64_t source)
{
	struct tt_mono now = plat_clock_mono();

	if (tt_mono_since(now, m->checks_filled) >= TT_NS_PER_SEC) {
		m->checks_filled = now;
		m->checks_left = NODE_MESH_CHECKS_PER_S;
	}
	if (!m->checks_left || !mesh_source_rate_allow(&m->sources, source, now))
		return false;
	m->checks_left--;
	return true;
}

static uint64_t source_of(enum dp_via via, const struct tt_endpoint *src,
			  const struct node_mesh_peer *p)
{
	return via == DP_VIA_UDP ? mesh_source_of_ip(&src->ip) : mesh_source_of_node(p->node_id);
}

static enum tt_drop take_request(struct node_mesh *m, enum dp_via via,
				 const struct tt_endpoint *src, const struct mesh_stun_msg *msg)
{
	uint8_t to[MESH_UFRAG_LEN], from[MESH_UFRAG_LEN], bytes[CHECK_BYTES];
	struct node_mesh_peer *p = mesh_check_ufrags(msg, to, from) ? find_by_ufrag(m, to) : NULL;
	struct tt_mono now = plat_clock_mono();
	struct mesh_pair pair;

	if (!p || !may_look(m, source_of(via, src, p)) || !pair_of(m, p, &pair))
		return TT_DROP_STUN_UNEXPECTED;
	enum tt_drop drop = mesh_check_verify_request(&p->keys, &pair, msg, now);

	if (drop != TT_DROP_NONE)
		return drop;
	size_t len = mesh_check_answer(&p->keys, &pair, msg, src, bytes, sizeof(bytes));

	if (len)
		send_over(m, p, kind_of(via), src, bytes, len);
	mesh_paths_check_came(&p->paths, kind_of(via), src, now);
	node_mesh_run_peer(m, p);
	return TT_DROP_NONE;
}

/* Whose answer it is: of the peer that waits for this id, on this path or with a probe; else NULL.
 */
static struct node_mesh_peer *asked(struct node_mesh *m, enum dp_via via,
				    const struct tt_endpoint *src, const struct mesh_stun_msg *msg)
{
	struct node_mesh_peer *p = node_mesh_find(m, *asked_with(m, msg->id.b));

	return p && (mesh_paths_awaits(&p->paths, kind_of(via), src, msg->id.b) ||
		     mesh_pmtu_awaits(&p->pmtu, msg->id.b))
		       ? p
		       : NULL;
}

static enum tt_drop take_answer(struct node_mesh *m, enum dp_via via,
				const struct node_mesh_peer *relay_peer,
				const struct tt_endpoint *src, const struct mesh_stun_msg *msg)
{
	struct node_mesh_peer *p = asked(m, via, src, msg);
	struct tt_mono now = plat_clock_mono();
	struct mesh_pair pair;

	if (!p || (relay_peer && p != relay_peer) || !may_look(m, source_of(via, src, p)) ||
	    !pair_of(m, p, &pair))
		return TT_DROP_STUN_UNEXPECTED;
	enum tt_drop drop = mesh_check_verify_answer(&p->keys, &pair, msg, now);

	if (drop != TT_DROP_NONE)
		return drop;
	if (mesh_pmtu_answered(&p->pmtu, msg->id.b, now))
		mesh_paths_heard(&p->paths, kind_of(via), src, now);
	else if (!mesh_paths_check_answered(&p->paths, kind_of(via), src, msg->id.b, now))
		return TT_DROP_STUN_UNEXPECTED;
	node_mesh_run_peer(m, p);
	return TT_DROP_NONE;
}

void node_mesh_take_stun(struct node_mesh *m, enum dp_via via, struct node_mesh_peer *relay_peer,
			 const struct tt_endpoint *src, const uint8_t *bytes, size_t len)
{
	struct mesh_stun_msg msg;
	enum tt_drop drop = mesh_stun_parse(&msg, bytes, len);

	if (drop == TT_DROP_NONE && via == DP_VIA_UDP &&
	    dp_plane_is_inside(node_device_plane(m->opt.device), &src->ip))
		drop = TT_DROP_STUN_SOURCE;
	if (drop == TT_DROP_NONE)
		drop = msg.class == MESH_STUN_REQUEST ? take_request(m, via, src, &msg)
						      : take_answer(m, via, relay_peer, src, &msg);
	if (drop != TT_DROP_NONE)
		m->drops[drop]++;
}

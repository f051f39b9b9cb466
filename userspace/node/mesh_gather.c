/* SPDX-License-Identifier: MIT
 *
 * Where this node may be found: the addresses of its interfaces, and what the hub's STUN server
 * sees of them.
 */
#include <netinet/in.h>

#include "mesh/address.h"
#include "node/mesh_impl.h"
#include "plat/clock.h"

#define V4 0
#define V6 1

static bool candidate(const struct node_mesh *m, const struct tt_ip *ip)
{
	switch (mesh_address_classify(ip)) {
	case MESH_ADDRESS_PRIVATE:
	case MESH_ADDRESS_PUBLIC:
		return true;
	case MESH_ADDRESS_LOOPBACK:
		return m->opt.loopback_too;
	default:
		return false;
	}
}

/* Our own tunnel addresses lead into the tunnel. */
static bool inside(const struct node_mesh *m, const struct tt_ip *ip)
{
	for (unsigned i = 0; i < m->map.self.address_count; i++)
		if (tt_ip_equal(&m->map.self.addresses[i], ip))
			return true;
	return false;
}

static void look_at_interfaces(struct node_mesh *m)
{
	uv_interface_address_t *list;
	unsigned v4 = 0;
	int count;

	m->locals = 0;
	if (uv_interface_addresses(&list, &count) != 0)
		return;
	for (int i = 0; i < count && m->locals < NODE_MESH_LOCALS_MAX; i++) {
		bool v6 = list[i].address.address4.sin_family == AF_INET6;
		struct tt_ip ip =
			v6 ? tt_ip_v6((const uint8_t *)&list[i].address.address6.sin6_addr)
			   : tt_ip_v4((const uint8_t *)&list[i].address.address4.sin_addr);

		if (strcmp(list[i].name, m->opt.own_ifname) == 0 || !candidate(m, &ip) ||
		    inside(m, &ip) || (!v6 && v4 == NODE_MESH_LOCALS_V4_MAX))
			continue;
		m->local[m->locals++] = ip;
		v4 += !v6;
	}
	uv_free_interface_addresses(list, count);
}

/* --- asking the server ------------------------------------------------------------------------ */

static bool has_address(const struct node_mesh *m, enum tt_family family)
{
	for (unsigned i = 0; i < m->locals; i++)
		if (m->local[i].family == family)
			return true;
	return false;
}

/* In both families, whichever the connection to the hub is by: who has IPv6 is behind a NAT of IPv4
 * all the same, and its peers may have nothing else. */
static void ask(struct node_mesh *m, unsigned index, struct tt_mono now)
{
	enum tt_family family = index == V4 ? TT_FAMILY_V4 : TT_FAMILY_V6;
	struct tt_endpoint server;
	struct mesh_stun_id id;
	struct node_device_info info;

	if (!m->stun_port || !has_address(m, family) ||
	    !node_hub_link_address(m->link, family, &server))
		return;
	server.udp_port = m->stun_port;
	node_device_get_info(m->opt.device, &info);
	struct mesh_stun_self self = {
		.ip = m->local, .count = m->locals, .udp_port = info.udp_port};

	tt_rng_fill(&m->opt.rng, &id, sizeof(id));
	mesh_stun_client_start(&m->stun[index], &server, &self, &id, NULL, now);
}

void node_mesh_gather_start(struct node_mesh *m)
{
	struct tt_mono now = plat_clock_mono();

	look_at_interfaces(m);
	ask(m, V4, now);
	ask(m, V6, now);
	node_mesh_gather_run(m, now);
}

void node_mesh_gather_run(struct node_mesh *m, struct tt_mono now)
{
	uint8_t request[MESH_STUN_REQUEST_MAX];

	for (unsigned i = 0; i < 2; i++) {
		struct mesh_stun_client *c = &m->stun[i];
		size_t len = c->state == MESH_STUN_CLIENT_WAITING
				     ? mesh_stun_client_tick(c, request, sizeof(request), now)
				     : 0;
		struct plat_udp_dest dest;
		bool lost_source;

		if (!len)
			continue;
		memset(&dest, 0, sizeof(dest));
		dest.to = c->server;
		plat_udp_dest_prepare(&dest);
		(void)m->opt.send(m->opt.ctx, &dest, request, len, &lost_source);
	}
}

struct tt_mono node_mesh_gather_deadline(const struct node_mesh *m)
{
	struct tt_mono next = {0};

	for (unsigned i = 0; i < 2; i++) {
		struct tt_mono d = mesh_stun_client_deadline(&m->stun[i]);
		if (m->stun[i].state == MESH_STUN_CLIENT_WAITING && tt_mono_is_set(d) &&
		    (!tt_mono_is_set(next) || tt_mono_before(d, next)))
			next = d;
	}
	return next;
}

/* A new outer address is news for the peers that are still reached by a relay. */
static void found(struct node_mesh *m, unsigned family, struct tt_mono now)
{
	struct mesh_stun_client *c = &m->stun[family];
	struct tt_list *at;
	bool news = !tt_endpoint_equal(&m->reflexive[family], &c->reflexive);

	m->reflexive[family] = c->reflexive;
	m->reflexive_at[family] = now;
	if (!news)
		return;
	tt_log_limited(TT_LOG_INFO, "mesh.reflexive", NULL, plat_clock_mono(), 4,
		       TT_F_ENDPOINT("address", &c->reflexive));
	tt_list_for_each (at, &m->peers) {
		struct node_mesh_peer *p = TT_CONTAINER_OF(at, struct node_mesh_peer, link);
		mesh_paths_offer_again(&p->paths);
		node_mesh_run_peer(m, p);
	}
}

bool node_mesh_gather_take(struct node_mesh *m, const struct tt_endpoint *src, const uint8_t *bytes,
			   size_t len)
{
	struct tt_mono now = plat_clock_mono();

	for (unsigned i = 0; i < 2; i++) {
		struct mesh_stun_client *c = &m->stun[i];
		if (c->state != MESH_STUN_CLIENT_WAITING ||
		    mesh_stun_client_receive(c, src, bytes, len, now) != TT_DROP_NONE)
			continue;
		if (c->state == MESH_STUN_CLIENT_DONE)
			found(m, i, now);
		return true;
	}
	return false;
}

/* --- what peers are told ---------------------------------------------------------------------- */

static void put(struct mesh_candidate *out, unsigned *n, uint8_t kind, const struct tt_endpoint *at)
{
	for (unsigned i = 0; i < *n; i++)
		if (tt_endpoint_equal(&out[i].at, at))
			return;
	if (*n < MESH_CANDIDATES_MAX)
		out[(*n)++] = (struct mesh_candidate){.kind = kind, .at = *at};
}

unsigned node_mesh_candidates(struct node_mesh *m, struct mesh_candidate out[MESH_CANDIDATES_MAX])
{
	struct tt_mono now = plat_clock_mono();
	struct node_device_info info;
	unsigned n = 0;

	memset(out, 0, MESH_CANDIDATES_MAX * sizeof(*out));
	node_device_get_info(m->opt.device, &info);
	look_at_interfaces(m);
	for (unsigned i = 0; i < m->locals; i++) {
		struct tt_endpoint at = {.ip = m->local[i], .udp_port = info.udp_port};
		put(out, &n, MESH_CANDIDATE_HOST, &at);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (tt_endpoint_is_set(&m->reflexive[i]))
			put(out, &n, MESH_CANDIDATE_REFLEXIVE, &m->reflexive[i]);
		/* it is told as it was, and asked for anew */
		if (m->stun[i].state != MESH_STUN_CLIENT_WAITING &&
		    tt_mono_since(now, m->reflexive_at[i]) > NODE_MESH_REFLEXIVE_NS)
			ask(m, i, now);
	}
	return n;
}

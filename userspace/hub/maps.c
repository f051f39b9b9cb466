/* SPDX-License-Identifier: MIT */
#include "hub/maps.h"

/* Of one message; by the codec's measure of a peer they stay under MESH_HUB_UPDATE_MAX. */
#define PEERS_MAX   512
#define REMOVED_MAX 4096
#define LISTS_BYTES                                       \
	(MESH_HUB_ADDRESSES_MAX * MESH_HUB_PREFIX_BYTES + \
	 MESH_HUB_SUBNETS_MAX * MESH_HUB_PREFIX_BYTES)

/* A message in the making; as large as it is, one for all (the loop's thread). */
struct making {
	Taltun__Hub__V1__ToNode m;
	Taltun__Hub__V1__MapUpdate update;
	Taltun__Hub__V1__Peer peer[PEERS_MAX];
	Taltun__Hub__V1__Peer *peers[PEERS_MAX];
	uint32_t removed[REMOVED_MAX];
	uint8_t lists[MESH_HUB_UPDATE_MAX];
	size_t lists_used, bytes;
};

bool hub_map_begin(struct hub_registry *r, const struct hub_node *viewer, uint64_t epoch,
		   uint64_t version, uint64_t *seen, struct hub_map_cursor *c)
{
	uint64_t now = hub_registry_version(r);
	uint64_t from = TT_MAX(version, *seen);

	*c = (struct hub_map_cursor){.epoch = hub_registry_epoch(r), .version = now};
	if (!version || epoch != c->epoch || !hub_registry_remembers(r, viewer, from)) {
		c->under_way = true;
		*seen = now;
		return true;
	}
	*seen = now;
	if (!hub_registry_next_change(r, viewer, &from))
		return false;
	c->from = version;
	c->at = from - 1;
	c->under_way = true;
	return true;
}

void hub_map_begin_empty(struct hub_registry *r, uint64_t version, uint64_t *seen,
			 struct hub_map_cursor *c)
{
	hub_registry_advance(r);
	*c = (struct hub_map_cursor){.epoch = hub_registry_epoch(r),
				     .from = version,
				     .version = hub_registry_version(r),
				     .at = *seen,
				     .under_way = true};
	*seen = c->version;
}

static ProtobufCBinaryData put_addresses(struct making *k, const struct hub_node *n)
{
	struct tt_cidr list[MESH_HUB_ADDRESSES_MAX];
	uint8_t *at = k->lists + k->lists_used;

	memset(list, 0, sizeof(list));
	for (unsigned i = 0; i < n->is.address_count; i++) {
		list[i].ip = n->is.addresses[i];
		list[i].bits = list[i].ip.family == TT_FAMILY_V4 ? 32 : 128;
	}
	size_t len = mesh_hub_prefixes_write(at, sizeof(k->lists) - k->lists_used, list,
					     n->is.address_count);

	k->lists_used += len;
	return mesh_hub_bytes(at, len);
}

static ProtobufCBinaryData put_subnets(struct making *k, const struct hub_node *n)
{
	uint8_t *at = k->lists + k->lists_used;
	size_t len = n->is.subnet_count && n->is.role == HUB_ROLE_GATEWAY
			     ? mesh_hub_prefixes_write(at, sizeof(k->lists) - k->lists_used,
						       n->is.subnets, n->is.subnet_count)
			     : 0;

	k->lists_used += len;
	return mesh_hub_bytes(at, len);
}

static void put_peer(struct making *k, const struct hub_node *n)
{
	Taltun__Hub__V1__Peer *p = &k->peer[k->update.n_peers];

	taltun__hub__v1__peer__init(p);
	p->node_id = n->is.id;
	p->name = mesh_hub_text(n->is.name);
	p->wg_public_key = mesh_hub_bytes(n->is.wg_public_key, 32);
	p->addresses = put_addresses(k, n);
	p->subnets = put_subnets(k, n);
	p->role = n->is.role == HUB_ROLE_GATEWAY ? TALTUN__HUB__V1__ROLE__ROLE_GATEWAY
						 : TALTUN__HUB__V1__ROLE__ROLE_CLIENT;
	p->online = n->session != NULL;
	k->peers[k->update.n_peers++] = p;
	k->bytes += mesh_hub_peer_size(p);
}

static bool has_room(const struct making *k)
{
	return k->update.n_peers < PEERS_MAX && k->update.n_removed_ids < REMOVED_MAX &&
	       k->lists_used + LISTS_BYTES <= sizeof(k->lists) &&
	       k->bytes + 2048 < MESH_HUB_UPDATE_MAX;
}

/* True where the end was reached. */
static bool collect_all(struct hub_registry *r, const struct hub_node *viewer,
			struct hub_map_cursor *c, struct making *k)
{
	for (; c->at < hub_registry_count(r); c->at++) {
		const struct hub_node *n = hub_registry_at(r, (uint32_t)c->at);

		if (!hub_registry_sees(viewer, n))
			continue;
		if (!has_room(k))
			return false;
		put_peer(k, n);
	}
	return true;
}

static bool collect_changes(struct hub_registry *r, const struct hub_node *viewer,
			    struct hub_map_cursor *c, struct making *k)
{
	const struct hub_node *n;
	uint64_t at = c->at;

	while ((n = hub_registry_next_change(r, viewer, &at)) && at <= c->version) {
		/* what has changed again comes with its last change */
		if (n->changed > at && n->changed <= c->version)
			continue;
		if (!has_room(k))
			return false;
		if (hub_registry_sees(viewer, n)) {
			put_peer(k, n);
		} else {
			k->removed[k->update.n_removed_ids++] = n->is.id;
			k->bytes += 8;
		}
		c->at = at;
	}
	return true;
}

size_t hub_map_next(struct hub_registry *r, const struct hub_node *viewer, struct hub_map_cursor *c,
		    uint64_t now_s, uint8_t *space, size_t room)
{
	static struct making k;
	size_t len = 0;

	taltun__hub__v1__to_node__init(&k.m);
	taltun__hub__v1__map_update__init(&k.update);
	k.lists_used = k.bytes = 0;
	k.update.peers = k.peers;
	k.update.removed_ids = k.removed;
	bool end = c->from ? collect_changes(r, viewer, c, &k) : collect_all(r, viewer, c, &k);

	k.update.epoch = c->epoch;
	k.update.from_version = c->from;
	k.update.version = c->version;
	if (!c->valid_until_s)
		c->valid_until_s = now_s + HUB_MAP_VALID_S;
	k.update.valid_until = c->valid_until_s;
	k.update.more = !end;
	k.m.message_case = TALTUN__HUB__V1__TO_NODE__MESSAGE_MAP_UPDATE;
	k.m.map_update = &k.update;
	c->under_way = !end;
	return mesh_hub_to_node_pack(&k.m, space, room, &len) == MESH_HUB_OK ? len : 0;
}

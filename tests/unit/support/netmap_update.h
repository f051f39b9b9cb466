/* SPDX-License-Identifier: MIT
 *
 * Map updates for tests: plain peers in, a MapUpdate of hub.proto out, in memory of its own.
 */
#ifndef TT_TEST_NETMAP_UPDATE_H
#define TT_TEST_NETMAP_UPDATE_H

#include <stdio.h>
#include "mesh/netmap.h"

#define NETMAP_UPDATE_PEERS 512

struct netmap_update {
	Taltun__Hub__V1__MapUpdate u;
	Taltun__Hub__V1__Peer peers[NETMAP_UPDATE_PEERS];
	Taltun__Hub__V1__Peer *pointers[NETMAP_UPDATE_PEERS];
	uint32_t removed[NETMAP_UPDATE_PEERS];
	struct {
		char name[MESH_HUB_NAME_MAX + 1];
		uint8_t key[32], addresses[4 * 18], subnets[64 * 18];
	} bytes[NETMAP_UPDATE_PEERS];
};

static inline void netmap_update_begin(struct netmap_update *m, uint64_t from, uint64_t version)
{
	taltun__hub__v1__map_update__init(&m->u);
	m->u.epoch = 1;
	m->u.from_version = from;
	m->u.version = version;
	m->u.valid_until = 1000;
	m->u.peers = m->pointers;
	m->u.removed_ids = m->removed;
}

static inline void netmap_update_remove(struct netmap_update *m, uint32_t id)
{
	m->removed[m->u.n_removed_ids++] = id;
}

/* The peer of an id by itself: name nID, key of ID, 10.ID; what differs is set by the caller. */
static inline Taltun__Hub__V1__Peer *netmap_update_add(struct netmap_update *m, uint32_t id)
{
	size_t i = m->u.n_peers++;
	Taltun__Hub__V1__Peer *p = m->pointers[i] = &m->peers[i];
	uint8_t *a = m->bytes[i].addresses;

	taltun__hub__v1__peer__init(p);
	p->node_id = id;
	p->role = TALTUN__HUB__V1__ROLE__ROLE_CLIENT;
	snprintf(m->bytes[i].name, sizeof(m->bytes[i].name), "n%u", id);
	p->name = mesh_hub_text(m->bytes[i].name);
	memset(m->bytes[i].key, 7, 32);
	memcpy(m->bytes[i].key, &id, sizeof(id));
	p->wg_public_key = mesh_hub_bytes(m->bytes[i].key, 32);
	memcpy(a, "\4\40\12", 3);
	a[3] = (uint8_t)(id >> 16);
	a[4] = (uint8_t)(id >> 8);
	a[5] = (uint8_t)id;
	p->addresses = mesh_hub_bytes(a, 6);
	return p;
}

static inline void netmap_update_set(uint8_t *space, ProtobufCBinaryData *f,
				     const char *const *text, size_t count)
{
	struct tt_cidr c;
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (tt_cidr_parse(text[i], &c) == 0)
			used += mesh_hub_prefixes_write(space + used, 18, &c, 1);
	}
	*f = mesh_hub_bytes(space, used);
}

/* Of the peer added last. */
static inline void netmap_update_addresses(struct netmap_update *m, const char *a, const char *b)
{
	size_t i = m->u.n_peers - 1;

	netmap_update_set(m->bytes[i].addresses, &m->peers[i].addresses,
			  (const char *const[]){a, b}, b ? 2 : 1);
}

static inline void netmap_update_subnets(struct netmap_update *m, const char *a, const char *b)
{
	size_t i = m->u.n_peers - 1;

	m->peers[i].role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
	netmap_update_set(m->bytes[i].subnets, &m->peers[i].subnets, (const char *const[]){a, b},
			  b ? 2 : 1);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * hostile_hub: maps that no hub should send.
 */
#ifndef TT_TESTS_HOSTILE_HUB_MAPS_H
#define TT_TESTS_HOSTILE_HUB_MAPS_H

#include "hostile_hub_talk.h"

typedef Taltun__Hub__V1__Peer map_peer;

#define PEERS_MAX 2000 /* of one update */

struct peer_space {
	map_peer p;
	char name[80];
	uint8_t key[32], addresses[64], subnets[64];
};

static struct peer_space space[PEERS_MAX];
static map_peer *pointers[PEERS_MAX];

/* A node that never was, the index-th. */
static map_peer *made_up(unsigned index, uint32_t id)
{
	struct peer_space *s = &space[index];
	struct tt_cidr a = prefix("10.200.0.0/32");

	taltun__hub__v1__peer__init(&s->p);
	a.ip.b[1] = (uint8_t)(200 + (id >> 16) % 50);
	a.ip.b[2] = (uint8_t)(id >> 8);
	a.ip.b[3] = (uint8_t)id;
	snprintf(s->name, sizeof(s->name), "x%u", id);
	RAND_bytes(s->key, sizeof(s->key));
	s->p.node_id = id;
	s->p.name = mesh_hub_text(s->name);
	s->p.wg_public_key = mesh_hub_bytes(s->key, 32);
	s->p.addresses = prefixes(s->addresses, &a, 1);
	s->p.role = TALTUN__HUB__V1__ROLE__ROLE_GATEWAY;
	s->p.online = 1;
	pointers[index] = &s->p;
	return &s->p;
}

static map_peer *true_one(unsigned index)
{
	struct peer_space *s = &space[index];

	made_up(index, other->id);
	snprintf(s->name, sizeof(s->name), "%s", other->name);
	memcpy(s->key, other->key, 32);
	s->p.name = mesh_hub_text(s->name);
	s->p.addresses = prefixes(s->addresses, &other->address, 1);
	return &s->p;
}

static void send_map(unsigned peers, uint64_t from, uint64_t version, bool more)
{
	MESSAGE(map_update, MapUpdate, MAP_UPDATE);

	v.epoch = 7;
	v.from_version = from;
	v.version = version;
	v.valid_until = (uint64_t)time(NULL) + 86400;
	v.peers = pointers;
	v.n_peers = peers;
	v.more = more;
	send_message(&m);
}

/* All of the map: the true peer, and one that should not be taken. */
static map_peer *bad_map(void)
{
	true_one(0);
	return made_up(1, 70000);
}

static void map_own_key(void)
{
	bad_map()->wg_public_key = mesh_hub_bytes(me->key, 32);
	send_map(2, 0, map_version, false);
}

static void map_own_id(void)
{
	bad_map()->node_id = me->id;
	send_map(2, 0, map_version, false);
}

static void map_own_address(void)
{
	bad_map()->addresses = prefixes(space[1].addresses, &me->address, 1);
	send_map(2, 0, map_version, false);
}

static void map_same_key(void)
{
	bad_map()->wg_public_key = mesh_hub_bytes(other->key, 32);
	send_map(2, 0, map_version, false);
}

static void map_same_address(void)
{
	bad_map()->addresses = prefixes(space[1].addresses, &other->address, 1);
	send_map(2, 0, map_version, false);
}

static void map_default(void)
{
	struct tt_cidr all = prefix("0.0.0.0/0");

	bad_map()->subnets = prefixes(space[1].subnets, &all, 1);
	send_map(2, 0, map_version, false);
}

static void map_public(void)
{
	struct tt_cidr a = prefix("8.8.8.8/32");

	bad_map()->addresses = prefixes(space[1].addresses, &a, 1);
	send_map(2, 0, map_version, false);
}

static void map_nul(void)
{
	bad_map()->name = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
	send_map(2, 0, map_version, false);
}

static void map_long(void)
{
	static uint8_t name[70000];

	memset(name, 'a', sizeof(name));
	bad_map()->name = (ProtobufCBinaryData){sizeof(name), name};
	send_map(2, 0, map_version, false);
}

static void map_zero_key(void)
{
	memset(space[1].key, 0, 32);
	bad_map();
	memset(space[1].key, 0, 32);
	send_map(2, 0, map_version, false);
}

/* A chain of a million peers. */
static void map_million(void)
{
	uint32_t id = 100000;

	true_one(0);
	send_map(1, 0, map_version, true);
	for (unsigned k = 0; k < 1000 && !closed; k++) {
		for (unsigned i = 0; i < 1000; i++)
			made_up(i, id++);
		send_map(1000, 0, map_version, true);
	}
}

/* Chains that begin and never end. */
static void map_no_end(void)
{
	uint32_t id = 100000;

	for (unsigned k = 0; k < 200 && !closed; k++) {
		for (unsigned i = 0; i < 1000; i++)
			made_up(i, id++);
		send_map(1000, 0, map_version + k, true);
	}
}

static void map_back(void)
{
	true_one(0);
	send_map(1, 0, map_version, false);
	send_map(1, map_version, map_version - 5, false);
	send_map(1, map_version + 5, map_version + 6, false);
	send_map(1, map_version, map_version, false);
}

/* A thousand peers that are others each time. */
static void map_storm(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		true_one(0);
		for (unsigned i = 1; i < 1000; i++)
			made_up(i, 100000 + below(900000));
		send_map(1000, 0, ++map_version, false);
	}
	true_one(0);
	send_map(1, 0, ++map_version, false);
}

/* The same thousand peers, with other keys each time. */
static void map_keys(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		true_one(0);
		for (unsigned i = 1; i < 1000; i++)
			made_up(i, 100000 + i);
		send_map(1000, 0, ++map_version, false);
	}
	true_one(0);
	send_map(1, 0, ++map_version, false);
}

static void map_refused_flood(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;)
		map_same_key();
}

#endif

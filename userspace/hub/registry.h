/* SPDX-License-Identifier: MIT
 *
 * The nodes of a hub in memory: who they are, who is here, and what has changed since when. Filled
 * from the store; the store is the truth. Pure but for malloc; the loop's thread.
 *
 * Every change gets a version. A node's map is brought up to date by what changed after the version
 * it has (hub/maps.h); where that is forgotten, or the policy changed (another epoch), by all of
 * it.
 */
#ifndef TT_HUB_REGISTRY_H
#define TT_HUB_REGISTRY_H

#include "base/addr.h"
#include "hub/bucket.h"
#include "hub/policy.h"
#include "mesh/hub_codec.h"

#define HUB_NODES_MAX		100000
#define HUB_CHANGES_MAX		65536 /* remembered; a power of two */
#define HUB_GATEWAY_CHANGES_MAX 4096  /* of gateways, for clients without rules; the same */

enum hub_role { HUB_ROLE_CLIENT = 1, HUB_ROLE_GATEWAY = 2 };

/* What the store knows of a node. */
struct hub_node_facts {
	uint32_t id; /* never 0, never used again */
	enum hub_role role;
	bool revoked;
	uint64_t groups; /* bit per group of the policy */
	char name[MESH_HUB_NAME_MAX + 1];
	uint8_t wg_public_key[32];
	uint8_t address_count, subnet_count;
	struct tt_ip addresses[MESH_HUB_ADDRESSES_MAX];
	struct tt_cidr *subnets; /* allocated, NULL where there are none; the registry takes it */
};

struct hub_node {
	struct hub_node_facts is;
	uint64_t reach;	  /* groups that it may see: hub_policy_reach() */
	uint64_t changed; /* version of its last change */
	void *session;	  /* of its connection; NULL: it is not here */
	/* its session's business; here, so that connecting anew fills none of them */
	struct hub_bucket hellos, maps, renewals;
};

struct hub_registry;

/* epoch: random, not 0. NULL: no memory. */
struct hub_registry *hub_registry_create(uint64_t epoch, uint64_t hash_seed);
void hub_registry_destroy(struct hub_registry *r);

/*
 * Adds a node or changes one (same id); nothing happens where nothing differs. 0; -EEXIST: its
 * name, key or an address belongs to another node that is not revoked; -ENOSPC, -ENOMEM. Takes
 * facts->subnets in any case. A revoked node stays as such, so that others learn that it is gone.
 */
int hub_registry_put(struct hub_registry *r, struct hub_node_facts *facts);
/* The store has another policy: everybody's map begins anew. */
void hub_registry_set_policy(struct hub_registry *r, const struct hub_policy *p, uint64_t epoch);

bool hub_registry_policy_differs(const struct hub_registry *r, const struct hub_policy *p);

struct hub_node *hub_registry_find(struct hub_registry *r, uint32_t id);
struct hub_node *hub_registry_find_name(struct hub_registry *r, const char *name);
struct hub_node *hub_registry_find_key(struct hub_registry *r, const uint8_t key[32]);
/* By position, 0..count - 1, in the order of arrival; revoked ones too. */
struct hub_node *hub_registry_at(struct hub_registry *r, uint32_t i);
uint32_t hub_registry_count(const struct hub_registry *r);
uint32_t hub_registry_online(const struct hub_registry *r);

/* It is here (session not NULL) or gone; the same as before is no change. */
void hub_registry_set_session(struct hub_registry *r, struct hub_node *n, void *session);

uint64_t hub_registry_epoch(const struct hub_registry *r);
uint64_t hub_registry_version(const struct hub_registry *r);
/* A version in which nothing changes. */
void hub_registry_advance(struct hub_registry *r);

/* A client that no rule joins to a group: all that it sees is gateways. Most nodes are such; what
 * changes among themselves is skipped for them without being looked at. */
static inline bool hub_registry_is_plain(const struct hub_node *viewer)
{
	return viewer->is.role != HUB_ROLE_GATEWAY && !viewer->reach;
}
/* Whether all changes after this version that the viewer has to know are remembered. */
bool hub_registry_remembers(const struct hub_registry *r, const struct hub_node *viewer,
			    uint64_t version);
/* The next change after *version of a node that the viewer sees or may have seen (it may have
 * changed again since); *version becomes that of the change. NULL: there is none. */
struct hub_node *hub_registry_next_change(struct hub_registry *r, const struct hub_node *viewer,
					  uint64_t *version);
/* Of the last change of a gateway: later ones are of no interest to plain clients. 0: none. */
uint64_t hub_registry_gateway_version(const struct hub_registry *r);

/* Whether a sees b: neither is revoked, and one is a gateway or a rule allows it. Symmetrical. */
bool hub_registry_sees(const struct hub_node *a, const struct hub_node *b);

#endif

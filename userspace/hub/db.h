/* SPDX-License-Identifier: MIT
 *
 * What a hub keeps: nodes, tokens, policy, settings; one SQLite file in WAL mode. The command line
 * works on it directly, also while the server runs: the server sees that it has changed
 * (hub/store.h). Calls block; each handle belongs to one thread.
 */
#ifndef TT_HUB_DB_H
#define TT_HUB_DB_H

#include "hub/registry.h"
#include "mesh/token.h"

struct hub_db;

enum hub_db_outcome {
	HUB_DB_OK,
	HUB_DB_NOT_FOUND,
	HUB_DB_EXISTS,	   /* that name, key or token is taken */
	HUB_DB_TOKEN_USED, /* a moment ago, perhaps: exactly one wins */
	HUB_DB_TOKEN_EXPIRED,
	HUB_DB_NO_ADDRESS, /* the pool is used up */
	HUB_DB_BAD,	   /* a name, role, group or prefix that cannot be */
	HUB_DB_FULL,	   /* the disk */
	HUB_DB_CORRUPT,
	HUB_DB_FAILED, /* hub_db_error() */
};
const char *hub_db_outcome_text(enum hub_db_outcome o); /* for people; never NULL */

/* create: makes the file (0600) and its tables; it must not be there. Otherwise it must be. */
enum hub_db_outcome hub_db_open(const char *path, bool create, struct hub_db **out);
void hub_db_close(struct hub_db *db); /* NULL is allowed */
const char *
hub_db_error(const struct hub_db *db); /* what more there is to say of the last failure */

/* Many calls as one, for one disk write or one moment's view. end: commits where o is OK. */
enum hub_db_outcome hub_db_write_begin(struct hub_db *db);
enum hub_db_outcome hub_db_write_end(struct hub_db *db, enum hub_db_outcome o);
enum hub_db_outcome hub_db_read_begin(struct hub_db *db);
void hub_db_read_end(struct hub_db *db);

/* --- settings: what init wrote ---------------------------------------------------------------- */

struct hub_settings {
	char name[MESH_TOKEN_HOST_MAX + 1]; /* of the hub: in its certificate and in tokens */
	uint16_t tcp_port;
	struct tt_cidr pool4, pool6; /* addresses of nodes; bits 0: none of that family */
	uint32_t keepalive_s;	     /* 0: the node's choice */
};
enum hub_db_outcome hub_db_settings_save(struct hub_db *db, const struct hub_settings *s);
enum hub_db_outcome hub_db_settings_load(struct hub_db *db, struct hub_settings *out);

/* --- tokens ----------------------------------------------------------------------------------- */

struct hub_db_token {
	uint8_t id[MESH_TOKEN_ID_LEN];
	uint8_t secret[MESH_TOKEN_SECRET_LEN]; /* wiped by whoever read it */
	char name[MESH_HUB_NAME_MAX + 1];      /* that the node will have */
	enum hub_role role;
	char groups[512];   /* names with spaces between them */
	char subnets[2048]; /* prefixes with spaces between them; gateways only */
	uint64_t created_s, expires_s;
	uint64_t used_s; /* 0: not yet */
};
enum hub_db_outcome hub_db_token_add(struct hub_db *db, const struct hub_db_token *t);
enum hub_db_outcome hub_db_token_find(struct hub_db *db, const uint8_t id[MESH_TOKEN_ID_LEN],
				      struct hub_db_token *out);
enum hub_db_outcome hub_db_token_remove(struct hub_db *db, const uint8_t id[MESH_TOKEN_ID_LEN]);
/* In order of creation; secrets are zero. */
enum hub_db_outcome hub_db_tokens(struct hub_db *db,
				  void (*each)(void *ctx, const struct hub_db_token *t), void *ctx);

/* --- nodes ------------------------------------------------------------------------------------ */

struct hub_db_node {
	struct hub_node_facts facts; /* subnets: allocated, the callee's in each() */
	char groups[512];
	uint64_t enrolled_s, revoked_s, cert_until_s, seen_s;
	uint8_t cert_serial[20];
	uint8_t cert_serial_len;
	char version[64], hostname[64];
};

struct hub_db_enrolment {
	uint8_t token_id[MESH_TOKEN_ID_LEN];
	uint8_t wg_public_key[32];
	uint8_t cert_serial[20];
	uint8_t cert_serial_len;
	uint64_t cert_until_s, now_s;
	const char *version, *hostname;
};
/*
 * In one write transaction: the token is there, unused and in time; it is marked as used; the node
 * is made with the next id and free addresses of the pools (the first gateway gets the first). *out
 * is what the map will say. Two at the same time with one token: exactly one gets OK.
 */
enum hub_db_outcome hub_db_enroll(struct hub_db *db, const struct hub_db_enrolment *e,
				  struct hub_node_facts *out);
enum hub_db_outcome hub_db_node_renewed(struct hub_db *db, uint32_t id, const uint8_t *serial,
					size_t serial_len, uint64_t until_s);
enum hub_db_outcome hub_db_node_seen(struct hub_db *db, uint32_t id, uint64_t now_s);
enum hub_db_outcome hub_db_node_revoke(struct hub_db *db, const char *name, uint64_t now_s);
enum hub_db_outcome hub_db_nodes(struct hub_db *db, void (*each)(void *ctx, struct hub_db_node *n),
				 void *ctx);

/* --- policy ----------------------------------------------------------------------------------- */

enum hub_db_outcome hub_db_allow(struct hub_db *db, const char *group_a, const char *group_b);
enum hub_db_outcome hub_db_deny(struct hub_db *db, const char *group_a, const char *group_b);
enum hub_db_outcome hub_db_policy(struct hub_db *db, struct hub_policy *out);

/* Differs from its last value where another handle has written. */
uint64_t hub_db_version(struct hub_db *db);

#endif

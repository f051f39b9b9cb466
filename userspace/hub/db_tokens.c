/* SPDX-License-Identifier: MIT */
#include "crypto/mem.h"
#include "hub/db_impl.h"

#define KEEP_S (30 * 86400) /* what has expired is listed for so long */

static enum hub_db_outcome check(struct hub_db *db, const struct hub_db_token *t)
{
	struct tt_cidr list[MESH_HUB_SUBNETS_MAX];

	if (!mesh_hub_name_is_valid(t->name, strlen(t->name))) {
		hub_db_say(db,
			   "a name has at most %d of [a-z0-9.-], a letter or digit at both "
			   "ends",
			   MESH_HUB_NAME_MAX);
		return HUB_DB_BAD;
	}
	if (t->role != HUB_ROLE_CLIENT && t->role != HUB_ROLE_GATEWAY) {
		hub_db_say(db, "a role is client or gateway");
		return HUB_DB_BAD;
	}
	int n = hub_db_subnets_parse(db, t->subnets, list, TT_ARRAY_LEN(list));
	if (n < 0)
		return HUB_DB_BAD;
	if (n > 0 && t->role != HUB_ROLE_GATEWAY) {
		hub_db_say(db, "only a gateway has subnets");
		return HUB_DB_BAD;
	}
	return hub_db_subnets_check(db, list, (size_t)n);
}

/* A node, or another token that can still be used. */
static enum hub_db_outcome name_is_free(struct hub_db *db, const struct hub_db_token *t)
{
	struct hub_query q = hub_query_begin(
		db, "SELECT 1 FROM nodes WHERE name = ?1 AND revoked_s = 0 UNION ALL"
		    " SELECT 2 FROM tokens WHERE name = ?1 AND used_s = 0 AND expires_s > ?2");
	uint64_t what;

	hub_query_text(&q, 1, t->name);
	hub_query_int(&q, 2, t->created_s);
	what = hub_query_row(&q) ? hub_query_get_int(&q, 0) : 0;
	enum hub_db_outcome o = hub_query_end(&q);

	if (o != HUB_DB_OK || what == 0)
		return o;
	hub_db_say(db,
		   what == 1 ? "a node \"%s\" exists; revoke it first"
			     : "there is an unused token for \"%s\"; revoke it first",
		   t->name);
	return HUB_DB_EXISTS;
}

static enum hub_db_outcome insert(struct hub_db *db, const struct hub_db_token *t)
{
	struct hub_query q =
		hub_query_begin(db, "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

	hub_query_blob(&q, 1, t->id, sizeof(t->id));
	hub_query_blob(&q, 2, t->secret, sizeof(t->secret));
	hub_query_text(&q, 3, t->name);
	hub_query_int(&q, 4, t->role);
	hub_query_text(&q, 5, t->groups);
	hub_query_text(&q, 6, t->subnets);
	hub_query_int(&q, 7, t->created_s);
	hub_query_int(&q, 8, t->expires_s);
	hub_query_int(&q, 9, t->used_s);
	return hub_query_do(&q);
}

static enum hub_db_outcome forget_old(struct hub_db *db, uint64_t now_s)
{
	struct hub_query q = hub_query_begin(db, "DELETE FROM tokens WHERE expires_s < ?");

	hub_query_int(&q, 1, now_s > KEEP_S ? now_s - KEEP_S : 0);
	return hub_query_do(&q);
}

enum hub_db_outcome hub_db_token_add(struct hub_db *db, const struct hub_db_token *t)
{
	enum hub_db_outcome o = hub_db_write_begin(db);

	if (o != HUB_DB_OK)
		return o;
	o = check(db, t);
	if (o == HUB_DB_OK)
		o = name_is_free(db, t);
	if (o == HUB_DB_OK)
		o = forget_old(db, t->created_s);
	if (o == HUB_DB_OK)
		o = hub_db_groups_make(db, t->groups);
	if (o == HUB_DB_OK)
		o = insert(db, t);
	return hub_db_write_end(db, o);
}

#define COLUMNS "id, name, role, groups, subnets, created_s, expires_s, used_s"

static bool read_row(struct hub_query *q, struct hub_db_token *t)
{
	memset(t, 0, sizeof(*t));
	t->role = (enum hub_role)hub_query_get_int(q, 2);
	t->created_s = hub_query_get_int(q, 5);
	t->expires_s = hub_query_get_int(q, 6);
	t->used_s = hub_query_get_int(q, 7);
	return hub_query_get_blob(q, 0, t->id, sizeof(t->id)) &&
	       hub_query_get_text(q, 1, t->name, sizeof(t->name)) &&
	       hub_query_get_text(q, 3, t->groups, sizeof(t->groups)) &&
	       hub_query_get_text(q, 4, t->subnets, sizeof(t->subnets)) &&
	       (t->role == HUB_ROLE_CLIENT || t->role == HUB_ROLE_GATEWAY);
}

enum hub_db_outcome hub_db_token_find(struct hub_db *db, const uint8_t id[MESH_TOKEN_ID_LEN],
				      struct hub_db_token *out)
{
	struct hub_query q =
		hub_query_begin(db, "SELECT " COLUMNS ", secret FROM tokens WHERE id = ?");
	bool found, fine = false;

	memset(out, 0, sizeof(*out));
	hub_query_blob(&q, 1, id, MESH_TOKEN_ID_LEN);
	found = hub_query_row(&q);
	if (found)
		fine = read_row(&q, out) &&
		       hub_query_get_blob(&q, 8, out->secret, sizeof(out->secret));
	enum hub_db_outcome o = hub_query_end(&q);

	if (o == HUB_DB_OK)
		o = !found ? HUB_DB_NOT_FOUND : fine ? HUB_DB_OK : HUB_DB_CORRUPT;
	if (o != HUB_DB_OK)
		crypto_wipe(out, sizeof(*out));
	return o;
}

enum hub_db_outcome hub_db_token_remove(struct hub_db *db, const uint8_t id[MESH_TOKEN_ID_LEN])
{
	struct hub_query q = hub_query_begin(db, "DELETE FROM tokens WHERE id = ?");

	hub_query_blob(&q, 1, id, MESH_TOKEN_ID_LEN);
	enum hub_db_outcome o = hub_query_do(&q);

	return o == HUB_DB_OK && sqlite3_changes(db->sql) == 0 ? HUB_DB_NOT_FOUND : o;
}

enum hub_db_outcome hub_db_tokens(struct hub_db *db,
				  void (*each)(void *ctx, const struct hub_db_token *t), void *ctx)
{
	struct hub_query q =
		hub_query_begin(db, "SELECT " COLUMNS " FROM tokens ORDER BY created_s, id");
	struct hub_db_token t;

	while (hub_query_row(&q))
		if (read_row(&q, &t))
			each(ctx, &t);
	return hub_query_end(&q);
}

/* SPDX-License-Identifier: MIT
 *
 * Nodes: enrolment, renewal, revocation.
 */
#include <stdlib.h>

#include "crypto/mem.h"
#include "hub/db_impl.h"

/* --- reading ---------------------------------------------------------------------------------- */

static enum hub_db_outcome read_addresses(struct hub_db *db, struct hub_node_facts *f)
{
	struct hub_query q = hub_query_begin(
		db, "SELECT family, address FROM addresses WHERE node_id = ? AND released_s = 0"
		    " ORDER BY family");
	uint8_t b[16];

	f->address_count = 0;
	hub_query_int(&q, 1, f->id);
	while (f->address_count < MESH_HUB_ADDRESSES_MAX && hub_query_row(&q)) {
		bool v4 = hub_query_get_int(&q, 0) == TT_FAMILY_V4;

		if (hub_query_get_blob(&q, 1, b, v4 ? 4 : 16))
			f->addresses[f->address_count++] = v4 ? tt_ip_v4(b) : tt_ip_v6(b);
	}
	return hub_query_end(&q);
}

static enum hub_db_outcome read_subnets(struct hub_db *db, struct hub_node_facts *f)
{
	struct hub_query q =
		hub_query_begin(db, "SELECT prefix FROM subnets WHERE node_id = ? ORDER BY prefix");
	struct tt_cidr list[MESH_HUB_SUBNETS_MAX];
	char text[TT_CIDR_TEXT_MAX];

	memset(list, 0, sizeof(list));
	f->subnet_count = 0;
	f->subnets = NULL;
	hub_query_int(&q, 1, f->id);
	while (f->subnet_count < MESH_HUB_SUBNETS_MAX && hub_query_row(&q))
		if (hub_query_get_text(&q, 0, text, sizeof(text)) &&
		    tt_cidr_parse(text, &list[f->subnet_count]) == 0)
			f->subnet_count++;
	enum hub_db_outcome o = hub_query_end(&q);

	if (o != HUB_DB_OK || f->subnet_count == 0)
		return o;
	f->subnets = malloc(f->subnet_count * sizeof(*f->subnets));
	if (!f->subnets)
		return HUB_DB_FAILED;
	memcpy(f->subnets, list, f->subnet_count * sizeof(*f->subnets));
	return HUB_DB_OK;
}

#define COLUMNS                                                                               \
	"id, name, wg_public_key, role, groups, enrolled_s, revoked_s, cert_until_s, seen_s," \
	" cert_serial, version, hostname"

static bool read_row(struct hub_query *q, struct hub_policy *policy, struct hub_db_node *n)
{
	struct hub_node_facts *f = &n->facts;

	memset(n, 0, sizeof(*n));
	f->id = (uint32_t)hub_query_get_int(q, 0);
	f->role = (enum hub_role)hub_query_get_int(q, 3);
	n->enrolled_s = hub_query_get_int(q, 5);
	n->revoked_s = hub_query_get_int(q, 6);
	n->cert_until_s = hub_query_get_int(q, 7);
	n->seen_s = hub_query_get_int(q, 8);
	n->cert_serial_len =
		(uint8_t)TT_MIN(sqlite3_column_bytes(q->stmt, 9), (int)sizeof(n->cert_serial));
	hub_query_get_blob(q, 9, n->cert_serial, n->cert_serial_len);
	hub_query_get_text(q, 10, n->version, sizeof(n->version));
	hub_query_get_text(q, 11, n->hostname, sizeof(n->hostname));
	f->revoked = n->revoked_s != 0;
	bool fine = hub_query_get_text(q, 1, f->name, sizeof(f->name)) &&
		    hub_query_get_blob(q, 2, f->wg_public_key, 32) &&
		    hub_query_get_text(q, 4, n->groups, sizeof(n->groups)) && f->id != 0;

	f->groups = hub_db_groups_bits(policy, n->groups);
	return fine;
}

enum hub_db_outcome hub_db_nodes(struct hub_db *db, void (*each)(void *ctx, struct hub_db_node *n),
				 void *ctx)
{
	struct hub_policy policy;
	enum hub_db_outcome o = hub_db_policy(db, &policy);
	struct hub_db_node n;

	if (o != HUB_DB_OK)
		return o;
	struct hub_query q = hub_query_begin(db, "SELECT " COLUMNS " FROM nodes ORDER BY id");
	while (o == HUB_DB_OK && hub_query_row(&q)) {
		if (!read_row(&q, &policy, &n))
			continue;
		if (!n.facts.revoked)
			o = read_addresses(db, &n.facts);
		if (o == HUB_DB_OK && !n.facts.revoked && n.facts.role == HUB_ROLE_GATEWAY)
			o = read_subnets(db, &n.facts);
		if (o == HUB_DB_OK)
			each(ctx, &n);
	}
	enum hub_db_outcome end = hub_query_end(&q);
	return o == HUB_DB_OK ? end : o;
}

/* --- enrolment -------------------------------------------------------------------------------- */

static enum hub_db_outcome use_token(struct hub_db *db, const struct hub_db_enrolment *e,
				     struct hub_db_token *t)
{
	enum hub_db_outcome o = hub_db_token_find(db, e->token_id, t);

	if (o != HUB_DB_OK)
		return o;
	if (t->used_s)
		return HUB_DB_TOKEN_USED;
	if (t->expires_s <= e->now_s)
		return HUB_DB_TOKEN_EXPIRED;
	struct hub_query q = hub_query_begin(db, "UPDATE tokens SET used_s = ? WHERE id = ?");
	hub_query_int(&q, 1, e->now_s);
	hub_query_blob(&q, 2, e->token_id, MESH_TOKEN_ID_LEN);
	return hub_query_do(&q);
}

static enum hub_db_outcome insert(struct hub_db *db, const struct hub_db_enrolment *e,
				  const struct hub_db_token *t, struct hub_node_facts *out)
{
	struct hub_query q = hub_query_begin(
		db, "INSERT INTO nodes (name, wg_public_key, role, groups, version, hostname,"
		    " enrolled_s, cert_serial, cert_until_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

	hub_query_text(&q, 1, t->name);
	hub_query_blob(&q, 2, e->wg_public_key, 32);
	hub_query_int(&q, 3, t->role);
	hub_query_text(&q, 4, t->groups);
	hub_query_text(&q, 5, e->version ? e->version : "");
	hub_query_text(&q, 6, e->hostname ? e->hostname : "");
	hub_query_int(&q, 7, e->now_s);
	hub_query_blob(&q, 8, e->cert_serial, e->cert_serial_len);
	hub_query_int(&q, 9, e->cert_until_s);
	enum hub_db_outcome o = hub_query_do(&q);

	out->id = (uint32_t)sqlite3_last_insert_rowid(db->sql);
	return o;
}

static enum hub_db_outcome make_node(struct hub_db *db, const struct hub_db_enrolment *e,
				     const struct hub_db_token *t, struct hub_node_facts *out)
{
	struct tt_cidr subnets[MESH_HUB_SUBNETS_MAX];
	struct hub_policy policy;
	enum hub_db_outcome o = insert(db, e, t, out);
	int n = hub_db_subnets_parse(db, t->subnets, subnets, TT_ARRAY_LEN(subnets));

	if (o == HUB_DB_OK)
		o = hub_db_addresses_take(db, out->id, t->name, t->role, e->now_s, out);
	if (o == HUB_DB_OK)
		o = n < 0 ? HUB_DB_BAD : hub_db_subnets_take(db, out->id, subnets, (size_t)n);
	if (o == HUB_DB_OK)
		o = hub_db_policy(db, &policy);
	if (o == HUB_DB_OK)
		o = read_subnets(db, out);
	if (o != HUB_DB_OK)
		return o;
	out->role = t->role;
	out->groups = hub_db_groups_bits(&policy, t->groups);
	memcpy(out->name, t->name, sizeof(out->name));
	memcpy(out->wg_public_key, e->wg_public_key, 32);
	return HUB_DB_OK;
}

enum hub_db_outcome hub_db_enroll(struct hub_db *db, const struct hub_db_enrolment *e,
				  struct hub_node_facts *out)
{
	struct hub_db_token t;
	enum hub_db_outcome o = hub_db_write_begin(db);

	memset(out, 0, sizeof(*out));
	if (o != HUB_DB_OK)
		return o;
	o = use_token(db, e, &t);
	if (o == HUB_DB_OK)
		o = make_node(db, e, &t, out);
	crypto_wipe(&t, sizeof(t));
	o = hub_db_write_end(db, o);
	if (o != HUB_DB_OK) {
		free(out->subnets);
		memset(out, 0, sizeof(*out));
	}
	return o;
}

/* --- afterwards ------------------------------------------------------------------------------- */

enum hub_db_outcome hub_db_node_renewed(struct hub_db *db, uint32_t id, const uint8_t *serial,
					size_t serial_len, uint64_t until_s)
{
	struct hub_query q = hub_query_begin(
		db, "UPDATE nodes SET cert_serial = ?, cert_until_s = ? WHERE id = ?");

	hub_query_blob(&q, 1, serial, serial_len);
	hub_query_int(&q, 2, until_s);
	hub_query_int(&q, 3, id);
	return hub_query_do(&q);
}

enum hub_db_outcome hub_db_node_seen(struct hub_db *db, uint32_t id, uint64_t now_s)
{
	struct hub_query q = hub_query_begin(db, "UPDATE nodes SET seen_s = ? WHERE id = ?");

	hub_query_int(&q, 1, now_s);
	hub_query_int(&q, 2, id);
	return hub_query_do(&q);
}

static enum hub_db_outcome release(struct hub_db *db, uint32_t id, uint64_t now_s)
{
	struct hub_query q =
		hub_query_begin(db, "UPDATE addresses SET released_s = ? WHERE node_id = ?");

	hub_query_int(&q, 1, now_s);
	hub_query_int(&q, 2, id);
	enum hub_db_outcome o = hub_query_do(&q);

	if (o != HUB_DB_OK)
		return o;
	q = hub_query_begin(db, "DELETE FROM subnets WHERE node_id = ?");
	hub_query_int(&q, 1, id);
	return hub_query_do(&q);
}

static enum hub_db_outcome find_live(struct hub_db *db, const char *name, uint32_t *id)
{
	struct hub_query q =
		hub_query_begin(db, "SELECT id FROM nodes WHERE name = ? AND revoked_s = 0");

	hub_query_text(&q, 1, name);
	*id = hub_query_row(&q) ? (uint32_t)hub_query_get_int(&q, 0) : 0;
	enum hub_db_outcome o = hub_query_end(&q);

	return o == HUB_DB_OK && !*id ? HUB_DB_NOT_FOUND : o;
}

enum hub_db_outcome hub_db_node_revoke(struct hub_db *db, const char *name, uint64_t now_s)
{
	uint32_t id;
	enum hub_db_outcome o = hub_db_write_begin(db);

	if (o != HUB_DB_OK)
		return o;
	o = find_live(db, name, &id);
	if (o == HUB_DB_OK) {
		struct hub_query q =
			hub_query_begin(db, "UPDATE nodes SET revoked_s = ? WHERE id = ?");
		hub_query_int(&q, 1, now_s);
		hub_query_int(&q, 2, id);
		o = hub_query_do(&q);
	}
	if (o == HUB_DB_OK)
		o = release(db, id, now_s);
	return hub_db_write_end(db, o);
}

/* SPDX-License-Identifier: MIT
 *
 * Groups and rules. A group's number in hub_policy is its place in the order of ids, and groups
 * never go: bits that somebody holds stay right when a new one comes.
 */
#include <stdio.h>

#include "hub/db_impl.h"

/* The next name of a text with spaces; false at the end. Too long a name comes back cut, and is bad
 * then. */
static bool next_name(const char **text, char name[HUB_GROUP_NAME_MAX + 1])
{
	const char *p = *text;
	size_t n = 0;

	while (*p == ' ')
		p++;
	for (; *p && *p != ' '; p++)
		if (n < HUB_GROUP_NAME_MAX)
			name[n++] = *p;
	name[n] = 0;
	*text = p;
	return n > 0;
}

enum hub_db_outcome hub_db_policy(struct hub_db *db, struct hub_policy *out)
{
	struct hub_query q = hub_query_begin(db, "SELECT name FROM groups ORDER BY id");
	char a[HUB_GROUP_NAME_MAX], b[HUB_GROUP_NAME_MAX];
	bool fine = true;

	memset(out, 0, sizeof(*out));
	while (hub_query_row(&q))
		fine = hub_query_get_text(&q, 0, a, sizeof(a)) &&
		       hub_policy_group(out, a, true) >= 0 && fine;
	enum hub_db_outcome o = hub_query_end(&q);
	if (o != HUB_DB_OK)
		return o;
	q = hub_query_begin(db, "SELECT x.name, y.name FROM rules JOIN groups x ON x.id = a"
				" JOIN groups y ON y.id = b");
	while (hub_query_row(&q)) {
		hub_query_get_text(&q, 0, a, sizeof(a));
		hub_query_get_text(&q, 1, b, sizeof(b));
		int i = hub_policy_group(out, a, false), j = hub_policy_group(out, b, false);
		if (i >= 0 && j >= 0)
			hub_policy_allow(out, (unsigned)i, (unsigned)j);
		else
			fine = false;
	}
	o = hub_query_end(&q);
	if (o == HUB_DB_OK && !fine) {
		hub_db_say(db, "a group cannot be read");
		return HUB_DB_CORRUPT;
	}
	return o;
}

uint64_t hub_db_groups_bits(struct hub_policy *p, const char *names)
{
	char name[HUB_GROUP_NAME_MAX + 1];
	uint64_t bits = 0;

	while (next_name(&names, name)) {
		int i = hub_policy_group(p, name, false);
		if (i >= 0)
			bits |= UINT64_C(1) << i;
	}
	return bits;
}

enum hub_db_outcome hub_db_groups_make(struct hub_db *db, const char *names)
{
	char name[HUB_GROUP_NAME_MAX + 1];
	struct hub_policy p;
	enum hub_db_outcome o = hub_db_policy(db, &p);

	while (o == HUB_DB_OK && next_name(&names, name)) {
		if (hub_policy_group(&p, name, false) >= 0)
			continue;
		if (hub_policy_group(&p, name, true) < 0) {
			hub_db_say(db,
				   p.count == HUB_GROUPS_MAX
					   ? "there are %d groups already; \"%s\" is one too many"
					   : "a group's name has at most %d of [a-z0-9-], a letter "
					     "first: \"%s\"",
				   p.count == HUB_GROUPS_MAX ? HUB_GROUPS_MAX
							     : HUB_GROUP_NAME_MAX - 1,
				   name);
			return HUB_DB_BAD;
		}
		struct hub_query q = hub_query_begin(db, "INSERT INTO groups (name) VALUES (?)");
		hub_query_text(&q, 1, name);
		o = hub_query_do(&q);
	}
	return o;
}

/* Which of them has the smaller id is the first of the rule. */
#define RULE_OF                                                \
	"(SELECT min(id) FROM groups WHERE name IN (?1, ?2))," \
	"(SELECT max(id) FROM groups WHERE name IN (?1, ?2))"

enum hub_db_outcome hub_db_allow(struct hub_db *db, const char *group_a, const char *group_b)
{
	enum hub_db_outcome o = hub_db_write_begin(db);

	if (o != HUB_DB_OK)
		return o;
	o = *group_a ? hub_db_groups_make(db, group_a) : HUB_DB_BAD;
	if (o == HUB_DB_OK)
		o = *group_b ? hub_db_groups_make(db, group_b) : HUB_DB_BAD;
	if (o == HUB_DB_OK) {
		struct hub_query q =
			hub_query_begin(db, "INSERT OR IGNORE INTO rules VALUES (" RULE_OF ")");
		hub_query_text(&q, 1, group_a);
		hub_query_text(&q, 2, group_b);
		o = hub_query_do(&q);
	}
	return hub_db_write_end(db, o);
}

enum hub_db_outcome hub_db_deny(struct hub_db *db, const char *group_a, const char *group_b)
{
	enum hub_db_outcome o = hub_db_write_begin(db);

	if (o != HUB_DB_OK)
		return o;
	struct hub_query q = hub_query_begin(db, "DELETE FROM rules WHERE (a, b) = (" RULE_OF ")");
	hub_query_text(&q, 1, group_a);
	hub_query_text(&q, 2, group_b);
	o = hub_query_do(&q);
	if (o == HUB_DB_OK && sqlite3_changes(db->sql) == 0)
		o = HUB_DB_NOT_FOUND;
	return hub_db_write_end(db, o);
}

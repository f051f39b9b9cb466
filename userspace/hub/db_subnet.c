/* SPDX-License-Identifier: MIT
 *
 * Subnets behind gateways: each has one owner, because a map with two is refused as a whole by the
 * nodes.
 */
#include <stdio.h>

#include "hub/db_impl.h"

static int parse_one(struct hub_db *db, const char *text, struct tt_cidr *out)
{
	if (tt_cidr_parse(text, out) != 0 || tt_cidr_mask(out)) {
		hub_db_say(db, "\"%s\" is no prefix like 192.168.0.0/24", text);
		return -1;
	}
	if (out->bits == 0) {
		hub_db_say(db, "a default route cannot be a subnet");
		return -1;
	}
	return 0;
}

int hub_db_subnets_parse(struct hub_db *db, const char *text, struct tt_cidr *list, size_t max)
{
	size_t n = 0;

	while (*text) {
		char one[TT_CIDR_TEXT_MAX];
		size_t len = strcspn(text, " ");

		if (len > 0) {
			if (n == max) {
				hub_db_say(db, "a gateway has at most %zu subnets", max);
				return -1;
			}
			snprintf(one, sizeof(one), "%.*s", (int)len, text);
			memset(&list[n], 0, sizeof(list[n]));
			if (parse_one(db, one, &list[n]) < 0)
				return -1;
			for (size_t i = 0; i < n; i++)
				if (memcmp(&list[i], &list[n], sizeof(list[n])) == 0) {
					hub_db_say(db, "%s is there twice", one);
					return -1;
				}
			n++;
		}
		text += len + (text[len] == ' ');
	}
	return (int)n;
}

static bool overlap(const struct tt_cidr *a, const struct tt_cidr *b)
{
	return a->bits && b->bits && (tt_cidr_contains(a, &b->ip) || tt_cidr_contains(b, &a->ip));
}

enum hub_db_outcome hub_db_subnets_check(struct hub_db *db, const struct tt_cidr *list, size_t n)
{
	struct hub_settings s;
	enum hub_db_outcome o = n ? hub_db_settings_load(db, &s) : HUB_DB_OK;
	char text[TT_CIDR_TEXT_MAX], owner[MESH_HUB_NAME_MAX + 1];

	for (size_t i = 0; o == HUB_DB_OK && i < n; i++) {
		tt_cidr_format(&list[i], text);
		if (overlap(&list[i], &s.pool4) || overlap(&list[i], &s.pool6)) {
			hub_db_say(db, "%s overlaps the pool of the nodes' addresses", text);
			return HUB_DB_BAD;
		}
		struct hub_query q =
			hub_query_begin(db,
					"SELECT name FROM subnets JOIN nodes ON nodes.id = node_id"
					" WHERE prefix = ?");
		hub_query_text(&q, 1, text);
		bool taken = hub_query_row(&q);
		if (taken)
			hub_query_get_text(&q, 0, owner, sizeof(owner));
		o = hub_query_end(&q);
		if (o == HUB_DB_OK && taken) {
			hub_db_say(db, "%s belongs to %s", text, owner);
			return HUB_DB_EXISTS;
		}
	}
	return o;
}

enum hub_db_outcome hub_db_subnets_take(struct hub_db *db, uint32_t node_id,
					const struct tt_cidr *list, size_t n)
{
	enum hub_db_outcome o = hub_db_subnets_check(db, list, n);
	char text[TT_CIDR_TEXT_MAX];

	for (size_t i = 0; o == HUB_DB_OK && i < n; i++) {
		struct hub_query q = hub_query_begin(db, "INSERT INTO subnets VALUES (?, ?)");
		hub_query_text(&q, 1, tt_cidr_format(&list[i], text));
		hub_query_int(&q, 2, node_id);
		o = hub_query_do(&q);
	}
	return o;
}

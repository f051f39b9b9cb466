/* SPDX-License-Identifier: MIT
 *
 * The database's own state and its way to SQLite, shared by db*.c alone.
 */
#ifndef TT_HUB_DB_IMPL_H
#define TT_HUB_DB_IMPL_H

#include <sqlite3.h>

#include "hub/db.h"

#define HUB_DB_APPLICATION  0x54614c48 /* "TaLH", in the file's header */
#define HUB_DB_SCHEMA	    1
#define HUB_DB_BUSY_MS	    5000
#define HUB_DB_ADDRESS_KEEP (7 * 86400) /* an address of a revoked node rests for so long */

struct hub_db {
	sqlite3 *sql;
	char error[256];
};

/* One statement on its way; what goes wrong is remembered until hub_query_end(). */
struct hub_query {
	struct hub_db *db;
	sqlite3_stmt *stmt;
	int rc;
};

/* db.c */
void hub_db_say(struct hub_db *db, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum hub_db_outcome hub_db_outcome_of(struct hub_db *db, int rc);
enum hub_db_outcome hub_db_run(struct hub_db *db, const char *sql);

struct hub_query hub_query_begin(struct hub_db *db, const char *sql);
void hub_query_int(struct hub_query *q, int at, uint64_t v);
void hub_query_text(struct hub_query *q, int at, const char *text);
void hub_query_blob(struct hub_query *q, int at, const void *data, size_t len);
/* True: a row. False: the end, or an error. */
bool hub_query_row(struct hub_query *q);
uint64_t hub_query_get_int(struct hub_query *q, int column);
/* False where it is longer than the room or shorter than it should be. */
bool hub_query_get_text(struct hub_query *q, int column, char *out, size_t room);
bool hub_query_get_blob(struct hub_query *q, int column, void *out, size_t len);
enum hub_db_outcome hub_query_end(struct hub_query *q);
/* For statements without a result. */
enum hub_db_outcome hub_query_do(struct hub_query *q);

/* db_policy.c: names with spaces between them. Each becomes a group where there is none yet. */
enum hub_db_outcome hub_db_groups_make(struct hub_db *db, const char *names);
uint64_t hub_db_groups_bits(struct hub_policy *p, const char *names);

/* db_address.c: takes a free address of each pool for a node that exists. */
enum hub_db_outcome hub_db_addresses_take(struct hub_db *db, uint32_t node_id, const char *name,
					  enum hub_role role, uint64_t now_s,
					  struct hub_node_facts *out);

/* db_subnet.c. Text of prefixes with spaces between them; -1: db->error says why. */
int hub_db_subnets_parse(struct hub_db *db, const char *text, struct tt_cidr *list, size_t max);
/* Whether nobody else has one of them, and none is of the hub's own pools. */
enum hub_db_outcome hub_db_subnets_check(struct hub_db *db, const struct tt_cidr *list, size_t n);
enum hub_db_outcome hub_db_subnets_take(struct hub_db *db, uint32_t node_id,
					const struct tt_cidr *list, size_t n);

#endif

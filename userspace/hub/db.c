/* SPDX-License-Identifier: MIT
 *
 * The file, its schema, and statements. What is in it: db_*.c.
 */
#include "hub/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/db_impl.h"

/* Ids are never used again (AUTOINCREMENT). A name or key belongs to one node that is not revoked;
 * an address to one node, and to nobody for some time after. */
static const char schema[] =
	"CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE groups (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)"
	" STRICT;"
	"CREATE TABLE rules (a INTEGER NOT NULL REFERENCES groups(id),"
	" b INTEGER NOT NULL REFERENCES groups(id), PRIMARY KEY (a, b), CHECK (a <= b))"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE tokens (id BLOB PRIMARY KEY, secret BLOB NOT NULL, name TEXT NOT NULL,"
	" role INTEGER NOT NULL, groups TEXT NOT NULL, subnets TEXT NOT NULL,"
	" created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL, used_s INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
	" wg_public_key BLOB NOT NULL, role INTEGER NOT NULL, groups TEXT NOT NULL,"
	" version TEXT NOT NULL, hostname TEXT NOT NULL, enrolled_s INTEGER NOT NULL,"
	" revoked_s INTEGER NOT NULL DEFAULT 0, cert_serial BLOB NOT NULL,"
	" cert_until_s INTEGER NOT NULL, seen_s INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE UNIQUE INDEX node_name ON nodes (name) WHERE revoked_s = 0;"
	"CREATE UNIQUE INDEX node_key ON nodes (wg_public_key) WHERE revoked_s = 0;"
	"CREATE TABLE addresses (family INTEGER NOT NULL, address BLOB NOT NULL,"
	" node_id INTEGER NOT NULL REFERENCES nodes(id), released_s INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (family, address)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX address_node ON addresses (node_id);"
	"CREATE TABLE subnets (prefix TEXT PRIMARY KEY, node_id INTEGER NOT NULL"
	" REFERENCES nodes(id)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX subnet_node ON subnets (node_id);";

const char *hub_db_outcome_text(enum hub_db_outcome o)
{
	static const char *const text[] = {
		[HUB_DB_OK] = "done",
		[HUB_DB_NOT_FOUND] = "there is no such entry",
		[HUB_DB_EXISTS] = "that name, key or subnet belongs to another node",
		[HUB_DB_TOKEN_USED] = "the token was used already",
		[HUB_DB_TOKEN_EXPIRED] = "the token has expired",
		[HUB_DB_NO_ADDRESS] = "the pool has no free address",
		[HUB_DB_BAD] = "a name, role, group or prefix that cannot be",
		[HUB_DB_FULL] = "the disk is full",
		[HUB_DB_CORRUPT] = "the database is damaged, or is none of a hub",
		[HUB_DB_FAILED] = "the database does not work",
	};

	return (unsigned)o < TT_ARRAY_LEN(text) ? text[o] : "unknown";
}

const char *hub_db_error(const struct hub_db *db)
{
	return db->error;
}

void hub_db_say(struct hub_db *db, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(db->error, sizeof(db->error), format, ap);
	va_end(ap);
}

enum hub_db_outcome hub_db_outcome_of(struct hub_db *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return HUB_DB_OK;
	case SQLITE_FULL:
		hub_db_say(db, "the disk is full");
		return HUB_DB_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		hub_db_say(db, "%s", sqlite3_errmsg(db->sql));
		return HUB_DB_CORRUPT;
	case SQLITE_CONSTRAINT:
		hub_db_say(db, "%s", sqlite3_errmsg(db->sql));
		return HUB_DB_EXISTS;
	default:
		/* a full disk shows itself in more than one way */
		if (sqlite3_system_errno(db->sql) == ENOSPC) {
			hub_db_say(db, "the disk is full");
			return HUB_DB_FULL;
		}
		hub_db_say(db, "%s", sqlite3_errmsg(db->sql));
		return HUB_DB_FAILED;
	}
}

/* --- statements ------------------------------------------------------------------------------- */

enum hub_db_outcome hub_db_run(struct hub_db *db, const char *sql)
{
	return hub_db_outcome_of(db, sqlite3_exec(db->sql, sql, NULL, NULL, NULL));
}

/* A write transaction from its first moment, so that what is read in it stays true. */
enum hub_db_outcome hub_db_write_begin(struct hub_db *db)
{
	db->error[0] = 0;
	return hub_db_run(db, "BEGIN IMMEDIATE");
}

enum hub_db_outcome hub_db_write_end(struct hub_db *db, enum hub_db_outcome o)
{
	char why[sizeof(db->error)];

	if (o == HUB_DB_OK)
		o = hub_db_run(db, "COMMIT");
	if (o == HUB_DB_OK || sqlite3_get_autocommit(db->sql))
		return o;
	memcpy(why, db->error, sizeof(why));
	hub_db_run(db, "ROLLBACK");
	memcpy(db->error, why, sizeof(why));
	return o;
}

enum hub_db_outcome hub_db_read_begin(struct hub_db *db)
{
	return hub_db_run(db, "BEGIN");
}

void hub_db_read_end(struct hub_db *db)
{
	sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}

struct hub_query hub_query_begin(struct hub_db *db, const char *sql)
{
	struct hub_query q = {.db = db};

	q.rc = sqlite3_prepare_v2(db->sql, sql, -1, &q.stmt, NULL);
	return q;
}

void hub_query_int(struct hub_query *q, int at, uint64_t v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_int64(q->stmt, at, (sqlite3_int64)v);
}

void hub_query_text(struct hub_query *q, int at, const char *text)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_text(q->stmt, at, text, -1, SQLITE_TRANSIENT);
}

void hub_query_blob(struct hub_query *q, int at, const void *data, size_t len)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_blob64(q->stmt, at, data, len, SQLITE_TRANSIENT);
}

bool hub_query_row(struct hub_query *q)
{
	if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
		return false;
	q->rc = sqlite3_step(q->stmt);
	return q->rc == SQLITE_ROW;
}

uint64_t hub_query_get_int(struct hub_query *q, int column)
{
	sqlite3_int64 v = sqlite3_column_int64(q->stmt, column);

	return v < 0 ? 0 : (uint64_t)v;
}

bool hub_query_get_text(struct hub_query *q, int column, char *out, size_t room)
{
	const char *text = (const char *)sqlite3_column_text(q->stmt, column);
	size_t len = text ? (size_t)sqlite3_column_bytes(q->stmt, column) : 0;

	if (!text || len >= room || strlen(text) != len) {
		out[0] = 0;
		return false;
	}
	memcpy(out, text, len + 1);
	return true;
}

bool hub_query_get_blob(struct hub_query *q, int column, void *out, size_t len)
{
	const void *data = sqlite3_column_blob(q->stmt, column);

	if (!data || (size_t)sqlite3_column_bytes(q->stmt, column) != len) {
		memset(out, 0, len);
		return false;
	}
	memcpy(out, data, len);
	return true;
}

enum hub_db_outcome hub_query_end(struct hub_query *q)
{
	enum hub_db_outcome o = hub_db_outcome_of(q->db, q->rc);

	sqlite3_finalize(q->stmt);
	q->stmt = NULL;
	return o;
}

enum hub_db_outcome hub_query_do(struct hub_query *q)
{
	hub_query_row(q);
	return hub_query_end(q);
}

static enum hub_db_outcome number(struct hub_db *db, const char *sql, uint64_t *out)
{
	struct hub_query q = hub_query_begin(db, sql);

	*out = hub_query_row(&q) ? hub_query_get_int(&q, 0) : 0;
	return hub_query_end(&q);
}

/* --- the file --------------------------------------------------------------------------------- */

static enum hub_db_outcome make_tables(struct hub_db *db)
{
	char sql[128];
	enum hub_db_outcome o = hub_db_run(db, "PRAGMA journal_mode = WAL");

	if (o == HUB_DB_OK)
		o = hub_db_write_begin(db);
	if (o != HUB_DB_OK)
		return o;
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 HUB_DB_APPLICATION, HUB_DB_SCHEMA);
	o = hub_db_run(db, sql);
	if (o == HUB_DB_OK)
		o = hub_db_run(db, schema);
	return hub_db_write_end(db, o);
}

static enum hub_db_outcome check_tables(struct hub_db *db)
{
	uint64_t application, version;
	enum hub_db_outcome o = number(db, "PRAGMA application_id", &application);

	if (o == HUB_DB_OK)
		o = number(db, "PRAGMA user_version", &version);
	if (o != HUB_DB_OK)
		return o;
	if (application != HUB_DB_APPLICATION) {
		hub_db_say(db, "this is not the database of a hub");
		return HUB_DB_CORRUPT;
	}
	if (version != HUB_DB_SCHEMA) {
		hub_db_say(db, "it was made by another version of taltun-hub");
		return HUB_DB_FAILED;
	}
	struct hub_query q = hub_query_begin(db, "PRAGMA quick_check(1)");
	char text[64] = "";
	bool fine = hub_query_row(&q) && hub_query_get_text(&q, 0, text, sizeof(text)) &&
		    strcmp(text, "ok") == 0;
	o = hub_query_end(&q);
	if (o == HUB_DB_OK && !fine) {
		hub_db_say(db, "%s", text);
		o = HUB_DB_CORRUPT;
	}
	return o;
}

/* Made before SQLite sees it, so that nobody else can ever read it. */
static enum hub_db_outcome make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST	 ? HUB_DB_EXISTS
		       : errno == ENOSPC ? HUB_DB_FULL
					 : HUB_DB_FAILED;
	close(fd);
	return HUB_DB_OK;
}

static enum hub_db_outcome open_file(struct hub_db *db, const char *path, bool create)
{
	int rc = sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return access(path, F_OK) != 0 ? HUB_DB_NOT_FOUND : hub_db_outcome_of(db, rc);
	sqlite3_extended_result_codes(db->sql, 1);
	sqlite3_busy_timeout(db->sql, HUB_DB_BUSY_MS);
	enum hub_db_outcome o = hub_db_run(db, "PRAGMA foreign_keys = ON;"
					       "PRAGMA trusted_schema = OFF;"
					       "PRAGMA secure_delete = ON;"
					       "PRAGMA synchronous = FULL");
	if (o != HUB_DB_OK)
		return o;
	return create ? make_tables(db) : check_tables(db);
}

enum hub_db_outcome hub_db_open(const char *path, bool create, struct hub_db **out)
{
	struct hub_db *db;
	enum hub_db_outcome o = create ? make_file(path) : HUB_DB_OK;

	*out = NULL;
	if (o != HUB_DB_OK)
		return o;
	db = calloc(1, sizeof(*db));
	if (!db)
		return HUB_DB_FAILED;
	o = open_file(db, path, create);
	if (o != HUB_DB_OK) {
		hub_db_close(db);
		return o;
	}
	*out = db;
	return HUB_DB_OK;
}

void hub_db_close(struct hub_db *db)
{
	if (!db)
		return;
	sqlite3_close(db->sql);
	free(db);
}

uint64_t hub_db_version(struct hub_db *db)
{
	uint64_t v;

	return number(db, "PRAGMA data_version", &v) == HUB_DB_OK ? v : 0;
}

/* --- settings --------------------------------------------------------------------------------- */

static enum hub_db_outcome save(struct hub_db *db, const char *key, const char *value)
{
	struct hub_query q = hub_query_begin(db, "INSERT OR REPLACE INTO settings VALUES (?, ?)");

	hub_query_text(&q, 1, key);
	hub_query_text(&q, 2, value);
	return hub_query_do(&q);
}

static enum hub_db_outcome save_number(struct hub_db *db, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return save(db, key, text);
}

static enum hub_db_outcome save_pool(struct hub_db *db, const char *key, const struct tt_cidr *pool)
{
	char text[TT_CIDR_TEXT_MAX] = "";

	if (pool->bits)
		tt_cidr_format(pool, text);
	return save(db, key, text);
}

enum hub_db_outcome hub_db_settings_save(struct hub_db *db, const struct hub_settings *s)
{
	enum hub_db_outcome o = hub_db_write_begin(db);

	if (o != HUB_DB_OK)
		return o;
	o = save(db, "name", s->name);
	if (o == HUB_DB_OK)
		o = save_number(db, "tcp_port", s->tcp_port);
	if (o == HUB_DB_OK)
		o = save_pool(db, "pool4", &s->pool4);
	if (o == HUB_DB_OK)
		o = save_pool(db, "pool6", &s->pool6);
	if (o == HUB_DB_OK)
		o = save_number(db, "keepalive_s", s->keepalive_s);
	return hub_db_write_end(db, o);
}

static bool load_one(struct hub_settings *out, const char *key, const char *value)
{
	if (strcmp(key, "name") == 0) {
		if (strlen(value) >= sizeof(out->name) || !mesh_token_host_is_valid(value))
			return false;
		memcpy(out->name, value, strlen(value) + 1);
	} else if (strcmp(key, "tcp_port") == 0) {
		out->tcp_port = (uint16_t)strtoul(value, NULL, 10);
	} else if (strcmp(key, "keepalive_s") == 0) {
		out->keepalive_s = (uint32_t)strtoul(value, NULL, 10);
	} else if (strcmp(key, "pool4") == 0 && *value) {
		return tt_cidr_parse(value, &out->pool4) == 0;
	} else if (strcmp(key, "pool6") == 0 && *value) {
		return tt_cidr_parse(value, &out->pool6) == 0;
	}
	return true;
}

enum hub_db_outcome hub_db_settings_load(struct hub_db *db, struct hub_settings *out)
{
	struct hub_query q = hub_query_begin(db, "SELECT key, value FROM settings");
	char key[32], value[MESH_TOKEN_HOST_MAX + 1];
	bool fine = true;

	memset(out, 0, sizeof(*out));
	while (hub_query_row(&q))
		fine = hub_query_get_text(&q, 0, key, sizeof(key)) &&
		       hub_query_get_text(&q, 1, value, sizeof(value)) &&
		       load_one(out, key, value) && fine;
	enum hub_db_outcome o = hub_query_end(&q);

	if (o == HUB_DB_OK && (!fine || !out->name[0] || !out->tcp_port)) {
		hub_db_say(db, "a setting cannot be read");
		return HUB_DB_CORRUPT;
	}
	return o;
}

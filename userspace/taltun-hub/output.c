/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plat/sandbox.h"
#include "taltun-hub/cli.h"

/*
 * The directory of the database belongs to the hub's user, who may put links where SQLite makes its
 * files: root does not work there, but as that user.
 */
static bool become_owner(void)
{
	struct stat st;
	int err = 0;

	if (lstat(cli_paths.db, &st) < 0 || !S_ISREG(st.st_mode)) {
		cli_fail(CLI_FAILED, "%s is no regular file", cli_paths.db);
		return false;
	}
	if (geteuid() == 0 && st.st_uid != 0)
		err = plat_sandbox_drop(st.st_uid, st.st_gid);
	if (err)
		cli_fail(CLI_FAILED, "cannot become the owner of %s: %s", cli_paths.db,
			 strerror(-err));
	return err == 0;
}

struct hub_db *cli_open(void)
{
	struct hub_db *db;

	if (access(cli_paths.db, F_OK) != 0) {
		if (errno == EACCES)
			cli_fail(CLI_FAILED, "%s: permission denied; run as root", cli_paths.db);
		else
			cli_fail(CLI_FAILED,
				 "no hub here: %s is missing; make one with `taltun-hub init "
				 "--name HOST`",
				 cli_paths.db);
		return NULL;
	}
	if (!become_owner())
		return NULL;
	enum hub_db_outcome o = hub_db_open(cli_paths.db, false, &db);
	if (o == HUB_DB_OK)
		return db;
	cli_fail(CLI_FAILED, "%s: %s", cli_paths.db, hub_db_outcome_text(o));
	return NULL;
}

int cli_outcome(struct hub_db *db, enum hub_db_outcome o)
{
	if (o == HUB_DB_OK)
		return CLI_OK;
	const char *more = hub_db_error(db);
	bool says_more = *more && o != HUB_DB_NOT_FOUND && o != HUB_DB_FULL;

	if (says_more && (o == HUB_DB_BAD || o == HUB_DB_EXISTS))
		return cli_fail(CLI_FAILED, "%s", more);
	return cli_fail(CLI_FAILED, "%s%s%s", hub_db_outcome_text(o), says_more ? ": " : "",
			says_more ? more : "");
}

const char *cli_role(enum hub_role role)
{
	return role == HUB_ROLE_GATEWAY ? "gateway" : "client";
}

const char *cli_time(char *buf, uint64_t wall_s)
{
	time_t t = (time_t)wall_s;
	struct tm tm;

	if (!wall_s || !localtime_r(&t, &tm) || !strftime(buf, 32, "%Y-%m-%d %H:%M", &tm))
		snprintf(buf, 32, "never");
	return buf;
}

void cli_print_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

static void row_cell(const void *ctx, size_t row, unsigned column, struct cli_cell *out)
{
	const char *s = json_string_value(json_array_get(json_array_get(ctx, row), column));

	snprintf(out->text, sizeof(out->text), "%s", s && *s ? s : "-");
}

void cli_print_rows(const struct cli_column *columns, unsigned count, json_t *rows)
{
	struct cli_table t = {.columns = columns,
			      .count = count,
			      .rows = json_array_size(rows),
			      .cell = row_cell,
			      .ctx = rows};

	cli_table_print(&t, cli_columns());
	json_decref(rows);
}

json_t *cli_words(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t len = strcspn(text, " ");

		if (len)
			json_array_append_new(list, json_stringn(text, len));
		text += len + (text[len] == ' ');
	}
	return list;
}

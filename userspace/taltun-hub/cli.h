/* SPDX-License-Identifier: MIT
 *
 * What the subcommands of taltun-hub share: their tables, the database, and how output looks.
 */
#ifndef TT_TALTUN_HUB_CLI_H
#define TT_TALTUN_HUB_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "hub/config.h"
#include "hub/db.h"

/* One table per file, ends with a NULL name. */
extern const struct cli_command cli_commands_hub[];
extern const struct cli_command cli_commands_token[];
extern const struct cli_command cli_commands_node[];
extern const struct cli_command cli_commands_policy[];
extern const struct cli_command cli_commands_status[];

extern struct hub_paths cli_paths; /* as --dir says */
extern const char *cli_dir;	   /* --dir; NULL: not given */

/* --- the database (output.c) ---------------------------------------------------------------------
 */

/* NULL with a message printed. Root becomes the owner of the database for good. */
struct hub_db *cli_open(void);
/* Prints what went wrong; CLI_OK where nothing did. */
int cli_outcome(struct hub_db *db, enum hub_db_outcome o);

/* What the hub says of itself, or NULL where none runs; nothing is printed (cmd_status.c). */
json_t *cli_hub_status(void);

/* --- output (output.c) ---------------------------------------------------------------------------
 */

const char *cli_role(enum hub_role role);
/* "2026-01-01 12:00", or "never"; buf >= 32 bytes; returns buf. */
const char *cli_time(char *buf, uint64_t wall_s);
void cli_print_json(json_t *o); /* consumes it */
/*
 * A table that fits the terminal; rows: an array (consumed) of arrays of strings, one for each
 * column. An empty string is shown as "-".
 */
void cli_print_rows(const struct cli_column *columns, unsigned count, json_t *rows);
/* Names with spaces between them to a list of strings. */
json_t *cli_words(const char *text);

#endif

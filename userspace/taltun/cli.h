/* SPDX-License-Identifier: MIT
 *
 * What the subcommands share: exit codes, the control socket, and how output looks.
 */
#ifndef TT_TALTUN_CLI_H
#define TT_TALTUN_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Documented in taltun(8) and `taltun help`. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3, /* no daemon answers for this interface */
	CLI_CONFIG = 78,     /* the configuration is invalid (EX_CONFIG) */
};

struct cli_command {
	const char *name;
	const char *usage; /* behind "taltun NAME " */
	const char *summary;
	const char *help; /* paragraphs of --help */
	int (*run)(int argc, char **argv);
};

/* One table per file, ends with a NULL name. */
extern const struct cli_command cli_commands_keys[];
extern const struct cli_command cli_commands_up[];
extern const struct cli_command cli_commands_enroll[];
extern const struct cli_command cli_commands_events[];
extern const struct cli_command cli_commands_status[];
extern const struct cli_command cli_commands_config[];
extern const struct cli_command cli_commands_doctor[];
extern const struct cli_command cli_commands_stun[];
extern const struct cli_command cli_commands_bench[];

/* Prints "taltun: ..." to stderr and returns status. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Usage error of this command; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Takes "--json" (or another flag) out of argv; true where it was there. argc shrinks.
 */
bool cli_take_flag(int *argc, char **argv, const char *flag);

/* --- control socket (control.c) -----------------------------------------------------------------
 */

/* Interfaces with a control socket; names are malloc'd. Returns their number, -1 on error. */
int cli_interfaces(char ***names);
void cli_interfaces_free(char **names, int count);
/*
 * Sends {"v":1,"op":op} to the daemon of `interface` and returns its reply (new reference), or NULL
 * with *status set and a message printed. timeout_s bounds the wait.
 */
json_t *cli_request(const char *interface, const char *op, int timeout_s, int *status);
/* The daemon's events, line by line until it ends; NULL with *status set and a message printed. */
FILE *cli_listen(const char *interface, int *status);
/* The interface an argument means: a name, or the file it was brought up from. Writes into buf. */
const char *cli_interface_of(const char *arg, char *buf, size_t cap);

/* --- interfaces (cmd_up.c) -----------------------------------------------------------------------
 */

/* Starts the daemon with this file, hooks and all; the exit status. */
int cli_up(const char *path);
bool cli_is_up(const char *name);
/* Its socket was left behind by a daemon that was killed. */
bool cli_is_dead(const char *interface);

/* --- output (output.c) ---------------------------------------------------------------------------
 */

/* "" unless stdout is a terminal (and NO_COLOR is not set). */
enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_GREEN, CLI_YELLOW, CLI_RED, CLI_DIM };
const char *cli_colour(enum cli_colour c);
/* "1.21 GiB", "3 minutes, 5 seconds ago"; buf >= 64 bytes; return buf. */
const char *cli_bytes(char *buf, double bytes);
const char *cli_ago(char *buf, long long wall_seconds);
const char *cli_duration(char *buf, long long seconds);

#endif

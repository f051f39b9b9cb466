/* SPDX-License-Identifier: MIT
 *
 * What the subcommands share: their tables, the control socket, and the state of interfaces.
 */
#ifndef TT_TALTUN_CLI_H
#define TT_TALTUN_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"

/* One table per file, ends with a NULL name. */
extern const struct cli_command cli_commands_keys[];
extern const struct cli_command cli_commands_up[];
extern const struct cli_command cli_commands_enroll[];
extern const struct cli_command cli_commands_top[];
extern const struct cli_command cli_commands_events[];
extern const struct cli_command cli_commands_status[];
extern const struct cli_command cli_commands_config[];
extern const struct cli_command cli_commands_firewall[];
extern const struct cli_command cli_commands_doctor[];
extern const struct cli_command cli_commands_stun[];
extern const struct cli_command cli_commands_log[];
extern const struct cli_command cli_commands_bench[];

/* --- control socket (control.c) -----------------------------------------------------------------
 */

/* Where daemons keep their sockets. */
const char *cli_run_dir(void);
/* Interfaces with a control socket; names are malloc'd. Their number; -1: we may not look. */
int cli_interfaces(char ***names);
/* Says that we may not look, and what to do; the exit status. */
int cli_fail_run_dir(void);
void cli_interfaces_free(char **names, int count);
/* A connection to the daemon; every step waits up to timeout_s. -errno: there is none. */
int cli_connect(const char *interface, int timeout_s);
/* Says that there is none, and what to do; the exit status. */
int cli_fail_connect(const char *interface, int err);
/*
 * Sends {"v":1,"op":op} to the daemon of `interface` and returns its reply (new reference), or NULL
 * with *status set and a message printed. timeout_s bounds the wait.
 */
json_t *cli_request(const char *interface, const char *op, int timeout_s, int *status);
/* The same with one word more: "key":"value", which are ours and need no escaping. */
json_t *cli_request_with(const char *interface, const char *op, const char *key, const char *value,
			 int timeout_s, int *status);
/* The daemon's events, line by line until it ends; NULL with *status set and a message printed. */
FILE *cli_listen(const char *interface, int *status);
/*
 * The interface a command is for: what `arg` means, or the only one that is up where it is NULL.
 * Writes its name into buf. CLI_OK, or the exit status with a message printed.
 */
int cli_choose_interface(const char *command, const char *arg, char *buf, size_t cap);
/* The interface an argument means: a name, or the file it was brought up from. Writes into buf. */
const char *cli_interface_of(const char *arg, char *buf, size_t cap);

/* --- interfaces (cmd_up.c) -----------------------------------------------------------------------
 */

/* Starts the daemon with this file, hooks and all; the exit status. */
int cli_up(const char *path);
bool cli_is_up(const char *name);
/* Its socket was left behind by a daemon that was killed. */
bool cli_is_dead(const char *interface);

#endif

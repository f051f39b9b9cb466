/* SPDX-License-Identifier: MIT
 *
 * What the command lines of taltun and taltun-hub share: tables of commands, their help, options,
 * and how failures are told. One thread.
 */
#ifndef TT_CLI_COMMAND_H
#define TT_CLI_COMMAND_H

#include <stdbool.h>

/* Documented in the manual pages and by `help`. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3, /* no daemon, or no hub, answers */
	CLI_CONFIG = 78,     /* the configuration is invalid (EX_CONFIG) */
};

struct cli_command {
	const char *name;
	const char *usage; /* behind "PROGRAM NAME " */
	const char *summary;
	const char *help; /* paragraphs of --help; may be NULL */
	/* argv[0] is the command's name; the exit status. */
	int (*run)(int argc, char **argv);
};

/* Commands under one heading of `help`; their table ends with a NULL name. */
struct cli_group {
	const char *title; /* NULL: goes on under the one before */
	const struct cli_command *commands;
};

struct cli_program {
	const char *name;
	const char *what;		/* "taltun 1.2.3: WHAT" */
	const char *usage;		/* behind "usage: PROGRAM " */
	const char *closing;		/* the end of `help`: common options, exit statuses */
	const struct cli_group *groups; /* ends with NULL commands */
};

/* Before anything below; cli_main() does it, too. */
void cli_begin(const struct cli_program *program);
/* Finds the command, answers help and version itself, and runs it; the exit status. */
int cli_main(const struct cli_program *program, int argc, char **argv);

/* Prints "PROGRAM: ..." to stderr and returns status. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Usage error of this command; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes "--json" (or another flag) out of argv; true where it was there. argc shrinks. */
bool cli_take_flag(int *argc, char **argv, const char *flag);
/* Takes "--name VALUE" or "--name=VALUE" out: 1, *value is set; 0: not there; -1: without a value.
 */
int cli_take_value(int *argc, char **argv, const char *option, const char **value);
/*
 * After the options were taken out: tells of one that is left ("-" is none), or of another number
 * of arguments than least to most, where `takes` says what there should be. CLI_OK or CLI_USAGE.
 */
int cli_check_arguments(int argc, char **argv, int least, int most, const char *takes);

#endif

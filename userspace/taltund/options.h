/* SPDX-License-Identifier: MIT
 *
 * The command line and environment of taltund.
 */
#ifndef TT_TALTUND_OPTIONS_H
#define TT_TALTUND_OPTIONS_H

#include "base/log.h"

/* Exit statuses; documented in --help. */
enum taltund_exit {
	TALTUND_EXIT_OK = 0,
	TALTUND_EXIT_FAILED = 1,
	TALTUND_EXIT_USAGE = 2,
	TALTUND_EXIT_CONFIG = 78, /* EX_CONFIG of sysexits.h */
};

#define TALTUND_SET_MAX 256

struct taltund_options {
	const char *config; /* NULL: a name was given */
	const char *name;
	bool foreground;
	bool silent;
	bool help, version;
	enum tt_log_level log_level;
	enum tt_log_format log_format;
	const char *log_file;
	const char *set[TALTUND_SET_MAX]; /* "section.key=value" */
	size_t set_count;
};

/* 0, or TALTUND_EXIT_USAGE after a message on stderr. */
int taltund_options_parse(int argc, char **argv, struct taltund_options *out);
void taltund_options_help(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * How output looks: colour, the width there is, and numbers for people. The number functions write
 * into buf and return it.
 */
#ifndef TT_CLI_OUTPUT_H
#define TT_CLI_OUTPUT_H

#include <stdint.h>

/* Bytes that every function below may write. */
#define CLI_NUMBER_MAX 64

/* "" unless stdout is a terminal (and NO_COLOR is not set). */
enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_GREEN, CLI_YELLOW, CLI_RED, CLI_DIM };
const char *cli_colour(enum cli_colour c);

/*
 * Columns of stdout: $COLUMNS where it is exported, else those of the terminal; 0: no bound, since
 * stdout is no terminal.
 */
unsigned cli_columns(void);

/* "1.21 GiB" */
const char *cli_bytes(char *buf, double bytes);
/* "1.21G": at most 5 columns; base 1024 (K, M, ...) or 1000 (k, M, ...). */
const char *cli_scaled(char *buf, double value, unsigned base);
/* "3 minutes, 5 seconds" */
const char *cli_duration(char *buf, long long seconds);
/* "3m": at most 5 columns, the largest unit alone. */
const char *cli_duration_short(char *buf, long long seconds);
/* "12.3ms": at most 6 columns; "" for 0, which is unknown. */
const char *cli_latency(char *buf, uint64_t us);
/* "3 minutes, 5 seconds ago", "now", "never" (0) */
const char *cli_ago(char *buf, long long wall_seconds);

#endif

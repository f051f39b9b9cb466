/* SPDX-License-Identifier: MIT
 *
 * Text of others on our terminal. Names and reasons come from files, hubs and peers: whatever would
 * move the cursor, change the colour, turn the direction of writing or take no place is shown as
 * '?', and so is what is not a character of the locale. Columns are those of the terminal: some
 * characters take two.
 */
#ifndef TT_CLI_PRINTABLE_H
#define TT_CLI_PRINTABLE_H

#include <stddef.h>

/* Columns that text takes. */
unsigned cli_width(const char *text);
/*
 * Writes text to buf (of cap bytes, never more, always ended). Longer than `columns`, its middle is
 * left out and an ellipsis put there, since names differ at both ends. The columns it takes.
 */
unsigned cli_fit(char *buf, size_t cap, const char *text, unsigned columns);
/* The same, but it is the end that is left out. */
unsigned cli_cut(char *buf, size_t cap, const char *text, unsigned columns);
/* The same without a bound but that of buf; returns buf. */
const char *cli_printable(char *buf, size_t cap, const char *text);

#endif

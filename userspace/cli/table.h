/* SPDX-License-Identifier: MIT
 *
 * Tables that fit a width: columns are as wide as their cells need; where that is too much, those
 * that can be are shortened, and then the least important are left out. Cells are asked for again
 * for every pass and never stored. Their text may come from anywhere: it is made printable here.
 */
#ifndef TT_CLI_TABLE_H
#define TT_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/output.h"

#define CLI_TABLE_COLUMNS_MAX 16
#define CLI_CELL_MAX	      256 /* bytes of a cell's text */

struct cli_column {
	const char *title;
	unsigned least; /* may be shortened to so many columns; 0: not at all */
	unsigned leave; /* left out in this order, 1 first; 0: never */
	unsigned room;	/* kept for it also where its cells need less: numbers that change */
	bool right;	/* aligned to the right */
};

struct cli_cell {
	char text[CLI_CELL_MAX];
	enum cli_colour colour;
};

struct cli_table {
	const struct cli_column *columns;
	unsigned count; /* of columns, up to CLI_TABLE_COLUMNS_MAX */
	size_t rows;
	/* *out is empty and CLI_PLAIN before. */
	void (*cell)(const void *ctx, size_t row, unsigned column, struct cli_cell *out);
	const void *ctx;
};

/* Where its columns are: of one table and one width. */
struct cli_layout {
	unsigned width[CLI_TABLE_COLUMNS_MAX]; /* 0: left out */
	unsigned gap;
};

/* width 0: no bound. */
void cli_table_layout(const struct cli_table *t, unsigned width, struct cli_layout *l);
/* One line without its newline and without colour; row CLI_TABLE_HEAD: the titles. Returns buf. */
#define CLI_TABLE_HEAD ((size_t)-1)
const char *cli_table_line(const struct cli_table *t, const struct cli_layout *l, size_t row,
			   char *buf, size_t cap);
/* Titles and rows to stdout, in colour where it has any; nothing where there are no rows. */
void cli_table_print(const struct cli_table *t, unsigned width);

#endif

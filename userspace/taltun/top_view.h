/* SPDX-License-Identifier: MIT
 *
 * The picture of `taltun top`, line by line, from the model: pure. Who shows it, a terminal or a
 * file, takes the lines. They fit the columns asked for and are printable.
 */
#ifndef TT_TALTUN_TOP_VIEW_H
#define TT_TALTUN_TOP_VIEW_H

#include "taltun/top_model.h"

enum top_attr { TOP_PLAIN, TOP_BOLD, TOP_DIM, TOP_YELLOW, TOP_RED, TOP_TITLES };

#define TOP_LINE_BYTES 1024 /* of a line, with its end */

struct top_look {
	unsigned rows, columns; /* 0: no bound, and no keys to tell of */
	size_t scroll;		/* the first peer shown; put right by top_view_draw() */
	size_t page;		/* how many fit; set by top_view_draw() */
	enum top_sort sort;
	bool paused;
	const char *notice; /* instead of the keys: the daemon does not answer, say; NULL: none */
	long long wall_s;   /* now, for ages */
};

/* Gives each line to `line`, from the top; never more than look->rows. */
void top_view_draw(const struct top_model *m, struct top_look *look,
		   void (*line)(void *ctx, unsigned row, enum top_attr attr, const char *text),
		   void *ctx);
/* The same figures for programs; a new reference. wall: seconds since 1970. */
json_t *top_view_json(const struct top_model *m, double wall);

#endif

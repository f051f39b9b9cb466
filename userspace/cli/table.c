/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#include "base/types.h"
#include "cli/printable.h"

static void cell_of(const struct cli_table *t, size_t row, unsigned column, struct cli_cell *c)
{
	c->text[0] = 0;
	c->colour = CLI_PLAIN;
	if (row == CLI_TABLE_HEAD)
		snprintf(c->text, sizeof(c->text), "%s", t->columns[column].title);
	else
		t->cell(t->ctx, row, column, c);
}

/* --- the layout ---------------------------------------------------------------------------------
 */

/* What the cells need; an empty column needs nothing, not even its title. */
static void measure(const struct cli_table *t, unsigned natural[])
{
	struct cli_cell c;

	for (unsigned i = 0; i < t->count; i++) {
		natural[i] = 0;
		for (size_t row = 0; row < t->rows; row++) {
			cell_of(t, row, i, &c);
			natural[i] = TT_MAX(natural[i], cli_width(c.text));
		}
		if (natural[i])
			natural[i] = TT_MAX(natural[i], cli_width(t->columns[i].title));
		natural[i] = TT_MAX(natural[i], t->columns[i].room);
	}
}

static unsigned total(const struct cli_table *t, const struct cli_layout *l)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < t->count; i++)
		if (l->width[i])
			sum += l->width[i] + (sum ? l->gap : 0);
	return sum;
}

/* The widest that can be shortened, or count. */
static unsigned widest(const struct cli_table *t, const struct cli_layout *l)
{
	unsigned found = t->count;

	for (unsigned i = 0; i < t->count; i++)
		if (t->columns[i].least && l->width[i] > t->columns[i].least &&
		    (found == t->count || l->width[i] > l->width[found]))
			found = i;
	return found;
}

static bool shorten(const struct cli_table *t, struct cli_layout *l, unsigned width)
{
	unsigned i;

	while (total(t, l) > width) {
		i = widest(t, l);
		if (i == t->count)
			return false;
		l->width[i]--;
	}
	return true;
}

/* The least important that is there, or count. */
static unsigned least_important(const struct cli_table *t, const unsigned natural[])
{
	unsigned found = t->count;

	for (unsigned i = 0; i < t->count; i++)
		if (natural[i] && t->columns[i].leave &&
		    (found == t->count || t->columns[i].leave < t->columns[found].leave))
			found = i;
	return found;
}

/* A terminal of a few columns: from the right, until what is left fits. */
static void squeeze(const struct cli_table *t, struct cli_layout *l, unsigned width)
{
	for (unsigned i = t->count; i-- > 0 && total(t, l) > width;) {
		unsigned over = total(t, l) - width;

		l->width[i] = l->width[i] > over ? l->width[i] - over : 0;
	}
}

void cli_table_layout(const struct cli_table *t, unsigned width, struct cli_layout *l)
{
	unsigned natural[CLI_TABLE_COLUMNS_MAX], drop;

	*l = (struct cli_layout){.gap = 2};
	measure(t, natural);
	memcpy(l->width, natural, t->count * sizeof(*natural));
	if (!width || total(t, l) <= width)
		return;
	l->gap = 1;
	while (!shorten(t, l, width)) {
		drop = least_important(t, natural);
		if (drop == t->count) {
			squeeze(t, l, width);
			return;
		}
		natural[drop] = 0;
		memcpy(l->width, natural, t->count * sizeof(*natural));
	}
}

/* --- lines --------------------------------------------------------------------------------------
 */

struct line {
	char *buf;
	size_t len, cap;
};

static void add(struct line *l, const char *text)
{
	size_t len = TT_MIN(strlen(text), l->cap - 1 - l->len);

	memcpy(l->buf + l->len, text, len);
	l->len += len;
	l->buf[l->len] = 0;
}

static void pad(struct line *l, unsigned n)
{
	while (n--)
		add(l, " ");
}

static bool is_last(const struct cli_table *t, const struct cli_layout *l, unsigned column)
{
	for (unsigned i = column + 1; i < t->count; i++)
		if (l->width[i])
			return false;
	return true;
}

static void write_line(const struct cli_table *t, const struct cli_layout *l, size_t row,
		       bool colour, struct line *out)
{
	char text[CLI_CELL_MAX];
	struct cli_cell c;
	unsigned gap = 0;

	for (unsigned i = 0; i < t->count; i++) {
		if (!l->width[i])
			continue;
		cell_of(t, row, i, &c);
		unsigned left = l->width[i] - cli_fit(text, sizeof(text), c.text, l->width[i]);
		pad(out, gap + (t->columns[i].right ? left : 0));
		if (colour && c.colour != CLI_PLAIN)
			add(out, cli_colour(c.colour));
		add(out, text);
		if (colour && c.colour != CLI_PLAIN)
			add(out, cli_colour(CLI_PLAIN));
		if (!t->columns[i].right && !is_last(t, l, i))
			pad(out, left);
		gap = l->gap;
	}
}

const char *cli_table_line(const struct cli_table *t, const struct cli_layout *l, size_t row,
			   char *buf, size_t cap)
{
	struct line out = {.buf = buf, .cap = cap};

	buf[0] = 0;
	write_line(t, l, row, false, &out);
	return buf;
}

void cli_table_print(const struct cli_table *t, unsigned width)
{
	char buf[CLI_TABLE_COLUMNS_MAX * (CLI_CELL_MAX + 16)];
	struct cli_layout l;

	if (!t->rows)
		return;
	cli_table_layout(t, width, &l);
	printf("%s%s%s\n", cli_colour(CLI_BOLD),
	       cli_table_line(t, &l, CLI_TABLE_HEAD, buf, sizeof(buf)), cli_colour(CLI_PLAIN));
	for (size_t row = 0; row < t->rows; row++) {
		struct line out = {.buf = buf, .cap = sizeof(buf)};
		buf[0] = 0;
		write_line(t, &l, row, true, &out);
		puts(buf);
	}
}

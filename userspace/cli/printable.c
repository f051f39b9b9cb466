/* SPDX-License-Identifier: MIT */
#include "cli/printable.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* One character of a text, as it may be shown. */
struct glyph {
	const char *bytes;
	size_t len;
	unsigned columns;
};

/* The next character; its bytes in the text are *used. False at the end. */
static bool next_glyph(const char *text, struct glyph *g, size_t *used)
{
	mbstate_t state = {0};
	wchar_t wc;
	size_t n;
	int columns;

	if (!*text)
		return false;
	n = mbrtowc(&wc, text, MB_LEN_MAX, &state);
	*g = (struct glyph){"?", 1, 1};
	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		*used = 1;
		return true;
	}
	*used = n;
	columns = iswprint((wint_t)wc) ? wcwidth(wc) : -1;
	if (columns > 0)
		*g = (struct glyph){text, n, (unsigned)columns};
	return true;
}

/* The ellipsis, where the locale has it. */
static struct glyph ellipsis(void)
{
	struct glyph g;
	size_t used;

	next_glyph("\xe2\x80\xa6", &g, &used);
	return g.len == 3 ? g : (struct glyph){"~", 1, 1};
}

unsigned cli_width(const char *text)
{
	struct glyph g;
	unsigned columns = 0;

	for (size_t used; next_glyph(text, &g, &used); text += used)
		columns += g.columns;
	return columns;
}

struct out {
	char *buf;
	size_t len, cap;
	unsigned columns;
};

/* False: no room in the buffer. */
static bool put(struct out *o, const struct glyph *g)
{
	if (o->len + g->len >= o->cap)
		return false;
	memcpy(o->buf + o->len, g->bytes, g->len);
	o->len += g->len;
	o->columns += g->columns;
	return true;
}

/* Characters of text that lie whole within the columns [from, to). */
static void put_range(struct out *o, const char *text, unsigned from, unsigned to)
{
	struct glyph g;
	unsigned at = 0;

	for (size_t used; next_glyph(text, &g, &used); text += used, at += g.columns)
		if (at >= from && at + g.columns <= to && !put(o, &g))
			return;
}

/* Of `columns`, so many are for the end of the text where it is too long. */
static unsigned fit(char *buf, size_t cap, const char *text, unsigned columns, unsigned tail)
{
	struct out o = {.buf = buf, .cap = cap};
	unsigned width = cli_width(text);

	if (width <= columns) {
		put_range(&o, text, 0, UINT_MAX);
	} else if (columns) {
		struct glyph dots = ellipsis();

		put_range(&o, text, 0, columns - 1 - tail);
		put(&o, &dots);
		put_range(&o, text, width - tail, UINT_MAX);
	}
	buf[o.len] = 0;
	return o.columns;
}

unsigned cli_fit(char *buf, size_t cap, const char *text, unsigned columns)
{
	return fit(buf, cap, text, columns, columns ? (columns - 1) / 3 : 0);
}

unsigned cli_cut(char *buf, size_t cap, const char *text, unsigned columns)
{
	return fit(buf, cap, text, columns, 0);
}

const char *cli_printable(char *buf, size_t cap, const char *text)
{
	cli_fit(buf, cap, text, UINT_MAX);
	return buf;
}

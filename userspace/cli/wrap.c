/* SPDX-License-Identifier: MIT */
#include "cli/wrap.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/printable.h"

#define FACT_INDENT 15
#define FACT_MAX    2048
#define WORD_MAX    512

/* Length of the sequence of a colour at text, or 0. */
static size_t colour_len(const char *text)
{
	size_t n = 2;

	if (text[0] != '\033' || text[1] != '[')
		return 0;
	n += strspn(text + n, "0123456789;");
	return text[n] == 'm' ? n + 1 : 0;
}

/* To where the next colour begins, or the end. */
static size_t plain_len(const char *text)
{
	size_t n = 0;

	while (text[n] && !colour_len(text + n))
		n++;
	return n;
}

/* Prints the first len bytes of text where `shown`; the columns they take. */
static unsigned put(const char *text, size_t len, bool shown)
{
	char word[WORD_MAX], part[WORD_MAX], safe[WORD_MAX];
	unsigned columns = 0;

	snprintf(word, sizeof(word), "%.*s", (int)len, text);
	for (const char *at = word; *at;) {
		size_t colour = colour_len(at), n = plain_len(at + colour);

		snprintf(part, sizeof(part), "%.*s", (int)n, at + colour);
		columns += cli_fit(safe, sizeof(safe), part, UINT_MAX);
		if (shown)
			printf("%.*s%s", (int)colour, at, safe);
		at += colour + n;
	}
	return columns;
}

void cli_wrap(const char *head, const char *text, unsigned indent, unsigned width)
{
	unsigned at = put(head, strlen(head), true);
	bool fresh = true; /* nothing but indentation on this line yet */

	for (; at < indent; at++)
		putchar(' ');
	while (*text) {
		size_t len = strcspn(text, " ");
		unsigned columns = put(text, len, false);

		if (!fresh && width && at + 1 + columns > width) {
			printf("\n%*s", (int)indent, "");
			at = indent;
			fresh = true;
		}
		if (!fresh)
			putchar(' ');
		put(text, len, true);
		at += columns + !fresh;
		fresh = false;
		text += len + (text[len] == ' ');
	}
	putchar('\n');
}

void cli_fact(const char *name, const char *format, ...)
{
	char head[64], text[FACT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(head, sizeof(head), "  %-12s ", name);
	cli_wrap(head, text, FACT_INDENT, cli_columns());
}

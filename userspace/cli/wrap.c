/* SPDX-License-Identifier: MIT */
#include "cli/wrap.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/printable.h"

#define FACT_INDENT 15
#define FACT_MAX    2048
#define WORD_MAX    512

/* Columns of the first len bytes of text, colours not counted. */
static unsigned visible(const char *text, size_t len)
{
	char word[WORD_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < sizeof(word); i++) {
		if (text[i] == '\033')
			while (i < len && text[i] != 'm')
				i++;
		else
			word[n++] = text[i];
	}
	word[n] = 0;
	return cli_width(word);
}

void cli_wrap(const char *head, const char *text, unsigned indent, unsigned width)
{
	unsigned at = visible(head, strlen(head));
	bool fresh = true; /* nothing but indentation on this line yet */

	fputs(head, stdout);
	for (; at < indent; at++)
		putchar(' ');
	while (*text) {
		size_t len = strcspn(text, " ");
		unsigned columns = visible(text, len);

		if (!fresh && width && at + 1 + columns > width) {
			printf("\n%*s", (int)indent, "");
			at = indent;
			fresh = true;
		}
		printf("%s%.*s", fresh ? "" : " ", (int)len, text);
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

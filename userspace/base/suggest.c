/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"

#define WORD_MAX 40

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Levenshtein distance with one row. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t row[WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t up = row[j];
			size_t change = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
			row[j] = TT_MIN(change, TT_MIN(up, row[j - 1]) + 1);
			diagonal = up;
		}
	}
	return row[lb];
}

const char *tt_suggest(const char *name, const char *const *candidates)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (; *candidates; candidates++) {
		size_t len = strlen(*candidates);
		size_t n = edit_distance(name, *candidates);
		size_t limit = TT_MAX(len / 3, (size_t)1);
		if (n > limit && len >= 5 && strstr(name, *candidates))
			n = limit; /* "persistent_keepalive" */
		if (n <= limit && n < best_distance) {
			best = *candidates;
			best_distance = n;
		}
	}
	return best;
}

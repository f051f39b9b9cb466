/* SPDX-License-Identifier: MIT
 *
 * One test program: a table of CUnit tests, and a last line "NAME: N passed, N failed, N skipped".
 *
 *	static void window_edges(void) { CU_ASSERT(...); }
 *	TT_TESTS("replay", {"window edges", window_edges}, ...)
 */
#ifndef TT_TEST_H
#define TT_TEST_H

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/types.h"

struct tt_test {
	const char *name;
	void (*fn)(void);
};

int tt_test_main(const char *suite, const struct tt_test *tests, size_t n, int argc, char **argv);

/* Counts n skipped cases with a reason that is printed. */
void tt_test_skip(unsigned n, const char *why);

/* Under valgrind (TALTUN_TEST_LIGHT): times mean nothing, and what only repeats is a twentieth. */
static inline bool tt_test_is_light(void)
{
	return getenv("TALTUN_TEST_LIGHT") != NULL;
}

static inline unsigned tt_test_rounds(unsigned n)
{
	return tt_test_is_light() ? n / 20 : n;
}

/* Directory of the shared vectors ($TALTUN_VECTORS or ../shared/vectors), or NULL where absent. */
const char *tt_test_vectors(void);

#define TT_TESTS(suite, ...)                                                        \
	int main(int argc, char **argv)                                             \
	{                                                                           \
		static const struct tt_test tests[] = {__VA_ARGS__};                \
		return tt_test_main(suite, tests, TT_ARRAY_LEN(tests), argc, argv); \
	}

#endif

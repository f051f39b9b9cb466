/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <CUnit/TestRun.h>
#include <string.h>
#include <sys/stat.h>

static unsigned skipped;

void tt_test_skip(unsigned n, const char *why)
{
	skipped += n;
	printf("  skip %u: %s\n", n, why);
}

const char *tt_test_vectors(void)
{
	static const char *dir;
	struct stat st;

	if (!dir) {
		dir = getenv("TALTUN_VECTORS");
		if (!dir)
			dir = "../shared/vectors";
	}
	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : NULL;
}

static void print_failures(void)
{
	for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
		printf("  FAIL %s:%u: %s (%s)\n", f->strFileName, f->uiLineNumber, f->strCondition,
		       f->pTest ? f->pTest->pName : "suite");
}

/* `program SUBSTRING` runs only the tests whose name contains it. */
int tt_test_main(const char *suite, const struct tt_test *tests, size_t n, int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	CU_pSuite s = CU_add_suite(suite, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		if (only && !strstr(tests[i].name, only))
			continue;
		if (!CU_add_test(s, tests[i].name, tests[i].fn))
			return 2;
	}
	CU_run_all_tests();
	print_failures();
	unsigned failed = CU_get_number_of_tests_failed();
	unsigned run = CU_get_number_of_tests_run();
	printf("%s: %u passed, %u failed, %u skipped\n", suite, run - failed, failed, skipped);
	CU_cleanup_registry();
	return failed || CU_get_error() != CUE_SUCCESS ? 1 : 0;
}

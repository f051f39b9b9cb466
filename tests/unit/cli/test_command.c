/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <string.h>
#include <unistd.h>

#include "tt_test.h"

static int runs, run_argc;
static char run_first[64];

static int run(int argc, char **argv)
{
	runs++;
	run_argc = argc;
	snprintf(run_first, sizeof(run_first), "%s", argv[0]);
	return 7;
}

static const struct cli_command commands[] = {
	{"one", "[X]", "Does one thing.", "More of it.", run},
	{"two", "", "Does another.", NULL, run},
	{0},
};

static const struct cli_group groups[] = {{"Things", commands}, {NULL, NULL}};

static const struct cli_program program = {.name = "prog",
					   .what = "a program",
					   .usage = "COMMAND",
					   .closing = "The end.",
					   .groups = groups};

/* What main() would return for these words; what is printed goes nowhere. */
static int call(const char *a, const char *b, const char *c)
{
	char words[4][32] = {"prog"};
	char *argv[5] = {words[0]};
	const char *given[] = {a, b, c};
	int argc = 1, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), status;
	FILE *nowhere = fopen("/dev/null", "w");

	for (unsigned i = 0; i < 3 && given[i]; i++) {
		snprintf(words[argc], sizeof(words[argc]), "%s", given[i]);
		argv[argc] = words[argc];
		argc++;
	}
	fflush(stdout);
	dup2(fileno(nowhere), STDOUT_FILENO);
	dup2(fileno(nowhere), STDERR_FILENO);
	status = cli_main(&program, argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	fclose(nowhere);
	return status;
}

static void dispatch(void)
{
	runs = 0;
	CU_ASSERT_EQUAL(call(NULL, NULL, NULL), CLI_USAGE);
	CU_ASSERT_EQUAL(call("three", NULL, NULL), CLI_USAGE);
	CU_ASSERT_EQUAL(call("help", NULL, NULL), CLI_OK);
	CU_ASSERT_EQUAL(call("--help", NULL, NULL), CLI_OK);
	CU_ASSERT_EQUAL(call("help", "one", NULL), CLI_OK);
	CU_ASSERT_EQUAL(call("help", "version", NULL), CLI_OK);
	CU_ASSERT_EQUAL(call("help", "three", NULL), CLI_USAGE);
	CU_ASSERT_EQUAL(call("one", "x", "--help"), CLI_OK);
	CU_ASSERT_EQUAL(call("version", NULL, NULL), CLI_OK);
	CU_ASSERT_EQUAL(runs, 0);
	CU_ASSERT_EQUAL(call("two", "x", "y"), 7);
	CU_ASSERT_EQUAL(runs, 1);
	CU_ASSERT_EQUAL(run_argc, 3);
	CU_ASSERT_STRING_EQUAL(run_first, "two");
}

static void flags(void)
{
	char *argv[] = {"one", "--json", "x", "--once", "--json", NULL};
	int argc = 5;

	CU_ASSERT(cli_take_flag(&argc, argv, "--once"));
	CU_ASSERT_FALSE(cli_take_flag(&argc, argv, "--once"));
	CU_ASSERT(cli_take_flag(&argc, argv, "--json"));
	CU_ASSERT(cli_take_flag(&argc, argv, "--json"));
	CU_ASSERT_EQUAL(argc, 2);
	CU_ASSERT_STRING_EQUAL(argv[1], "x");
	CU_ASSERT_PTR_NULL(argv[2]);
}

static void values(void)
{
	char *argv[] = {"one", "--name", "a", "--names=b", "--name=", "x", "--name", NULL};
	int argc = 7;
	const char *v = NULL;

	CU_ASSERT_EQUAL(cli_take_value(&argc, argv, "--name", &v), 1);
	CU_ASSERT_STRING_EQUAL(v, "a");
	CU_ASSERT_EQUAL(cli_take_value(&argc, argv, "--name", &v), 1);
	CU_ASSERT_STRING_EQUAL(v, "");
	CU_ASSERT_EQUAL(cli_take_value(&argc, argv, "--name", &v), -1);
	CU_ASSERT_EQUAL(cli_take_value(&argc, argv, "--other", &v), 0);
	CU_ASSERT_EQUAL(argc, 4);
	CU_ASSERT_STRING_EQUAL(argv[1], "--names=b");
}

static int check(int argc, char **argv, int least, int most)
{
	int err = dup(STDERR_FILENO), status;
	FILE *nowhere = fopen("/dev/null", "w");

	dup2(fileno(nowhere), STDERR_FILENO);
	status = cli_check_arguments(argc, argv, least, most, "so many");
	dup2(err, STDERR_FILENO);
	close(err);
	fclose(nowhere);
	return status;
}

static void arguments(void)
{
	char *plain[] = {"one", "a", "-", NULL}, *option[] = {"one", "-x", NULL};

	cli_begin(&program);
	CU_ASSERT_EQUAL(check(3, plain, 1, 2), CLI_OK);
	CU_ASSERT_EQUAL(check(3, plain, 0, 1), CLI_USAGE);
	CU_ASSERT_EQUAL(check(3, plain, 3, 4), CLI_USAGE);
	CU_ASSERT_EQUAL(check(1, plain, 0, 0), CLI_OK);
	CU_ASSERT_EQUAL(check(2, option, 0, 5), CLI_USAGE);
}

TT_TESTS("command", {"which command", dispatch}, {"flags", flags}, {"values", values},
	 {"arguments", arguments})

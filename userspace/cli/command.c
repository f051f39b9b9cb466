/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/printable.h"

#define MESSAGE_MAX 4096

static const struct cli_program *program;

void cli_begin(const struct cli_program *p)
{
	program = p;
}

/*
 * Messages have text of others in them, too: of the daemon, the hub, a file. Line by line, since
 * some have several.
 */
static void print_message(const char *format, va_list ap)
{
	char text[MESSAGE_MAX], safe[MESSAGE_MAX];
	char *line = text, *end;

	vsnprintf(text, sizeof(text), format, ap);
	do {
		end = strchr(line, '\n');
		if (end)
			*end = 0;
		fprintf(stderr, "%s\n", cli_printable(safe, sizeof(safe), line));
		line = end ? end + 1 : line;
	} while (end);
}

int cli_fail(int status, const char *format, ...)
{
	va_list ap;

	fflush(stdout); /* in the order of what happened, where both go to one place */
	va_start(ap, format);
	fprintf(stderr, "%s: ", program->name);
	print_message(format, ap);
	va_end(ap);
	return status;
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "%s %s: ", program->name, command);
	print_message(format, ap);
	va_end(ap);
	fprintf(stderr, "See `%s %s --help`.\n", program->name, command);
	return CLI_USAGE;
}

/* --- options ------------------------------------------------------------------------------------
 */

static void take_out(int *argc, char **argv, int at, int n)
{
	memmove(&argv[at], &argv[at + n], (size_t)(*argc - at - n + 1) * sizeof(*argv));
	*argc -= n;
}

bool cli_take_flag(int *argc, char **argv, const char *flag)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) != 0)
			continue;
		take_out(argc, argv, i, 1);
		return true;
	}
	return false;
}

int cli_take_value(int *argc, char **argv, const char *option, const char **value)
{
	size_t len = strlen(option);

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], option, len) != 0)
			continue;
		if (argv[i][len] == '=') {
			*value = argv[i] + len + 1;
			take_out(argc, argv, i, 1);
			return 1;
		}
		if (argv[i][len])
			continue;
		if (i + 1 == *argc)
			return -1;
		*value = argv[i + 1];
		take_out(argc, argv, i, 2);
		return 1;
	}
	return 0;
}

int cli_check_arguments(int argc, char **argv, int least, int most, const char *takes)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1])
			return cli_usage(argv[0], "unknown option \"%s\"", argv[i]);
	if (argc - 1 < least || argc - 1 > most)
		return cli_usage(argv[0], "takes %s", takes);
	return CLI_OK;
}

/* --- help ---------------------------------------------------------------------------------------
 */

static int help(void)
{
	printf("%s %s: %s\n\nusage: %s %s   (%s COMMAND --help says more)\n", program->name,
	       TALTUN_VERSION, program->what, program->name, program->usage, program->name);
	for (const struct cli_group *g = program->groups; g->commands; g++) {
		if (g->title)
			printf("\n%s%s%s\n", cli_colour(CLI_BOLD), g->title, cli_colour(CLI_PLAIN));
		for (const struct cli_command *c = g->commands; c->name; c++)
			printf("  %-13s %s\n", c->name, c->summary);
	}
	printf("\n  %-13s %s\n  %-13s %s\n", "version", "Print the version.", "help",
	       "Print this.");
	printf("\n%s\n", program->closing);
	return CLI_OK;
}

static int command_help(const struct cli_command *c)
{
	printf("usage: %s %s%s%s\n\n%s\n", program->name, c->name, *c->usage ? " " : "", c->usage,
	       c->summary);
	if (c->help)
		printf("\n%s\n", c->help);
	return CLI_OK;
}

static const struct cli_command *find(const char *name)
{
	for (const struct cli_group *g = program->groups; g->commands; g++)
		for (const struct cli_command *c = g->commands; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

static int unknown(const char *name)
{
	return cli_fail(CLI_USAGE, "unknown command \"%s\"; `%s help` lists them", name,
			program->name);
}

static bool is(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

/* What was printed is out, or the disk is full and the command has failed. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return cli_fail(status ? status : CLI_FAILED, "cannot write the output: %s",
			strerror(errno));
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
	const struct cli_command *c;

	cli_begin(p);
	if (argc < 2) {
		help();
		return CLI_USAGE;
	}
	if (is(argv[1], "help", "--help") || strcmp(argv[1], "-h") == 0) {
		if (argc < 3 || is(argv[2], "help", "version"))
			return help();
		c = find(argv[2]);
		return c ? command_help(c) : unknown(argv[2]);
	}
	if (is(argv[1], "version", "--version")) {
		if (argc > 2)
			return is(argv[2], "--help", "-h")
				       ? help()
				       : cli_fail(CLI_USAGE, "version takes no arguments");
		printf("%s %s\n", program->name, TALTUN_VERSION);
		return CLI_OK;
	}
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	for (int i = 2; i < argc; i++)
		if (is(argv[i], "--help", "-h"))
			return command_help(c);
	return finish(c->run(argc - 1, argv + 1));
}

/* SPDX-License-Identifier: MIT
 *
 * taltun-hub: the hub's server and what its operator does. Finds the subcommand and calls it.
 */
#include <locale.h>
#include <stdarg.h>

#include "base/log.h"
#include "taltun-hub/cli.h"

static const struct cli_command *const tables[] = {
	cli_commands_hub,    cli_commands_token,  cli_commands_node,
	cli_commands_policy, cli_commands_status,
};

static const char *const group[] = {"Hub", "Tokens", "Nodes", "Policy", "Looking"};

struct hub_paths cli_paths;
const char *cli_dir;

int cli_fail(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("taltun-hub: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return status;
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "taltun-hub %s: ", command);
	vfprintf(stderr, format, ap);
	fprintf(stderr, "\nSee `taltun-hub %s --help`.\n", command);
	va_end(ap);
	return CLI_USAGE;
}

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

static int help(void)
{
	printf("taltun-hub %s: the hub of a Taltun network\n\n"
	       "usage: taltun-hub COMMAND [ARGUMENTS] [--dir DIR]   (taltun-hub COMMAND --help "
	       "says more)\n",
	       TALTUN_VERSION);
	for (size_t t = 0; t < TT_ARRAY_LEN(tables); t++) {
		printf("\n%s\n", group[t]);
		for (const struct cli_command *c = tables[t]; c->name; c++)
			printf("  %-13s %s\n", c->name, c->summary);
	}
	printf("\n  %-13s %s\n  %-13s %s\n", "version", "Print the version.", "help",
	       "Print this.");
	printf("\n--dir DIR keeps configuration and state in DIR instead of /etc/taltun and\n"
	       "/var/lib/taltun-hub.\n"
	       "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no hub answers, 78 invalid "
	       "configuration.\n");
	return CLI_OK;
}

static int command_help(const struct cli_command *c)
{
	printf("usage: taltun-hub %s%s%s\n\n%s\n", c->name, *c->usage ? " " : "", c->usage,
	       c->summary);
	if (c->help)
		printf("\n%s\n", c->help);
	return CLI_OK;
}

static const struct cli_command *find(const char *name)
{
	for (size_t t = 0; t < TT_ARRAY_LEN(tables); t++)
		for (const struct cli_command *c = tables[t]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

static bool is(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

int main(int argc, char **argv)
{
	const char *dir = NULL;

	setlocale(LC_CTYPE, "");
	tt_log_setup(TT_LOG_WARN, TT_LOG_LOGFMT, 2);
	if (cli_take_value(&argc, argv, "--dir", &dir) < 0 || (dir && !*dir))
		return cli_fail(CLI_USAGE, "--dir needs a directory");
	if (!hub_paths_make(dir, &cli_paths))
		return cli_fail(CLI_USAGE, "the name of the directory is too long");
	cli_dir = dir;
	if (argc < 2) {
		help();
		return CLI_USAGE;
	}
	if (is(argv[1], "help", "--help") || strcmp(argv[1], "-h") == 0) {
		const struct cli_command *topic = argc > 2 ? find(argv[2]) : NULL;
		return topic ? command_help(topic) : help();
	}
	if (is(argv[1], "version", "--version")) {
		printf("taltun-hub %s\n", TALTUN_VERSION);
		return CLI_OK;
	}
	const struct cli_command *c = find(argv[1]);
	if (!c)
		return cli_fail(CLI_USAGE, "unknown command \"%s\"; see `taltun-hub help`",
				argv[1]);
	for (int i = 2; i < argc; i++)
		if (is(argv[i], "--help", "-h"))
			return command_help(c);
	return c->run(argc - 1, argv + 1);
}

/* SPDX-License-Identifier: MIT
 *
 * taltun: the command line. Finds the subcommand and calls it.
 */
#include <locale.h>
#include <stdarg.h>
#include <string.h>

#include "base/types.h"
#include "taltun/cli.h"

static const struct cli_command *const tables[] = {
	cli_commands_up,     cli_commands_enroll, cli_commands_status,
	cli_commands_events, cli_commands_doctor, cli_commands_stun,
	cli_commands_keys,   cli_commands_config, cli_commands_bench,
};

static const char *const group[] = {
	"Interfaces", "Interfaces", "Looking",	     "Looking",	  "Diagnosis",
	"Diagnosis",  "Keys",	    "Configuration", "Measuring",
};

int cli_fail(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("taltun: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return status;
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "taltun %s: ", command);
	vfprintf(stderr, format, ap);
	fprintf(stderr, "\nSee `taltun %s --help`.\n", command);
	va_end(ap);
	return CLI_USAGE;
}

bool cli_take_flag(int *argc, char **argv, const char *flag)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) != 0)
			continue;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
		(*argc)--;
		return true;
	}
	return false;
}

static int help(void)
{
	printf("taltun %s: a WireGuard-compatible VPN for gateways and laptops\n\n"
	       "usage: taltun COMMAND [ARGUMENTS]   (taltun COMMAND --help says more)\n",
	       TALTUN_VERSION);
	for (size_t t = 0; t < TT_ARRAY_LEN(tables); t++) {
		if (t == 0 || strcmp(group[t], group[t - 1]) != 0)
			printf("\n%s%s%s\n", cli_colour(CLI_BOLD), group[t], cli_colour(CLI_PLAIN));
		for (const struct cli_command *c = tables[t]; c->name; c++)
			printf("  %-13s %s\n", c->name, c->summary);
	}
	printf("\n  %-13s %s\n  %-13s %s\n", "version", "Print the version.", "help",
	       "Print this.");
	printf("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, "
	       "78 invalid configuration.\n");
	return CLI_OK;
}

static int command_help(const struct cli_command *c)
{
	printf("usage: taltun %s%s%s\n\n%s\n", c->name, *c->usage ? " " : "", c->usage, c->summary);
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

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		help();
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		const struct cli_command *topic = argc > 2 ? find(argv[2]) : NULL;
		return topic ? command_help(topic) : help();
	}
	if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("taltun %s\n", TALTUN_VERSION);
		return CLI_OK;
	}
	const struct cli_command *c = find(argv[1]);
	if (!c)
		return cli_fail(CLI_USAGE, "unknown command \"%s\"; see `taltun help`", argv[1]);
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return command_help(c);
	return c->run(argc - 1, argv + 1);
}

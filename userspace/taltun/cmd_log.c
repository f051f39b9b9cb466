/* SPDX-License-Identifier: MIT
 *
 * log-level: what a running daemon logs, asked and changed.
 */
#include "base/log.h"
#include "taltun/cli.h"

static void print_level(const char *interface, const char *level, bool json)
{
	if (json)
		printf("{\"interface\":\"%s\",\"level\":\"%s\"}\n", interface, level);
	else
		printf("%s: %s\n", interface, level);
}

static int ask(const char *interface, const char *level, bool json)
{
	int status;
	json_t *reply =
		cli_request_with(interface, "log-level", level ? "level" : NULL, level, 5, &status);

	if (reply)
		print_level(interface, json_string_value(json_object_get(reply, "level")), json);
	json_decref(reply);
	return status;
}

static int log_level(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	const char *level = NULL;
	char interface[64];
	enum tt_log_level parsed;

	if (cli_check_arguments(argc, argv, 0, 2, "an interface and a level") != CLI_OK)
		return CLI_USAGE;
	if (argc == 3 || (argc == 2 && tt_log_level_parse(argv[1], &parsed)))
		level = argv[argc - 1];
	if (level && !tt_log_level_parse(level, &parsed))
		return cli_usage(argv[0], "the level is error, warn, info or debug, not \"%s\"",
				 level);
	bool named = argc == 3 || (argc == 2 && !level);
	if (argc == 2 && named &&
	    !cli_is_up(cli_interface_of(argv[1], interface, sizeof(interface))))
		return cli_fail(CLI_NOT_RUNNING,
				"%s is no interface that is up, and no level: error, warn, info, "
				"debug",
				argv[1]);
	int status =
		cli_choose_interface(argv[0], named ? argv[1] : NULL, interface, sizeof(interface));
	return status == CLI_OK ? ask(interface, level, json) : status;
}

const struct cli_command cli_commands_log[] = {
	{"log-level", "[INTERFACE] [error|warn|info|debug] [--json]",
	 "Show or change what a running daemon logs.",
	 "The level holds in all its processes until the next change, `taltun reload` or restart;\n"
	 "[log] level of the configuration file is not changed. Peers keep their sessions.",
	 log_level},
	{NULL, NULL, NULL, NULL, NULL},
};

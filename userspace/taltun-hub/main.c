/* SPDX-License-Identifier: MIT
 *
 * taltun-hub: the hub's server and what its operator does. Which commands there are.
 */
#include <locale.h>

#include "base/log.h"
#include "taltun-hub/cli.h"

static const struct cli_group groups[] = {
	{"Hub", cli_commands_hub},	  {"Tokens", cli_commands_token},
	{"Nodes", cli_commands_node},	  {"Policy", cli_commands_policy},
	{"Looking", cli_commands_status}, {NULL, NULL},
};

static const struct cli_program program = {
	.name = "taltun-hub",
	.what = "the hub of a Taltun network",
	.usage = "COMMAND [ARGUMENTS] [--dir DIR]",
	.closing = "--dir DIR keeps configuration and state in DIR instead of /etc/taltun and\n"
		   "/var/lib/taltun-hub.\n"
		   "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no hub answers, 78 invalid "
		   "configuration.",
	.groups = groups,
};

struct hub_paths cli_paths;
const char *cli_dir;

int main(int argc, char **argv)
{
	const char *dir = NULL;

	setlocale(LC_CTYPE, "");
	tt_log_setup(TT_LOG_WARN, TT_LOG_LOGFMT, 2);
	cli_begin(&program);
	if (cli_take_value(&argc, argv, "--dir", &dir) < 0 || (dir && !*dir))
		return cli_fail(CLI_USAGE, "--dir needs a directory");
	if (!hub_paths_make(dir, &cli_paths))
		return cli_fail(CLI_USAGE, "the name of the directory is too long");
	cli_dir = dir;
	return cli_main(&program, argc, argv);
}

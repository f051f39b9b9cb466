/* SPDX-License-Identifier: MIT
 *
 * taltun: the command line. What commands there are, and in which order `help` shows them.
 */
#include <locale.h>

#include "taltun/cli.h"

static const struct cli_group groups[] = {
	{"Interfaces", cli_commands_up},
	{NULL, cli_commands_enroll},
	{"Looking", cli_commands_status},
	{NULL, cli_commands_top},
	{NULL, cli_commands_events},
	{NULL, cli_commands_firewall},
	{"Diagnosis", cli_commands_doctor},
	{NULL, cli_commands_stun},
	{NULL, cli_commands_log},
	{"Keys", cli_commands_keys},
	{"Configuration", cli_commands_config},
	{"Measuring", cli_commands_bench},
	{NULL, NULL},
};

static const struct cli_program program = {
	.name = "taltun",
	.what = "a WireGuard-compatible VPN for gateways and laptops",
	.usage = "COMMAND [ARGUMENTS]",
	.closing = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, "
		   "78 invalid configuration.",
	.groups = groups,
};

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	return cli_main(&program, argc, argv);
}

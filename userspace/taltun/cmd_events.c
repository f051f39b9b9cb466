/* SPDX-License-Identifier: MIT
 *
 * events: what happens to a node, as it happens.
 */
#include <string.h>
#include <time.h>

#include "cli/printable.h"
#include "taltun/cli.h"
#include "taltun/json_get.h"

static enum cli_colour colour_of(const char *event)
{
	if (strcmp(event, "peer_up") == 0 || strcmp(event, "hub_up") == 0)
		return CLI_GREEN;
	if (strcmp(event, "peer_offline") == 0 || strcmp(event, "hub_down") == 0 ||
	    strcmp(event, "map_refused") == 0)
		return CLI_RED;
	return CLI_BOLD;
}

/* Text of others; nothing where there is none. */
static void print_text(const char *before, const char *text, const char *after)
{
	char safe[512];

	if (*text)
		printf("%s%s%s", before, cli_printable(safe, sizeof(safe), text), after);
}

static void print_change(const json_t *o, const char *is, const char *was)
{
	print_text(" ", get_str(o, was), " ->");
	print_text(" ", get_str(o, is), "");
}

static void print_event(const json_t *o)
{
	double at = get_real(o, "time");
	time_t seconds = (time_t)at;
	const char *event = get_str(o, "event");
	char text[32] = "?", safe[64];
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%03d", text, (int)((at - (double)seconds) * 1000));
	print_text(" ", get_str(o, "interface"), "");
	printf(" %s%-12s%s", cli_colour(colour_of(event)), cli_printable(safe, sizeof(safe), event),
	       cli_colour(CLI_PLAIN));
	print_text(" ", *get_str(o, "peer") ? get_str(o, "peer") : get_str(o, "public_key"), "");
	print_change(o, "path", "path_was");
	print_change(o, "endpoint", "endpoint_was");
	if (get_num(o, "mtu"))
		printf(" MTU %lld", get_num(o, "mtu"));
	print_text(" (", get_str(o, "why"), ")");
	putchar('\n');
}

static void print_line(const char *line, bool json)
{
	json_t *o = json ? NULL : json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);

	if (o)
		print_event(o);
	else if (json)
		fputs(line, stdout);
	fflush(stdout);
	json_decref(o);
}

static int events_run(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	char interface[64], line[8192];
	int status = cli_check_arguments(argc, argv, 0, 1, "at most one interface");

	if (status == CLI_OK)
		status = cli_choose_interface(argv[0], argv[1], interface, sizeof(interface));
	if (status != CLI_OK)
		return status;
	FILE *in = cli_listen(interface, &status);
	while (in && fgets(line, sizeof(line), in)) {
		print_line(line, json);
		if (ferror(stdout))
			break;
	}
	if (in) {
		fclose(in);
		status = ferror(stdout)
				 ? CLI_OK
				 : cli_fail(CLI_NOT_RUNNING, "%s: the daemon has ended", interface);
	}
	return status;
}

const struct cli_command cli_commands_events[] = {
	{"events", "[INTERFACE] [--json]", "Print what happens to an interface, as it happens.",
	 "Peers that come and go, paths that change and why, handshakes, the hub. Ends with the\n"
	 "daemon. --json prints one object a line.",
	 events_run},
	{NULL, NULL, NULL, NULL, NULL},
};

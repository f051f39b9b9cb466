/* SPDX-License-Identifier: MIT
 *
 * status and peers: what the daemon says, for people and for scripts.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/printable.h"
#include "taltun/cli.h"
#include "taltun/json_get.h"
#include "taltun/peers_view.h"
#include "taltun/status_view.h"

/* More peers than these are a table in `status`, too; of them so many rows. With both, what is said
 * of an interface fits a terminal of 24 lines. */
#define BLOCKS_MAX 8
#define ROWS_MAX   6
/* Of a public key, to name a peer. */
#define KEY_PREFIX_MIN 4

struct wish {
	bool json, table;
	const char *peer; /* NULL: all */
};

/* --- one peer -----------------------------------------------------------------------------------
 */

static bool is_peer(const json_t *p, const char *wanted)
{
	size_t len = strlen(wanted);

	return strcmp(get_str(p, "name"), wanted) == 0 ||
	       (len >= KEY_PREFIX_MIN && strncmp(get_str(p, "public_key"), wanted, len) == 0);
}

/* Leaves those peers in the status that are asked for; how many there are. */
static size_t keep_peers(json_t *status, const char *wanted)
{
	json_t *list = json_object_get(status, "peers");

	for (size_t i = json_array_size(list); wanted && i-- > 0;)
		if (!is_peer(json_array_get(list, i), wanted))
			json_array_remove(list, i);
	return json_array_size(list);
}

/* --- for people ---------------------------------------------------------------------------------
 */

static void print_peers(const json_t *s)
{
	char name[64];

	printf("%sinterface%s %s%s%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       cli_colour(CLI_GREEN), cli_printable(name, sizeof(name), get_str(s, "interface")),
	       cli_colour(CLI_PLAIN));
	peers_view_summary(s);
	if (json_array_size(json_object_get(s, "peers")))
		putchar('\n');
	peers_view_table(s, SIZE_MAX);
	peers_view_not_direct(s);
}

static void print_blocks(const json_t *s)
{
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(s, "peers"), i, p) status_view_peer(p);
}

static void print_status(const json_t *s, const char *peer)
{
	size_t n = json_array_size(json_object_get(s, "peers"));

	if (peer) {
		print_blocks(s);
		return;
	}
	status_view_head(s);
	if (n != 1)
		peers_view_summary(s);
	if (n <= BLOCKS_MAX) {
		print_blocks(s);
		return;
	}
	putchar('\n');
	peers_view_table(s, ROWS_MAX);
}

/* --- both ---------------------------------------------------------------------------------------
 */

static int print_json(json_t *all, bool peers_only)
{
	json_t *out = peers_only ? json_array() : json_incref(all);
	size_t i, j;
	json_t *s, *p;

	if (peers_only)
		json_array_foreach(all, i, s) json_array_foreach(json_object_get(s, "peers"), j, p)
		{
			json_object_set(p, "interface", json_object_get(s, "interface"));
			json_array_append(out, p);
		}
	int err = json_dumpf(out, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(out);
	return err ? CLI_FAILED : CLI_OK;
}

static void print_all(json_t *all, const struct wish *w)
{
	size_t i;
	json_t *s;

	json_array_foreach(all, i, s)
	{
		if (w->peer && !json_array_size(json_object_get(s, "peers")))
			continue;
		if (i && !w->peer)
			putchar('\n');
		if (w->table)
			print_peers(s);
		else
			print_status(s, w->peer);
	}
}

/* Adds what the daemon says; the number of peers asked for is added to *found. */
static int ask(const char *interface, const struct wish *w, json_t *all, size_t *found)
{
	int status;
	json_t *reply = cli_request(interface, "status", 5, &status);

	if (!reply)
		return status;
	json_t *s = json_object_get(reply, "status");
	*found += keep_peers(s, w->peer);
	json_array_append(all, s);
	json_decref(reply);
	return CLI_OK;
}

static int ask_all(const char *interface, const struct wish *w, json_t *all)
{
	char **names = NULL, buf[64];
	int n = 0, status = CLI_OK;
	size_t found = 0;

	if (interface) {
		status = ask(cli_interface_of(interface, buf, sizeof(buf)), w, all, &found);
	} else {
		n = cli_interfaces(&names);
		for (int i = 0; i < n; i++) {
			int one = ask(names[i], w, all, &found);
			status = status ? status : one;
		}
		if (n < 0)
			status = cli_fail_run_dir();
		else if (!n && !w->json)
			fputs("No taltun interface is up; `taltun up` brings one up.\n", stderr);
	}
	cli_interfaces_free(names, n);
	if (w->peer && !found && status == CLI_OK && (interface || n > 0))
		status = cli_fail(CLI_FAILED,
				  "no peer has the name \"%s\", or a key that begins so", w->peer);
	return status;
}

static int show(int argc, char **argv, struct wish *w)
{
	w->json = cli_take_flag(&argc, argv, "--json");
	if (cli_take_value(&argc, argv, "--peer", &w->peer) < 0)
		return cli_usage(argv[0], "--peer needs a name or the beginning of a key");
	if (cli_check_arguments(argc, argv, 0, 1, "at most one interface") != CLI_OK)
		return CLI_USAGE;
	json_t *all = json_array();
	int status = ask_all(argc == 2 ? argv[1] : NULL, w, all);
	if (w->json && status == CLI_OK)
		status = print_json(all, w->table);
	else if (!w->json)
		print_all(all, w);
	json_decref(all);
	return status;
}

static int status_run(int argc, char **argv)
{
	return show(argc, argv, &(struct wish){.table = false});
}

static int peers_run(int argc, char **argv)
{
	return show(argc, argv, &(struct wish){.table = true});
}

const struct cli_command cli_commands_status[] = {
	{"status", "[INTERFACE] [--peer NAME|KEY] [--json]",
	 "Show an interface, or all, with their peers.",
	 "More than 8 peers are a table of the most interesting ones; --peer shows all of one, by\n"
	 "its name or the beginning of its key.\n"
	 "--json prints an array with one object per interface.",
	 status_run},
	{"peers", "[INTERFACE] [--peer NAME|KEY] [--json]", "Show peers as a table, one a line.",
	 "Those that do not answer come first, then those online by traffic. PATH is the way an\n"
	 "online peer is reached, or the state of another; RTT that of the path, or what its\n"
	 "handshake took; AGE that of the last handshake. The table is as wide as the terminal "
	 "(or\n"
	 "$COLUMNS), and as wide as it needs where the output is no terminal.\n"
	 "--json prints an array with one object per peer.",
	 peers_run},
	{NULL, NULL, NULL, NULL, NULL},
};

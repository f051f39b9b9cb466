/* SPDX-License-Identifier: MIT
 *
 * firewall show: the table of [gateway] as the kernel has it, and whether it is as taltund made it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"
#include "plat/firewall.h"
#include "plat/forwarding.h"
#include "taltun/cli.h"

#define LISTING_MAX   (16u << 20)
#define LOOK_AGAIN_MS 400

/* --- text ---------------------------------------------------------------------------------------
 */

/* What taltund has left for us; NULL: it has made no table. */
static char *read_made(const char *interface)
{
	char path[512], *text;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.nft", cli_run_dir(), interface);
	f = strchr(interface, '/') ? NULL : fopen(path, "r");
	if (!f)
		return NULL;
	text = calloc(1, LISTING_MAX);
	n = text ? fread(text, 1, LISTING_MAX - 1, f) : 0;
	fclose(f);
	return text ? realloc(text, n + 1) : NULL;
}

/* "counter packets 3 bytes 252" becomes "counter": what they count is no difference. */
static void without_counts(char *text)
{
	static const char word[] = "counter packets ";
	char *p = text, *out = text;

	while (*p) {
		unsigned long long packets, bytes;
		int len = 0;

		if (strncmp(p, word, sizeof(word) - 1) == 0 &&
		    sscanf(p, "counter packets %llu bytes %llu%n", &packets, &bytes, &len) == 2) {
			memcpy(out, "counter", 7);
			out += 7;
			p += len;
		} else {
			*out++ = *p++;
		}
	}
	*out = 0;
}

static bool has_line(const char *text, const char *line, size_t len)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		if (n == len && memcmp(p, line, len) == 0)
			return true;
		p += n + (p[n] == '\n');
	}
	return false;
}

/* Lines of a that b has not, each behind `sign`. */
static void add_missing(json_t *list, char sign, const char *a, const char *b)
{
	for (const char *p = a; *p;) {
		size_t n = strcspn(p, "\n"), blank = strspn(p, "\t ");

		if (n && !has_line(b, p, n)) {
			char line[512];

			snprintf(line, sizeof(line), "%c %.*s", sign,
				 (int)TT_MIN(n - TT_MIN(blank, n), sizeof(line) - 3), p + blank);
			json_array_append_new(list, json_string(line));
		}
		p += n + (p[n] == '\n');
	}
}

static json_t *differences(const char *made, const char *is)
{
	json_t *list = json_array();
	char *a = strdup(made), *b = strdup(is);

	if (a && b) {
		without_counts(a);
		without_counts(b);
		add_missing(list, '-', a, b);
		add_missing(list, '+', b, a);
	}
	free(a);
	free(b);
	return list;
}

/* --- looking -------------------------------------------------------------------------------------
 */

struct look {
	const char *interface;
	char table[PLAT_FIREWALL_TABLE_MAX], reason[256];
	char *made, *is; /* NULL: there is none */
	bool asked;	 /* the kernel has answered */
	json_t *differences;
};

static void look_end(struct look *l)
{
	free(l->made);
	free(l->is);
	json_decref(l->differences);
}

static void look_once(struct look *l, const char *interface)
{
	bool there = false;

	*l = (struct look){.interface = interface, .made = read_made(interface)};
	plat_firewall_table(interface, "", l->table);
	l->asked = plat_firewall_list(l->table, &l->is, &there, l->reason, sizeof(l->reason)) == 0;
	if (!l->asked && geteuid() != 0)
		snprintf(l->reason, sizeof(l->reason), "only root may ask the kernel");
	l->differences = l->is ? differences(l->made ? l->made : "", l->is) : json_array();
}

/* The daemon may be at it just now: first the table, then what it leaves for us. */
static void look(struct look *l, const char *interface)
{
	look_once(l, interface);
	if (!l->asked || !(l->made || l->is) || (l->is && !json_array_size(l->differences)))
		return;
	usleep(LOOK_AGAIN_MS * 1000);
	look_end(l);
	look_once(l, interface);
}

static json_t *forwarding(enum tt_family family)
{
	int is = plat_forwarding_get(family);

	return is < 0 ? json_null() : json_boolean(is);
}

static int print_json(const struct look *l)
{
	json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:o,s:s,s:o,s:o}", "interface", l->interface,
			      "table", l->table, "present",
			      l->asked ? json_boolean(l->is != NULL) : json_null(), "as_made",
			      l->asked ? json_boolean(l->is && json_array_size(l->differences) == 0)
				       : json_null(),
			      "differences", json_incref(l->differences), "text",
			      l->is	? l->is
			      : l->made ? l->made
					: "",
			      "ipv4_forwarding", forwarding(TT_FAMILY_V4), "ipv6_forwarding",
			      forwarding(TT_FAMILY_V6));

	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
	return 0;
}

/* As comments of nft, so that all of it can be read back by nft. */
static void print_forwarding(void)
{
	static const enum tt_family families[] = {TT_FAMILY_V4, TT_FAMILY_V6};

	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++) {
		int is = plat_forwarding_get(families[i]);

		if (is >= 0)
			printf("# %s = %d%s\n", plat_forwarding_name(families[i]), is,
			       is ? "" : ": nothing of it is forwarded, whatever the table says");
	}
}

static int print_without_kernel(const struct look *l)
{
	if (!l->made || !l->made[0])
		return cli_fail(CLI_FAILED, "%s: %s", l->interface, l->reason);
	without_counts(l->made);
	printf("# What taltund has made; whether it is in force is not known: %s.\n%s", l->reason,
	       l->made);
	print_forwarding();
	return CLI_OK;
}

static int print_differences(const struct look *l)
{
	size_t i;
	json_t *line;

	print_forwarding();
	if (!json_array_size(l->differences)) {
		printf("# It is as taltund has made it.\n");
		return CLI_OK;
	}
	printf("# It is NOT as taltund has made it:\n");
	json_array_foreach(l->differences, i, line) printf("#   %s\n", json_string_value(line));
	return CLI_FAILED;
}

static int print(struct look *l)
{
	if (!l->asked)
		return print_without_kernel(l);
	if (!l->is && !l->made)
		return cli_fail(cli_is_up(l->interface) ? CLI_FAILED : CLI_NOT_RUNNING,
				"%s has no firewall: %s", l->interface,
				cli_is_up(l->interface)
					? "[gateway] is not in its configuration, or says "
					  "firewall = false, or the log says why"
					: "no daemon runs for it");
	if (!l->is)
		return cli_fail(CLI_FAILED,
				"%s: the table inet %s that taltund has made is gone; its log says "
				"why it is not put back",
				l->interface, l->table);
	fputs(l->is, stdout);
	return print_differences(l);
}

/* --- the command ---------------------------------------------------------------------------------
 */

static int show(const char *interface, bool json)
{
	struct look l;
	int status = CLI_OK;

	look(&l, interface);
	if (json)
		(void)print_json(&l);
	else
		status = print(&l);
	if (json && (!l.is || json_array_size(l.differences)))
		status = CLI_FAILED;
	look_end(&l);
	return status;
}

static int firewall(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	char interface[64];

	if (cli_check_arguments(argc, argv, 1, 2, "\"show\" and perhaps an interface") != CLI_OK)
		return CLI_USAGE;
	if (strcmp(argv[1], "show") != 0)
		return cli_usage(argv[0], "takes \"show\" and perhaps an interface");
	int status = cli_choose_interface(argv[0], argv[2], interface, sizeof(interface));
	return status == CLI_OK ? show(interface, json) : status;
}

const struct cli_command cli_commands_firewall[] = {
	{"firewall", "show [INTERFACE] [--json]",
	 "Print the firewall of a gateway as the kernel has it.",
	 "Every chain and rule says in a comment what it is for; counters count what was dropped.\n"
	 "Behind it stands whether the host forwards, and whether the table is as taltund has\n"
	 "made it; where it is not, what differs, and the exit status is 1. Only root may ask\n"
	 "the kernel; others see what taltund has made.",
	 firewall},
	{NULL, NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: MIT
 *
 * doctor: what works here, what does not, and what to do about it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "plat/netcfg.h"
#include "taltun/cli.h"
#include "taltun/doctor.h"

static const char *const result_name[] = {"ok", "note", "problem"};

void doctor_add(json_t *report, enum doctor_result result, const char *check, const char *subject,
		const char *hint, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_array_append_new(report, json_pack("{s:s,s:s,s:s,s:s,s:s}", "check", check,
						"interface", subject, "result", result_name[result],
						"text", text, "hint", hint));
}

/* --- which interfaces -------------------------------------------------------------------------
 */

static void add_name(json_t *names, const char *name)
{
	size_t i;
	json_t *n;

	json_array_foreach(names, i, n) if (strcmp(json_string_value(n), name) == 0) return;
	json_array_append_new(names, json_string(name));
}

/* Those with a default route: addresses for documentation have no route of their own. */
static void add_default_routes(json_t *names)
{
	static const char *const probe[] = {"192.0.2.1", "2001:db8::1"};
	struct plat_netcfg_link link;
	unsigned ifindex, mtu;
	struct tt_ip to;

	for (size_t i = 0; i < TT_ARRAY_LEN(probe); i++)
		if (tt_ip_parse(probe[i], &to) == 0 &&
		    plat_netcfg_route_get(&to, 0, &ifindex, &mtu) == 0 &&
		    plat_netcfg_link_get(ifindex, NULL, &link) == 0)
			add_name(names, link.name);
}

/* Those that running daemons use. */
static void add_in_use(json_t *names)
{
	char **tunnels;
	int n = cli_interfaces(&tunnels);

	for (int k = 0; k < n; k++) {
		int status;
		json_t *reply = cli_request(tunnels[k], "status", 2, &status);
		json_t *list = json_object_get(json_object_get(json_object_get(reply, "status"),
							       "datapath"),
					       "interfaces");
		for (size_t i = 0; i < json_array_size(list); i++) {
			const char *name = json_string_value(
				json_object_get(json_array_get(list, i), "interface"));
			if (name)
				add_name(names, name);
		}
		json_decref(reply);
	}
	cli_interfaces_free(tunnels, n);
}

/* --- output ------------------------------------------------------------------------------------
 */

static const char *str(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static enum cli_colour colour_of(const char *result)
{
	if (strcmp(result, "ok") == 0)
		return CLI_GREEN;
	return strcmp(result, "note") == 0 ? CLI_YELLOW : CLI_RED;
}

static void print(const json_t *report)
{
	size_t i;
	json_t *c;

	json_array_foreach(report, i, c)
	{
		const char *result = str(c, "result"), *subject = str(c, "interface");
		printf("%s%-8s%s %s%s%s\n", cli_colour(colour_of(result)), result,
		       cli_colour(CLI_PLAIN), subject, *subject ? ": " : "", str(c, "text"));
		if (*str(c, "hint") && strcmp(result, "ok") != 0)
			printf("         %s%s%s\n", cli_colour(CLI_DIM), str(c, "hint"),
			       cli_colour(CLI_PLAIN));
	}
}

static unsigned problems(const json_t *report)
{
	unsigned n = 0;
	size_t i;
	json_t *c;

	json_array_foreach(report, i, c) n += strcmp(str(c, "result"), "problem") == 0;
	return n;
}

static int doctor(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");

	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-')
			return cli_usage(argv[0], "unknown option \"%s\"", argv[i]);
	json_t *names = json_array(), *report = json_array();
	for (int i = 1; i < argc; i++)
		add_name(names, argv[i]);
	if (argc == 1) {
		add_default_routes(names);
		add_in_use(names);
	}
	doctor_host(report);
	for (size_t i = 0; i < json_array_size(names); i++)
		doctor_nic(report, json_string_value(json_array_get(names, i)));
	doctor_firewall(report);
	unsigned bad = problems(report);
	if (json) {
		json_t *out = json_pack("{s:b,s:O}", "ok", bad == 0, "checks", report);
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(out);
	} else {
		print(report);
		if (!json_array_size(names))
			printf("No interface has a default route: name one to have it looked "
			       "at.\n");
	}
	json_decref(names);
	json_decref(report);
	return bad ? CLI_FAILED : CLI_OK;
}

const struct cli_command cli_commands_doctor[] = {
	{"doctor", "[NIC]... [--json]",
	 "Look for what keeps Taltun from working, or from being fast.",
	 "Checks the kernel, rights and limits of this process, the network interfaces NIC (those\n"
	 "with a default route, and those in use, where none is named), and firewall rules that\n"
	 "AF_XDP goes past; says what to do about each. Changes nothing. Exit status 1 where "
	 "there\n"
	 "is a problem; notes are none. Run it as root, as the daemon is.",
	 doctor},
	{NULL, NULL, NULL, NULL, NULL},
};

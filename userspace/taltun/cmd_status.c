/* SPDX-License-Identifier: MIT
 *
 * status and peers: what the daemon says, for people and for scripts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "taltun/cli.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static enum cli_colour status_colour(const char *status)
{
	if (strcmp(status, "online") == 0)
		return CLI_GREEN;
	if (strcmp(status, "offline") == 0)
		return CLI_RED;
	return strcmp(status, "idle") == 0 ? CLI_YELLOW : CLI_DIM;
}

static const char *peer_label(const json_t *p)
{
	const char *name = str(p, "name");
	return *name ? name : str(p, "public_key");
}

/* --- status -------------------------------------------------------------------------------------
 */

/* "  eth0         native copy, 2 queues" or "  eth0         socket (link is down)" */
static void print_interface(const json_t *i)
{
	const char *mode = str(i, "mode"), *why;
	size_t queues = json_array_size(json_object_get(i, "queues"));
	json_t *value;

	if (strcmp(mode, "socket") == 0)
		printf("  %-12s socket (%s)\n", str(i, "interface"), str(i, "reason"));
	else
		printf("  %-12s %s, %zu queue%s of %lld\n", str(i, "interface"), mode, queues,
		       queues == 1 ? "" : "s", num(i, "nic_queues"));
	json_object_foreach(json_object_get(i, "refused"), why, value)
	{
		const char *text = json_string_value(value);
		if (text && strcmp(text, str(i, "reason")) != 0)
			printf("    no %-11s %s\n", why, text);
	}
}

static void print_interfaces(const json_t *datapath)
{
	const json_t *list = json_object_get(datapath, "interfaces");

	for (size_t i = 0; i < json_array_size(list); i++)
		print_interface(json_array_get(list, i));
}

static void print_head(const json_t *s)
{
	const json_t *d = json_object_get(s, "datapath");
	char up[64];

	printf("%sinterface%s %s%s%s (%s)\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       cli_colour(CLI_GREEN), str(s, "interface"), cli_colour(CLI_PLAIN),
	       flag(s, "up") ? "up" : "down");
	printf("  public key   %s\n", *str(s, "public_key") ? str(s, "public_key") : "(none)");
	printf("  listen port  %lld\n", num(s, "listen_port"));
	printf("  MTU          %lld\n", num(s, "mtu"));
	printf("  data path    %s, %s, %zu worker%s, %s%s%s%s\n", str(d, "mode"), str(d, "aead"),
	       json_array_size(json_object_get(d, "workers")),
	       json_array_size(json_object_get(d, "workers")) == 1 ? "" : "s", str(d, "poll"),
	       flag(d, "udp_gso") ? ", GSO" : "", flag(d, "udp_gro") ? ", GRO" : "",
	       flag(d, "tun_vnet_hdr") ? ", TUN offloads" : "");
	print_interfaces(d);
	printf("  running for  %s%s\n",
	       cli_duration(up, (long long)json_number_value(json_object_get(s, "uptime_s"))),
	       num(s, "restarts") ? " (restarted after a crash; see the log)" : "");
}

static void print_hub(const json_t *s)
{
	const json_t *h = json_object_get(s, "hub");
	const char *state = str(h, "state"), *why = str(h, "why");
	bool up = strcmp(state, "up") == 0;

	if (!json_is_object(h))
		return;
	printf("  hub          %s, %s%s%s", str(h, "host"), cli_colour(up ? CLI_GREEN : CLI_YELLOW),
	       state, cli_colour(CLI_PLAIN));
	if (up && num(h, "rtt_us"))
		printf(", RTT %.1f ms", (double)num(h, "rtt_us") / 1000.0);
	if (!up && *why)
		printf(" (%s)", why);
	if (*str(h, "name"))
		printf("; this node is %s, with %lld peers", str(h, "name"), num(h, "map_peers"));
	printf("\n");
	if (*str(h, "reflexive_v4") || *str(h, "reflexive_v6"))
		printf("  seen from    %s%s%s\n", str(h, "reflexive_v4"),
		       *str(h, "reflexive_v4") && *str(h, "reflexive_v6") ? ", " : "",
		       str(h, "reflexive_v6"));
}

static void print_drops(const json_t *s)
{
	const char *key;
	json_t *value, *drops = json_object_get(s, "drops");
	bool first = true;

	json_object_foreach(drops, key, value)
	{
		printf("%s%s %lld", first ? "  drops        " : ", ", key,
		       (long long)json_integer_value(value));
		first = false;
	}
	if (!first)
		printf("\n");
}

static void print_allowed(const json_t *p)
{
	const json_t *list = json_object_get(p, "allowed_ips");
	size_t n = json_array_size(list);

	printf("  allowed IPs  ");
	for (size_t i = 0; i < n && i < 8; i++)
		printf("%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
	if (n > 8)
		printf(" and %zu more", n - 8);
	printf("%s\n", n ? "" : "(none)");
}

/* "  path         punched, RTT 12.3 ms, MTU 1380, for 3 minutes" and why it is no better one. */
static void print_path(const json_t *p)
{
	const char *why = str(p, "why_not_direct");
	char age[64];

	if (!json_object_get(p, "node_id"))
		return;
	printf("  path         %s", *str(p, "path") ? str(p, "path") : "none");
	if (num(p, "path_rtt_us"))
		printf(", RTT %.1f ms", (double)num(p, "path_rtt_us") / 1000.0);
	if (num(p, "path_mtu"))
		printf(", MTU %lld", num(p, "path_mtu"));
	if (json_is_number(json_object_get(p, "path_since_s")))
		printf(", for %s", cli_duration(age, (long long)json_number_value(
							     json_object_get(p, "path_since_s"))));
	printf("\n");
	if (*why)
		printf("  not direct   %s\n", why);
}

static void print_peer(const json_t *p)
{
	char ago[64], rx[64], tx[64];

	printf("\n%speer%s %s  %s%s%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       peer_label(p), cli_colour(status_colour(str(p, "status"))), str(p, "status"),
	       cli_colour(CLI_PLAIN));
	if (*str(p, "name"))
		printf("  public key   %s\n", str(p, "public_key"));
	if (*str(p, "endpoint"))
		printf("  endpoint     %s%s%s%s\n", str(p, "endpoint"), *str(p, "host") ? " (" : "",
		       str(p, "host"), *str(p, "host") ? ")" : "");
	else if (*str(p, "host"))
		printf("  endpoint     %s (not resolved)\n", str(p, "host"));
	print_path(p);
	print_allowed(p);
	printf("  handshake    %s", cli_ago(ago, num(p, "last_handshake")));
	if (num(p, "handshake_rtt_us"))
		printf(", took %.1f ms", (double)num(p, "handshake_rtt_us") / 1000.0);
	printf("\n  transfer     %s received, %s sent\n", cli_bytes(rx, (double)num(p, "rx_bytes")),
	       cli_bytes(tx, (double)num(p, "tx_bytes")));
	if (num(p, "keepalive"))
		printf("  keepalive    every %lld s\n", num(p, "keepalive"));
}

static void print_status(const json_t *s)
{
	size_t i;
	json_t *p;

	print_head(s);
	print_hub(s);
	print_drops(s);
	json_array_foreach(json_object_get(s, "peers"), i, p) print_peer(p);
}

/* --- peers --------------------------------------------------------------------------------------
 */

static void print_peers(const json_t *s)
{
	size_t i;
	json_t *p;
	char ago[64], rx[64], tx[64];

	printf("%s%-20.20s %-8s %-22.22s %10s %10s  %s%s\n", cli_colour(CLI_BOLD), "PEER", "STATUS",
	       "ENDPOINT", "RECEIVED", "SENT", "HANDSHAKE", cli_colour(CLI_PLAIN));
	json_array_foreach(json_object_get(s, "peers"), i, p)
	{
		const char *endpoint = str(p, "endpoint");
		printf("%-20.20s %s%-8s%s %-22.22s %10s %10s  %s\n", peer_label(p),
		       cli_colour(status_colour(str(p, "status"))), str(p, "status"),
		       cli_colour(CLI_PLAIN), *endpoint ? endpoint : "-",
		       cli_bytes(rx, (double)num(p, "rx_bytes")),
		       cli_bytes(tx, (double)num(p, "tx_bytes")),
		       cli_ago(ago, num(p, "last_handshake")));
	}
}

/* --- both ---------------------------------------------------------------------------------------
 */

static int show_one(const char *interface, json_t *all, void (*print)(const json_t *s), bool blank)
{
	int status;
	json_t *reply = cli_request(interface, "status", 5, &status);

	if (!reply)
		return status;
	json_t *s = json_object_get(reply, "status");
	if (all) {
		json_array_append(all, s);
	} else {
		if (blank)
			printf("\n");
		print(s);
	}
	json_decref(reply);
	return CLI_OK;
}

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

static int show(int argc, char **argv, void (*print)(const json_t *s), bool peers_only)
{
	json_t *all = cli_take_flag(&argc, argv, "--json") ? json_array() : NULL;
	char **names = NULL, buf[64];
	int status = CLI_OK, n = 0;

	if (argc > 2)
		return cli_usage(argv[0], "takes at most one interface");
	if (argc == 2) {
		status = show_one(cli_interface_of(argv[1], buf, sizeof(buf)), all, print, false);
	} else {
		n = cli_interfaces(&names);
		for (int i = 0; i < n; i++) {
			int one = show_one(names[i], all, print, i > 0);
			status = status ? status : one;
		}
		if (n <= 0 && !all)
			fputs("No taltun interface is up.\n", stderr);
	}
	if (all && status == CLI_OK)
		status = print_json(all, peers_only);
	cli_interfaces_free(names, n);
	json_decref(all);
	return status;
}

static int status_run(int argc, char **argv)
{
	return show(argc, argv, print_status, false);
}

static int peers_run(int argc, char **argv)
{
	return show(argc, argv, print_peers, true);
}

const struct cli_command cli_commands_status[] = {
	{"status", "[INTERFACE] [--json]", "Show an interface, or all, with their peers.",
	 "--json prints an array with one object per interface.", status_run},
	{"peers", "[INTERFACE] [--json]", "Show peers as a table, one a line.",
	 "--json prints an array with one object per peer.", peers_run},
	{NULL, NULL, NULL, NULL, NULL},
};

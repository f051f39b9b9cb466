/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "taltun-hub/cli.h"

#define WAIT_S 5

/* The socket, or -errno. */
static int connect_to_hub(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = WAIT_S};

	if (strlen(cli_paths.control) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, cli_paths.control, strlen(cli_paths.control) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return fd;
}

static json_t *talk(int fd, const char *request)
{
	size_t len = strlen(request);
	json_error_t error;
	json_t *o = send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len
			    ? json_loadfd(fd, 0, &error)
			    : NULL;

	close(fd);
	return o;
}

static int fail_connect(int err)
{
	if (err == -EACCES)
		return cli_fail(CLI_FAILED, "%s: permission denied: run it as root",
				cli_paths.control);
	if (err == -ENAMETOOLONG)
		return cli_fail(CLI_USAGE, "the name of the directory is too long");
	return cli_fail(CLI_NOT_RUNNING,
			"no hub answers at %s: %s; `systemctl start taltun-hub` or "
			"`taltun-hub serve` starts it",
			cli_paths.control, strerror(-err));
}

json_t *cli_hub_status(void)
{
	int fd = connect_to_hub();

	return fd < 0 ? NULL : talk(fd, "{\"op\":\"status\"}\n");
}

static json_t *ask(const char *request, int *status)
{
	int fd = connect_to_hub();

	if (fd < 0) {
		*status = fail_connect(fd);
		return NULL;
	}
	json_t *o = talk(fd, request);
	if (!o)
		*status = cli_fail(CLI_NOT_RUNNING, "the hub at %s gives no answer",
				   cli_paths.control);
	return o;
}

static long long number(const json_t *o, const char *section, const char *key)
{
	if (section)
		o = json_object_get(o, section);
	return (long long)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const struct cli_column columns[] = {
	{.title = "NAME", .least = 12},
	{.title = "ROLE", .leave = 2},
	{.title = "FROM", .least = 15, .leave = 3},
	{.title = "SINCE", .leave = 1},
	{.title = "ADDRESSES", .least = 15},
};

/* Addresses with spaces between them. */
static void join(const json_t *list, char *buf, size_t cap)
{
	size_t i, len = 0;
	json_t *address;

	buf[0] = 0;
	json_array_foreach(list, i, address) if (len < cap) len += (size_t)snprintf(
		buf + len, cap - len, "%s%s", i ? " " : "", json_string_value(address));
}

static void print_connected(json_t *list)
{
	json_t *rows = json_array(), *n;
	char since[32], addresses[256];
	size_t i;

	json_array_foreach(list, i, n)
	{
		join(json_object_get(n, "addresses"), addresses, sizeof(addresses));
		json_array_append_new(
			rows,
			json_pack("[s,s,s,s,s]", text(n, "name"), text(n, "role"), text(n, "from"),
				  cli_time(since, (uint64_t)number(n, NULL, "since")), addresses));
	}
	if (json_array_size(rows))
		putchar('\n');
	cli_print_rows(columns, TT_ARRAY_LEN(columns), rows);
}

static void print_text(json_t *o)
{
	char started[32];

	printf("hub %s, version %s, since %s\n", text(o, "name"), text(o, "version"),
	       cli_time(started, (uint64_t)number(o, NULL, "started")));
	printf("  nodes        %lld, %lld connected\n", number(o, NULL, "nodes"),
	       number(o, NULL, "online"));
	printf("  connections  %lld, %lld accepted\n", number(o, "connections", "connections"),
	       number(o, "connections", "accepted"));
	printf("  enrolled     %lld, refused %lld\n", number(o, "counters", "enrolled"),
	       number(o, "counters", "enrol_refused_token") +
		       number(o, "counters", "enrol_refused_proof") +
		       number(o, "counters", "enrol_refused_other"));
	printf("  signals      %lld, refused %lld\n", number(o, "counters", "signals"),
	       number(o, "counters", "signals_refused"));
	printf("  relay, TCP   %lld packets\n", number(o, "connections", "relayed_packets"));
	printf("  relay, UDP   %lld packets, %lld allocations\n", number(o, "relay", "tx_packets"),
	       number(o, "relay", "allocations"));
	printf("  STUN         %lld answers\n", number(o, "stun", "answered"));
	if (!json_is_true(json_object_get(o, "signer")))
		printf("  signer       is gone: nodes cannot be enrolled or renewed; restart the "
		       "hub\n");
	print_connected(json_object_get(o, "connected"));
}

static int run(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	int status = CLI_OK;

	if (cli_check_arguments(argc, argv, 0, 0, "no arguments") != CLI_OK)
		return CLI_USAGE;
	json_t *o = ask("{\"op\":\"status\"}\n", &status);
	if (!o)
		return status;
	if (json) {
		cli_print_json(o);
		return CLI_OK;
	}
	print_text(o);
	json_decref(o);
	return CLI_OK;
}

static int log_level(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	char request[64] = "{\"op\":\"log-level\"}\n";
	enum tt_log_level level;
	int status = CLI_OK;

	if (argc > 2)
		return cli_usage("log-level", "unexpected argument \"%s\"", argv[2]);
	if (argc == 2 && !tt_log_level_parse(argv[1], &level))
		return cli_usage("log-level", "the level is error, warn, info or debug, not \"%s\"",
				 argv[1]);
	if (argc == 2)
		snprintf(request, sizeof(request), "{\"op\":\"log-level\",\"level\":\"%s\"}\n",
			 argv[1]);
	json_t *o = ask(request, &status);
	if (!o)
		return status;
	if (!json_is_true(json_object_get(o, "ok")))
		status = cli_fail(CLI_FAILED, "%s", text(o, "error"));
	else if (json)
		printf("{\"level\":\"%s\"}\n", text(o, "level"));
	else
		puts(text(o, "level"));
	json_decref(o);
	return status;
}

const struct cli_command cli_commands_status[] = {
	{"status", "[--json]", "Ask the running hub: who is connected, and its counters.",
	 "The table is as wide as the terminal (or $COLUMNS), and as wide as it needs where the\n"
	 "output is no terminal. --json prints an object.",
	 run},
	{"log-level", "[error|warn|info|debug] [--json]",
	 "Show or change what the running hub logs.",
	 "The level holds until the next change, reload (SIGHUP) or restart; [log] level of "
	 "hub.toml\n"
	 "is not changed.",
	 log_level},
	{0},
};

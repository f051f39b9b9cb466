/* SPDX-License-Identifier: MIT
 *
 * enroll: a token from the hub becomes a node with key, certificate, address and configuration.
 */
#include "taltun/enroll.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crypto/mem.h"
#include "node/config_load.h"
#include "taltun/cli.h"

#define CONFIG_DIR "/etc/taltun"

void enroll_step(const struct enroll *e, const char *format, ...)
{
	va_list ap;

	if (!e->verbose)
		return;
	va_start(ap, format);
	fputs("  ", stderr);
	vfprintf(stderr, format, ap);
	fputs(" ...\n", stderr);
	va_end(ap);
}

bool enroll_fail(struct enroll *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(e->error, sizeof(e->error), format, ap);
	va_end(ap);
	return false;
}

/* --- arguments ---------------------------------------------------------------------------------
 */

/* "host", "host:port", "[v6]:port"; without a port the token's. */
static bool parse_address(const char *text, struct enroll_address *out)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
	const char *host = text + (text[0] == '[');
	const char *colon = end && text[0] == '[' ? end + 1 : end;
	char *stop = NULL;
	unsigned long port = 0;

	if (text[0] == '[' && !end)
		return false;
	size_t len = end ? (size_t)(end - host) : strlen(host);
	if (len == 0 || len >= sizeof(out->host))
		return false;
	memcpy(out->host, host, len);
	out->host[len] = 0;
	if (colon && *colon) {
		port = strtoul(colon + 1, &stop, 10);
		if (*colon != ':' || colon[1] < '0' || colon[1] > '9' || *stop || port == 0 ||
		    port > UINT16_MAX)
			return false;
	}
	out->tcp_port = (uint16_t)port;
	return mesh_token_host_is_valid(out->host);
}

static int take_accept(struct enroll *e, const char *text)
{
	struct tt_cidr *c = &e->accept[e->accept_count];

	if (e->accept_count == ENROLL_ACCEPT_MAX)
		return cli_usage("enroll", "more than %d prefixes to accept", ENROLL_ACCEPT_MAX);
	if (tt_cidr_parse(text, c) != 0)
		return cli_usage("enroll",
				 "--accept %s: expected a prefix as 192.168.50.0/24 or 0.0.0.0/0",
				 text);
	tt_cidr_mask(c);
	e->accept_count++;
	return CLI_OK;
}

/* An option with its value; 1: it was none of them. */
static int take_option(struct enroll *e, const char *option, const char *value)
{
	if (strcmp(option, "--interface") == 0) {
		if (strlen(value) >= sizeof(e->interface))
			return cli_usage("enroll", "--interface %s is longer than 15 characters",
					 value);
		strcpy(e->interface, value);
	} else if (strcmp(option, "--config-dir") == 0) {
		if (!realpath(value, e->config_dir) &&
		    (value[0] != '/' || (size_t)snprintf(e->config_dir, sizeof(e->config_dir), "%s",
							 value) >= sizeof(e->config_dir)))
			return cli_usage("enroll", "--config-dir %s: expected a folder", value);
	} else if (strcmp(option, "--accept") == 0) {
		return take_accept(e, value);
	} else if (strcmp(option, "--hub-address") == 0) {
		if (!parse_address(value, &e->at))
			return cli_usage("enroll", "--hub-address %s: expected HOST:PORT", value);
	} else {
		return 1;
	}
	return CLI_OK;
}

static int read_token(struct enroll *e, char *text)
{
	char line[MESH_TOKEN_TEXT_MAX + 2];
	enum mesh_token_outcome o;
	size_t len;

	if (strcmp(text, "-") == 0) {
		len = fread(line, 1, sizeof(line), stdin);
		while (len && strchr(" \t\r\n", line[len - 1]))
			len--;
		o = mesh_token_parse(line, len, &e->token);
		crypto_wipe(line, sizeof(line));
	} else {
		len = strlen(text);
		o = mesh_token_parse(text, len, &e->token);
		/* whoever lists processes from here on does not see it */
		crypto_wipe(text, len);
	}
	if (o == MESH_TOKEN_OK)
		return CLI_OK;
	return cli_usage("enroll",
			 "the token is not valid: %s; give the whole line that "
			 "`taltun-hub token create` has printed",
			 mesh_token_outcome_text(o));
}

static int check_interface(const struct enroll *e)
{
	struct node_config_error *err = calloc(1, sizeof(*err));
	struct node_config *cfg = NULL;
	char set[64];
	const char *flag = set;
	const struct node_config_source src = {.set = &flag, .set_count = 1};
	int status = CLI_OK;

	snprintf(set, sizeof(set), "interface.name=%s", e->interface);
	if (!err || node_config_load_settings(&src, err, &cfg) != 0)
		status = cli_usage("enroll", "--interface: \"%s\" cannot name an interface",
				   e->interface);
	node_config_free(cfg);
	free(err);
	return status;
}

static int parse_arguments(struct enroll *e, int argc, char **argv)
{
	char *token = NULL;
	int status;

	e->json = cli_take_flag(&argc, argv, "--json");
	e->start = !cli_take_flag(&argc, argv, "--no-start");
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			if (token)
				return cli_usage(argv[0], "takes one token");
			token = argv[i];
			continue;
		}
		if (i + 1 == argc)
			return cli_usage(argv[0], "%s needs a value", argv[i]);
		status = take_option(e, argv[i], argv[i + 1]);
		if (status == 1)
			return cli_usage(argv[0], "unknown option %s", argv[i]);
		if (status)
			return status;
		i++;
	}
	if (!token)
		return cli_usage(argv[0], "needs the token, or - to read it from standard input");
	status = check_interface(e);
	if (!status)
		status = read_token(e, token);
	if (!status && e->at.host[0] && !e->at.tcp_port)
		e->at.tcp_port = e->token.tcp_port;
	return status;
}

static int set_defaults(struct enroll *e)
{
	const char *state = getenv("TALTUN_STATE_DIR");

	strcpy(e->interface, "tt0");
	strcpy(e->config_dir, CONFIG_DIR);
	e->verbose = isatty(STDERR_FILENO);
	if (!state || !*state)
		state = NODE_CONFIG_STATE_DIR;
	if (state[0] != '/' || strlen(state) >= sizeof(e->state_dir))
		return cli_fail(CLI_FAILED, "TALTUN_STATE_DIR is not an absolute path");
	strcpy(e->state_dir, state);
	return CLI_OK;
}

/* --- output ------------------------------------------------------------------------------------
 */

static json_t *prefix_list(const struct tt_cidr *list, unsigned count, bool hosts)
{
	json_t *o = json_array();
	char text[TT_CIDR_TEXT_MAX], ip[TT_IP_TEXT_MAX];

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(o, json_string(hosts ? tt_ip_format(&list[i].ip, ip)
							   : tt_cidr_format(&list[i], text)));
	return o;
}

static void print_json(const struct enroll *e, const struct enroll_files *f, bool started)
{
	const struct enroll_result *r = &e->result;
	json_t *o = json_pack("{s:s,s:s,s:I,s:s,s:i,s:o,s:o,s:o,s:s,s:I,s:b}", "interface",
			      e->interface, "name", r->name, "node_id", (json_int_t)r->node_id,
			      "hub", e->token.host, "hub_port", (int)e->token.tcp_port, "addresses",
			      prefix_list(r->addresses, r->address_count, true), "networks",
			      prefix_list(r->networks, r->network_count, false), "accept",
			      prefix_list(e->accept, e->accept_count, false), "config_file",
			      f->path[ENROLL_FILE_CONFIG], "certificate_until",
			      (json_int_t)r->info.not_after_s, "started", started ? 1 : 0);

	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(o);
}

static void print_text(const struct enroll *e, const struct enroll_files *f, bool started)
{
	const struct enroll_result *r = &e->result;
	char ip[TT_IP_TEXT_MAX];

	printf("This node is %s%s%s, enrolled with %s.\n", cli_colour(CLI_BOLD), r->name,
	       cli_colour(CLI_PLAIN), e->token.host);
	for (unsigned i = 0; i < r->address_count; i++)
		printf("  %-12s %s\n", i ? "" : "address", tt_ip_format(&r->addresses[i].ip, ip));
	printf("  %-12s %s%s\n", "interface", e->interface, started ? " (up)" : "");
	printf("  %-12s %s\n", "configuration", f->path[ENROLL_FILE_CONFIG]);
	if (started)
		printf("Next: taltun status %s\n", e->interface);
	else
		printf("Next: taltun up %s\n", f->path[ENROLL_FILE_CONFIG]);
}

/* It works all the same, as far as the hub's clock counts; the log of the node is what suffers. */
static void warn_clock(const struct enroll_result *r)
{
	time_t now = time(NULL), from = (time_t)r->info.not_before_s,
	       to = (time_t)r->info.not_after_s;
	char text[3][32] = {"?", "?", "?"};
	const time_t *t[] = {&now, &from, &to};
	struct tm tm;

	if (now >= from && now <= to)
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(t); i++)
		if (gmtime_r(t[i], &tm))
			strftime(text[i], sizeof(text[i]), "%Y-%m-%d %H:%M UTC", &tm);
	fprintf(stderr,
		"taltun: this machine's clock says %s, and by the hub's the certificate is valid "
		"from %s to %s: set the clock that is wrong\n",
		text[0], text[1], text[2]);
}

/* --- the command ---------------------------------------------------------------------------------
 */

/* The hub has answered the node, and the map has come. */
static bool is_member(const char *interface)
{
	int status = CLI_OK;
	json_t *reply = cli_request(interface, "status", 2, &status);
	json_t *hub = json_object_get(reply, "hub");
	const char *state = json_string_value(json_object_get(hub, "state"));
	bool member = state && strcmp(state, "up") == 0 &&
		      json_integer_value(json_object_get(hub, "map_version")) > 0;

	json_decref(reply);
	return member;
}

/* What is typed next is a ping, and it should work. A hub that cannot be reached any more is not
 * this command's failure: the node goes on trying. */
static void wait_for_hub(const struct enroll *e)
{
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

	enroll_step(e, "waiting for the hub's map");
	for (int turn = 0; turn < 150 && !is_member(e->interface); turn++)
		nanosleep(&pause, NULL);
}

static int finish(const struct enroll *e, const struct enroll_files *f)
{
	int status = CLI_OK;

	if (e->start) {
		enroll_step(e, "bringing %s up", e->interface);
		status = cli_up(f->path[ENROLL_FILE_CONFIG]);
		if (status == CLI_OK)
			wait_for_hub(e);
	}
	if (e->json)
		print_json(e, f, e->start && !status);
	else
		print_text(e, f, e->start && !status);
	warn_clock(&e->result);
	if (status)
		fprintf(stderr,
			"taltun: the node is enrolled, but its interface did not come up; see "
			"above\n");
	return status;
}

static int enroll(struct enroll *e)
{
	struct enroll_files *f = calloc(1, sizeof(*f));
	int status = CLI_OK;

	if (!f)
		return cli_fail(CLI_FAILED, "out of memory");
	if (e->start && cli_is_up(e->interface))
		enroll_fail(e, "%s is up already; choose another interface with --interface",
			    e->interface);
	else if (enroll_files_begin(e, f) && enroll_dialog(e) && enroll_files_commit(e, f))
		status = finish(e, f);
	if (e->error[0]) {
		enroll_files_undo(f);
		status = cli_fail(CLI_FAILED, "%s", e->error);
	}
	free(f);
	return status;
}

static int enroll_run(int argc, char **argv)
{
	struct enroll *e = calloc(1, sizeof(*e));
	int status = e ? set_defaults(e) : cli_fail(CLI_FAILED, "out of memory");

	if (!status)
		status = parse_arguments(e, argc, argv);
	if (!status)
		status = enroll(e);
	if (e)
		crypto_wipe(e, sizeof(*e));
	free(e);
	return status;
}

const struct cli_command cli_commands_enroll[] = {
	{"enroll", "[OPTIONS] TOKEN|-", "Join a hub's mesh with a token from the hub.",
	 "The token is the line that `taltun-hub token create` prints; with - it is read from\n"
	 "standard input, and never stands in the list of processes. It is not sent to the hub:\n"
	 "the node proves that it has it, and checks that it speaks with the hub it is from.\n"
	 "Writes /etc/taltun/INTERFACE.toml and .key, and certificates in\n"
	 "/var/lib/taltun/INTERFACE.hub/; overwrites nothing; brings the interface up.\n\n"
	 "  --interface NAME        (default tt0)\n"
	 "  --accept PREFIX         take this subnet or default route from gateways; may be "
	 "repeated\n"
	 "  --hub-address HOST:PORT where the hub is, if not where the token says\n"
	 "  --config-dir DIR        instead of /etc/taltun\n"
	 "  --no-start              do not bring the interface up\n"
	 "  --json                  print what came of it as an object",
	 enroll_run},
	{NULL, NULL, NULL, NULL, NULL},
};

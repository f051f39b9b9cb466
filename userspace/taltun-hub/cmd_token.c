/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "crypto/mem.h"
#include "hub/file.h"
#include "plat/clock.h"
#include "taltun-hub/cli.h"

#define EXPIRES_MAX_S (365 * UINT64_C(86400))

/* "90s", "30m", "24h", "7d". */
static bool parse_duration(const char *text, uint64_t *seconds)
{
	unsigned long long n;
	char unit, rest;

	if (sscanf(text, "%9llu%c%c", &n, &unit, &rest) != 2 || text[0] < '0' || text[0] > '9')
		return false;
	uint64_t of = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400;
	*seconds = n * of;
	return strchr("smhd", unit) && *seconds > 0 && *seconds <= EXPIRES_MAX_S;
}

/* Puts a word behind a list with spaces; false where it does not fit or is none. */
static bool add_word(char *list, size_t room, const char *word)
{
	size_t used = strlen(list);

	if (!*word || strpbrk(word, " \t\n") || used + 1 + strlen(word) >= room)
		return false;
	snprintf(list + used, room - used, "%s%s", used ? " " : "", word);
	return true;
}

static int take_words(int *argc, char **argv, const char *option, char *list, size_t room)
{
	const char *word;
	int rc;

	while ((rc = cli_take_value(argc, argv, option, &word)) != 0)
		if (rc < 0 || !add_word(list, room, word))
			return cli_usage("token", "%s needs a value, and not too many", option);
	return CLI_OK;
}

static int parse_create(int argc, char **argv, struct hub_db_token *t)
{
	const char *name = NULL, *role = NULL, *expires = "24h";
	uint64_t seconds;

	if (cli_take_value(&argc, argv, "--name", &name) != 1)
		return cli_usage("token", "--name NAME is needed: what the node will be called");
	if (strlen(name) >= sizeof(t->name))
		return cli_usage("token", "the name is too long");
	memcpy(t->name, name, strlen(name) + 1);
	if (cli_take_value(&argc, argv, "--role", &role) < 0 ||
	    (role && strcmp(role, "gateway") != 0 && strcmp(role, "client") != 0))
		return cli_usage("token", "--role is gateway or client");
	t->role = role && strcmp(role, "gateway") == 0 ? HUB_ROLE_GATEWAY : HUB_ROLE_CLIENT;
	if (cli_take_value(&argc, argv, "--expires", &expires) < 0 ||
	    !parse_duration(expires, &seconds))
		return cli_usage("token", "--expires needs a time like 90s, 30m, 24h or 7d");
	int status = take_words(&argc, argv, "--group", t->groups, sizeof(t->groups));
	if (status == CLI_OK)
		status = take_words(&argc, argv, "--subnet", t->subnets, sizeof(t->subnets));
	if (status == CLI_OK && argc > 2)
		status = cli_usage("token", "unexpected argument \"%s\"", argv[2]);
	t->created_s = (uint64_t)time(NULL);
	t->expires_s = t->created_s + seconds;
	return status;
}

static int format_token(struct hub_db *db, const struct hub_db_token *t,
			char text[MESH_TOKEN_TEXT_MAX])
{
	struct mesh_token token;
	struct hub_settings s;
	struct tls_der ca;
	struct tls_cert_info info;
	int status = cli_outcome(db, hub_db_settings_load(db, &s));

	if (status != CLI_OK)
		return status;
	if (hub_file_read_cert(cli_paths.ca_cert, &ca) != 0 ||
	    tls_cert_parse(ca.bytes, ca.len, &info) != 0)
		return cli_fail(CLI_FAILED, "%s is no certificate", cli_paths.ca_cert);
	memset(&token, 0, sizeof(token));
	memcpy(token.host, s.name, strlen(s.name) + 1);
	token.tcp_port = s.tcp_port;
	memcpy(token.id, t->id, sizeof(token.id));
	memcpy(token.secret, t->secret, sizeof(token.secret));
	memcpy(token.ca_fingerprint, info.key_hash, sizeof(token.ca_fingerprint));
	enum mesh_token_outcome o = mesh_token_format(&token, text);
	crypto_wipe(&token, sizeof(token));
	return o == MESH_TOKEN_OK ? CLI_OK : cli_fail(CLI_FAILED, "%s", mesh_token_outcome_text(o));
}

static json_t *token_json(const struct hub_db_token *t)
{
	char id[MESH_TOKEN_ID_TEXT_MAX];
	json_t *o = json_object();

	mesh_token_id_format(t->id, id);
	json_object_set_new(o, "id", json_string(id));
	json_object_set_new(o, "name", json_string(t->name));
	json_object_set_new(o, "role", json_string(cli_role(t->role)));
	json_object_set_new(o, "groups", cli_words(t->groups));
	json_object_set_new(o, "subnets", cli_words(t->subnets));
	json_object_set_new(o, "created", json_integer((json_int_t)t->created_s));
	json_object_set_new(o, "expires", json_integer((json_int_t)t->expires_s));
	json_object_set_new(o, "used", json_integer((json_int_t)t->used_s));
	return o;
}

static void print_created(const struct hub_db_token *t, const char *text, bool json)
{
	if (!json) {
		puts(text);
		return;
	}
	json_t *o = token_json(t);
	json_object_set_new(o, "token", json_string(text));
	cli_print_json(o);
}

static int create(int argc, char **argv, bool json)
{
	struct hub_db_token t = {0};
	char text[MESH_TOKEN_TEXT_MAX];
	struct tt_rng rng = plat_rng();
	int status = parse_create(argc, argv, &t);

	if (status != CLI_OK)
		return status;
	struct hub_db *db = cli_open();
	if (!db)
		return CLI_FAILED;
	tt_rng_fill(&rng, t.id, sizeof(t.id));
	tt_rng_fill(&rng, t.secret, sizeof(t.secret));
	status = format_token(db, &t, text);
	if (status == CLI_OK)
		status = cli_outcome(db, hub_db_token_add(db, &t));
	if (status == CLI_OK)
		print_created(&t, text, json);
	crypto_wipe(&t, sizeof(t));
	crypto_wipe(text, sizeof(text));
	hub_db_close(db);
	return status;
}

/* --- list, revoke ----------------------------------------------------------------------------- */

static const char *state_of(const struct hub_db_token *t)
{
	return t->used_s ? "used" : t->expires_s <= (uint64_t)time(NULL) ? "expired" : "open";
}

static void list_json(void *ctx, const struct hub_db_token *t)
{
	json_t *o = token_json(t);

	json_object_set_new(o, "state", json_string(state_of(t)));
	json_array_append_new(ctx, o);
}

static const struct cli_column columns[] = {
	{.title = "ID"},
	{.title = "NAME", .least = 12},
	{.title = "ROLE"},
	{.title = "STATE"},
	{.title = "EXPIRES", .leave = 2},
	{.title = "GROUPS", .least = 8, .leave = 1},
};

static void list_row(void *ctx, const struct hub_db_token *t)
{
	char id[MESH_TOKEN_ID_TEXT_MAX], until[32];

	mesh_token_id_format(t->id, id);
	json_array_append_new(ctx,
			      json_pack("[s,s,s,s,s,s]", id, t->name, cli_role(t->role),
					state_of(t), cli_time(until, t->expires_s), t->groups));
}

static int list(bool json)
{
	struct hub_db *db = cli_open();

	if (!db)
		return CLI_FAILED;
	json_t *all = json_array();
	int status = cli_outcome(db, hub_db_tokens(db, json ? list_json : list_row, all));
	hub_db_close(db);
	if (!json && !json_array_size(all) && status == CLI_OK)
		puts("no tokens");
	if (json)
		cli_print_json(all);
	else
		cli_print_rows(columns, TT_ARRAY_LEN(columns), all);
	return status;
}

static int take_back(const char *text)
{
	uint8_t id[MESH_TOKEN_ID_LEN];

	if (!mesh_token_id_parse(text, strlen(text), id))
		return cli_usage("token", "\"%s\" is no id of a token", text);
	struct hub_db *db = cli_open();
	if (!db)
		return CLI_FAILED;
	enum hub_db_outcome o = hub_db_token_remove(db, id);
	int status = o == HUB_DB_NOT_FOUND ? cli_fail(CLI_FAILED, "there is no token %s", text)
					   : cli_outcome(db, o);
	hub_db_close(db);
	return status;
}

static int run(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "create") == 0)
		return create(argc, argv, json);
	if (strcmp(what, "list") == 0 && argc == 2)
		return list(json);
	if (strcmp(what, "revoke") == 0 && argc == 3)
		return take_back(argv[2]);
	return cli_usage("token", "takes create, list or revoke ID");
}

const struct cli_command cli_commands_token[] = {
	{"token", "create --name NAME [OPTIONS] | list | revoke ID",
	 "Make, list and take back tokens that enrol one node each.",
	 "create prints one line: the text that `taltun enroll` takes on the node.\n"
	 "  --name NAME           what the node will be called\n"
	 "  --role gateway|client default client\n"
	 "  --group GROUP         for rules between groups; may be repeated\n"
	 "  --subnet CIDR         a network behind a gateway; may be repeated\n"
	 "  --expires TIME        90s, 30m, 24h (default), 7d\n"
	 "list shows tokens, revoke makes one useless. --json prints JSON.",
	 run},
	{0},
};

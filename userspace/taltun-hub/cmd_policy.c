/* SPDX-License-Identifier: MIT */
#include "taltun-hub/cli.h"

typedef enum hub_db_outcome change_fn(struct hub_db *db, const char *a, const char *b);

static int change(const char *command, int argc, char **argv, change_fn *fn)
{
	if (argc != 3)
		return cli_usage(command, "expected two groups");
	struct hub_db *db = cli_open();
	if (!db)
		return CLI_FAILED;
	enum hub_db_outcome o = fn(db, argv[1], argv[2]);
	int status = o == HUB_DB_NOT_FOUND
			     ? cli_fail(CLI_FAILED, "no rule joins %s and %s", argv[1], argv[2])
			     : cli_outcome(db, o);
	hub_db_close(db);
	return status;
}

static int run_allow(int argc, char **argv)
{
	return change("allow", argc, argv, hub_db_allow);
}

static int run_deny(int argc, char **argv)
{
	return change("deny", argc, argv, hub_db_deny);
}

static void print_text(const struct hub_policy *p)
{
	unsigned rules = 0;

	puts("gateways see everybody; everybody sees gateways");
	for (unsigned a = 0; a < p->count; a++)
		for (unsigned b = a; b < p->count; b++)
			if (p->joined[a] >> b & 1) {
				printf("allow %s %s\n", p->group[a], p->group[b]);
				rules++;
			}
	if (!rules)
		puts("clients do not see each other");
	printf("groups:");
	for (unsigned a = 0; a < p->count; a++)
		printf(" %s", p->group[a]);
	puts(p->count ? "" : " none");
}

static void print_json(const struct hub_policy *p)
{
	json_t *o = json_object(), *groups = json_array(), *rules = json_array();

	for (unsigned a = 0; a < p->count; a++) {
		json_array_append_new(groups, json_string(p->group[a]));
		for (unsigned b = a; b < p->count; b++)
			if (p->joined[a] >> b & 1)
				json_array_append_new(rules, json_pack("[s, s]", p->group[a],
								       p->group[b]));
	}
	json_object_set_new(o, "groups", groups);
	json_object_set_new(o, "allow", rules);
	cli_print_json(o);
}

static int run_policy(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json");
	struct hub_policy p;

	if (argc != 2 || strcmp(argv[1], "show") != 0)
		return cli_usage("policy", "expected show");
	struct hub_db *db = cli_open();
	if (!db)
		return CLI_FAILED;
	int status = cli_outcome(db, hub_db_policy(db, &p));
	hub_db_close(db);
	if (status == CLI_OK && json)
		print_json(&p);
	else if (status == CLI_OK)
		print_text(&p);
	return status;
}

const struct cli_command cli_commands_policy[] = {
	{"allow", "GROUP GROUP", "Let clients of two groups (or of one) see each other.", NULL,
	 run_allow},
	{"deny", "GROUP GROUP", "Take such a rule back.", NULL, run_deny},
	{"policy", "show [--json]", "Show groups and rules.", NULL, run_policy},
	{0},
};

/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "base/b64.h"
#include "cli/printable.h"
#include "taltun-hub/cli.h"

struct looking {
	json_t *list;
	bool as_rows;	  /* of the table, not objects */
	const char *name; /* NULL: all */
	bool with_revoked;
	json_t *connected; /* names of those that are here now; NULL: no hub runs */
	unsigned seen;
};

/* Keys are the names of the nodes that are connected; NULL where no hub runs. */
static json_t *who_is_here(void)
{
	json_t *status = cli_hub_status(), *names = status ? json_object() : NULL, *n;
	size_t i;

	json_array_foreach(json_object_get(status, "connected"), i, n)
	{
		const char *name = json_string_value(json_object_get(n, "name"));
		if (name)
			json_object_set_new(names, name, json_true());
	}
	json_decref(status);
	return names;
}

static bool is_here(const struct looking *l, const struct hub_db_node *n)
{
	/* the name of a revoked one may be another's by now */
	return !n->facts.revoked && json_object_get(l->connected, n->facts.name);
}

static json_t *node_json(const struct looking *l, const struct hub_db_node *n)
{
	const struct hub_node_facts *f = &n->facts;
	char text[TT_CIDR_TEXT_MAX], key[TT_KEY_B64_LEN + 1];
	json_t *o = json_object(), *addresses = json_array(), *subnets = json_array();

	tt_key_to_b64(f->wg_public_key, key);
	for (unsigned i = 0; i < f->address_count; i++)
		json_array_append_new(addresses, json_string(tt_ip_format(&f->addresses[i], text)));
	for (unsigned i = 0; i < f->subnet_count; i++)
		json_array_append_new(subnets, json_string(tt_cidr_format(&f->subnets[i], text)));
	json_object_set_new(o, "id", json_integer(f->id));
	json_object_set_new(o, "name", json_string(f->name));
	json_object_set_new(o, "role", json_string(cli_role(f->role)));
	json_object_set_new(o, "groups", cli_words(n->groups));
	json_object_set_new(o, "addresses", addresses);
	json_object_set_new(o, "subnets", subnets);
	json_object_set_new(o, "public_key", json_string(key));
	json_object_set_new(o, "enrolled", json_integer((json_int_t)n->enrolled_s));
	json_object_set_new(o, "revoked", json_integer((json_int_t)n->revoked_s));
	json_object_set_new(o, "connected",
			    l->connected ? json_boolean(is_here(l, n)) : json_null());
	json_object_set_new(o, "last_seen", json_integer((json_int_t)n->seen_s));
	json_object_set_new(o, "certificate_until", json_integer((json_int_t)n->cert_until_s));
	json_object_set_new(o, "version", json_string(n->version));
	json_object_set_new(o, "hostname", json_string(n->hostname));
	return o;
}

static const struct cli_column columns[] = {
	{.title = "ID"},
	{.title = "NAME", .least = 12},
	{.title = "ROLE"},
	{.title = "IPV4"},
	{.title = "IPV6", .least = 12, .leave = 1},
	{.title = "LAST SEEN", .leave = 3},
	{.title = "GROUPS", .least = 8, .leave = 2},
};

static json_t *node_row(const struct looking *l, const struct hub_db_node *n)
{
	char id[16], address[2][TT_IP_TEXT_MAX] = {"", ""}, seen[32];

	snprintf(id, sizeof(id), "%u", n->facts.id);
	for (unsigned i = 0; i < TT_MIN(n->facts.address_count, 2); i++)
		tt_ip_format(&n->facts.addresses[i], address[i]);
	return json_pack("[s,s,s,s,s,s,s]", id, n->facts.name,
			 n->facts.revoked ? "revoked" : cli_role(n->facts.role), address[0],
			 address[1], is_here(l, n) ? "now" : cli_time(seen, n->seen_s), n->groups);
}

static void on_node(void *ctx, struct hub_db_node *n)
{
	struct looking *l = ctx;
	bool wanted = (!l->name || strcmp(n->facts.name, l->name) == 0) &&
		      (!n->facts.revoked || l->with_revoked);

	if (wanted)
		json_array_append_new(l->list, l->as_rows ? node_row(l, n) : node_json(l, n));
	l->seen += wanted;
	free(n->facts.subnets);
}

static int list(bool json, bool all)
{
	struct looking l = {.as_rows = !json, .with_revoked = all};
	struct hub_db *db = cli_open();

	if (!db)
		return CLI_FAILED;
	l.list = json_array();
	l.connected = who_is_here();
	int status = cli_outcome(db, hub_db_nodes(db, on_node, &l));
	hub_db_close(db);
	json_decref(l.connected);
	if (!json && !l.seen && status == CLI_OK)
		puts("no nodes");
	if (json)
		cli_print_json(l.list);
	else
		cli_print_rows(columns, TT_ARRAY_LEN(columns), l.list);
	return status;
}

static void print_times(const char *key, const json_t *v)
{
	char text[32];

	printf("  %-18s %s\n", key, cli_time(text, (uint64_t)json_integer_value(v)));
}

static void print_list(const char *key, json_t *v)
{
	size_t i;
	json_t *one;

	printf("  %-18s", key);
	json_array_foreach(v, i, one) printf(" %s", json_string_value(one));
	puts(json_array_size(v) ? "" : " -");
}

static void print_node(json_t *o)
{
	const char *key;
	char safe[512]; /* what the node says of itself may be anything */
	json_t *v;

	printf("%s\n", json_string_value(json_object_get(o, "name")));
	json_object_foreach(o, key, v)
	{
		if (json_is_array(v))
			print_list(key, v);
		else if (json_is_boolean(v))
			printf("  %-18s %s\n", key, json_is_true(v) ? "yes" : "no");
		else if (json_is_integer(v) && strcmp(key, "id") != 0)
			print_times(key, v);
		else if (json_is_integer(v))
			printf("  %-18s %lld\n", key, (long long)json_integer_value(v));
		else if (json_is_string(v) && strcmp(key, "name") != 0)
			printf("  %-18s %s\n", key,
			       cli_printable(safe, sizeof(safe), json_string_value(v)));
	}
}

/* The one that is there; where it was revoked, the last of that name. */
static int show(const char *name, bool json)
{
	struct looking l = {.list = json_array(), .name = name, .with_revoked = true};
	struct hub_db *db = cli_open();

	if (!db)
		return CLI_FAILED;
	l.connected = who_is_here();
	int status = cli_outcome(db, hub_db_nodes(db, on_node, &l));
	hub_db_close(db);
	json_decref(l.connected);
	if (status == CLI_OK && !l.seen)
		status = cli_fail(CLI_FAILED, "there is no node \"%s\"", name);
	json_t *last = l.seen ? json_array_get(l.list, l.seen - 1) : NULL;
	if (status == CLI_OK && json)
		cli_print_json(json_incref(last));
	else if (status == CLI_OK)
		print_node(last);
	json_decref(l.list);
	return status;
}

static int take_back(const char *name)
{
	struct hub_db *db = cli_open();

	if (!db)
		return CLI_FAILED;
	enum hub_db_outcome o = hub_db_node_revoke(db, name, (uint64_t)time(NULL));
	int status = o == HUB_DB_NOT_FOUND ? cli_fail(CLI_FAILED, "there is no node \"%s\"", name)
					   : cli_outcome(db, o);
	if (status == CLI_OK)
		printf("Revoked %s.\n", name);
	hub_db_close(db);
	return status;
}

static int run(int argc, char **argv)
{
	bool json = cli_take_flag(&argc, argv, "--json"), all = cli_take_flag(&argc, argv, "--all");
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "list") == 0 && argc == 2)
		return list(json, all);
	if (strcmp(what, "show") == 0 && argc == 3)
		return show(argv[2], json);
	if (strcmp(what, "revoke") == 0 && argc == 3)
		return take_back(argv[2]);
	return cli_usage("node", "takes list, show NAME or revoke NAME");
}

const struct cli_command cli_commands_node[] = {
	{"node", "list [--all] | show NAME | revoke NAME [--json]",
	 "List and show nodes, and take one out of the network.",
	 "A revoked node loses its connection and leaves everybody's map within two seconds.\n"
	 "Its name is free at once; its addresses rest for a week, but for a node of that name.\n"
	 "--all lists revoked nodes as well. LAST SEEN is \"now\" where the node is connected, or\n"
	 "when it came or left.",
	 run},
	{0},
};

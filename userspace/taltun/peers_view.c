/* SPDX-License-Identifier: MIT */
#include "taltun/peers_view.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/types.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/wrap.h"
#include "taltun/json_get.h"

#define REASONS_MAX 16
#define LINE_BYTES  2048

const char *peers_view_label(const json_t *p)
{
	const char *name = get_str(p, "name");

	return *name ? name : get_str(p, "public_key");
}

/* --- states -------------------------------------------------------------------------------------
 */

enum state { OFFLINE, ONLINE, IDLE, NEVER, STATES }; /* in the order of the table */

static const struct {
	const char *name;
	enum cli_colour colour;
} states[STATES] = {
	[OFFLINE] = {"offline", CLI_RED},
	[ONLINE] = {"online", CLI_GREEN},
	[IDLE] = {"idle", CLI_YELLOW},
	[NEVER] = {"never", CLI_DIM},
};

static enum state state_of(const json_t *peer)
{
	const char *name = get_str(peer, "status");

	for (unsigned i = 0; i < STATES; i++)
		if (strcmp(name, states[i].name) == 0)
			return (enum state)i;
	return NEVER;
}

enum cli_colour peers_view_colour(const char *status)
{
	for (unsigned i = 0; i < STATES; i++)
		if (strcmp(status, states[i].name) == 0)
			return states[i].colour;
	return CLI_PLAIN;
}

/* --- the summary --------------------------------------------------------------------------------
 */

static const char *const kinds[] = {"direct", "punched", "relay_udp", "relay_tcp"};

static void count_states(const json_t *list, size_t count[STATES])
{
	size_t i;
	json_t *p;

	json_array_foreach(list, i, p) count[state_of(p)]++;
}

/* How many of those that a hub tells of go each way. */
static void count_kinds(const json_t *list, size_t count[TT_ARRAY_LEN(kinds)])
{
	size_t i;
	json_t *p;

	json_array_foreach(list, i, p)
	{
		if (!json_object_get(p, "node_id"))
			continue;
		for (unsigned k = 0; k < TT_ARRAY_LEN(kinds); k++)
			count[k] += strcmp(get_str(p, "path"), kinds[k]) == 0;
	}
}

struct text {
	char buf[LINE_BYTES];
	size_t len;
};

static void add_count(struct text *t, size_t n, const char *what)
{
	if (n && t->len < sizeof(t->buf))
		t->len += (size_t)snprintf(t->buf + t->len, sizeof(t->buf) - t->len, "%s%zu %s",
					   t->len ? ", " : "", n, what);
}

static const char *finish(const struct text *t, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s", t->buf);
	return buf;
}

const char *peers_view_states(const json_t *status, char *buf, size_t cap)
{
	static const enum state order[] = {ONLINE, IDLE, OFFLINE, NEVER};
	size_t count[STATES] = {0};
	struct text t = {.len = 0};

	count_states(json_object_get(status, "peers"), count);
	for (unsigned i = 0; i < TT_ARRAY_LEN(order); i++)
		add_count(&t, count[order[i]], states[order[i]].name);
	return finish(&t, buf, cap);
}

const char *peers_view_paths(const json_t *status, char *buf, size_t cap)
{
	size_t count[TT_ARRAY_LEN(kinds)] = {0};
	struct text t = {.len = 0};

	count_kinds(json_object_get(status, "peers"), count);
	for (unsigned k = 0; k < TT_ARRAY_LEN(kinds); k++)
		add_count(&t, count[k], kinds[k]);
	return finish(&t, buf, cap);
}

void peers_view_summary(const json_t *status)
{
	size_t n = json_array_size(json_object_get(status, "peers"));
	char buf[256];

	peers_view_states(status, buf, sizeof(buf));
	cli_fact("peers", "%zu%s%s%s", n, *buf ? " (" : "", buf, *buf ? ")" : "");
	if (*peers_view_paths(status, buf, sizeof(buf)))
		cli_fact("paths", "%s", buf);
}

/* --- the table ----------------------------------------------------------------------------------
 */

enum column { NAME, PATH, ENDPOINT, RTT, MTU, AGE, RX, TX };

static const struct cli_column columns[] = {
	[NAME] = {.title = "PEER", .least = 12},
	[PATH] = {.title = "PATH"},
	[ENDPOINT] = {.title = "ENDPOINT", .least = 15, .leave = 3},
	[RTT] = {.title = "RTT", .leave = 2, .right = true},
	[MTU] = {.title = "MTU", .leave = 1, .right = true},
	[AGE] = {.title = "AGE", .leave = 6, .right = true},
	[RX] = {.title = "RX", .leave = 4, .right = true},
	[TX] = {.title = "TX", .leave = 5, .right = true},
};

struct rows {
	const json_t **peer;
	size_t count;
	long long now;
};

static bool is_relayed(const json_t *p)
{
	return strncmp(get_str(p, "path"), "relay", 5) == 0;
}

/* The way it goes; where none does, why there is none. */
static void put_path(const json_t *p, struct cli_cell *out)
{
	enum state s = state_of(p);
	const char *path = get_str(p, "path");
	bool online = s == ONLINE && *path;

	snprintf(out->text, sizeof(out->text), "%s", online ? path : states[s].name);
	out->colour = online && is_relayed(p) ? CLI_YELLOW : states[s].colour;
}

static void put_endpoint(const json_t *p, struct cli_cell *out)
{
	const char *endpoint = get_str(p, "endpoint"), *host = get_str(p, "host");

	snprintf(out->text, sizeof(out->text), "%s", *endpoint ? endpoint : *host ? host : "-");
}

static void put_number(char *buf, long long n)
{
	if (n > 0)
		snprintf(buf, CLI_NUMBER_MAX, "%lld", n);
}

static void put_cell(const void *ctx, size_t row, unsigned column, struct cli_cell *out)
{
	const struct rows *rows = ctx;
	const json_t *p = rows->peer[row];
	long long at = get_num(p, "last_handshake");

	switch ((enum column)column) {
	case NAME:
		snprintf(out->text, sizeof(out->text), "%s", peers_view_label(p));
		break;
	case PATH:
		put_path(p, out);
		break;
	case ENDPOINT:
		put_endpoint(p, out);
		break;
	case RTT:
		cli_latency(out->text,
			    (uint64_t)get_num(p, get_num(p, "path_rtt_us") ? "path_rtt_us"
									   : "handshake_rtt_us"));
		break;
	case MTU:
		put_number(out->text, get_num(p, "path_mtu"));
		break;
	case AGE:
		if (at)
			cli_duration_short(out->text, rows->now - at);
		break;
	case RX:
		cli_scaled(out->text, get_real(p, "rx_bytes"), 1024);
		break;
	case TX:
		cli_scaled(out->text, get_real(p, "tx_bytes"), 1024);
		break;
	}
}

static int by_interest(const void *a, const void *b)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	double bx = get_real(x, "rx_bytes") + get_real(x, "tx_bytes");
	double by = get_real(y, "rx_bytes") + get_real(y, "tx_bytes");

	if (state_of(x) != state_of(y))
		return state_of(x) < state_of(y) ? -1 : 1;
	if (bx < by || bx > by)
		return bx > by ? -1 : 1;
	return strcmp(peers_view_label(x), peers_view_label(y));
}

void peers_view_table(const json_t *status, size_t max)
{
	const json_t *list = json_object_get(status, "peers");
	struct rows rows = {.count = json_array_size(list), .now = (long long)time(NULL)};
	char name[64];

	if (!rows.count)
		return;
	rows.peer = calloc(rows.count, sizeof(const json_t *));
	if (!rows.peer)
		return;
	for (size_t i = 0; i < rows.count; i++)
		rows.peer[i] = json_array_get(list, i);
	qsort(rows.peer, rows.count, sizeof(const json_t *), by_interest);
	struct cli_table t = {.columns = columns,
			      .count = TT_ARRAY_LEN(columns),
			      .rows = TT_MIN(rows.count, max),
			      .cell = put_cell,
			      .ctx = &rows};
	cli_table_print(&t, cli_columns());
	if (rows.count > max)
		printf("and %zu more: taltun peers %s\n", rows.count - max,
		       cli_printable(name, sizeof(name), get_str(status, "interface")));
	free(rows.peer);
}

/* --- why not direct -----------------------------------------------------------------------------
 */

struct reason {
	const char *why;
	size_t peers, named;
	struct text names;
};

/* Of each reason, so many peers are named, by names not longer than that. */
#define NAMES_MAX    5
#define NAME_COLUMNS 24

static void add_peer(struct reason *r, const json_t *peer)
{
	char name[4 * NAME_COLUMNS + 1];

	r->peers++;
	if (r->named == NAMES_MAX)
		return;
	r->named++;
	cli_fit(name, sizeof(name), peers_view_label(peer), NAME_COLUMNS);
	r->names.len +=
		(size_t)snprintf(r->names.buf + r->names.len, sizeof(r->names.buf) - r->names.len,
				 "%s%s", r->names.len ? ", " : "", name);
}

/* The place of this reason; the last takes what no place is left for. */
static struct reason *reason_of(struct reason *list, size_t *count, const char *why)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(list[i].why, why) == 0)
			return &list[i];
	if (*count == REASONS_MAX)
		return &list[REASONS_MAX - 1];
	list[*count].why = *count == REASONS_MAX - 1 ? "other reasons" : why;
	return &list[(*count)++];
}

static void print_reason(const struct reason *r)
{
	char why[256], text[LINE_BYTES + 512];
	size_t more = r->peers - r->named;
	char rest[48] = "";

	if (more)
		snprintf(rest, sizeof(rest), " and %zu more", more);
	snprintf(text, sizeof(text), "%s: %s%s", cli_printable(why, sizeof(why), r->why),
		 r->names.buf, rest);
	cli_wrap("  - ", text, 4, cli_columns());
}

void peers_view_not_direct(const json_t *status)
{
	struct reason *list = calloc(REASONS_MAX, sizeof(*list));
	size_t count = 0, i;
	json_t *p;

	json_array_foreach(json_object_get(status, "peers"), i, p)
	{
		const char *why = get_str(p, "why_not_direct");
		if (list && *why && state_of(p) != NEVER)
			add_peer(reason_of(list, &count, why), p);
	}
	if (count)
		printf("%snot direct%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN));
	for (i = 0; i < count; i++)
		print_reason(&list[i]);
	free(list);
}

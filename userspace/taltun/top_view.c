/* SPDX-License-Identifier: MIT */
#include "taltun/top_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "taltun/json_get.h"
#include "taltun/peers_view.h"

/* Of what is above the table, the first lines are the last to go where there is little room. */
#define HEAD_MAX     7
#define ROWS_WANTED  5	 /* titles, three peers, keys */
#define COLUMNS_NONE 250 /* where there is no bound */
#define KEYS	     "q quit  r/n/h by rate, name, handshake  p pause  arrows scroll"

struct picture {
	const struct top_model *model;
	struct top_look *look;
	void (*line)(void *ctx, unsigned row, enum top_attr attr, const char *text);
	void *ctx;
	unsigned row;
};

struct text {
	char buf[TOP_LINE_BYTES];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...);

static void add(struct text *t, const char *format, ...)
{
	size_t room = sizeof(t->buf) - t->len;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->buf + t->len, room, format, ap);
	va_end(ap);
	if (n > 0)
		t->len += TT_MIN((size_t)n, room - 1);
}

static void draw(struct picture *p, enum top_attr attr, const char *text)
{
	char safe[TOP_LINE_BYTES];

	cli_cut(safe, sizeof(safe), text, p->look->columns ? p->look->columns : COLUMNS_NONE);
	p->line(p->ctx, p->row++, attr, safe);
}

/* --- what is above the table --------------------------------------------------------------------
 */

struct head {
	enum top_attr attr[HEAD_MAX];
	struct text text[HEAD_MAX];
	unsigned count;
};

static struct text *next_line(struct head *h, enum top_attr attr)
{
	h->attr[h->count] = attr;
	h->text[h->count].len = 0;
	h->text[h->count].buf[0] = 0;
	return &h->text[h->count++];
}

/* "tt0  up 3 hours, 5 minutes  native copy  hub hub.example.com up, 12.3ms" */
static void add_title(struct head *head, const json_t *s)
{
	const json_t *hub = json_object_get(s, "hub");
	struct text *t = next_line(head, TOP_BOLD);
	char number[CLI_NUMBER_MAX];

	add(t, "%s  %s %s  %s", get_str(s, "interface"), get_flag(s, "up") ? "up" : "down",
	    cli_duration(number, (long long)get_real(s, "uptime_s")),
	    get_str(json_object_get(s, "datapath"), "mode"));
	if (!json_is_object(hub))
		return;
	add(t, "  hub %s %s", get_str(hub, "host"), get_str(hub, "state"));
	if (get_num(hub, "rtt_us"))
		add(t, ", %s", cli_latency(number, (uint64_t)get_num(hub, "rtt_us")));
}

static void add_traffic(struct head *head, const struct top_model *m)
{
	struct text *t = next_line(head, TOP_PLAIN);
	char number[4][CLI_NUMBER_MAX];

	add(t, "in %5sb/s %5s packets/s    out %5sb/s %5s packets/s",
	    cli_scaled(number[0], m->rates.rx_bits, 1000),
	    cli_scaled(number[1], m->rates.rx_packets, 1000),
	    cli_scaled(number[2], m->rates.tx_bits, 1000),
	    cli_scaled(number[3], m->rates.tx_packets, 1000));
	if (m->seconds <= 0)
		add(t, "   (measuring)");
}

static void add_peers(struct head *head, const struct top_model *m)
{
	char buf[256];

	peers_view_states(m->status, buf, sizeof(buf));
	add(next_line(head, TOP_PLAIN), "peers %zu%s%s", m->peer_count, *buf ? ": " : "", buf);
	if (*peers_view_paths(m->status, buf, sizeof(buf)))
		add(next_line(head, TOP_PLAIN), "paths %s", buf);
}

static void add_drops(struct head *head, const struct top_model *m)
{
	struct text *t = next_line(head, TOP_PLAIN);
	char number[CLI_NUMBER_MAX];
	const char *between = "";

	add(t, "drops ");
	for (size_t i = 0; i < m->drop_count && m->drops[i].per_s > 0; i++) {
		head->attr[head->count - 1] = TOP_YELLOW;
		add(t, "%s%s %s/s", between, m->drops[i].reason,
		    cli_scaled(number, m->drops[i].per_s, 1000));
		between = ", ";
	}
	if (!*between)
		add(t, "none");
}

static void add_workers(struct head *head, const struct top_model *m)
{
	struct text *t = next_line(head, TOP_PLAIN);
	char number[2][CLI_NUMBER_MAX];

	add(t, "workers busy, batch in/out");
	for (size_t i = 0; i < m->worker_count; i++) {
		const struct top_worker *w = &m->workers[i];
		if (w->hung)
			head->attr[head->count - 1] = TOP_RED;
		add(t, "  %zu:", i);
		if (w->hung)
			add(t, " HUNG");
		else if (w->busy >= 0)
			add(t, " %.0f%%", 100 * w->busy);
		add(t, " %s/%s", cli_scaled(number[0], w->rx_batch, 1000),
		    cli_scaled(number[1], w->tx_batch, 1000));
	}
}

static void draw_head(struct picture *p)
{
	const struct top_model *m = p->model;
	struct head h = {.count = 0};
	unsigned room = HEAD_MAX;

	add_title(&h, m->status);
	add_traffic(&h, m);
	add_peers(&h, m);
	add_drops(&h, m);
	if (m->worker_count)
		add_workers(&h, m);
	next_line(&h, TOP_PLAIN);
	if (p->look->rows)
		room = p->look->rows > ROWS_WANTED ? p->look->rows - ROWS_WANTED : 1;
	for (unsigned i = 0; i < h.count && i < room; i++)
		draw(p, h.attr[i], h.text[i].buf);
}

/* --- the table ----------------------------------------------------------------------------------
 */

enum column { NAME, PATH, IN, OUT, PACKETS, RTT, AGE, RX, TX, ENDPOINT };

static const struct cli_column columns[] = {
	[NAME] = {.title = "PEER", .least = 12},
	[PATH] = {.title = "PATH", .room = 9},
	[IN] = {.title = "IN b/s", .room = 6, .right = true},
	[OUT] = {.title = "OUT b/s", .room = 7, .right = true},
	[PACKETS] = {.title = "PKT/S", .room = 5, .leave = 3, .right = true},
	[RTT] = {.title = "RTT", .room = 6, .leave = 4, .right = true},
	[AGE] = {.title = "AGE", .room = 4, .leave = 7, .right = true},
	[RX] = {.title = "RX", .room = 5, .leave = 5, .right = true},
	[TX] = {.title = "TX", .room = 5, .leave = 6, .right = true},
	[ENDPOINT] = {.title = "ENDPOINT", .least = 21, .leave = 1},
};

struct rows {
	const struct top_model *model;
	long long wall_s;
};

static bool is_state(const json_t *p, const char *state)
{
	return strcmp(get_str(p, "status"), state) == 0;
}

/* As in `taltun peers`: the way of who is online, the state of others. */
static const char *path_text(const json_t *p)
{
	const char *path = get_str(p, "path");

	return is_state(p, "online") && *path ? path : get_str(p, "status");
}

static uint64_t latency_us(const json_t *p)
{
	long long path = get_num(p, "path_rtt_us");

	return (uint64_t)(path ? path : get_num(p, "handshake_rtt_us"));
}

static void put_cell(const void *ctx, size_t row, unsigned column, struct cli_cell *out)
{
	const struct rows *rows = ctx;
	const struct top_peer *p = &rows->model->peers[row];
	const struct top_rates *r = &p->rates;

	switch ((enum column)column) {
	case NAME:
		snprintf(out->text, sizeof(out->text), "%s", peers_view_label(p->json));
		break;
	case PATH:
		snprintf(out->text, sizeof(out->text), "%s", path_text(p->json));
		break;
	case IN:
		cli_scaled(out->text, r->rx_bits, 1000);
		break;
	case OUT:
		cli_scaled(out->text, r->tx_bits, 1000);
		break;
	case PACKETS:
		cli_scaled(out->text, r->rx_packets + r->tx_packets, 1000);
		break;
	case RTT:
		cli_latency(out->text, latency_us(p->json));
		break;
	case AGE:
		if (get_num(p->json, "last_handshake"))
			cli_duration_short(out->text,
					   rows->wall_s - get_num(p->json, "last_handshake"));
		break;
	case RX:
		cli_scaled(out->text, get_real(p->json, "rx_bytes"), 1024);
		break;
	case TX:
		cli_scaled(out->text, get_real(p->json, "tx_bytes"), 1024);
		break;
	case ENDPOINT:
		snprintf(out->text, sizeof(out->text), "%s", get_str(p->json, "endpoint"));
		break;
	}
}

static enum top_attr attr_of(const json_t *p)
{
	if (is_state(p, "offline"))
		return TOP_RED;
	if (!is_state(p, "online"))
		return TOP_DIM;
	return strncmp(get_str(p, "path"), "relay", 5) == 0 ? TOP_YELLOW : TOP_PLAIN;
}

/* How many of the peers there is room for, and which comes first. */
static size_t scroll_rows(struct top_look *look, size_t peers, unsigned used)
{
	size_t page = peers;

	if (look->rows) {
		unsigned other = used + 1 + (look->rows > ROWS_WANTED ? 1 : 0);
		page = look->rows > other ? look->rows - other : 0;
	}
	look->page = page;
	look->scroll = TT_MIN(look->scroll, peers > page ? peers - page : 0);
	return TT_MIN(page, peers - look->scroll);
}

static size_t draw_table(struct picture *p)
{
	struct rows rows = {.model = p->model, .wall_s = p->look->wall_s};
	size_t shown = scroll_rows(p->look, p->model->peer_count, p->row);
	/* columns do not move while one scrolls: they are of all peers */
	struct cli_table t = {.columns = columns,
			      .count = TT_ARRAY_LEN(columns),
			      .rows = p->model->peer_count,
			      .cell = put_cell,
			      .ctx = &rows};
	struct cli_layout l;
	char buf[TOP_LINE_BYTES];

	if (p->look->rows && p->row >= p->look->rows)
		return 0;
	cli_table_layout(&t, p->look->columns, &l);
	draw(p, TOP_TITLES, cli_table_line(&t, &l, CLI_TABLE_HEAD, buf, sizeof(buf)));
	for (size_t i = 0; i < shown; i++) {
		size_t row = p->look->scroll + i;
		draw(p, attr_of(p->model->peers[row].json),
		     cli_table_line(&t, &l, row, buf, sizeof(buf)));
	}
	return shown;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static void draw_keys(struct picture *p, size_t shown)
{
	const struct top_look *look = p->look;
	struct text t = {.len = 0};

	if (look->rows <= ROWS_WANTED)
		return;
	while (p->row + 1 < look->rows)
		draw(p, TOP_PLAIN, "");
	if (look->notice)
		add(&t, "%s", look->notice);
	else if (look->paused)
		add(&t, "PAUSED (p)");
	if (shown < p->model->peer_count)
		add(&t, "%s%zu-%zu of %zu", t.len ? "  " : "", look->scroll + 1,
		    look->scroll + shown, p->model->peer_count);
	add(&t, "%s" KEYS, t.len ? "  " : "");
	draw(p, look->notice ? TOP_RED : TOP_DIM, t.buf);
}

void top_view_draw(const struct top_model *m, struct top_look *look,
		   void (*line)(void *ctx, unsigned row, enum top_attr attr, const char *text),
		   void *ctx)
{
	struct picture p = {.model = m, .look = look, .line = line, .ctx = ctx};

	draw_head(&p);
	draw_keys(&p, draw_table(&p));
}

/* --- for programs -------------------------------------------------------------------------------
 */

static json_t *rates_json(const struct top_rates *r)
{
	return json_pack("{s:f,s:f,s:f,s:f}", "rx_bits_per_s", r->rx_bits, "tx_bits_per_s",
			 r->tx_bits, "rx_packets_per_s", r->rx_packets, "tx_packets_per_s",
			 r->tx_packets);
}

static json_t *peers_json(const struct top_model *m)
{
	static const char *const same[] = {"name",	  "public_key",	     "status",
					   "path",	  "endpoint",	     "path_mtu",
					   "path_rtt_us", "last_handshake",  "rx_bytes",
					   "tx_bytes",	  "handshake_rtt_us"};
	json_t *list = json_array();

	for (size_t i = 0; i < m->peer_count; i++) {
		const struct top_peer *p = &m->peers[i];
		json_t *o = rates_json(&p->rates);

		for (unsigned k = 0; k < TT_ARRAY_LEN(same); k++)
			if (json_object_get(p->json, same[k]))
				json_object_set(o, same[k], json_object_get(p->json, same[k]));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *drops_json(const struct top_model *m)
{
	json_t *o = json_object();

	for (size_t i = 0; i < m->drop_count && m->drops[i].per_s > 0; i++)
		json_object_set_new(o, m->drops[i].reason, json_real(m->drops[i].per_s));
	return o;
}

static json_t *workers_json(const struct top_model *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->worker_count; i++) {
		const struct top_worker *w = &m->workers[i];
		json_array_append_new(
			list, json_pack("{s:o,s:f,s:f,s:b}", "busy",
					w->busy < 0 ? json_null() : json_real(w->busy), "rx_batch",
					w->rx_batch, "tx_batch", w->tx_batch, "hung", w->hung));
	}
	return list;
}

json_t *top_view_json(const struct top_model *m, double wall)
{
	json_t *o = rates_json(&m->rates);

	json_object_set_new(o, "v", json_integer(1));
	json_object_set_new(o, "time", json_real(wall));
	json_object_set_new(o, "seconds", json_real(m->seconds));
	json_object_set(o, "interface", json_object_get(m->status, "interface"));
	json_object_set(o, "uptime_s", json_object_get(m->status, "uptime_s"));
	json_object_set_new(o, "drops_per_s", drops_json(m));
	json_object_set_new(o, "workers", workers_json(m));
	json_object_set_new(o, "peers", peers_json(m));
	return o;
}

/* SPDX-License-Identifier: MIT
 *
 * bench datapath: what a packet costs on its way through a worker, and how much of it is the AEAD.
 */
#include <string.h>

#include "crypto/aead.h"
#include "datapath/bench.h"
#include "taltun/bench.h"

static const unsigned sizes[] = {64, 256, 512, 1420};

/* How the packets come; the first of them is what the others are compared with. */
static const struct shape {
	unsigned batch, sessions, workers;
} shapes[] = {
	{64, 1, 1}, {32, 1, 1}, {8, 1, 1}, {1, 1, 1}, {64, 1000, 1}, {64, 1, 2}, {64, 1000, 2},
};

struct choice {
	const char *backend;			  /* NULL: each */
	unsigned bytes, batch, sessions, workers; /* 0: as the table has it */
	unsigned ms;
	bool json;
};

/* --- one row ---------------------------------------------------------------------------------- */

static bool measure(const struct choice *ch, bool inbound, unsigned bytes, const struct shape *s,
		    struct dp_bench_result *r)
{
	struct dp_bench_case c = {inbound,     bytes,	   s->batch,
				  s->sessions, s->workers, ch->ms * TT_NS_PER_MS};
	int err = dp_bench_run(&c, r);

	if (err)
		cli_fail(CLI_FAILED, "datapath: %s", strerror(-err));
	return !err;
}

static json_t *direction(const struct dp_bench_result *r)
{
	return json_pack("{s:f,s:f,s:f,s:f}", "ns", r->ns, "aead_ns", r->aead_ns, "ratio",
			 r->ns / r->aead_ns, "mpps", r->mpps);
}

static void print_row(const char *backend, unsigned bytes, const struct shape *s,
		      const struct dp_bench_result *in, const struct dp_bench_result *out)
{
	printf("%-10s %5u %5u %8u %7u %8.1f %5.2f %7.2f %8.1f %5.2f %7.2f\n", backend, bytes,
	       s->batch, s->sessions, s->workers, in->ns, in->ns / in->aead_ns, in->mpps, out->ns,
	       out->ns / out->aead_ns, out->mpps);
	fflush(stdout);
}

static json_t *row_of(const struct choice *ch, const char *backend, unsigned bytes,
		      const struct shape *s)
{
	struct dp_bench_result in, out;

	if (!measure(ch, true, bytes, s, &in) || !measure(ch, false, bytes, s, &out))
		return NULL;
	if (!ch->json)
		print_row(backend, bytes, s, &in, &out);
	return json_pack("{s:s,s:i,s:i,s:i,s:i,s:o,s:o}", "backend", backend, "bytes", (int)bytes,
			 "batch", (int)s->batch, "sessions", (int)s->sessions, "workers",
			 (int)s->workers, "in", direction(&in), "out", direction(&out));
}

/* --- the table -------------------------------------------------------------------------------- */

static bool one_case(const struct choice *ch)
{
	return ch->batch || ch->sessions || ch->workers;
}

static bool measure_size(const struct choice *ch, const char *backend, unsigned bytes, json_t *rows)
{
	struct shape own = {ch->batch ? ch->batch : shapes[0].batch,
			    ch->sessions ? ch->sessions : shapes[0].sessions,
			    ch->workers ? ch->workers : shapes[0].workers};
	const struct shape *s = one_case(ch) ? &own : shapes;
	size_t n = one_case(ch) ? 1 : TT_ARRAY_LEN(shapes);

	for (size_t i = 0; i < n; i++) {
		json_t *row = row_of(ch, backend, bytes, &s[i]);

		if (!row)
			return false;
		json_array_append_new(rows, row);
	}
	return true;
}

static bool measure_backend(const struct choice *ch, const char *backend, json_t *rows)
{
	if (ch->bytes)
		return measure_size(ch, backend, ch->bytes, rows);
	for (size_t i = 0; i < TT_ARRAY_LEN(sizes); i++)
		if (!measure_size(ch, backend, sizes[i], rows))
			return false;
	return true;
}

/* --- the summary ------------------------------------------------------------------------------ */

static double figure(const json_t *row, const char *dir, const char *what)
{
	return json_real_value(json_object_get(json_object_get(row, dir), what));
}

static int whole(const json_t *row, const char *what)
{
	return (int)json_integer_value(json_object_get(row, what));
}

static const json_t *find_row(const json_t *rows, const json_t *like, const struct shape *s)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (json_equal(json_object_get(row, "backend"), json_object_get(like, "backend")) &&
		    whole(row, "bytes") == whole(like, "bytes") &&
		    whole(row, "batch") == (int)s->batch &&
		    whole(row, "sessions") == (int)s->sessions &&
		    whole(row, "workers") == (int)s->workers)
			return row;
	}
	return NULL;
}

/* a is one session on one worker; b many, c on two. */
static json_t *compare(const json_t *a, const json_t *b, const json_t *c)
{
	return json_pack("{s:O,s:O,s:f,s:f,s:f,s:f}", "backend", json_object_get(a, "backend"),
			 "bytes", json_object_get(a, "bytes"), "in_sessions_ratio",
			 figure(b, "in", "ns") / figure(a, "in", "ns"), "out_sessions_ratio",
			 figure(b, "out", "ns") / figure(a, "out", "ns"), "in_workers_ratio",
			 figure(c, "in", "mpps") / figure(a, "in", "mpps"), "out_workers_ratio",
			 figure(c, "out", "mpps") / figure(a, "out", "mpps"));
}

static void print_comparison(const json_t *k)
{
	printf("%-10s %5d %11.2f %11.2f %11.2f %11.2f\n",
	       json_string_value(json_object_get(k, "backend")), whole(k, "bytes"),
	       json_real_value(json_object_get(k, "in_sessions_ratio")),
	       json_real_value(json_object_get(k, "out_sessions_ratio")),
	       json_real_value(json_object_get(k, "in_workers_ratio")),
	       json_real_value(json_object_get(k, "out_workers_ratio")));
}

/* What 1,000 sessions cost of one, and what two workers do of one. */
static json_t *summarise(const json_t *rows, bool print)
{
	static const struct shape many = {64, 1000, 1}, two = {64, 1, 2};
	json_t *all = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (find_row(rows, row, &shapes[0]) != row)
			continue;
		const json_t *b = find_row(rows, row, &many), *c = find_row(rows, row, &two);

		if (b && c)
			json_array_append_new(all, compare(row, b, c));
	}
	if (!print || !json_array_size(all))
		return all;
	printf("\n%-16s %-23s %s\n%-10s %5s %11s %11s %11s %11s\n", "", "1000 SESSIONS / ONE, ns",
	       "2 WORKERS / ONE, Mpps", "BACKEND", "BYTES", "IN", "OUT", "IN", "OUT");
	json_array_foreach(all, i, row) print_comparison(row);
	return all;
}

/* --- the command ------------------------------------------------------------------------------ */

static int parse(int *argc, char **argv, struct choice *ch)
{
	ch->json = cli_take_flag(argc, argv, "--json");
	if (!bench_take_text(argc, argv, "--backend", &ch->backend) ||
	    !bench_take_number(argc, argv, "--bytes", DP_BENCH_BYTES_MIN, DP_BENCH_BYTES_MAX,
			       &ch->bytes) ||
	    !bench_take_number(argc, argv, "--batch", 1, DP_BENCH_BATCH_MAX, &ch->batch) ||
	    !bench_take_number(argc, argv, "--sessions", 1, DP_BENCH_SESSIONS_MAX, &ch->sessions) ||
	    !bench_take_number(argc, argv, "--workers", 1, DP_WORKERS_MAX, &ch->workers) ||
	    !bench_take_number(argc, argv, "--ms", 1, 10000, &ch->ms))
		return CLI_USAGE;
	if (*argc != 1)
		return cli_usage("bench", "datapath: what is \"%s\"?", argv[1]);
	for (const char *const *b = crypto_aead_backends(); ch->backend && *b; b++)
		if (strcmp(*b, ch->backend) == 0)
			return CLI_OK;
	return ch->backend ? cli_usage("bench", "no backend \"%s\"", ch->backend) : CLI_OK;
}

int bench_datapath(int argc, char **argv)
{
	struct choice ch = {.ms = 40};
	int status = parse(&argc, argv, &ch);

	if (status)
		return status;
	json_t *rows = json_array();

	if (!ch.json)
		printf("%-38s %-22s %s\n%-10s %5s %5s %8s %7s %8s %5s %7s %8s %5s %7s\n", "",
		       "      IN: wire to TUN", "      OUT: TUN to wire", "BACKEND", "BYTES",
		       "BATCH", "SESSIONS", "WORKERS", "ns", "/AEAD", "Mpps", "ns", "/AEAD",
		       "Mpps");
	for (const char *const *b = crypto_aead_backends(); *b && !status; b++) {
		if (ch.backend && strcmp(ch.backend, *b) != 0)
			continue;
		if (bench_backend_select(*b) ? !measure_backend(&ch, *b, rows) : ch.backend != NULL)
			status = CLI_FAILED;
	}
	json_t *ratios = summarise(rows, !ch.json);
	int done = bench_finish(json_pack("{s:o,s:o}", "rows", rows, "ratios", ratios), ch.json);

	return status ? status : done;
}

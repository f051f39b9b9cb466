/* SPDX-License-Identifier: MIT
 *
 * top: what an interface does, as it does it. On a terminal it goes on by itself (top_live.c); for
 * scripts it is one picture or an object per interval.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plat/clock.h"
#include "taltun/cli.h"
#include "taltun/top_live.h"
#include "taltun/top_screen.h"

#define INTERVAL_DEFAULT_MS 1000
#define INTERVAL_MIN_S	    0.1
#define INTERVAL_MAX_S	    3600
#define ANSWER_S	    5

struct wish {
	struct top_options top;
	bool once, json;
};

/* --- for scripts --------------------------------------------------------------------------------
 */

static int sample(struct top_model *m, const char *interface)
{
	int status;
	json_t *reply =
		cli_request_with(interface, "status", "without", "allowed_ips", ANSWER_S, &status);

	if (!reply)
		return status;
	int err = top_model_update(m, json_object_get(reply, "status"), plat_clock_mono());
	json_decref(reply);
	return err ? cli_fail(CLI_FAILED, "%s: %s", interface, strerror(-err)) : CLI_OK;
}

static void rest(unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static void print_line(void *ctx, unsigned row, enum top_attr attr, const char *text)
{
	(void)ctx, (void)row, (void)attr;
	puts(text);
}

static void print_sample(const struct top_model *m, const struct wish *w)
{
	struct top_look look = {.columns = cli_columns(), .wall_s = (long long)time(NULL)};
	struct timespec now;

	if (!w->json) {
		top_view_draw(m, &look, print_line, NULL);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	json_t *o = top_view_json(m, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

/* Rates need two samples: the first picture comes after one interval. */
static int print(const struct wish *w)
{
	struct top_model m = {.status = NULL};
	int status = sample(&m, w->top.interface);

	while (status == CLI_OK) {
		rest(w->top.interval_ms);
		status = sample(&m, w->top.interface);
		if (status != CLI_OK)
			break;
		top_model_sort(&m, w->top.sort);
		print_sample(&m, w);
		if (fflush(stdout) != 0 || w->once)
			break;
	}
	top_model_free(&m);
	return status;
}

/* --- arguments ----------------------------------------------------------------------------------
 */

static int parse_interval(const char *command, const char *text, unsigned *ms)
{
	char *rest_of = NULL;
	double s = text ? strtod(text, &rest_of) : 0;

	if (!text)
		return CLI_OK;
	if (rest_of == text || *rest_of || !(s >= INTERVAL_MIN_S && s <= INTERVAL_MAX_S))
		return cli_usage(command, "--interval takes seconds, 0.1 to 3600, not \"%s\"",
				 text);
	*ms = (unsigned)(s * 1000 + 0.5);
	return CLI_OK;
}

static int parse(int *argc, char **argv, struct wish *w)
{
	const char *interval = NULL, *by = NULL;

	*w = (struct wish){.top = {.interval_ms = INTERVAL_DEFAULT_MS, .sort = TOP_BY_RATE}};
	w->once = cli_take_flag(argc, argv, "--once");
	w->json = cli_take_flag(argc, argv, "--json");
	if (cli_take_value(argc, argv, "--interval", &interval) < 0)
		return cli_usage(argv[0], "--interval needs a number of seconds");
	if (cli_take_value(argc, argv, "--sort", &by) < 0 ||
	    (by && !top_sort_parse(by, &w->top.sort)))
		return cli_usage(argv[0], "--sort takes rate, name or handshake");
	if (cli_check_arguments(*argc, argv, 0, 1, "at most one interface") != CLI_OK)
		return CLI_USAGE;
	return parse_interval(argv[0], interval, &w->top.interval_ms);
}

static int show(const struct wish *w)
{
	const char *refusal = w->once || w->json ? NULL : top_screen_refusal();

	if (refusal)
		return cli_usage("top",
				 "%s: --once prints one picture, --json an object per interval",
				 refusal);
	return w->once || w->json ? print(w) : top_live_run(&w->top);
}

static int top_run(int argc, char **argv)
{
	char interface[64];
	struct wish w;
	int status = parse(&argc, argv, &w);

	if (status == CLI_OK)
		status = cli_choose_interface(argv[0], argv[1], interface, sizeof(interface));
	if (status != CLI_OK)
		return status;
	w.top.interface = interface;
	return show(&w);
}

const struct cli_command cli_commands_top[] = {
	{"top", "[INTERFACE] [--interval SECONDS] [--sort rate|name|handshake] [--once] [--json]",
	 "Watch throughput, drops, workers and peers.",
	 "Keys: q quit; r, n, h sort by rate, name, last handshake; p pause; arrows, Page Up and\n"
	 "Page Down, Home, End scroll. Colours: red does not answer, yellow is relayed.\n"
	 "--once measures one interval and prints the picture, --json prints an object a line and\n"
	 "interval (with --once: one); both need no terminal. INTERFACE may be left out where one\n"
	 "is up.",
	 top_run},
	{NULL, NULL, NULL, NULL, NULL},
};

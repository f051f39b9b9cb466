/* SPDX-License-Identifier: MIT
 *
 * hub_swarm: what it prints, one JSON object of numbers; and whether it failed.
 */
#ifndef TT_TESTS_HUB_SWARM_FIGURES_H
#define TT_TESTS_HUB_SWARM_FIGURES_H

#include <math.h>

#include "hub_swarm.h"

static double *figures;
static uint32_t figure_count;
static bool comma, failed;

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The smallest that p % of them do not exceed. */
static double percentile(double p)
{
	uint32_t at = (uint32_t)ceil(figure_count * p / 100);

	return figure_count ? figures[at ? at - 1 : 0] : 0;
}

static void print_number(const char *name, double v)
{
	printf("%s\n  \"%s\": %.6g", comma ? "," : "{", name, v);
	comma = true;
	fflush(stdout);
}

/* NAME_p50_ms and so on, of what `figures` has in ns. */
static void print_figures(const char *name)
{
	static const struct {
		const char *suffix;
		double p;
	} what[] = {{"p50_ms", 50}, {"p90_ms", 90}, {"p99_ms", 99}, {"max_ms", 100}};
	char key[64];

	qsort(figures, figure_count, sizeof(*figures), by_size);
	snprintf(key, sizeof(key), "%s_count", name);
	print_number(key, figure_count);
	for (size_t i = 0; i < TT_ARRAY_LEN(what); i++) {
		snprintf(key, sizeof(key), "%s_%s", name, what[i].suffix);
		print_number(key, percentile(what[i].p) / 1e6);
	}
	figure_count = 0;
}

static void print_scalar(const char *name, const char *suffix, double v)
{
	char key[64];

	snprintf(key, sizeof(key), "%s_%s", name, suffix);
	print_number(key, v);
}

static void fail(const char *what)
{
	fprintf(stderr, "hub_swarm: %s (%u of %u served)\n", what, swarm.served, swarm.nodes);
	failed = true;
}

#endif

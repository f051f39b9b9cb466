/* SPDX-License-Identifier: MIT
 *
 * Writer of the Prometheus text format, version 0.0.4. A family is announced once, with HELP and
 * TYPE, and its samples follow directly:
 *
 *	struct tt_prom p = {.out = &text};
 *	struct tt_prom_labels l = {0};
 *
 *	tt_prom_label(&l, "peer", name);
 *	tt_prom_family(&p, "taltun_peer_rx_bytes_total", TT_PROM_COUNTER, "Bytes received.");
 *	tt_prom_u64(&p, &l, bytes);
 *
 * Names, help and label names are constants of the program; label values may be any bytes: they are
 * escaped, and what is no UTF-8 or no text becomes '?'. A sample that does not fit is left out as a
 * whole and out->full says so. Numbers are integers or fixed point: nothing is rounded.
 */
#ifndef TT_BASE_PROM_H
#define TT_BASE_PROM_H

#include "base/text.h"

#define TT_PROM_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum tt_prom_type { TT_PROM_COUNTER, TT_PROM_GAUGE, TT_PROM_HISTOGRAM };

struct tt_prom {
	struct tt_text *out;
	const char *family;
	size_t family_len;
};

#define TT_PROM_VALUE_MAX  128 /* bytes of a label value that are kept */
#define TT_PROM_LABELS_MAX 512

/* a="1",b="2": formatted once, used for many samples. All zero: none. */
struct tt_prom_labels {
	size_t len;
	char text[TT_PROM_LABELS_MAX];
};

/* Appends one; where it does not fit as a whole it is left out. value NULL: as "". */
void tt_prom_label(struct tt_prom_labels *l, const char *name, const char *value);
void tt_prom_label_u64(struct tt_prom_labels *l, const char *name, uint64_t value);

/* Each family once per page. Both strings stay in place until the next family. help: one line. */
void tt_prom_family(struct tt_prom *p, const char *name, enum tt_prom_type type, const char *help);

/* One sample of the family; labels may be NULL. */
void tt_prom_u64(struct tt_prom *p, const struct tt_prom_labels *l, uint64_t value);
/* value / 10^digits */
void tt_prom_decimal(struct tt_prom *p, const struct tt_prom_labels *l, int64_t value,
		     unsigned digits);
/* Nanoseconds, shown in seconds as the conventions ask. */
void tt_prom_seconds(struct tt_prom *p, const struct tt_prom_labels *l, uint64_t ns);

/* A family of one sample without labels. */
void tt_prom_counter(struct tt_prom *p, const char *name, const char *help, uint64_t value);
void tt_prom_gauge(struct tt_prom *p, const char *name, const char *help, uint64_t value);

/*
 * A histogram of durations. The bounds are nanoseconds in ascending order and belong to the
 * program; count[i] holds what lies in (bound[i - 1], bound[i]], count[bounds] what is above all.
 */
#define TT_HISTOGRAM_BOUNDS_MAX 16
struct tt_histogram {
	uint64_t count[TT_HISTOGRAM_BOUNDS_MAX + 1];
	uint64_t sum_ns;
};
void tt_histogram_add(struct tt_histogram *h, const uint64_t *bound_ns, unsigned bounds,
		      uint64_t ns);
/* The family is of TT_PROM_HISTOGRAM. Writes the cumulative buckets, the sum and the count. */
void tt_prom_histogram(struct tt_prom *p, const struct tt_prom_labels *l,
		       const struct tt_histogram *h, const uint64_t *bound_ns, unsigned bounds);

#endif

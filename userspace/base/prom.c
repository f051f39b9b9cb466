/* SPDX-License-Identifier: MIT */
#include "base/prom.h"

/* --- labels ----------------------------------------------------------------------------------- */

/* Bytes of the character at s (len > 0); 0: it is none, or a control character. */
static size_t character(const uint8_t *s, size_t len)
{
	return s[0] < 0x20 || s[0] == 0x7f ? 0 : tt_utf8_len(s, len);
}

static void put_escaped(struct tt_text *t, const char *value)
{
	const uint8_t *s = (const uint8_t *)value;
	size_t len = strnlen(value, TT_PROM_VALUE_MAX + 4), at = 0;

	while (at < len) {
		size_t n = character(s + at, len - at);

		if (at + TT_MAX(n, (size_t)1) > TT_PROM_VALUE_MAX)
			break;
		if (s[at] == '\n')
			tt_text_add(t, "\\n", 2);
		else if (!n)
			tt_text_add(t, "?", 1);
		else if (s[at] == '"' || s[at] == '\\')
			tt_text_add(t, (const char[]){'\\', (char)s[at]}, 2);
		else
			tt_text_add(t, value + at, n);
		at += TT_MAX(n, (size_t)1);
	}
}

void tt_prom_label(struct tt_prom_labels *l, const char *name, const char *value)
{
	struct tt_text t = {.buf = l->text, .len = l->len, .cap = sizeof(l->text)};

	if (l->len)
		tt_text_add(&t, ",", 1);
	tt_text_str(&t, name);
	tt_text_add(&t, "=\"", 2);
	put_escaped(&t, value ? value : "");
	tt_text_add(&t, "\"", 1);
	if (!t.full)
		l->len = t.len;
}

void tt_prom_label_u64(struct tt_prom_labels *l, const char *name, uint64_t value)
{
	char buf[24];
	struct tt_text t = {.buf = buf, .cap = sizeof(buf) - 1};

	tt_text_u64(&t, value);
	buf[t.len] = 0;
	tt_prom_label(l, name, buf);
}

/* --- families and samples --------------------------------------------------------------------- */

void tt_prom_family(struct tt_prom *p, const char *name, enum tt_prom_type type, const char *help)
{
	static const char *const types[] = {
		[TT_PROM_COUNTER] = " counter\n",
		[TT_PROM_GAUGE] = " gauge\n",
		[TT_PROM_HISTOGRAM] = " histogram\n",
	};

	p->family = name;
	p->family_len = strlen(name);
	if (p->out->full || !tt_text_reserve(p->out, 2 * p->family_len + strlen(help) + 40))
		return;
	tt_text_str(p->out, "# HELP ");
	tt_text_add(p->out, name, p->family_len);
	tt_text_str(p->out, " ");
	tt_text_str(p->out, help);
	tt_text_str(p->out, "\n# TYPE ");
	tt_text_add(p->out, name, p->family_len);
	tt_text_str(p->out, types[type]);
}

/* The longest line: name, suffix, labels, le, value. */
static size_t line_bytes(const struct tt_prom *p, const struct tt_prom_labels *l)
{
	return p->family_len + (l ? l->len : 0) + 96;
}

/* Up to the value; false where the whole line would not fit. */
static bool begin(struct tt_prom *p, const char *suffix, const struct tt_prom_labels *l,
		  const char *le, size_t le_len)
{
	bool braces = (l && l->len) || le;

	if (p->out->full || !tt_text_reserve(p->out, line_bytes(p, l)))
		return false;
	tt_text_add(p->out, p->family, p->family_len);
	tt_text_str(p->out, suffix);
	if (braces)
		tt_text_add(p->out, "{", 1);
	if (l)
		tt_text_add(p->out, l->text, l->len);
	if (le) {
		tt_text_str(p->out, l && l->len ? ",le=\"" : "le=\"");
		tt_text_add(p->out, le, le_len);
		tt_text_add(p->out, "\"", 1);
	}
	tt_text_str(p->out, braces ? "} " : " ");
	return true;
}

static void end(struct tt_prom *p)
{
	tt_text_add(p->out, "\n", 1);
}

void tt_prom_u64(struct tt_prom *p, const struct tt_prom_labels *l, uint64_t value)
{
	if (!begin(p, "", l, NULL, 0))
		return;
	tt_text_u64(p->out, value);
	end(p);
}

void tt_prom_decimal(struct tt_prom *p, const struct tt_prom_labels *l, int64_t value,
		     unsigned digits)
{
	if (!begin(p, "", l, NULL, 0))
		return;
	tt_text_decimal(p->out, value, digits);
	end(p);
}

void tt_prom_seconds(struct tt_prom *p, const struct tt_prom_labels *l, uint64_t ns)
{
	tt_prom_decimal(p, l, (int64_t)TT_MIN(ns, (uint64_t)INT64_MAX), 9);
}

void tt_prom_counter(struct tt_prom *p, const char *name, const char *help, uint64_t value)
{
	tt_prom_family(p, name, TT_PROM_COUNTER, help);
	tt_prom_u64(p, NULL, value);
}

void tt_prom_gauge(struct tt_prom *p, const char *name, const char *help, uint64_t value)
{
	tt_prom_family(p, name, TT_PROM_GAUGE, help);
	tt_prom_u64(p, NULL, value);
}

/* --- histograms ------------------------------------------------------------------------------- */

void tt_histogram_add(struct tt_histogram *h, const uint64_t *bound_ns, unsigned bounds,
		      uint64_t ns)
{
	unsigned i = 0;

	tt_assert(bounds <= TT_HISTOGRAM_BOUNDS_MAX);
	while (i < bounds && ns > bound_ns[i])
		i++;
	h->count[i]++;
	h->sum_ns += ns;
}

static void bucket(struct tt_prom *p, const struct tt_prom_labels *l, const char *le, size_t le_len,
		   uint64_t value)
{
	if (!begin(p, "_bucket", l, le, le_len))
		return;
	tt_text_u64(p->out, value);
	end(p);
}

void tt_prom_histogram(struct tt_prom *p, const struct tt_prom_labels *l,
		       const struct tt_histogram *h, const uint64_t *bound_ns, unsigned bounds)
{
	uint64_t total = 0;

	/* all of it or nothing: a histogram without its end is no valid one */
	if (p->out->full || !tt_text_reserve(p->out, line_bytes(p, l) * (bounds + 3)))
		return;
	for (unsigned i = 0; i < bounds; i++) {
		char buf[24];
		struct tt_text le = {.buf = buf, .cap = sizeof(buf)};

		total += h->count[i];
		tt_text_decimal(&le, (int64_t)bound_ns[i], 9);
		bucket(p, l, buf, le.len, total);
	}
	total += h->count[bounds];
	bucket(p, l, "+Inf", 4, total);
	if (begin(p, "_sum", l, NULL, 0)) {
		tt_text_decimal(p->out, (int64_t)TT_MIN(h->sum_ns, (uint64_t)INT64_MAX), 9);
		end(p);
	}
	if (begin(p, "_count", l, NULL, 0)) {
		tt_text_u64(p->out, total);
		end(p);
	}
}

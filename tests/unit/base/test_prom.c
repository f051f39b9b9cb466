/* SPDX-License-Identifier: MIT */
#include "base/prom.h"

#include <stdlib.h>

#include "tt_test.h"

static bool is(const struct tt_text *t, const char *want)
{
	return t->len == strlen(want) && memcmp(t->buf, want, t->len) == 0;
}

static void numbers(void)
{
	static const struct {
		int64_t v;
		unsigned digits;
		const char *text;
	} cases[] = {
		{0, 0, "0"},
		{0, 9, "0"},
		{1, 9, "0.000000001"},
		{1500000000, 9, "1.5"},
		{1000000000, 9, "1"},
		{-5, 1, "-0.5"},
		{-1000, 3, "-1"},
		{INT64_MAX, 9, "9223372036.854775807"},
		{INT64_MIN, 0, "-9223372036854775808"},
		{INT64_MIN, 18, "-9.223372036854775808"},
		{INT64_MAX, 0, "9223372036854775807"},
	};

	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		struct tt_text t = tt_text_init(realloc, 100);
		tt_text_decimal(&t, cases[i].v, cases[i].digits);
		CU_ASSERT(is(&t, cases[i].text));
		free(t.buf);
	}
	struct tt_text t = tt_text_init(realloc, 100);
	tt_text_u64(&t, UINT64_MAX);
	CU_ASSERT(is(&t, "18446744073709551615"));
	free(t.buf);
}

static void bounds_of_text(void)
{
	struct tt_text t = tt_text_init(realloc, 2000);
	char fixed[8];

	for (int i = 0; i < 1000; i++)
		tt_text_str(&t, "abc");
	CU_ASSERT(t.full);
	CU_ASSERT_EQUAL(t.len, 1998); /* whole pieces only */
	CU_ASSERT_EQUAL(t.cap, 2000);
	CU_ASSERT(!tt_text_reserve(&t, 3));
	CU_ASSERT(tt_text_reserve(&t, 2));
	CU_ASSERT(!tt_text_reserve(&t, SIZE_MAX));
	free(t.buf);

	struct tt_text f = {.buf = fixed, .cap = sizeof(fixed)};
	tt_text_str(&f, "12345678");
	CU_ASSERT(!f.full);
	tt_text_str(&f, "9");
	CU_ASSERT(f.full);
	CU_ASSERT_EQUAL(f.len, 8);
}

static void *no_memory(void *old, size_t size)
{
	(void)old;
	(void)size;
	return NULL;
}

static void without_memory(void)
{
	struct tt_text t = tt_text_init(no_memory, 1000);
	struct tt_prom p = {.out = &t};

	tt_prom_counter(&p, "a_total", "Help.", 1);
	CU_ASSERT(t.full);
	CU_ASSERT_EQUAL(t.len, 0);
	CU_ASSERT_PTR_NULL(t.buf);
}

static void families(void)
{
	struct tt_text t = tt_text_init(realloc, 10000);
	struct tt_prom p = {.out = &t};
	struct tt_prom_labels l = {0}, none = {0};

	tt_prom_label(&l, "peer", "office");
	tt_prom_label_u64(&l, "queue", 3);
	tt_prom_family(&p, "x_bytes_total", TT_PROM_COUNTER, "Bytes.");
	tt_prom_u64(&p, &l, UINT64_MAX);
	tt_prom_u64(&p, &none, 0);
	tt_prom_family(&p, "x_age_seconds", TT_PROM_GAUGE, "Age.");
	tt_prom_seconds(&p, NULL, 2500000);
	tt_prom_decimal(&p, &l, -25, 1);
	tt_prom_gauge(&p, "x_up", "Whether.", 1);
	CU_ASSERT(is(&t, "# HELP x_bytes_total Bytes.\n"
			 "# TYPE x_bytes_total counter\n"
			 "x_bytes_total{peer=\"office\",queue=\"3\"} 18446744073709551615\n"
			 "x_bytes_total 0\n"
			 "# HELP x_age_seconds Age.\n"
			 "# TYPE x_age_seconds gauge\n"
			 "x_age_seconds 0.0025\n"
			 "x_age_seconds{peer=\"office\",queue=\"3\"} -2.5\n"
			 "# HELP x_up Whether.\n"
			 "# TYPE x_up gauge\n"
			 "x_up 1\n"));
	free(t.buf);
}

static bool label_is(const char *value, const char *want)
{
	struct tt_prom_labels l = {0};
	char text[TT_PROM_LABELS_MAX + 1];

	tt_prom_label(&l, "a", value);
	snprintf(text, sizeof(text), "a=\"%s\"", want);
	return l.len == strlen(text) && memcmp(l.text, text, l.len) == 0;
}

static void escaping(void)
{
	CU_ASSERT(label_is("", ""));
	CU_ASSERT(label_is(NULL, ""));
	CU_ASSERT(label_is("a\"b\\c\nd", "a\\\"b\\\\c\\nd"));
	CU_ASSERT(label_is("tab\tbell\adel\x7f", "tab?bell?del?"));
	CU_ASSERT(label_is("b\xc3\xbcro \xe2\x82\xac \xf0\x9f\x98\x80",
			   "b\xc3\xbcro \xe2\x82\xac \xf0\x9f\x98\x80"));
	/* cut short, overlong, surrogate, past the end, a lone continuation */
	CU_ASSERT(label_is("\xc3", "?"));
	CU_ASSERT(label_is("\xe2\x82", "??"));
	CU_ASSERT(label_is("\xc0\xaf", "??"));
	CU_ASSERT(label_is("\xe0\x80\xaf", "???"));
	CU_ASSERT(label_is("\xed\xa0\x80", "???"));
	CU_ASSERT(label_is("\xf4\x90\x80\x80", "????"));
	CU_ASSERT(label_is("\xf0\x80\x80\x80", "????"));
	CU_ASSERT(label_is("\xff\x80", "??"));
}

static void long_values(void)
{
	char value[1000], want[1000];
	struct tt_prom_labels l = {0};

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	memset(want, 'x', TT_PROM_VALUE_MAX);
	want[TT_PROM_VALUE_MAX] = 0;
	CU_ASSERT(label_is(value, want));
	/* never half a character */
	memcpy(value + TT_PROM_VALUE_MAX - 1, "\xc3\xbc", 2);
	want[TT_PROM_VALUE_MAX - 1] = 0;
	CU_ASSERT(label_is(value, want));
	/* all escaped */
	memset(value, '"', sizeof(value) - 1);
	for (int i = 0; i < 10; i++)
		tt_prom_label(&l, "name", value);
	CU_ASSERT(l.len <= TT_PROM_LABELS_MAX);
	CU_ASSERT_EQUAL(l.text[l.len - 1], '"');
	CU_ASSERT_EQUAL(l.len, 2 * TT_PROM_VALUE_MAX + 7); /* the second did not fit */
	/* shorter ones still do */
	tt_prom_label(&l, "b", "1");
	CU_ASSERT_EQUAL(memcmp(l.text + l.len - 6, ",b=\"1\"", 6), 0);
}

static void histograms(void)
{
	static const uint64_t bound[] = {1000000, 10000000, 2500000000};
	struct tt_text t = tt_text_init(realloc, 10000);
	struct tt_prom p = {.out = &t};
	struct tt_prom_labels l = {0};
	struct tt_histogram h = {0};

	tt_histogram_add(&h, bound, 3, 0);
	tt_histogram_add(&h, bound, 3, 1000000);
	tt_histogram_add(&h, bound, 3, 1000001);
	tt_histogram_add(&h, bound, 3, 3000000000);
	tt_prom_family(&p, "d_seconds", TT_PROM_HISTOGRAM, "How long.");
	tt_prom_histogram(&p, NULL, &h, bound, 3);
	tt_prom_label(&l, "a", "b");
	h = (struct tt_histogram){0};
	tt_prom_histogram(&p, &l, &h, bound, 3);
	CU_ASSERT(is(&t, "# HELP d_seconds How long.\n"
			 "# TYPE d_seconds histogram\n"
			 "d_seconds_bucket{le=\"0.001\"} 2\n"
			 "d_seconds_bucket{le=\"0.01\"} 3\n"
			 "d_seconds_bucket{le=\"2.5\"} 3\n"
			 "d_seconds_bucket{le=\"+Inf\"} 4\n"
			 "d_seconds_sum 3.002000001\n"
			 "d_seconds_count 4\n"
			 "d_seconds_bucket{a=\"b\",le=\"0.001\"} 0\n"
			 "d_seconds_bucket{a=\"b\",le=\"0.01\"} 0\n"
			 "d_seconds_bucket{a=\"b\",le=\"2.5\"} 0\n"
			 "d_seconds_bucket{a=\"b\",le=\"+Inf\"} 0\n"
			 "d_seconds_sum{a=\"b\"} 0\n"
			 "d_seconds_count{a=\"b\"} 0\n"));
	free(t.buf);
}

/* At whatever length it ends, it ends after a whole line, and says so. */
static void cut_anywhere(void)
{
	static const uint64_t bound[] = {1, 2};
	struct tt_prom_labels l = {0};
	struct tt_histogram h = {0};

	tt_prom_label(&l, "peer", "a");
	for (size_t max = 0; max < 1500; max++) {
		struct tt_text t = tt_text_init(realloc, max);
		struct tt_prom p = {.out = &t};

		tt_prom_family(&p, "a_total", TT_PROM_COUNTER, "A.");
		for (unsigned i = 0; i < 8; i++)
			tt_prom_u64(&p, &l, UINT64_MAX);
		tt_prom_family(&p, "b_seconds", TT_PROM_HISTOGRAM, "B.");
		tt_prom_histogram(&p, &l, &h, bound, 2);
		CU_ASSERT(t.len <= max);
		CU_ASSERT(t.full || max > 600);
		CU_ASSERT(t.len == 0 || t.full || t.buf[t.len - 1] == '\n');
		free(t.buf);
	}
}

TT_TESTS("prom", {"numbers", numbers}, {"bounds of a text", bounds_of_text},
	 {"without memory", without_memory}, {"families and samples", families},
	 {"escaping of label values", escaping}, {"long label values", long_values},
	 {"histograms", histograms}, {"cut at any length", cut_anywhere})

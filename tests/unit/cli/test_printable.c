/* SPDX-License-Identifier: MIT */
#include "cli/printable.h"

#include <limits.h>
#include <locale.h>
#include <string.h>

#include "tt_test.h"

static bool use_locale(const char *name)
{
	if (setlocale(LC_CTYPE, name))
		return true;
	tt_test_skip(1, "no such locale here");
	return false;
}

static void hostile(void)
{
	static const char *const cases[][2] = {
		{"plain name", "plain name"},
		{"bell\a", "bell?"},
		{"\033[31mred\033[0m", "?[31mred?[0m"},
		{"line\r\nfeed\ttab\v\f", "line??feed?tab??"},
		{"del\x7f", "del?"},
		{"c1 \xc2\x9b"
		 "31m",
		 "c1 ?31m"},					 /* CSI in one character */
		{"\xe2\x80\xaeright to left", "?right to left"}, /* U+202E */
		{"\xe2\x81\xa6isolate", "?isolate"},		 /* U+2066 */
		{"zero\xe2\x80\x8bwidth", "zero?width"},	 /* U+200B */
		{"\xef\xbb\xbf"
		 "bom",
		 "?bom"},
		{"\xed\xa0\x80 surrogate", "??? surrogate"},
		{"\xc0\xafoverlong", "??overlong"},
		{"cut \xe6\x9d", "cut ??"},
		{"\xff\xfe", "??"},
		{"\xe6\x9d\xb1\xe4\xba\xac", "\xe6\x9d\xb1\xe4\xba\xac"},
	};
	char buf[64];

	if (!use_locale("C.UTF-8"))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++)
		CU_ASSERT_STRING_EQUAL(cli_printable(buf, sizeof(buf), cases[i][0]), cases[i][1]);
}

static void every_byte(void)
{
	static const uint8_t after[] = {1, 27, '[', 'x', 0x7f, 0x80, 0x9b, 0xbf, 0xc3, 0xff};
	char text[3] = "", buf[16];

	for (unsigned l = 0; l < 2; l++) {
		if (!use_locale(l ? "C.UTF-8" : "C"))
			return;
		for (unsigned a = 1; a < 256; a++)
			for (unsigned b = 0; b < TT_ARRAY_LEN(after); b++) {
				text[0] = (char)a;
				text[1] = (char)after[b];
				cli_printable(buf, sizeof(buf), text);
				for (const char *p = buf; *p; p++)
					CU_ASSERT_FATAL((unsigned char)*p >= 0x20 && *p != 0x7f);
			}
	}
}

static void no_unicode(void)
{
	char buf[64];

	setlocale(LC_CTYPE, "C");
	CU_ASSERT_STRING_EQUAL(cli_printable(buf, sizeof(buf), "b\xc3\xbcro"), "b??ro");
	CU_ASSERT_EQUAL(cli_fit(buf, sizeof(buf), "a-long-name", 7), 7);
	CU_ASSERT_STRING_EQUAL(buf, "a-lo~me");
}

static void widths(void)
{
	if (!use_locale("C.UTF-8"))
		return;
	CU_ASSERT_EQUAL(cli_width(""), 0);
	CU_ASSERT_EQUAL(cli_width("abc"), 3);
	CU_ASSERT_EQUAL(cli_width("b\xc3\xbcro"), 4);
	CU_ASSERT_EQUAL(cli_width("\xe6\x9d\xb1\xe4\xba\xac"), 4);
	CU_ASSERT_EQUAL(cli_width("\033["), 2);
}

static void fitting(void)
{
	static const struct {
		const char *text;
		unsigned columns, got;
		const char *fit, *cut;
	} cases[] = {
		{"gateway", 8, 7, "gateway", "gateway"},
		{"gateway", 7, 7, "gateway", "gateway"},
		{"gateway", 6, 6, "gate\xe2\x80\xa6y", "gatew\xe2\x80\xa6"},
		{"gateway", 4, 4, "ga\xe2\x80\xa6y", "gat\xe2\x80\xa6"},
		{"gateway", 2, 2, "g\xe2\x80\xa6", "g\xe2\x80\xa6"},
		{"gateway", 1, 1, "\xe2\x80\xa6", "\xe2\x80\xa6"},
		{"gateway", 0, 0, "", ""},
		/* half of a wide character is never shown */
		{"\xe6\x9d\xb1\xe4\xba\xac\xe6\x9d\xb1", 4, 4, "\xe6\x9d\xb1\xe2\x80\xa6",
		 "\xe6\x9d\xb1\xe2\x80\xa6"},
	};
	char buf[64];

	if (!use_locale("C.UTF-8"))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		CU_ASSERT(cli_fit(buf, sizeof(buf), cases[i].text, cases[i].columns) <=
			  cases[i].got);
		CU_ASSERT_STRING_EQUAL(buf, cases[i].fit);
		CU_ASSERT(cli_cut(buf, sizeof(buf), cases[i].text, cases[i].columns) <=
			  cases[i].got);
		CU_ASSERT_STRING_EQUAL(buf, cases[i].cut);
	}
}

static void bounded(void)
{
	char text[4096], buf[16];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (size_t cap = 1; cap <= sizeof(buf); cap++) {
		memset(buf, '!', sizeof(buf));
		cli_fit(buf, cap, text, UINT_MAX);
		CU_ASSERT_EQUAL(strlen(buf), cap - 1);
		cli_fit(buf, cap, text, 10);
		CU_ASSERT(strlen(buf) < cap);
	}
}

TT_TESTS("printable", {"hostile text", hostile}, {"every byte", every_byte},
	 {"a locale without Unicode", no_unicode}, {"widths", widths}, {"fitting", fitting},
	 {"the buffer is a bound", bounded})

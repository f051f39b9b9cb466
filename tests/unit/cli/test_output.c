/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <string.h>
#include <time.h>

#include "tt_test.h"

static void scaled(void)
{
	static const struct {
		double value;
		unsigned base;
		const char *text;
	} cases[] = {
		{0, 1000, "0"},		 {0.4, 1000, "0"},	 {999, 1000, "999"},
		{999.4, 1000, "999"},	 {999.5, 1000, "1.00k"}, {1000, 1000, "1.00k"},
		{9994, 1000, "9.99k"},	 {9995, 1000, "10.0k"},	 {12345, 1000, "12.3k"},
		{99950, 1000, "100k"},	 {999499, 1000, "999k"}, {999500, 1000, "1.00M"},
		{1.21e9, 1000, "1.21G"}, {1e18, 1000, "1.00E"},	 {1023, 1024, "1.00K"},
		{1024, 1024, "1.00K"},	 {1536, 1024, "1.50K"},	 {1048576, 1024, "1.00M"},
		{1.5e12, 1024, "1.36T"},
	};
	char buf[CLI_NUMBER_MAX];

	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		cli_scaled(buf, cases[i].value, cases[i].base);
		CU_ASSERT_STRING_EQUAL(buf, cases[i].text);
		CU_ASSERT(strlen(buf) <= 5);
	}
}

static void bytes(void)
{
	char buf[CLI_NUMBER_MAX];

	CU_ASSERT_STRING_EQUAL(cli_bytes(buf, 0), "0 B");
	CU_ASSERT_STRING_EQUAL(cli_bytes(buf, 1023), "1023 B");
	CU_ASSERT_STRING_EQUAL(cli_bytes(buf, 1300000000.0), "1.21 GiB");
	CU_ASSERT_STRING_EQUAL(cli_bytes(buf, 1e30), "888178419700125.25 PiB");
}

static void durations(void)
{
	static const struct {
		long long s;
		const char *full, *brief;
	} cases[] = {
		{-5, "0 seconds", "0s"},
		{1, "1 second", "1s"},
		{59, "59 seconds", "59s"},
		{60, "1 minute", "1m"},
		{185, "3 minutes, 5 seconds", "3m"},
		{3600, "1 hour", "1h"},
		{3660, "1 hour, 1 minute", "1h"},
		{86400, "1 day", "1d"},
		{12 * 86400 + 7200, "12 days, 2 hours", "12d"},
		{400LL * 86400 * 365, "146000 days", "9999d"},
	};
	char buf[CLI_NUMBER_MAX];

	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		CU_ASSERT_STRING_EQUAL(cli_duration(buf, cases[i].s), cases[i].full);
		CU_ASSERT_STRING_EQUAL(cli_duration_short(buf, cases[i].s), cases[i].brief);
		CU_ASSERT(strlen(buf) <= 5);
	}
}

static void latencies(void)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{0, ""},
		{1, "0.00ms"},
		{310, "0.31ms"},
		{9994, "9.99ms"},
		{9995, "10.0ms"},
		{12345, "12.3ms"},
		{99949, "99.9ms"},
		{99950, "100ms"},
		{999400, "999ms"},
		{9999400, "9999ms"},
		{9999500, "10s"},
		{20000000, "20s"},
		{UINT64_MAX, "99999s"},
	};
	char buf[CLI_NUMBER_MAX];

	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		CU_ASSERT_STRING_EQUAL(cli_latency(buf, cases[i].us), cases[i].text);
		CU_ASSERT(strlen(buf) <= 6);
	}
}

static void ages(void)
{
	char buf[CLI_NUMBER_MAX];
	long long now = (long long)time(NULL);

	CU_ASSERT_STRING_EQUAL(cli_ago(buf, 0), "never");
	CU_ASSERT_STRING_EQUAL(cli_ago(buf, now + 100), "now");
	CU_ASSERT_STRING_EQUAL(cli_ago(buf, now - 90 * 60 - 30), "1 hour, 30 minutes ago");
}

static void columns(void)
{
	setenv("COLUMNS", "93", 1);
	CU_ASSERT_EQUAL(cli_columns(), 93);
	setenv("COLUMNS", "-1", 1);
	setenv("NO_COLOR", "1", 1);
	CU_ASSERT_STRING_EQUAL(cli_colour(CLI_RED), "");
	unsetenv("COLUMNS");
}

TT_TESTS("output", {"scaled numbers", scaled}, {"bytes", bytes}, {"durations", durations},
	 {"latencies", latencies}, {"ages", ages}, {"columns and colour", columns})

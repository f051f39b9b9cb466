/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <locale.h>
#include <string.h>

#include "cli/printable.h"
#include "tt_test.h"

static const struct cli_column columns[] = {
	{.title = "NAME", .least = 6},
	{.title = "KIND"},
	{.title = "EMPTY"},
	{.title = "WHERE", .least = 8, .leave = 2},
	{.title = "BYTES", .leave = 1, .right = true},
};

static const char *const cells[][5] = {
	{"alpha", "direct", "", "192.0.2.1:51820", "12"},
	{"a-very-long-name-of-a-peer", "relay_udp", "", "[2001:db8::1]:51820", "123456"},
	{"\033[2Jbad", "-", "", "-", "0"},
};

static void cell(const void *ctx, size_t row, unsigned column, struct cli_cell *out)
{
	(void)ctx;
	snprintf(out->text, sizeof(out->text), "%s", cells[row][column]);
}

static const struct cli_table table = {.columns = columns,
				       .count = TT_ARRAY_LEN(columns),
				       .rows = TT_ARRAY_LEN(cells),
				       .cell = cell};

static const char *line(unsigned width, size_t row)
{
	static char buf[512];
	struct cli_layout l;

	cli_table_layout(&table, width, &l);
	return cli_table_line(&table, &l, row, buf, sizeof(buf));
}

static void unbounded(void)
{
	CU_ASSERT_STRING_EQUAL(
		line(0, CLI_TABLE_HEAD),
		"NAME                        KIND       WHERE                 BYTES");
	CU_ASSERT_STRING_EQUAL(
		line(0, 0), "alpha                       direct     192.0.2.1:51820          12");
	CU_ASSERT_STRING_EQUAL(
		line(0, 1), "a-very-long-name-of-a-peer  relay_udp  [2001:db8::1]:51820  123456");
	CU_ASSERT_STRING_EQUAL(
		line(0, 2), "?[2Jbad                     -          -                         0");
}

static void shortened(void)
{
	CU_ASSERT_STRING_EQUAL(line(50, CLI_TABLE_HEAD),
			       "NAME             KIND      WHERE             BYTES");
	CU_ASSERT_STRING_EQUAL(line(50, 1), "a-very-lon~-peer relay_udp [2001:db8:~51820 123456");
}

/* Whatever the width, no line is wider, and the columns stand below each other. */
static void every_width(void)
{
	for (unsigned width = 1; width < 90; width++) {
		unsigned widest = 0;

		for (size_t row = 0; row < TT_ARRAY_LEN(cells); row++) {
			CU_ASSERT(cli_width(line(width, row)) <= width);
			widest = TT_MAX(widest, cli_width(line(width, row)));
		}
		CU_ASSERT(cli_width(line(width, CLI_TABLE_HEAD)) <= width);
		CU_ASSERT(widest > 0);
	}
}

/* The least important go first: bytes, then the address; name and kind stay. */
static void left_out(void)
{
	struct cli_layout l;

	cli_table_layout(&table, 26, &l);
	CU_ASSERT_EQUAL(l.width[4], 0);
	CU_ASSERT(l.width[3] >= 8);
	cli_table_layout(&table, 20, &l);
	CU_ASSERT_EQUAL(l.width[3], 0);
	CU_ASSERT(l.width[0] >= 6 && l.width[1] == 9);
	CU_ASSERT_EQUAL(l.width[2], 0); /* nothing is in it */
}

static void no_rows(void)
{
	static const struct cli_table none = {
		.columns = columns, .count = TT_ARRAY_LEN(columns), .cell = cell};
	struct cli_layout l;
	char buf[128];

	cli_table_layout(&none, 80, &l);
	CU_ASSERT_STRING_EQUAL(cli_table_line(&none, &l, CLI_TABLE_HEAD, buf, sizeof(buf)), "");
}

TT_TESTS("table", {"no bound", unbounded}, {"shortened", shortened}, {"every width", every_width},
	 {"left out", left_out}, {"no rows", no_rows})

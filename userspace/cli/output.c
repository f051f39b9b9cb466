/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

const char *cli_colour(enum cli_colour c)
{
	static const char *const code[] = {"\033[0m",  "\033[1m",  "\033[32m",
					   "\033[33m", "\033[31m", "\033[2m"};
	static int on = -1;

	if (on < 0)
		on = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	return on ? code[c] : "";
}

unsigned cli_columns(void)
{
	const char *set = getenv("COLUMNS");
	struct winsize size;

	if (set && atoi(set) > 0)
		return (unsigned)atoi(set);
	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

const char *cli_bytes(char *buf, double bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t u = 0;

	while (bytes >= 1024 && u + 1 < TT_ARRAY_LEN(unit)) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, CLI_NUMBER_MAX, u ? "%.2f %s" : "%.0f %s", bytes, unit[u]);
	return buf;
}

const char *cli_scaled(char *buf, double value, unsigned base)
{
	const char *unit = base == 1024 ? " KMGTPE" : " kMGTPE";
	size_t u = 0;

	/* what would be rounded up to four digits belongs to the next unit */
	while (value >= 999.5 && unit[u + 1]) {
		value /= base;
		u++;
	}
	int digits = !u || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	snprintf(buf, CLI_NUMBER_MAX, u ? "%.*f%c" : "%.*f", digits, value, unit[u]);
	return buf;
}

static const struct {
	long long len;
	const char *name;
} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};

const char *cli_duration(char *buf, long long seconds)
{
	size_t u = 0;

	if (seconds < 0)
		seconds = 0;
	while (u < 3 && seconds < units[u].len)
		u++;
	long long first = seconds / units[u].len;
	int n = snprintf(buf, CLI_NUMBER_MAX, "%lld %s%s", first, units[u].name,
			 first == 1 ? "" : "s");
	if (u < 3) {
		long long rest = seconds % units[u].len / units[u + 1].len;
		if (rest)
			snprintf(buf + n, CLI_NUMBER_MAX - (size_t)n, ", %lld %s%s", rest,
				 units[u + 1].name, rest == 1 ? "" : "s");
	}
	return buf;
}

const char *cli_duration_short(char *buf, long long seconds)
{
	size_t u = 0;

	if (seconds < 0)
		seconds = 0;
	while (u < 3 && seconds < units[u].len)
		u++;
	snprintf(buf, CLI_NUMBER_MAX, "%lld%c", TT_MIN(seconds / units[u].len, 9999LL),
		 units[u].name[0]);
	return buf;
}

const char *cli_latency(char *buf, uint64_t us)
{
	double ms = (double)us / 1000;

	if (!us)
		buf[0] = 0;
	else if (ms >= 9999.5)
		snprintf(buf, CLI_NUMBER_MAX, "%.0fs", TT_MIN(ms / 1000, 99999.0));
	else
		snprintf(buf, CLI_NUMBER_MAX, "%.*fms", ms >= 99.95 ? 0 : ms >= 9.995 ? 1 : 2, ms);
	return buf;
}

const char *cli_ago(char *buf, long long wall_seconds)
{
	char d[CLI_NUMBER_MAX];
	long long age = (long long)time(NULL) - wall_seconds;

	if (!wall_seconds)
		snprintf(buf, CLI_NUMBER_MAX, "never");
	else if (age <= 0)
		snprintf(buf, CLI_NUMBER_MAX, "now");
	else
		snprintf(buf, CLI_NUMBER_MAX, "%.56s ago", cli_duration(d, age));
	return buf;
}

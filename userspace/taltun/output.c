/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"
#include "taltun/cli.h"

const char *cli_colour(enum cli_colour c)
{
	static const char *const code[] = {"\033[0m",  "\033[1m",  "\033[32m",
					   "\033[33m", "\033[31m", "\033[2m"};
	static int on = -1;

	if (on < 0)
		on = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	return on ? code[c] : "";
}

const char *cli_bytes(char *buf, double bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t u = 0;

	while (bytes >= 1024 && u + 1 < TT_ARRAY_LEN(unit)) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, 64, u ? "%.2f %s" : "%.0f %s", bytes, unit[u]);
	return buf;
}

const char *cli_duration(char *buf, long long seconds)
{
	static const struct {
		long long len;
		const char *name;
	} unit[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t u = 0;

	if (seconds < 0)
		seconds = 0;
	while (u < 3 && seconds < unit[u].len)
		u++;
	long long first = seconds / unit[u].len;
	int n = snprintf(buf, 64, "%lld %s%s", first, unit[u].name, first == 1 ? "" : "s");
	if (u < 3) {
		long long rest = seconds % unit[u].len / unit[u + 1].len;
		if (rest)
			snprintf(buf + n, 64 - (size_t)n, ", %lld %s%s", rest, unit[u + 1].name,
				 rest == 1 ? "" : "s");
	}
	return buf;
}

const char *cli_ago(char *buf, long long wall_seconds)
{
	char d[64];
	long long age = (long long)time(NULL) - wall_seconds;

	if (!wall_seconds)
		snprintf(buf, 64, "never");
	else if (age <= 0)
		snprintf(buf, 64, "now");
	else
		snprintf(buf, 64, "%.56s ago", cli_duration(d, age));
	return buf;
}

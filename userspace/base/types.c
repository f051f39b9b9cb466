/* SPDX-License-Identifier: MIT */
#include "base/types.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void tt_assert_failed(const char *cond, const char *file, int line)
{
	char msg[512];
	int n = snprintf(msg, sizeof(msg), "%s:%d: assertion failed: %s\n", file, line, cond);

	if (n > (int)sizeof(msg) - 1)
		n = sizeof(msg) - 1;
	/* abort() follows whether or not somebody reads the message */
	if (n > 0 && write(STDERR_FILENO, msg, (size_t)n) < 0)
		abort();
	abort();
}

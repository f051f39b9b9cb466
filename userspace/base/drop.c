/* SPDX-License-Identifier: MIT */
#include "base/drop.h"

const char *tt_drop_name(enum tt_drop reason)
{
	static const char *const names[] = {
#define X(sym, text) [TT_DROP_##sym] = (text),
		TT_DROP_REASONS(X)
#undef X
	};

	return (unsigned)reason < TT_ARRAY_LEN(names) ? names[reason] : "unknown";
}

/* SPDX-License-Identifier: MIT
 *
 * How many lines somebody outside can cause.
 */
#include <stdatomic.h>

#include "base/log.h"

struct limit {
	const char *event; /* NULL: free, and so are all behind it */
	const char *reason;
	enum tt_log_level level;
	uint64_t second;
	uint32_t in_second;
	uint32_t suppressed;
};

/* The last one is everybody's who has none. */
static struct limit limits[TT_LOG_LIMITS_MAX + 1] = {[TT_LOG_LIMITS_MAX] = {.event = "other"}};
/* Held for one look at the table, never while a line is written. */
static atomic_flag locked = ATOMIC_FLAG_INIT;

static void lock(void)
{
	while (atomic_flag_test_and_set_explicit(&locked, memory_order_acquire)) {
	}
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&locked, memory_order_release);
}

static struct limit *find(const char *event, const char *reason)
{
	struct limit *l = limits;

	for (; l < &limits[TT_LOG_LIMITS_MAX] && l->event; l++)
		if (l->event == event && l->reason == reason)
			return l;
	if (l < &limits[TT_LOG_LIMITS_MAX]) {
		l->event = event;
		l->reason = reason;
	}
	return l;
}

bool tt_log_limit_pass(enum tt_log_level level, const char *event, const char *reason,
		       struct tt_mono now, uint32_t burst, uint32_t *suppressed)
{
	uint64_t second = now.ns / TT_NS_PER_SEC;

	lock();
	struct limit *l = find(event, reason);
	if (second != l->second) {
		l->second = second;
		l->in_second = 0;
	}
	l->level = level;
	bool pass = l->in_second < burst;
	if (pass) {
		l->in_second++;
		*suppressed = l->suppressed;
		l->suppressed = 0;
	} else {
		l->suppressed += l->suppressed != UINT32_MAX;
	}
	unlock();
	return pass;
}

void tt_log_limit_forget(void)
{
	lock();
	memset(limits, 0, TT_LOG_LIMITS_MAX * sizeof(limits[0]));
	limits[TT_LOG_LIMITS_MAX].in_second = limits[TT_LOG_LIMITS_MAX].suppressed = 0;
	unlock();
}

/* What is left to tell of l now; its count is taken. */
static bool take(struct limit *l, uint64_t second, struct limit *out, bool *more)
{
	lock();
	/* while lines come, they say it themselves: a whole second has to pass without any */
	bool due = l->suppressed && l->second + 1 < second;
	*out = *l;
	*more |= l->suppressed && !due;
	if (due)
		l->suppressed = 0;
	unlock();
	return due;
}

bool tt_log_flush(struct tt_mono now)
{
	bool more = false;
	struct limit l;

	for (size_t i = 0; i <= TT_LOG_LIMITS_MAX; i++) {
		if (!take(&limits[i], now.ns / TT_NS_PER_SEC, &l, &more))
			continue;
		struct tt_field f[3] = {TT_F_STR("of", l.event)};
		size_t n = 1;
		if (l.reason)
			f[n++] = TT_F_STR("reason", l.reason);
		f[n++] = TT_F_U64("count", l.suppressed);
		if (tt_log_enabled(l.level))
			tt_log_fields(l.level, "log.suppressed", f, n);
	}
	return more;
}

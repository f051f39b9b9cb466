/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_MAX_BYTES 4096
#define STR_MAX_BYTES  512
/* room that fields leave free for what ends a line that was cut */
#define TAIL_BYTES 64

static struct {
	_Atomic int level;
	_Atomic int format;
	_Atomic int fd;
	_Atomic bool priorities;
	_Atomic(const char *) process;
	_Atomic uint64_t lost; /* lines since one was written */
	_Atomic bool torn;     /* the end of the last one is missing */
} log_state = {.level = TT_LOG_INFO, .format = TT_LOG_LOGFMT, .fd = STDERR_FILENO};

static struct tt_log_sink log_sink = {.copy = -1};

/* A line under construction; where something does not fit, `full` is set and nothing added. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	size_t limit;
	size_t head; /* bytes before the first field */
	bool full;
	bool json;
};

static void add_bytes(struct line *l, const char *s, size_t n)
{
	if (l->full || n > l->limit - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void add_str(struct line *l, const char *s)
{
	add_bytes(l, s, strlen(s));
}

__attribute__((format(printf, 2, 3))) static void add_fmt(struct line *l, const char *fmt, ...)
{
	char tmp[64];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	tt_assert(n >= 0 && n < (int)sizeof(tmp));
	add_bytes(l, tmp, (size_t)n);
}

/*
 * One character of a quoted string; returns how many bytes of it were used. Control characters,
 * the C1 ones included, never reach a terminal; what is not UTF-8 becomes U+FFFD.
 */
static size_t add_escaped_char(struct line *l, const uint8_t *s, size_t left)
{
	size_t n = tt_utf8_len(s, left);

	if (n == 0) {
		add_str(l, "\\ufffd");
		return 1;
	}
	if (*s == '"' || *s == '\\')
		add_fmt(l, "\\%c", *s);
	else if (*s == '\n')
		add_str(l, "\\n");
	else if (*s == '\r')
		add_str(l, "\\r");
	else if (*s == '\t')
		add_str(l, "\\t");
	else if (*s < 0x20 || *s == 0x7f)
		add_fmt(l, "\\u%04x", *s);
	else if (s[0] == 0xc2 && s[1] < 0xa0)
		add_fmt(l, "\\u%04x", s[1]);
	else
		add_bytes(l, (const char *)s, n);
	return n;
}

static bool is_bare(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '=' || s[i] == '\\')
			return false;
	return len > 0;
}

static void add_value_str(struct line *l, const char *str)
{
	const uint8_t *s = (const uint8_t *)(str ? str : "");
	size_t len = strnlen((const char *)s, STR_MAX_BYTES + 1);
	bool cut = len > STR_MAX_BYTES;

	if (cut) {
		/* back to the start of a character, so that the cut does not make a wrong one */
		for (len = STR_MAX_BYTES; len > STR_MAX_BYTES - 3 && (s[len] & 0xc0) == 0x80;)
			len--;
	}
	if (!l->json && !cut && is_bare(s, len)) {
		add_bytes(l, (const char *)s, len);
		return;
	}
	add_str(l, "\"");
	for (size_t i = 0; i < len;)
		i += add_escaped_char(l, s + i, len - i);
	add_str(l, cut ? "...\"" : "\"");
}

static void add_key(struct line *l, const char *key)
{
	if (l->len > l->head)
		add_str(l, l->json ? "," : " ");
	if (l->json)
		add_str(l, "\"");
	add_str(l, key);
	add_str(l, l->json ? "\":" : "=");
}

static void add_value(struct line *l, const struct tt_field *f)
{
	char buf[TT_ENDPOINT_TEXT_MAX];

	switch (f->type) {
	case TT_FT_STR:
		add_value_str(l, f->v.str);
		break;
	case TT_FT_U64:
		add_fmt(l, "%" PRIu64, f->v.u64);
		break;
	case TT_FT_I64:
		add_fmt(l, "%" PRId64, f->v.i64);
		break;
	case TT_FT_BOOL:
		add_str(l, f->v.u64 ? "true" : "false");
		break;
	case TT_FT_IP:
		add_value_str(l, tt_ip_format(f->v.ptr, buf));
		break;
	case TT_FT_ENDPOINT:
		add_value_str(l, tt_endpoint_format(f->v.ptr, buf));
		break;
	case TT_FT_CIDR:
		add_value_str(l, tt_cidr_format(f->v.ptr, buf));
		break;
	case TT_FT_ERRNO:
		add_value_str(l, strerror((int)(f->v.i64 < 0 ? -f->v.i64 : f->v.i64)));
		break;
	}
}

/* A field is added whole or not at all: half of one would not be logfmt or JSON any more. */
static bool add_field(struct line *l, const struct tt_field *f)
{
	size_t start = l->len;

	add_key(l, f->key);
	add_value(l, f);
	if (!l->full)
		return true;
	l->len = start;
	l->full = false;
	return false;
}

static void begin(struct line *l, enum tt_log_level level)
{
	static const char *const priority[] = {"<3>", "<4>", "<6>", "<7>"};

	l->len = 0;
	l->full = false;
	l->limit = sizeof(l->text) - TAIL_BYTES;
	l->json = atomic_load_explicit(&log_state.format, memory_order_relaxed) == TT_LOG_JSON;
	if (atomic_load_explicit(&log_state.priorities, memory_order_relaxed))
		add_str(l, priority[level]);
	if (l->json)
		add_str(l, "{");
	l->head = l->len;
}

static void add_head(struct line *l, enum tt_log_level level, const char *event)
{
	const char *process = atomic_load_explicit(&log_state.process, memory_order_acquire);
	struct timespec now;
	struct tm tm;
	char ts[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ts + n, sizeof(ts) - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
	add_field(l, &TT_F_STR("ts", ts));
	add_field(l, &TT_F_STR("level", tt_log_level_name(level)));
	if (process)
		add_field(l, &TT_F_STR("process", process));
	add_field(l, &TT_F_STR("event", event));
}

/* Bytes that were written. */
static size_t write_bytes(int fd, const char *text, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* A reader that is stuck, a full disk, a closed pipe: the daemon goes on without this line. */
static void write_line(const struct line *l, enum tt_log_level level, uint64_t lost)
{
	int fd = atomic_load_explicit(&log_state.fd, memory_order_relaxed);
	int saved = errno;
	size_t done = 0;

	if (log_sink.copy >= 0)
		(void)write_bytes(log_sink.copy, l->text, l->len);
	if (log_sink.write) {
		done = log_sink.write(fd, (int)level, l->text, l->len);
	} else if (!atomic_load(&log_state.torn) || write_bytes(fd, "\n", 1)) {
		done = write_bytes(fd, l->text, l->len);
		atomic_store(&log_state.torn, done && done < l->len);
	}
	if (done < l->len)
		atomic_fetch_add(&log_state.lost, lost + 1);
	errno = saved;
}

void tt_log_fields(enum tt_log_level level, const char *event, const struct tt_field *f, size_t n)
{
	struct line l;
	bool cut = false;

	begin(&l, level);
	add_head(&l, level, event);
	for (size_t i = 0; i < n && !cut; i++)
		cut = !add_field(&l, &f[i]);
	l.limit = sizeof(l.text);
	if (cut)
		add_field(&l, &TT_F_BOOL("truncated", true));
	uint64_t lost = atomic_exchange(&log_state.lost, 0);
	if (lost)
		add_field(&l, &TT_F_U64("lost", lost));
	add_str(&l, l.json ? "}\n" : "\n");
	write_line(&l, level, lost);
}

void tt_log_setup(enum tt_log_level level, enum tt_log_format format, int fd)
{
	tt_log_set_level(level);
	atomic_store_explicit(&log_state.format, format, memory_order_relaxed);
	atomic_store_explicit(&log_state.fd, fd, memory_order_relaxed);
}

void tt_log_set_priorities(bool on)
{
	atomic_store_explicit(&log_state.priorities, on, memory_order_relaxed);
}

void tt_log_set_sink(const struct tt_log_sink *sink)
{
	log_sink = *sink;
}

void tt_log_process(const char *name)
{
	tt_log_limit_forget();
	atomic_store_explicit(&log_state.process, name, memory_order_release);
}

void tt_log_set_level(enum tt_log_level level)
{
	atomic_store_explicit(&log_state.level, level, memory_order_relaxed);
}

enum tt_log_level tt_log_get_level(void)
{
	return (enum tt_log_level)atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

enum tt_log_format tt_log_get_format(void)
{
	return (enum tt_log_format)atomic_load_explicit(&log_state.format, memory_order_relaxed);
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const char *tt_log_level_name(enum tt_log_level level)
{
	return level_names[level];
}

bool tt_log_level_parse(const char *name, enum tt_log_level *out)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum tt_log_level)i;
			return true;
		}
	}
	return false;
}

bool tt_log_enabled(enum tt_log_level level)
{
	return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

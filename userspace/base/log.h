/* SPDX-License-Identifier: MIT
 *
 * Structured log: one event name and typed fields per line, as logfmt or JSON. Never formats a
 * secret: there is no field type for one. Thread safe; a line is one write(2). Lines that cannot be
 * written (a non-blocking descriptor whose reader is stuck, a full disk) are lost; the next that is
 * written says how many: lost=N.
 *
 *	tt_log(TT_LOG_INFO, "handshake.done", TT_F_STR("peer", name), TT_F_U64("rtt_us", rtt));
 *	ts=2026-01-01T00:00:00.000Z level=info event=handshake.done peer=office rtt_us=812
 */
#ifndef TT_BASE_LOG_H
#define TT_BASE_LOG_H

#include "base/addr.h"
#include "base/types.h"

enum tt_log_level { TT_LOG_ERROR, TT_LOG_WARN, TT_LOG_INFO, TT_LOG_DEBUG };
enum tt_log_format { TT_LOG_LOGFMT, TT_LOG_JSON };

enum tt_field_type {
	TT_FT_STR,
	TT_FT_U64,
	TT_FT_I64,
	TT_FT_BOOL,
	TT_FT_IP,
	TT_FT_ENDPOINT,
	TT_FT_CIDR,
	TT_FT_ERRNO
};

struct tt_field {
	const char *key;
	enum tt_field_type type;
	union {
		const char *str; /* any bytes; escaped, cut at 512 */
		uint64_t u64;
		int64_t i64;
		const void *ptr; /* struct tt_ip, tt_endpoint, tt_cidr */
	} v;
};

#define TT_F_STR(k, s)	    ((struct tt_field){(k), TT_FT_STR, {.str = (s)}})
#define TT_F_U64(k, n)	    ((struct tt_field){(k), TT_FT_U64, {.u64 = (n)}})
#define TT_F_I64(k, n)	    ((struct tt_field){(k), TT_FT_I64, {.i64 = (n)}})
#define TT_F_BOOL(k, n)	    ((struct tt_field){(k), TT_FT_BOOL, {.u64 = (n)}})
#define TT_F_IP(k, p)	    ((struct tt_field){(k), TT_FT_IP, {.ptr = (p)}})
#define TT_F_ENDPOINT(k, p) ((struct tt_field){(k), TT_FT_ENDPOINT, {.ptr = (p)}})
#define TT_F_CIDR(k, p)	    ((struct tt_field){(k), TT_FT_CIDR, {.ptr = (p)}})
/* errno value, positive or negative; written as its text */
#define TT_F_ERRNO(k, e) ((struct tt_field){(k), TT_FT_ERRNO, {.i64 = (e)}})

void tt_log_setup(enum tt_log_level level, enum tt_log_format format, int fd);
/*
 * write: instead of write(2), for a whole line with its newline; returns what it wrote. NULL: none.
 * copy: lines go to this descriptor as well, as long as that works; -1: they do not.
 */
struct tt_log_sink {
	size_t (*write)(int fd, int level, const char *line, size_t len);
	int copy;
};
/* Before other threads exist. */
void tt_log_set_sink(const struct tt_log_sink *sink);
/* Lines begin with "<N>", as the journal takes it from what is written to stderr: the severity of
 * syslog(3). */
void tt_log_set_priorities(bool on);
/* Adds process=NAME to every line from here on ("monitor", "engine", "resolver"). Static string.
 * First thing after a fork: what the parent has left out is the parent's to tell. */
void tt_log_process(const char *name);
void tt_log_set_level(enum tt_log_level level);
enum tt_log_level tt_log_get_level(void);
enum tt_log_format tt_log_get_format(void);
const char *tt_log_level_name(enum tt_log_level level); /* "error", "warn", "info", "debug" */
/* False: no such level. */
bool tt_log_level_parse(const char *name, enum tt_log_level *out);
bool tt_log_enabled(enum tt_log_level level);

void tt_log_fields(enum tt_log_level level, const char *event, const struct tt_field *f, size_t n);
#define tt_log(level, event, ...)                                                            \
	do {                                                                                 \
		if (tt_log_enabled(level)) {                                                 \
			const struct tt_field tt_log_f_[] = {__VA_ARGS__};                   \
			tt_log_fields((level), (event), tt_log_f_, TT_ARRAY_LEN(tt_log_f_)); \
		}                                                                            \
	} while (0)

/*
 * As tt_log(), for what somebody outside can cause: a packet, a peer, a client. Of one event and
 * reason (NULL: none) `burst` lines a second are written; the next one says how many were left out
 * (suppressed=N), and where none comes tt_log_flush() does. At least one field.
 *
 *	tt_log_limited(TT_LOG_WARN, "send.failed", NULL, now, 1, TT_F_ERRNO("error", err));
 *
 * event and reason are static strings; both are told apart by their addresses.
 */
#define tt_log_limited(level, event, reason, now, burst, ...)                                    \
	do {                                                                                     \
		uint32_t tt_log_n_;                                                              \
		if (tt_log_enabled(level) &&                                                     \
		    tt_log_limit_pass((level), (event), (reason), (now), (burst), &tt_log_n_)) { \
			const struct tt_field tt_log_f_[] = {__VA_ARGS__,                        \
							     TT_F_U64("suppressed", tt_log_n_)}; \
			tt_log_fields((level), (event), tt_log_f_,                               \
				      TT_ARRAY_LEN(tt_log_f_) - (tt_log_n_ == 0));               \
		}                                                                                \
	} while (0)

/* Events and reasons that are counted apart; what comes after them shares one place, event=other.
 */
#define TT_LOG_LIMITS_MAX 64

/* What tt_log_limited() asks. True: write it; suppressed is how many were not since the last. */
bool tt_log_limit_pass(enum tt_log_level level, const char *event, const char *reason,
		       struct tt_mono now, uint32_t burst, uint32_t *suppressed);
/*
 * Says what was left out of events that come no more. True: there is more to say, call again a
 * second later. Any thread; loops call it once a second, and with TT_LOG_FLUSH_ALL at their end.
 *
 *	level=warn event=log.suppressed of=auth.failed reason=token count=812
 */
bool tt_log_flush(struct tt_mono now);
#define TT_LOG_FLUSH_ALL ((struct tt_mono){UINT64_MAX})
void tt_log_limit_forget(void); /* all of it; tt_log_process() does */

#endif

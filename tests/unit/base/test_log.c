/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include "tt_test.h"

static int pipe_fd[2];
static char line[8192];

static void setup(enum tt_log_level level, enum tt_log_format format)
{
	if (pipe_fd[1] == 0) {
		CU_ASSERT_EQUAL_FATAL(pipe2(pipe_fd, O_NONBLOCK), 0);
	}
	tt_log_setup(level, format, pipe_fd[1]);
}

/* What was logged since the last call, without its time stamp and newline. */
static const char *logged(void)
{
	ssize_t n = read(pipe_fd[0], line, sizeof(line) - 1);
	const char *prefix = "ts=";

	line[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		return line;
	CU_ASSERT_EQUAL(line[n - 1], '\n');
	line[n - 1] = '\0';
	if (line[0] == '{')
		return line;
	CU_ASSERT_EQUAL(strncmp(line, prefix, strlen(prefix)), 0);
	CU_ASSERT_EQUAL(strlen(line) > 28 ? line[27] : 0, ' ');
	CU_ASSERT_EQUAL(line[26], 'Z');
	return line + 28;
}

/* What the journal takes for the severity comes first, in both formats. */
static void priorities(void)
{
	static const char *const head[] = {"<3>ts=", "<4>ts=", "<6>ts=", "<7>ts="};

	tt_log_set_priorities(true);
	setup(TT_LOG_DEBUG, TT_LOG_LOGFMT);
	for (int i = TT_LOG_ERROR; i <= TT_LOG_DEBUG; i++) {
		tt_log((enum tt_log_level)i, "e", TT_F_I64("n", i));
		CU_ASSERT(read(pipe_fd[0], line, sizeof(line)) > 0);
		CU_ASSERT_EQUAL(strncmp(line, head[i], strlen(head[i])), 0);
	}
	setup(TT_LOG_DEBUG, TT_LOG_JSON);
	tt_log(TT_LOG_WARN, "e", TT_F_I64("n", 1));
	CU_ASSERT(read(pipe_fd[0], line, sizeof(line)) > 0);
	CU_ASSERT_EQUAL(strncmp(line, "<4>{\"ts\":\"", 10), 0);
	tt_log_set_priorities(false);
}

static void level_names(void)
{
	enum tt_log_level l;

	for (int i = TT_LOG_ERROR; i <= TT_LOG_DEBUG; i++) {
		CU_ASSERT_TRUE(tt_log_level_parse(tt_log_level_name((enum tt_log_level)i), &l));
		CU_ASSERT_EQUAL((int)l, i);
	}
	CU_ASSERT_FALSE(tt_log_level_parse("", &l));
	CU_ASSERT_FALSE(tt_log_level_parse("Debug", &l));
	tt_log_set_level(TT_LOG_DEBUG);
	CU_ASSERT_EQUAL(tt_log_get_level(), TT_LOG_DEBUG);
}

static void types(void)
{
	struct tt_ip ip;
	struct tt_endpoint e;
	struct tt_cidr c;

	tt_ip_parse("fd77::1", &ip);
	tt_endpoint_parse("[fd77::1]:5", &e);
	tt_cidr_parse("10.0.0.0/8", &c);
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log(TT_LOG_WARN, "a.b", TT_F_STR("s", "x"), TT_F_U64("u", UINT64_MAX),
	       TT_F_I64("i", INT64_MIN), TT_F_BOOL("yes", true), TT_F_BOOL("no", false));
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=a.b s=x u=18446744073709551615 "
					 "i=-9223372036854775808 yes=true no=false");
	tt_log(TT_LOG_ERROR, "net", TT_F_IP("ip", &ip), TT_F_ENDPOINT("e", &e), TT_F_CIDR("c", &c),
	       TT_F_ERRNO("err", -ENOENT), TT_F_ERRNO("err2", ENOENT));
	CU_ASSERT_STRING_EQUAL(logged(),
			       "level=error event=net ip=fd77::1 e=[fd77::1]:5 c=10.0.0.0/8 "
			       "err=\"No such file or directory\" "
			       "err2=\"No such file or directory\"");
}

static void levels_and_process(void)
{
	setup(TT_LOG_WARN, TT_LOG_LOGFMT);
	tt_log(TT_LOG_INFO, "quiet", TT_F_U64("n", 1));
	CU_ASSERT_STRING_EQUAL(logged(), "");
	tt_log_set_level(TT_LOG_DEBUG);
	CU_ASSERT_TRUE(tt_log_enabled(TT_LOG_DEBUG));
	tt_log_process("engine");
	tt_log(TT_LOG_DEBUG, "loud", TT_F_U64("n", 1));
	CU_ASSERT_STRING_EQUAL(logged(), "level=debug process=engine event=loud n=1");
	tt_log_process(NULL);
}

static const char *str_as_logfmt(const char *s)
{
	tt_log(TT_LOG_INFO, "e", TT_F_STR("s", s));
	return logged() + strlen("level=info event=e s=");
}

static void logfmt_escaping(void)
{
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	CU_ASSERT_STRING_EQUAL(str_as_logfmt(""), "\"\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt(NULL), "\"\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("a b"), "\"a b\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("a=b"), "\"a=b\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\"\\"), "\"\\\"\\\\\"");
	/* no forged second line, no terminal control */
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("x\nts=1 level=error"), "\"x\\nts=1 level=error\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\r\t\x1b[31m\x7f\x01"),
			       "\"\\r\\t\\u001b[31m\\u007f\\u0001\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xc2\x9b"), "\"\\u009b\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
	/* overlong, surrogate, too large, cut off, stray */
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xf4\x90\x80\x80"),
			       "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xe2\x82"), "\"\\ufffd\\ufffd\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\x80"
					     "a"),
			       "\"\\ufffda\"");
	CU_ASSERT_STRING_EQUAL(str_as_logfmt("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
}

/* Every string of random bytes gives a line that a strict JSON parser reads back. */
static void json(void)
{
	setup(TT_LOG_INFO, TT_LOG_JSON);
	for (unsigned seed = 1; seed < 500; seed++) {
		char s[40];
		uint32_t x = seed * 2654435761u;

		for (size_t i = 0; i < sizeof(s) - 1; i++) {
			x = x * 1664525 + 1013904223;
			s[i] = (char)(x >> 24 ? x >> 24 : 1);
		}
		s[sizeof(s) - 1] = '\0';
		tt_log(TT_LOG_INFO, "e", TT_F_STR("s", s), TT_F_U64("n", seed),
		       TT_F_BOOL("b", true));
		json_t *root = json_loads(logged(), JSON_REJECT_DUPLICATES, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(root);
		CU_ASSERT_EQUAL(json_integer_value(json_object_get(root, "n")), seed);
		CU_ASSERT_TRUE(json_is_true(json_object_get(root, "b")));
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "level")), "info");
		CU_ASSERT_TRUE(json_is_string(json_object_get(root, "s")));
		json_decref(root);
	}
	static const char text[] = "\"q\\ \n\t\x01 gr\xc3\xbc";
	tt_log(TT_LOG_INFO, "e", TT_F_STR("s", text));
	json_t *root = json_loads(logged(), 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "s")), text);
	json_decref(root);
}

static void long_values(void)
{
	static char s[3000];
	const char *got;

	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	memset(s, 'x', 512);
	CU_ASSERT_EQUAL(strlen(str_as_logfmt(s)), 512);
	memset(s, 'x', sizeof(s) - 1);
	got = str_as_logfmt(s);
	CU_ASSERT_EQUAL(strlen(got), 512 + 5);
	CU_ASSERT_STRING_EQUAL(got + 512 - 2, "xxx...\"");
	/* the cut falls into the middle of a two-byte character */
	memset(s, 'x', 511);
	memcpy(s + 511, "\xc3\xbc", 2);
	CU_ASSERT_STRING_EQUAL(str_as_logfmt(s) + 509, "xxx...\"");
	/* a cut string of escapes, twelve times: fields fall off whole, and the line says so */
	memset(s, 1, 600);
	struct tt_field f[12];
	for (size_t i = 0; i < TT_ARRAY_LEN(f); i++)
		f[i] = TT_F_STR("k", s);
	tt_log_fields(TT_LOG_INFO, "e", f, TT_ARRAY_LEN(f));
	got = logged();
	CU_ASSERT(strlen(line) < 4096);
	CU_ASSERT_STRING_EQUAL(got + strlen(got) - strlen(" truncated=true"), " truncated=true");
	setup(TT_LOG_INFO, TT_LOG_JSON);
	tt_log_fields(TT_LOG_INFO, "e", f, TT_ARRAY_LEN(f));
	json_t *root = json_loads(logged(), 0, NULL);
	CU_ASSERT_TRUE(json_is_true(json_object_get(root, "truncated")));
	json_decref(root);
}

static void errno_survives(void)
{
	tt_log_setup(TT_LOG_INFO, TT_LOG_LOGFMT, -1);
	errno = EXDEV;
	tt_log(TT_LOG_INFO, "nowhere", TT_F_U64("n", 1));
	CU_ASSERT_EQUAL(errno, EXDEV);
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log(TT_LOG_INFO, "somewhere");
	CU_ASSERT_STRING_EQUAL(logged(), "level=info event=somewhere lost=1");
}

static struct tt_mono at_s(double s)
{
	return (struct tt_mono){(uint64_t)(s * 1e9)};
}

static void few(struct tt_mono now, const char *reason, int n)
{
	static const char event[] = "few";

	while (n--)
		tt_log_limited(TT_LOG_WARN, event, reason, now, 2, TT_F_STR("why", reason));
}

static unsigned lines(void)
{
	unsigned n = 0;

	logged();
	for (const char *at = line; (at = strstr(at, "event=")); at++)
		n++;
	return n;
}

/* Each reason has its own share; the next line says what was left out. */
static void limit(void)
{
	static const char x[] = "x", y[] = "y";

	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log_limit_forget();
	few(at_s(5), x, 9);
	CU_ASSERT_EQUAL(lines(), 2);
	few(at_s(5.1), y, 2);
	CU_ASSERT_EQUAL(lines(), 2);
	few(at_s(5.999), x, 1);
	CU_ASSERT_EQUAL(lines(), 0);
	few(at_s(6), x, 1);
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=few why=x suppressed=8");
	few(at_s(6), x, 1);
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=few why=x");
	/* what the level forbids is not counted */
	tt_log_set_level(TT_LOG_ERROR);
	few(at_s(6), x, 100);
	tt_log_set_level(TT_LOG_INFO);
	few(at_s(7), x, 1);
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=few why=x");
	tt_log_limit_forget();
}

/* Events that come no more: their count is told all the same, once. */
static void flush(void)
{
	static const char x[] = "x";

	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log_limit_forget();
	CU_ASSERT_FALSE(tt_log_flush(at_s(10)));
	few(at_s(10), x, 7);
	CU_ASSERT_EQUAL(lines(), 2);
	CU_ASSERT_TRUE(tt_log_flush(at_s(10.5)));
	CU_ASSERT_TRUE(tt_log_flush(at_s(11.5)));
	CU_ASSERT_STRING_EQUAL(logged(), "");
	CU_ASSERT_FALSE(tt_log_flush(at_s(12)));
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=log.suppressed of=few reason=x count=5");
	few(at_s(12), x, 3);
	CU_ASSERT_EQUAL(lines(), 2);
	CU_ASSERT_FALSE(tt_log_flush(TT_LOG_FLUSH_ALL));
	CU_ASSERT_STRING_EQUAL(logged(), "level=warn event=log.suppressed of=few reason=x count=1");
	CU_ASSERT_FALSE(tt_log_flush(TT_LOG_FLUSH_ALL));
	few(at_s(13), NULL, 3);
	CU_ASSERT_EQUAL(lines(), 2);
	tt_log_process("child"); /* after a fork */
	CU_ASSERT_FALSE(tt_log_flush(TT_LOG_FLUSH_ALL));
	CU_ASSERT_STRING_EQUAL(logged(), "");
	tt_log_process(NULL);
}

/* More reasons than there are places: the rest shares one, and nothing grows. */
static void limit_places(void)
{
	static const char reason[TT_LOG_LIMITS_MAX * 2], event[] = "many";
	unsigned passed = 0, told = 0;
	uint32_t n;

	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log_limit_forget();
	for (size_t i = 0; i < sizeof(reason); i++)
		for (int k = 0; k < 3; k++)
			passed +=
				tt_log_limit_pass(TT_LOG_INFO, event, &reason[i], at_s(20), 1, &n);
	CU_ASSERT(passed > TT_LOG_LIMITS_MAX / 2 && passed <= TT_LOG_LIMITS_MAX + 1);
	while (tt_log_flush(TT_LOG_FLUSH_ALL)) {
	}
	for (ssize_t got; (got = read(pipe_fd[0], line, sizeof(line) - 1)) > 0;) {
		line[got] = 0;
		for (const char *at = line; (at = strstr(at, "count=")); at++)
			told += (unsigned)strtoul(at + 6, NULL, 10);
	}
	CU_ASSERT_EQUAL(passed + told, sizeof(reason) * 3);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		tt_log(TT_LOG_INFO, "thread", TT_F_STR("who", arg), TT_F_STR("text", "a b c"));
	return NULL;
}

/* Lines of several threads never mix. */
static void threads(void)
{
	int fd[2];
	pthread_t t[2];
	char buf[256];
	int lines = 0;

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	tt_log_setup(TT_LOG_INFO, TT_LOG_LOGFMT, fd[1]);
	pthread_create(&t[0], NULL, log_many, "one");
	pthread_create(&t[1], NULL, log_many, "two");
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	close(fd[1]);
	FILE *f = fdopen(fd[0], "r");
	for (; fgets(buf, sizeof(buf), f); lines++) {
		CU_ASSERT_EQUAL(strncmp(buf, "ts=", 3), 0);
		CU_ASSERT_STRING_EQUAL(buf + strlen(buf) - 13, "text=\"a b c\"\n");
	}
	CU_ASSERT_EQUAL(lines, 400);
	fclose(f);
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
}

static void *limit_many(void *arg)
{
	static const char event[] = "shared";
	uintptr_t passed = 0;
	uint32_t left_out;

	(void)arg;
	for (int i = 0; i < 2000; i++)
		if (tt_log_limit_pass(TT_LOG_INFO, event, NULL, at_s(30 + i / 500), 10, &left_out))
			passed += 1 + left_out;
	return (void *)passed;
}

/* Threads share a budget, and nothing is told twice or forgotten. */
static void limit_threads(void)
{
	void *passed[2];
	pthread_t t[2];
	uintptr_t told = 0;

	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
	tt_log_limit_forget();
	pthread_create(&t[0], NULL, limit_many, NULL);
	pthread_create(&t[1], NULL, limit_many, NULL);
	pthread_join(t[0], &passed[0]);
	pthread_join(t[1], &passed[1]);
	tt_log_flush(TT_LOG_FLUSH_ALL);
	const char *at = strstr(logged(), "of=shared count=");
	if (at)
		told = strtoul(at + strlen("of=shared count="), NULL, 10);
	CU_ASSERT_EQUAL((uintptr_t)passed[0] + (uintptr_t)passed[1] + told, 4000);
}

/* Nobody reads: lines are lost, counted, and none is half there. */
static void stuck_reader(void)
{
	char buf[4096], text[400];
	unsigned long lost = 0;
	unsigned lines = 0;
	int p[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(p, O_NONBLOCK), 0);
	tt_log_setup(TT_LOG_INFO, TT_LOG_LOGFMT, p[1]);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (int i = 0; i < 1000; i++)
		tt_log(TT_LOG_INFO, "flood", TT_F_STR("text", text));
	FILE *f = fdopen(p[0], "r");
	while (fgets(buf, sizeof(buf), f)) {
		CU_ASSERT_PTR_NOT_NULL(strstr(buf, "xxx\n"));
		lines++;
	}
	CU_ASSERT(lines > 10 && lines < 1000);
	clearerr(f);
	tt_log(TT_LOG_INFO, "after");
	tt_log(TT_LOG_INFO, "again");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(buf, sizeof(buf), f));
	char *at = strstr(buf, "event=after lost=");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	lost = strtoul(at + strlen("event=after lost="), NULL, 10);
	CU_ASSERT_EQUAL(lines + lost, 1000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(buf, sizeof(buf), f));
	CU_ASSERT_PTR_NULL(strstr(buf, "lost="));
	fclose(f);
	close(p[1]);
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
}

static char taken[512];

static size_t take(int fd, int level, const char *text, size_t len)
{
	CU_ASSERT_EQUAL(fd, 77);
	CU_ASSERT_EQUAL(level, TT_LOG_WARN);
	memcpy(taken, text, TT_MIN(len, sizeof(taken) - 1));
	return taken[len - 2] == '2' ? 0 : len;
}

static void sinks(void)
{
	const struct tt_log_sink sink = {take, pipe_fd[1]}, plain = {.copy = -1};

	tt_log_setup(TT_LOG_INFO, TT_LOG_LOGFMT, 77);
	tt_log_set_sink(&sink);
	for (int i = 1; i <= 3; i++) {
		tt_log(TT_LOG_WARN, "line", TT_F_I64("n", i));
		CU_ASSERT_EQUAL(strncmp(logged(), "level=warn event=line n=", 24), 0);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(taken, "event=line n=3 lost=1\n"));
	tt_log_set_sink(&plain);
	setup(TT_LOG_INFO, TT_LOG_LOGFMT);
}

TT_TESTS("base/log", {"types", types}, {"priorities", priorities}, {"level names", level_names},
	 {"levels and process", levels_and_process}, {"logfmt escaping", logfmt_escaping},
	 {"json", json}, {"long values", long_values}, {"errno survives", errno_survives},
	 {"limit", limit}, {"flush", flush}, {"places of limits", limit_places},
	 {"threads", threads}, {"limit of threads", limit_threads}, {"stuck reader", stuck_reader},
	 {"sinks", sinks})

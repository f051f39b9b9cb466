/* SPDX-License-Identifier: MIT
 *
 * The log as others read it, byte by byte: tests/golden/log.{logfmt,json,journal}. With
 * TALTUN_GOLDEN_WRITE=1 the files are made anew.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tt_test.h"

static const char stamp[] = "2026-01-02T03:04:05.678Z";

static void lines(void)
{
	static const char few[] = "few", token[] = "token";
	struct tt_endpoint v4, v6;
	struct tt_cidr c;
	char text[600];

	tt_endpoint_parse("192.0.2.7:51820", &v4);
	tt_endpoint_parse("[2001:db8::7]:51820", &v6);
	tt_cidr_parse("10.7.0.0/16", &c);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	tt_log(TT_LOG_ERROR, "config.invalid", TT_F_STR("error", "tt0.toml:3:1: unknown key"));
	tt_log(TT_LOG_WARN, "send.failed", TT_F_STR("peer", "office"), TT_F_ENDPOINT("to", &v4),
	       TT_F_ERRNO("error", -2));
	tt_log_process("engine");
	tt_log(TT_LOG_INFO, "peer.moved", TT_F_ENDPOINT("from", &v4), TT_F_ENDPOINT("to", &v6),
	       TT_F_IP("ip", &v6.ip), TT_F_CIDR("net", &c));
	tt_log(TT_LOG_DEBUG, "numbers", TT_F_U64("u", UINT64_MAX), TT_F_I64("i", INT64_MIN),
	       TT_F_BOOL("yes", true), TT_F_BOOL("no", false));
	tt_log_process(NULL);
	tt_log(TT_LOG_INFO, "strange", TT_F_STR("empty", ""), TT_F_STR("none", NULL),
	       TT_F_STR("quotes", "a \"b\" \\ c"), TT_F_STR("equals", "a=b"),
	       TT_F_STR("forged", "x\nts=1 level=error event=auth.failed"),
	       TT_F_STR("terminal", "\x1b[31m\x7f\xc2\x9b"), TT_F_STR("utf8", "gr\xc3\xbc\xc3\x9f"),
	       TT_F_STR("not_utf8", "\xff\xc0\xaf"));
	tt_log(TT_LOG_INFO, "long", TT_F_STR("text", text));
	for (int i = 0; i < 5; i++)
		tt_log_limited(TT_LOG_WARN, few, token, (struct tt_mono){TT_NS_PER_SEC}, 1,
			       TT_F_I64("n", i));
	tt_log_limited(TT_LOG_WARN, few, token, (struct tt_mono){2 * TT_NS_PER_SEC}, 1,
		       TT_F_I64("n", 5));
	tt_log_limited(TT_LOG_WARN, few, token, (struct tt_mono){2 * TT_NS_PER_SEC}, 1,
		       TT_F_I64("n", 6));
	tt_log_flush(TT_LOG_FLUSH_ALL);
}

/* Every time stamp becomes the same one. */
static void fix_stamps(char *text)
{
	for (char *at = text; (at = strstr(at, "ts")); at++) {
		char *value = at + (at[2] == '=' ? 3 : at[2] == '"' ? 5 : 0);

		if (value != at && strlen(value) > 24 && value[10] == 'T' && value[23] == 'Z')
			memcpy(value, stamp, 24);
	}
}

static void compare(const char *form, enum tt_log_format format, bool priorities)
{
	static char got[16384], want[16384];
	char path[64];
	int fd[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	tt_log_setup(TT_LOG_DEBUG, format, fd[1]);
	tt_log_set_priorities(priorities);
	tt_log_limit_forget();
	lines();
	tt_log_setup(TT_LOG_INFO, TT_LOG_LOGFMT, STDERR_FILENO);
	tt_log_set_priorities(false);
	close(fd[1]);
	ssize_t n = read(fd[0], got, sizeof(got) - 1);
	close(fd[0]);
	CU_ASSERT_FATAL(n > 0);
	got[n] = 0;
	fix_stamps(got);
	snprintf(path, sizeof(path), "tests/golden/log.%s", form);
	bool anew = getenv("TALTUN_GOLDEN_WRITE");
	FILE *f = fopen(path, anew ? "w+" : "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	if (anew) {
		fputs(got, f);
		rewind(f);
	}
	want[fread(want, 1, sizeof(want) - 1, f)] = 0;
	fclose(f);
	if (strcmp(got, want) != 0)
		printf("  %s: got\n%s", path, got);
	CU_ASSERT_STRING_EQUAL(got, want);
}

static void logfmt(void)
{
	compare("logfmt", TT_LOG_LOGFMT, false);
}

static void json(void)
{
	compare("json", TT_LOG_JSON, false);
}

static void journal(void)
{
	compare("journal", TT_LOG_LOGFMT, true);
}

TT_TESTS("base/log golden", {"logfmt", logfmt}, {"json", json}, {"journal", journal})

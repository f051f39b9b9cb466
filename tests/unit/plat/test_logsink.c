/* SPDX-License-Identifier: MIT */
#include "plat/logsink.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tt_test.h"

static void syslog_messages(void)
{
	static const char line[] = "event=x\n";
	char buf[64];
	int s[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	CU_ASSERT_EQUAL(plat_logsink_syslog_write(s[0], TT_LOG_WARN, line, 8), 8);
	CU_ASSERT_EQUAL(plat_logsink_syslog_write(s[0], TT_LOG_DEBUG, line, 8), 8);
	CU_ASSERT_EQUAL(read(s[1], buf, sizeof(buf)), 20);
	CU_ASSERT_EQUAL(memcmp(buf, "<28>taltund: event=x", 20), 0);
	CU_ASSERT_EQUAL(read(s[1], buf, sizeof(buf)), 20);
	CU_ASSERT_EQUAL(memcmp(buf, "<31>", 4), 0);
	close(s[1]);
	close(s[0]);
	CU_ASSERT_EQUAL(plat_logsink_syslog_write(s[0], TT_LOG_INFO, line, 8), 0);
}

/* JOURNAL_STREAM counts only for the very descriptor that it names. */
static void journal_is_told_apart(void)
{
	char path[] = "/tmp/tt-log-XXXXXX", text[64];
	struct stat st;
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	unsetenv("JOURNAL_STREAM");
	CU_ASSERT_FALSE(plat_logsink_is_journal(fd));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	CU_ASSERT_FALSE(plat_logsink_is_journal(fd));
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", text, 1);
	CU_ASSERT_FALSE(plat_logsink_is_journal(fd));
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
	CU_ASSERT_TRUE(plat_logsink_is_journal(fd));
	unsetenv("JOURNAL_STREAM");
	close(fd);
	unlink(path);
}

static void file_stays_small(void)
{
	char path[] = "/tmp/tt-log-XXXXXX", line[4096];
	struct stat st;
	off_t largest = 0;
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	fcntl(fd, F_SETFL, O_APPEND);
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(plat_logsink_small_write(fd, 0, line, sizeof(line)), sizeof(line));
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		largest = TT_MAX(largest, st.st_size);
	}
	CU_ASSERT(largest > (off_t)PLAT_LOGSINK_SMALL);
	CU_ASSERT(largest <= (off_t)(PLAT_LOGSINK_SMALL + 2 * sizeof(line)));
	close(fd);
	unlink(path);
}

TT_TESTS("logsink", {"messages for syslog", syslog_messages},
	 {"the journal is told apart", journal_is_told_apart},
	 {"a file stays small", file_stays_small})

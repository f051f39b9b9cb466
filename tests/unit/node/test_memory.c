/* SPDX-License-Identifier: MIT */
#include "node/memory.h"
#include "plat/memfile.h"
#include "tt_test.h"

#include <string.h>
#include <unistd.h>

#define BYTES (1u << 20)

static void write_text(struct node_memory *m, const char *text)
{
	size_t cap;
	char *p = node_memory_begin(m, &cap);

	CU_ASSERT_FATAL(strlen(text) <= cap);
	memcpy(p, text, strlen(text));
	node_memory_commit(m, strlen(text));
}

static bool reads(struct node_memory *m, const char *text)
{
	size_t len;
	const char *p = node_memory_read(m, &len);
	return p && len == strlen(text) && memcmp(p, text, len) == 0;
}

static void survives_reopening(void)
{
	struct node_memory *m;
	size_t len;
	int fd = plat_memfile_create("test", BYTES);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	CU_ASSERT_PTR_NULL(node_memory_read(m, &len));
	write_text(m, "one");
	CU_ASSERT(reads(m, "one"));
	write_text(m, "two");
	write_text(m, "three");
	node_memory_close(m);
	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	CU_ASSERT(reads(m, "three"));
	node_memory_close(m);
	close(fd);
}

static void torn_write_leaves_the_old_text(void)
{
	struct node_memory *m;
	size_t cap;
	int fd = plat_memfile_create("test", BYTES);

	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	write_text(m, "old");
	memcpy(node_memory_begin(m, &cap), "half of the new", 15);
	node_memory_close(m);
	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	CU_ASSERT(reads(m, "old"));
	node_memory_close(m);
	close(fd);
}

static void keeps_the_last_note(void)
{
	uint8_t note[NODE_MEMORY_NOTE], i;
	struct node_memory *m;
	uint8_t *raw;
	int fd = plat_memfile_create("test", BYTES);

	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	CU_ASSERT(!node_memory_noted(m, note));
	for (i = 1; i < 4; i++) {
		memset(note, i, sizeof(note));
		node_memory_note(m, note);
	}
	write_text(m, "text");
	node_memory_close(m);
	CU_ASSERT_EQUAL_FATAL(node_memory_open(fd, BYTES, &m), 0);
	CU_ASSERT(node_memory_noted(m, note) && note[0] == 3 && note[NODE_MEMORY_NOTE - 1] == 3);
	CU_ASSERT(reads(m, "text"));
	/* what a crash has written over it counts for nothing */
	CU_ASSERT_EQUAL_FATAL(plat_memfile_map(fd, BYTES, true, (void **)&raw), 0);
	for (size_t b = BYTES - 4096; b < BYTES; b++)
		raw[b] ^= raw[b] == 3 ? 1 : 0;
	CU_ASSERT(!node_memory_noted(m, note));
	plat_memfile_unmap(raw, BYTES);
	node_memory_close(m);
	close(fd);
}

TT_TESTS("memory", {"survives reopening", survives_reopening},
	 {"a torn write leaves the old text", torn_write_leaves_the_old_text},
	 {"keeps the last note", keeps_the_last_note})

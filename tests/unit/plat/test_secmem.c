/* SPDX-License-Identifier: MIT */
#include "plat/secmem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tt_test.h"

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static struct plat_secmem *create(size_t size, size_t count)
{
	struct plat_secmem *m = NULL;
	bool locked;

	CU_ASSERT_EQUAL_FATAL(plat_secmem_create(size, count, &m, &locked), 0);
	return m;
}

static void bad_sizes(void)
{
	struct plat_secmem *m;
	bool locked;

	CU_ASSERT_EQUAL(plat_secmem_create(0, 1, &m, &locked), -EINVAL);
	CU_ASSERT_EQUAL(plat_secmem_create(1, 0, &m, &locked), -EINVAL);
	CU_ASSERT_EQUAL(plat_secmem_create(SIZE_MAX, 1, &m, &locked), -EINVAL);
	CU_ASSERT_EQUAL(plat_secmem_create(SIZE_MAX / 2, 3, &m, &locked), -EINVAL);
	CU_ASSERT_EQUAL(plat_secmem_create(64, SIZE_MAX, &m, &locked), -EINVAL);
	plat_secmem_destroy(NULL);
}

static void objects(void)
{
	enum { SIZE = 100, COUNT = 300 };
	struct plat_secmem *m = create(SIZE, COUNT);
	uint8_t *p[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		p[i] = plat_secmem_alloc(m);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
		CU_ASSERT_EQUAL((uintptr_t)p[i] % 64, 0);
		CU_ASSERT_TRUE(all_zero(p[i], SIZE));
		memset(p[i], 0xff, SIZE);
	}
	CU_ASSERT_PTR_NULL(plat_secmem_alloc(m));
	for (unsigned i = 0; i < COUNT; i += 3) {
		plat_secmem_free(m, p[i]);
		CU_ASSERT_TRUE(all_zero(p[i], SIZE));
	}
	for (unsigned i = 0; i < COUNT; i += 3) {
		p[i] = plat_secmem_alloc(m);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
		CU_ASSERT_TRUE(all_zero(p[i], SIZE));
		memset(p[i], 0xff, SIZE);
	}
	CU_ASSERT_PTR_NULL(plat_secmem_alloc(m));
	plat_secmem_free(m, NULL);
	plat_secmem_destroy(m);
}

/* A million objects (488 MiB) reserved, ten used: the pages of ten. */
static void memory_follows_use(void)
{
	enum { SIZE = 512, COUNT = 1000000 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size_t)SIZE * COUNT / page;
	struct plat_secmem *m = create(SIZE, COUNT);
	unsigned char *resident = calloc(pages, 1);
	uint8_t *first = plat_secmem_alloc(m);
	size_t used = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(resident);
	memset(first, 1, SIZE);
	for (unsigned i = 1; i < 10; i++)
		memset(plat_secmem_alloc(m), 1, SIZE);
	CU_ASSERT_EQUAL_FATAL(mincore(first, pages * page, resident), 0);
	for (size_t i = 0; i < pages; i++)
		used += resident[i] & 1;
	CU_ASSERT_EQUAL(used, (10 * SIZE + page - 1) / page);
	free(resident);
	plat_secmem_destroy(m);
}

static void fork_sees_zeros(void)
{
	struct plat_secmem *m = create(64, 10);
	uint8_t *p = plat_secmem_alloc(m);
	int status = -1;

	memset(p, 0xff, 64);
	pid_t pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		_exit(all_zero(p, 64) ? 0 : 1);
	waitpid(pid, &status, 0);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	CU_ASSERT_EQUAL(p[0], 0xff);
	plat_secmem_destroy(m);
}

/* Does fn end the process by a signal? */
static bool dies(void (*fn)(struct plat_secmem *m, uint8_t *p), struct plat_secmem *m, uint8_t *p)
{
	int status = 0;
	pid_t pid = fork();

	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		fn(m, p);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status);
}

static void touch_after(struct plat_secmem *m, uint8_t *p)
{
	(void)m;
	((volatile uint8_t *)p)[4096] = 1;
}

static void touch_before(struct plat_secmem *m, uint8_t *p)
{
	(void)m;
	((volatile uint8_t *)p)[-1] = 1;
}

static void free_twice(struct plat_secmem *m, uint8_t *p)
{
	plat_secmem_free(m, p);
	plat_secmem_free(m, p);
}

static void free_inside(struct plat_secmem *m, uint8_t *p)
{
	plat_secmem_free(m, p + 64);
}

static void misuse_ends(void)
{
	struct plat_secmem *m = create((size_t)sysconf(_SC_PAGESIZE), 1);
	uint8_t *p = plat_secmem_alloc(m);

	if (sysconf(_SC_PAGESIZE) == 4096)
		CU_ASSERT_TRUE(dies(touch_after, m, p));
	CU_ASSERT_TRUE(dies(touch_before, m, p));
	CU_ASSERT_TRUE(dies(free_twice, m, p));
	CU_ASSERT_TRUE(dies(free_inside, m, p));
	plat_secmem_destroy(m);
}

/* A low limit costs the locking, never the memory. */
static void without_the_right(void)
{
	int status = -1;
	pid_t pid = fork();

	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		struct rlimit few = {8192, 8192};
		struct plat_secmem *m;
		bool locked = true;

		if (setrlimit(RLIMIT_MEMLOCK, &few) < 0 || (geteuid() == 0 && setuid(65534) < 0))
			_exit(1);
		if (plat_secmem_create(64, 10000, &m, &locked) != 0 || locked)
			_exit(2);
		for (unsigned i = 0; i < 10000; i++) {
			uint8_t *p = plat_secmem_alloc(m);

			if (!p)
				_exit(3);
			p[63] = 1;
		}
		plat_secmem_destroy(m);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

TT_TESTS("secmem", {"bad sizes", bad_sizes}, {"objects", objects},
	 {"memory follows use", memory_follows_use}, {"fork sees zeros", fork_sees_zeros},
	 {"misuse ends the process", misuse_ends}, {"without the right to lock", without_the_right})

/* SPDX-License-Identifier: MIT
 *
 * The slab is one private mapping: guard page, objects, guard page. Its book-keeping lies in
 * ordinary memory, so that an overrun of an object cannot forge it.
 */
#include "plat/secmem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define OBJECT_ALIGN 64

struct plat_secmem {
	uint8_t *map;
	size_t map_len;
	uint8_t *objects;
	size_t objects_len; /* whole pages */
	size_t object_size;
	size_t page;
	uint32_t count;	  /* objects in all */
	uint32_t touched; /* objects ever given out: those above have no pages yet */
	uint32_t free_count;
	uint32_t *free_list; /* stack of object numbers */
	uint8_t *taken;	     /* one byte per object: a second free must not go unseen */
	bool lock_on_use;
};

static int secmem_map(struct plat_secmem *m)
{
	m->map = mmap(NULL, m->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->map == MAP_FAILED)
		return -errno;
	m->objects = m->map + m->page;
	if (mprotect(m->objects, m->objects_len, PROT_READ | PROT_WRITE) < 0) {
		int err = -errno;

		munmap(m->map, m->map_len);
		return err;
	}
#ifdef MADV_DONTDUMP
	(void)madvise(m->objects, m->objects_len, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
	(void)madvise(m->objects, m->objects_len, MADV_WIPEONFORK);
#endif
	return 0;
}

/*
 * The whole range, on fault where the system can: only what is used is populated. Where the limit
 * is too low for that, pages are locked as they come into use, as far as the limit goes.
 */
static bool secmem_lock(struct plat_secmem *m)
{
#ifdef MLOCK_ONFAULT
	if (mlock2(m->objects, m->objects_len, MLOCK_ONFAULT) == 0)
		return true;
#endif
	m->lock_on_use = true;
	return false;
}

static int secmem_lists(struct plat_secmem *m)
{
	m->free_list = calloc(m->count, sizeof(*m->free_list));
	m->taken = calloc(m->count, sizeof(*m->taken));
	return m->free_list && m->taken ? 0 : -ENOMEM;
}

static void secmem_release(struct plat_secmem *m)
{
	free(m->free_list);
	free(m->taken);
	free(m);
}

int plat_secmem_create(size_t object_size, size_t max_objects, struct plat_secmem **out,
		       bool *locked)
{
	struct plat_secmem *m;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err;

	if (!object_size || !max_objects || max_objects > UINT32_MAX ||
	    object_size > SIZE_MAX / 4 / max_objects - OBJECT_ALIGN)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->page = page;
	m->object_size = TT_ALIGN_UP(object_size, OBJECT_ALIGN);
	m->count = (uint32_t)max_objects;
	m->objects_len = TT_ALIGN_UP(m->object_size * max_objects, page);
	m->map_len = m->objects_len + 2 * page;
	err = secmem_lists(m);
	if (!err)
		err = secmem_map(m);
	if (err) {
		secmem_release(m);
		return err;
	}
	*locked = secmem_lock(m);
	*out = m;
	return 0;
}

static uint8_t *secmem_object(const struct plat_secmem *m, uint32_t number)
{
	return m->objects + (size_t)number * m->object_size;
}

static void secmem_lock_object(struct plat_secmem *m, uint32_t number)
{
	size_t start = (size_t)number * m->object_size;
	size_t end = TT_ALIGN_UP(start + m->object_size, m->page);

	start -= start % m->page;
	/* Best effort: creation has already said that locking is not complete. */
	(void)mlock(m->objects + start, end - start);
}

void *plat_secmem_alloc(struct plat_secmem *m)
{
	uint32_t number;

	if (m->free_count) {
		number = m->free_list[--m->free_count];
	} else if (m->touched < m->count) {
		number = m->touched++;
		if (m->lock_on_use)
			secmem_lock_object(m, number);
	} else {
		return NULL;
	}
	m->taken[number] = 1;
	return secmem_object(m, number);
}

void plat_secmem_free(struct plat_secmem *m, void *obj)
{
	if (!obj)
		return;
	size_t offset = (size_t)((uint8_t *)obj - m->objects);
	uint32_t number = (uint32_t)(offset / m->object_size);

	tt_assert((uint8_t *)obj >= m->objects && offset % m->object_size == 0);
	tt_assert(number < m->touched && m->taken[number]);
	explicit_bzero(obj, m->object_size);
	m->taken[number] = 0;
	m->free_list[m->free_count++] = number;
}

void plat_secmem_destroy(struct plat_secmem *m)
{
	if (!m)
		return;
	/* Only what was given out: wiping the rest would populate it first. */
	explicit_bzero(m->objects, m->touched * m->object_size);
	munmap(m->map, m->map_len);
	secmem_release(m);
}

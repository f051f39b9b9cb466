/* SPDX-License-Identifier: MIT
 *
 * C11 alone: the objects are wiped, but neither locked nor guarded.
 */
#include "plat/secmem.h"

#include <errno.h>
#include <stdlib.h>

#define OBJECT_ALIGN 64

struct plat_secmem {
	size_t object_size;
	uint32_t count;
	uint32_t touched;
	uint32_t free_count;
	uint8_t *objects;
	uint32_t *free_list;
};

/* Through a volatile pointer the compiler cannot know that nothing reads it again. */
static void secmem_wipe(void *p, size_t len)
{
	static void *(*volatile const set)(void *, int, size_t) = memset;

	set(p, 0, len);
}

int plat_secmem_create(size_t object_size, size_t max_objects, struct plat_secmem **out,
		       bool *locked)
{
	struct plat_secmem *m;

	if (!object_size || !max_objects || max_objects > UINT32_MAX ||
	    object_size > SIZE_MAX / 4 / max_objects - OBJECT_ALIGN)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->object_size = TT_ALIGN_UP(object_size, OBJECT_ALIGN);
	m->count = (uint32_t)max_objects;
	m->objects = aligned_alloc(OBJECT_ALIGN, m->object_size * max_objects);
	m->free_list = calloc(max_objects, sizeof(*m->free_list));
	if (!m->objects || !m->free_list) {
		plat_secmem_destroy(m);
		return -ENOMEM;
	}
	*locked = false;
	*out = m;
	return 0;
}

void plat_secmem_destroy(struct plat_secmem *m)
{
	if (!m)
		return;
	if (m->objects)
		secmem_wipe(m->objects, m->touched * m->object_size);
	free(m->objects);
	free(m->free_list);
	free(m);
}

void *plat_secmem_alloc(struct plat_secmem *m)
{
	uint32_t number;

	if (m->free_count)
		number = m->free_list[--m->free_count];
	else if (m->touched < m->count)
		number = m->touched++;
	else
		return NULL;
	return memset(m->objects + number * m->object_size, 0, m->object_size);
}

void plat_secmem_free(struct plat_secmem *m, void *obj)
{
	if (!obj)
		return;
	size_t offset = (size_t)((uint8_t *)obj - m->objects);

	tt_assert(offset % m->object_size == 0 && offset / m->object_size < m->touched);
	secmem_wipe(obj, m->object_size);
	m->free_list[m->free_count++] = (uint32_t)(offset / m->object_size);
}

/* SPDX-License-Identifier: MIT
 *
 * Bounds-checked reader over bytes from outside. Every read past the end sets `bad` and yields
 * zeros; check tt_cursor_ok() once after the fields are read.
 */
#ifndef TT_BASE_CURSOR_H
#define TT_BASE_CURSOR_H

#include "base/types.h"

struct tt_cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct tt_cursor tt_cursor_over(const void *data, size_t len)
{
	return (struct tt_cursor){data, (const uint8_t *)data + len, false};
}

static inline size_t tt_cursor_left(const struct tt_cursor *c)
{
	return c->bad ? 0 : (size_t)(c->end - c->p);
}

static inline bool tt_cursor_ok(const struct tt_cursor *c)
{
	return !c->bad;
}

/* Pointer to the next len bytes, or NULL (and bad) where fewer are left. */
static inline const uint8_t *tt_cursor_take(struct tt_cursor *c, size_t len)
{
	if (tt_cursor_left(c) < len) {
		c->bad = true;
		return NULL;
	}
	c->p += len;
	return c->p - len;
}

static inline uint8_t tt_cursor_u8(struct tt_cursor *c)
{
	const uint8_t *p = tt_cursor_take(c, 1);
	return p ? *p : 0;
}

static inline uint16_t tt_cursor_be16(struct tt_cursor *c)
{
	const uint8_t *p = tt_cursor_take(c, 2);
	return p ? tt_load_be16(p) : 0;
}

static inline uint32_t tt_cursor_be32(struct tt_cursor *c)
{
	const uint8_t *p = tt_cursor_take(c, 4);
	return p ? tt_load_be32(p) : 0;
}

#endif

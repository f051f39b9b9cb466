/* SPDX-License-Identifier: MIT
 *
 * Text that grows up to a bound. What does not fit any more is left out as a whole, and `full` says
 * so; nothing is ever written past the bound.
 *
 *	struct tt_text t = tt_text_init(realloc, 1 << 20);
 *	tt_text_str(&t, "answer ");
 *	tt_text_u64(&t, 42);
 *	... t.buf, t.len ...		// no terminating zero
 *	free(t.buf);
 */
#ifndef TT_BASE_TEXT_H
#define TT_BASE_TEXT_H

#include "base/types.h"

struct tt_text {
	char *buf; /* the owner's to free; NULL while empty */
	size_t len, cap;
	size_t max;
	bool full; /* something was left out: the bound, or no memory */
	/* As realloc(); NULL: cap bytes at buf are all there is. */
	void *(*grow)(void *old, size_t size);
};

static inline struct tt_text tt_text_init(void *(*grow)(void *old, size_t size), size_t max)
{
	return (struct tt_text){.max = max, .grow = grow};
}

/* Room for so many bytes more, in one piece: a hint that saves growing step by step. False: full.
 */
bool tt_text_reserve(struct tt_text *t, size_t len);
void tt_text_add(struct tt_text *t, const char *bytes, size_t len);
void tt_text_str(struct tt_text *t, const char *s);
void tt_text_u64(struct tt_text *t, uint64_t v);
/* v / 10^digits without trailing zeros: (1500000, 6) is "1.5". digits <= 18. */
void tt_text_decimal(struct tt_text *t, int64_t v, unsigned digits);

/* Bytes of the well-formed UTF-8 character at s (RFC 3629), of which `left` (> 0) are there; 0:
 * none, or a zero byte. */
size_t tt_utf8_len(const uint8_t *s, size_t left);

#endif

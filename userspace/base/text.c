/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#define FIRST_BYTES 1024
#define DIGITS_MAX  20 /* of 2^64 - 1 */

bool tt_text_reserve(struct tt_text *t, size_t len)
{
	if (len <= t->cap - t->len)
		return true;
	if (!t->grow || len > t->max - TT_MIN(t->len, t->max)) {
		t->full = true;
		return false;
	}
	size_t size = TT_MAX(t->cap * 2, (size_t)FIRST_BYTES);
	size = TT_MIN(TT_MAX(size, t->len + len), t->max);
	char *buf = t->grow(t->buf, size);
	if (!buf) {
		t->full = true;
		return false;
	}
	t->buf = buf;
	t->cap = size;
	return true;
}

void tt_text_add(struct tt_text *t, const char *bytes, size_t len)
{
	if (!len || !tt_text_reserve(t, len))
		return;
	memcpy(t->buf + t->len, bytes, len);
	t->len += len;
}

void tt_text_str(struct tt_text *t, const char *s)
{
	tt_text_add(t, s, strlen(s));
}

/* Writes from the end towards the beginning; returns where the text begins. */
static char *digits_of(char *end, uint64_t v)
{
	do
		*--end = (char)('0' + v % 10);
	while (v /= 10);
	return end;
}

void tt_text_u64(struct tt_text *t, uint64_t v)
{
	char buf[DIGITS_MAX], *first = digits_of(buf + sizeof(buf), v);

	tt_text_add(t, first, (size_t)(buf + sizeof(buf) - first));
}

void tt_text_decimal(struct tt_text *t, int64_t v, unsigned digits)
{
	/* sign, whole part, point, fraction */
	char buf[DIGITS_MAX + 2], *end = buf + sizeof(buf), *p = end;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	for (; digits && u % 10 == 0; digits--)
		u /= 10;
	for (unsigned i = 0; i < digits; i++, u /= 10)
		*--p = (char)('0' + u % 10);
	if (digits)
		*--p = '.';
	p = digits_of(p, u);
	if (v < 0)
		*--p = '-';
	tt_text_add(t, p, (size_t)(end - p));
}

size_t tt_utf8_len(const uint8_t *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] == 0 || n > left || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* longer than need be, surrogates, past U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

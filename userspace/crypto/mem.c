/* SPDX-License-Identifier: MIT */
#include "crypto/mem.h"

/* Hides from the compiler what a value can be, so that it cannot return early from a loop. */
static uint64_t opaque(uint64_t v)
{
	__asm__("" : "+r"(v));
	return v;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint64_t diff = 0;

	for (; len >= 8; len -= 8, x += 8, y += 8)
		diff = opaque(diff | (tt_load_le64(x) ^ tt_load_le64(y)));
	for (; len > 0; len--, x++, y++)
		diff = opaque(diff | (uint64_t)(*x ^ *y));
	return diff == 0;
}

bool crypto_is_zero(const void *p, size_t len)
{
	const uint8_t *x = p;
	uint64_t any = 0;

	for (; len > 0; len--, x++)
		any = opaque(any | *x);
	return any == 0;
}

void crypto_wipe(void *p, size_t len)
{
	if (len == 0)
		return;
	memset(p, 0, len);
	__asm__ volatile("" : : "r"(p) : "memory");
}

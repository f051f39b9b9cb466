/* SPDX-License-Identifier: MIT */
#include "base/b64.h"

#include <errno.h>

/* All ones where lo <= v <= hi, else zero; no branch and no table, so no trace of the key. */
static uint32_t within(uint32_t v, uint32_t lo, uint32_t hi)
{
	return ~(uint32_t)((int32_t)((v - lo) | (hi - v)) >> 31);
}

static char b64_char(uint32_t sextet)
{
	uint32_t c = 0;

	c |= within(sextet, 0, 25) & (sextet + 'A');
	c |= within(sextet, 26, 51) & (sextet - 26 + 'a');
	c |= within(sextet, 52, 61) & (sextet - 52 + '0');
	c |= within(sextet, 62, 62) & '+';
	c |= within(sextet, 63, 63) & '/';
	return (char)c;
}

/* The sextet; `bad` collects a bit for a character outside the alphabet. */
static uint32_t b64_value(char ch, uint32_t *bad)
{
	uint32_t c = (uint8_t)ch;
	uint32_t upper = within(c, 'A', 'Z'), lower = within(c, 'a', 'z');
	uint32_t digit = within(c, '0', '9'), plus = within(c, '+', '+');
	uint32_t slash = within(c, '/', '/');

	*bad |= ~(upper | lower | digit | plus | slash);
	return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
	       (plus & 62) | (slash & 63);
}

void tt_key_to_b64(const uint8_t key[TT_KEY_LEN], char out[TT_KEY_B64_LEN + 1])
{
	for (unsigned i = 0, o = 0; i < TT_KEY_LEN; i += 3, o += 4) {
		uint32_t v = (uint32_t)key[i] << 16 | (uint32_t)key[i + 1] << 8;

		/* 32 = 3 * 10 + 2: the last group has two bytes, three characters and '=' */
		if (i + 2 < TT_KEY_LEN)
			v |= key[i + 2];
		out[o] = b64_char(v >> 18 & 63);
		out[o + 1] = b64_char(v >> 12 & 63);
		out[o + 2] = b64_char(v >> 6 & 63);
		out[o + 3] = i + 2 < TT_KEY_LEN ? b64_char(v & 63) : '=';
	}
	out[TT_KEY_B64_LEN] = '\0';
}

int tt_key_from_b64(const char *text, size_t len, uint8_t key[TT_KEY_LEN])
{
	uint32_t bad = 0;

	if (len != TT_KEY_B64_LEN || text[TT_KEY_B64_LEN - 1] != '=')
		return -EINVAL;
	for (unsigned i = 0, o = 0; i < TT_KEY_B64_LEN; i += 4, o += 3) {
		bool last = i + 4 == TT_KEY_B64_LEN;
		uint32_t v = b64_value(text[i], &bad) << 18 | b64_value(text[i + 1], &bad) << 12 |
			     b64_value(text[i + 2], &bad) << 6;

		if (!last)
			v |= b64_value(text[i + 3], &bad);
		else
			bad |= v &
			       0xff; /* bits behind the 32nd byte: another text of the same key */
		key[o] = (uint8_t)(v >> 16);
		key[o + 1] = (uint8_t)(v >> 8);
		if (!last)
			key[o + 2] = (uint8_t)v;
	}
	return bad ? -EINVAL : 0;
}

void tt_key_to_hex(const uint8_t key[TT_KEY_LEN], char out[TT_KEY_HEX_LEN + 1])
{
	for (unsigned i = 0; i < TT_KEY_HEX_LEN; i++) {
		uint32_t nibble = (i & 1 ? key[i / 2] : key[i / 2] >> 4) & 15;

		out[i] = (char)(nibble + '0' + (within(nibble, 10, 15) & ('a' - '0' - 10)));
	}
	out[TT_KEY_HEX_LEN] = '\0';
}

/* Both cases are read, as every WireGuard does; lower case is what is written. */
int tt_key_from_hex(const char *text, size_t len, uint8_t key[TT_KEY_LEN])
{
	uint32_t bad = 0;

	if (len != TT_KEY_HEX_LEN)
		return -EINVAL;
	for (unsigned i = 0; i < TT_KEY_HEX_LEN; i++) {
		uint32_t c = (uint8_t)text[i];
		uint32_t digit = within(c, '0', '9'), lower = within(c, 'a', 'f');
		uint32_t upper = within(c, 'A', 'F');
		uint32_t nibble =
			(digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10));

		bad |= ~(digit | lower | upper);
		key[i / 2] = (uint8_t)(i & 1 ? key[i / 2] | nibble : nibble << 4);
	}
	return bad ? -EINVAL : 0;
}

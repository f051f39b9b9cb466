/* SPDX-License-Identifier: MIT */
#include "node/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/b64.h"
#include "crypto/blake2s.h"
#include "crypto/mem.h"

#define SUM_LEN 32
static const char first_line[] = "taltun-state 1\n";

static void hex(char *out, const uint8_t *p, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = 0;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *s, size_t len, uint8_t *out, size_t n)
{
	if (len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = nibble(s[2 * i]), lo = nibble(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

size_t node_state_begin(char *buf, const uint8_t stamp[WG_TIMESTAMP_LEN])
{
	char text[2 * WG_TIMESTAMP_LEN + 1];

	hex(text, stamp, WG_TIMESTAMP_LEN);
	return (size_t)sprintf(buf, "%sstamp %s\n", first_line, text);
}

size_t node_state_peer(char *buf, size_t len, const struct node_state_peer *p)
{
	char key[TT_KEY_B64_LEN + 1], stamp[2 * WG_TIMESTAMP_LEN + 1];
	char endpoint[TT_ENDPOINT_TEXT_MAX] = "-";

	tt_key_to_b64(p->public_key, key);
	hex(stamp, p->stamp, WG_TIMESTAMP_LEN);
	if (tt_endpoint_is_set(&p->endpoint))
		tt_endpoint_format(&p->endpoint, endpoint);
	return len + (size_t)snprintf(buf + len, NODE_STATE_LINE_MAX, "peer %s %s %s\n", key, stamp,
				      endpoint);
}

size_t node_state_end(char *buf, size_t len)
{
	uint8_t sum[SUM_LEN];
	char text[2 * SUM_LEN + 1];

	crypto_blake2s(sum, SUM_LEN, NULL, 0, buf, len);
	hex(text, sum, SUM_LEN);
	return len + (size_t)sprintf(buf + len, "sum %s\n", text);
}

struct word {
	const char *p;
	size_t len;
};

/* The next word of [p, end); len 0 where there is none. Words are parted by one space. */
static struct word next_word(const char **p, const char *end)
{
	struct word w = {*p, 0};

	while (*p < end && **p != ' ')
		(*p)++;
	w.len = (size_t)(*p - w.p);
	if (*p < end)
		(*p)++;
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.p, text, w.len) == 0;
}

static bool parse_peer(const char *p, const char *end, struct node_state_peer *out)
{
	struct word key = next_word(&p, end), stamp = next_word(&p, end), ep = next_word(&p, end);
	char text[TT_ENDPOINT_TEXT_MAX];

	memset(out, 0, sizeof(*out));
	if (p != end || tt_key_from_b64(key.p, key.len, out->public_key) != 0 ||
	    !unhex(stamp.p, stamp.len, out->stamp, WG_TIMESTAMP_LEN))
		return false;
	if (word_is(ep, "-"))
		return true;
	if (ep.len >= sizeof(text))
		return false;
	memcpy(text, ep.p, ep.len);
	text[ep.len] = 0;
	return tt_endpoint_parse(text, &out->endpoint) == 0;
}

/* Where the "sum" line begins, or NULL; the text before it has been verified. */
static const char *verified_end(const char *text, size_t len)
{
	const size_t line = 4 + 2 * SUM_LEN + 1;
	uint8_t want[SUM_LEN], got[SUM_LEN];

	if (len < line)
		return NULL;
	const char *s = text + len - line;
	if (memcmp(s, "sum ", 4) != 0 || text[len - 1] != '\n' ||
	    !unhex(s + 4, 2 * SUM_LEN, want, SUM_LEN))
		return NULL;
	crypto_blake2s(got, SUM_LEN, NULL, 0, text, len - line);
	return crypto_equal(got, want, SUM_LEN) ? s : NULL;
}

enum node_state_outcome node_state_parse(const char *text, size_t len,
					 uint8_t stamp[WG_TIMESTAMP_LEN],
					 void (*peer)(void *arg, const struct node_state_peer *p),
					 void *arg)
{
	const char *end = verified_end(text, len);
	const char *p = text;

	if (!end)
		return NODE_STATE_BAD_SUM;
	if ((size_t)(end - p) < sizeof(first_line) - 1 ||
	    memcmp(p, first_line, sizeof(first_line) - 1) != 0)
		return NODE_STATE_BAD_FORMAT;
	p += sizeof(first_line) - 1;
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct node_state_peer entry;
		if (!eol)
			return NODE_STATE_BAD_FORMAT;
		struct word kind = next_word(&p, eol);
		if (word_is(kind, "stamp")) {
			if (!unhex(p, (size_t)(eol - p), stamp, WG_TIMESTAMP_LEN))
				return NODE_STATE_BAD_FORMAT;
		} else if (word_is(kind, "peer")) {
			if (!parse_peer(p, eol, &entry))
				return NODE_STATE_BAD_FORMAT;
			peer(arg, &entry);
		} else {
			return NODE_STATE_BAD_FORMAT;
		}
		p = eol + 1;
	}
	return NODE_STATE_OK;
}

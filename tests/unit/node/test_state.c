/* SPDX-License-Identifier: MIT */
#include "node/state.h"
#include "tt_test.h"

#include <string.h>

static unsigned seen;
static struct node_state_peer last;

static void collect(void *arg, const struct node_state_peer *p)
{
	(void)arg;
	seen++;
	last = *p;
}

static size_t sample(char *buf)
{
	uint8_t stamp[WG_TIMESTAMP_LEN] = {0x40, 1, 2, 3};
	struct node_state_peer a = {.public_key = {1, 2, 3}, .stamp = {9}};
	struct node_state_peer b = {.public_key = {7}};

	CU_ASSERT_EQUAL(tt_endpoint_parse("[2001:db8::1]:51820", &b.endpoint), 0);
	size_t len = node_state_begin(buf, stamp);
	len = node_state_peer(buf, len, &a);
	len = node_state_peer(buf, len, &b);
	return node_state_end(buf, len);
}

static void round_trip(void)
{
	char buf[1024];
	uint8_t stamp[WG_TIMESTAMP_LEN] = {0};
	size_t len = sample(buf);
	char text[TT_ENDPOINT_TEXT_MAX];

	CU_ASSERT(len <= node_state_size(2));
	seen = 0;
	CU_ASSERT_EQUAL(node_state_parse(buf, len, stamp, collect, NULL), NODE_STATE_OK);
	CU_ASSERT_EQUAL(seen, 2);
	CU_ASSERT_EQUAL(stamp[0], 0x40);
	CU_ASSERT_EQUAL(last.public_key[0], 7);
	CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&last.endpoint, text), "[2001:db8::1]:51820");
}

/* Case 39: a torn or damaged file is refused as a whole. */
static void damaged(void)
{
	char buf[1024];
	uint8_t stamp[WG_TIMESTAMP_LEN];
	size_t len = sample(buf);

	seen = 0;
	for (size_t cut = 0; cut < len; cut++)
		CU_ASSERT_NOT_EQUAL(node_state_parse(buf, cut, stamp, collect, NULL),
				    NODE_STATE_OK);
	for (size_t i = 0; i < len; i++) {
		buf[i] ^= 1;
		CU_ASSERT_NOT_EQUAL(node_state_parse(buf, len, stamp, collect, NULL),
				    NODE_STATE_OK);
		buf[i] ^= 1;
	}
	CU_ASSERT_EQUAL(seen, 0);
}

TT_TESTS("state", {"round trip", round_trip}, {"case 39: torn and damaged files", damaged})

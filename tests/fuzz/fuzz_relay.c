/* SPDX-License-Identifier: MIT
 *
 * Relay datagrams, into the parser and the node's binding machine. The input is a list of
 * operations; a hub that knows the key answers on demand, so that the machine gets anywhere.
 *
 *	op (1)  operand
 *	0       len (1), bytes         a datagram from the relay as it is
 *	1       len (1), bytes         the same with magic, tag and the length of its type made
 *right 2       ms (2)                 time passes; what is due is sent 3       - the hub's
 *authentic answer to what was sent last 4       at (1), xor (1)        that answer, changed in one
 *byte 5       -                      data in both directions
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "mesh/relay_bind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX 256
#define TAG	0x01020304

static struct mesh_relay_bind b;
static struct mesh_relay_bind_send sent;
static struct tt_mono now, last_sent, last_received;
static struct tt_endpoint relay[2];
static uint8_t key[MESH_RELAY_KEY_LEN], cookie[MESH_RELAY_COOKIE_LEN], answer[64];
static unsigned sends;

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void check_message(const struct mesh_relay_message *m, const uint8_t *d, size_t len)
{
	require(m->start == d && m->tag != 0 && m->type <= MESH_RELAY_PROBE);
	require(!m->inner || (m->inner + m->inner_len == d + len && m->inner_len >= 20));
	require(!m->mac || m->mac + MESH_RELAY_MAC_LEN == d + len);
	require((m->inner != NULL) == (m->type == MESH_RELAY_DATA || m->type == MESH_RELAY_PROBE));
}

static enum mesh_relay_bind_event deliver(const uint8_t *d, size_t len)
{
	struct mesh_relay_message m;

	if (mesh_relay_parse(&m, d, len) != MESH_RELAY_OK)
		return MESH_RELAY_BIND_NOTHING;
	check_message(&m, d, len);
	bool usable = mesh_relay_bind_is_usable(&b);
	enum mesh_relay_bind_event e =
		mesh_relay_bind_receive(&b, &m, mesh_relay_bind_address(&b), now);
	/* only an authentic BOUND makes it usable, and nothing that is received undoes it */
	require(mesh_relay_bind_is_usable(&b) == (usable || e == MESH_RELAY_BIND_DONE));
	require(e != MESH_RELAY_BIND_DONE || m.type == MESH_RELAY_BOUND);
	return e;
}

static void op_datagram(struct tt_cursor *in, bool fix)
{
	static const size_t lens[] = {64, 40, 24, 40, 28, 32, 64};
	size_t len = tt_cursor_u8(in);
	const uint8_t *p = tt_cursor_take(in, TT_MIN(len, tt_cursor_left(in)));
	uint8_t bytes[256] = {0};

	if (!p)
		return;
	len = (size_t)(in->p - p);
	memcpy(bytes, p, len);
	if (fix) {
		uint8_t type = bytes[1] % TT_ARRAY_LEN(lens);

		tt_store_be32(bytes, (uint32_t)MESH_RELAY_MAGIC << 24 | (uint32_t)type << 16);
		tt_store_be32(bytes + 4, TAG);
		len = lens[type];
	}
	/* without its key there is nothing to be DONE with */
	require(deliver(bytes, len) != MESH_RELAY_BIND_DONE);
}

static void op_time(struct tt_cursor *in)
{
	now.ns += tt_cursor_be16(in) * TT_NS_PER_MS;
	for (int i = 0; mesh_relay_bind_poll(&b, now, last_sent, last_received, &sent); i++) {
		require(i == 0 && sent.len <= sizeof(sent.bytes));
		sends++;
	}
	require(b.due.ns > now.ns);
}

/* Length of the hub's answer to what was sent last; 0: none. */
static size_t make_answer(void)
{
	struct mesh_relay_message m;

	if (mesh_relay_parse(&m, sent.bytes, sent.len) != MESH_RELAY_OK)
		return 0;
	require(m.tag == TAG);
	if (m.type == MESH_RELAY_BIND_REQUEST) {
		mesh_relay_challenge_write(answer, TAG, cookie);
		return MESH_RELAY_CHALLENGE_LEN;
	}
	require(mesh_relay_mac_check(&m, key));
	mesh_relay_bound_write(answer, &m, 300, key);
	return MESH_RELAY_BOUND_LEN;
}

static void op_answer(struct tt_cursor *in, bool damage)
{
	size_t len = make_answer();

	if (len && damage) {
		uint8_t at = tt_cursor_u8(in), flip = tt_cursor_u8(in);

		answer[at % len] ^= flip;
		/* an expiry in the clear would be a hole */
		if (flip && answer[1] == MESH_RELAY_BOUND)
			require(deliver(answer, len) == MESH_RELAY_BIND_NOTHING);
	}
	if (len && !damage)
		deliver(answer, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tt_cursor in = tt_cursor_over(data, size);
	uint64_t begin = 1000 * TT_NS_PER_SEC;

	now = (struct tt_mono){begin};
	last_sent = last_received = (struct tt_mono){0};
	memset(&sent, 0, sizeof(sent));
	memset(key, 3, sizeof(key));
	sends = 0;
	tt_endpoint_parse("192.0.2.1:3479", &relay[0]);
	tt_endpoint_parse("[2001:db8::1]:3479", &relay[1]);
	require(mesh_relay_bind_start(&b, TAG, key, relay, 2, false, now) ==
		MESH_RELAY_BIND_STARTED);
	for (int i = 0; i < OPS_MAX && tt_cursor_left(&in); i++) {
		switch (tt_cursor_u8(&in) % 6) {
		case 0:
			op_datagram(&in, false);
			break;
		case 1:
			op_datagram(&in, true);
			break;
		case 2:
			op_time(&in);
			break;
		case 3:
			op_answer(&in, false);
			break;
		case 4:
			op_answer(&in, true);
			break;
		default:
			last_sent = last_received = now;
			break;
		}
	}
	/* nobody makes us send faster than once in 125 ms or so */
	require(sends <= 8 + (now.ns - begin) / (125 * TT_NS_PER_MS));
	return 0;
}

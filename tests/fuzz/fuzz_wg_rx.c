/* SPDX-License-Identifier: MIT
 *
 * Incoming datagrams against a device with fixed keys. The input is a list of operations; macs are
 * put right and authentic messages are made on demand, so that the fuzzer reaches what lies behind
 * the cryptography: stamps, indices, counters, slots. Checked after each operation: every session
 * is in one slot with one index, and what was refused has changed nothing that the caller owns.
 *
 *	op (1)  operand
 *	0       len (1), bytes                a datagram as it is
 *	1       len (1), bytes                the same with mac1 made right
 *	2       stamp (12)                    an authentic initiation of the peer
 *	3       -                             our initiation, and the authentic response to it
 *	4       counter (8), len (1)          an authentic data packet on the youngest session
 *	5       -                             an authentic cookie reply to our last message
 *	6       at (1), xor (1)               the last datagram changed in one byte, mac1 made right
 *	7       seconds (1)                   time passes; timers run
 *	8       -                             under load from here on, or no longer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "wg/data.h"
#include "wg/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX 64

/* One end: ours, or the peer's, which answers authentically. */
struct end {
	struct wg_device dev;
	struct wg_peer peer;
	struct wg_peer *slots[1];
	uint32_t buckets[1];
	struct wg_index_entry indices[64];
	struct wg_ratelimit_entry limits[16];
	uint32_t limit_buckets[16];
	struct wg_facts facts;
	uint32_t live;
};

static struct end us, them;
static struct tt_mono now;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static bool load;
static uint8_t last[256];
static size_t last_len;

static const struct tt_wall wall = {1700000000, 0};

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void release(struct end *e, const struct wg_displaced *out)
{
	require(out->count <= TT_ARRAY_LEN(out->session));
	for (uint32_t i = 0; i < out->count; i++) {
		free(out->session[i]);
		e->live--;
	}
}

static void end_init(struct end *e, uint8_t key, uint8_t other)
{
	uint8_t mine[32] = {0, key}, theirs[32] = {0, other}, public[32], psk[32] = {9};
	struct wg_device_memory m = {e->slots,	e->buckets,	  1, e->indices, 64,
				     e->limits, e->limit_buckets, 16};
	tt_peer_id id;
	bool changed;

	memset(e, 0, sizeof(*e));
	wg_device_init(&e->dev, &m, &rng);
	wg_device_set_private_key(&e->dev, mine, now, &changed);
	crypto_x25519_clamp(theirs);
	crypto_x25519_base(public, theirs);
	require(wg_device_add_peer(&e->dev, public, &e->peer, &id) == WG_ADD_PEER_OK);
	wg_peer_set_psk(&e->peer, psk);
}

static void end_check(const struct end *e)
{
	struct wg_session *slot[] = {e->peer.previous, e->peer.current, e->peer.next};
	uint32_t live = 0;

	for (int i = 0; i < 3; i++) {
		if (!slot[i])
			continue;
		live++;
		require(wg_index_find(&e->dev.index, slot[i]->local_index).kind ==
			WG_INDEX_SESSION);
	}
	require(live == e->live);
	require(e->dev.index.used == live + (e->peer.handshake == WG_HANDSHAKE_INITIATED));
}

static void end_receive(struct end *e, const uint8_t *bytes, size_t len, struct wg_rx_result *r)
{
	struct tt_endpoint from = {.ip = tt_ip_v4_host(0x0a000001), .udp_port = 7};
	struct wg_session *spare = calloc(1, sizeof(*spare));

	require(spare);
	enum wg_rx_outcome o =
		wg_device_receive(&e->dev, now, wall, &rng, load, &from, bytes, len, spare, r);
	require(o == r->outcome && r->reply_len <= sizeof(r->reply));
	require(r->reply_len <= len); /* no amplification */
	require((r->session != NULL) == (o == WG_RX_SEND_RESPONSE || o == WG_RX_SESSION_READY));
	require(r->authenticated == (r->session != NULL));
	require((r->reason == TT_DROP_NONE) == (o != WG_RX_DROP && o != WG_RX_SEND_COOKIE));
	if (r->session) {
		e->live++;
	} else {
		require(crypto_is_zero(spare, sizeof(*spare)));
		free(spare);
	}
	release(e, &r->displaced);
}

/* --- operations ------------------------------------------------------------------------------- */

static void deliver_data(const uint8_t *bytes, size_t len)
{
	struct wg_session *all[] = {us.peer.next, us.peer.current, us.peer.previous};
	struct wg_data_opened opened;
	struct wg_displaced out;
	uint8_t plain[256];

	for (int i = 0; i < 3; i++) {
		if (!all[i] || wg_data_open(all[i], now, bytes, len, plain, &opened))
			continue;
		require(opened.len + WG_DATA_OVERHEAD == len);
		us.facts.last_rx = now;
		wg_peer_confirm(&us.dev, &us.peer, now, wall, &out);
		release(&us, &out);
		return;
	}
}

static void deliver(const uint8_t *bytes, size_t len)
{
	struct wg_rx_result r;

	last_len = TT_MIN(len, sizeof(last));
	if (last_len && last != bytes)
		memcpy(last, bytes, last_len);
	deliver_data(bytes, len);
	end_receive(&us, bytes, len, &r);
}

static void deliver_fixed(uint8_t *bytes, size_t len)
{
	struct wg_cookie c = {.keys = us.dev.cookie.keys};

	if (len >= sizeof(struct wg_msg_macs))
		wg_cookie_stamp(&c, bytes, len, now);
	deliver(bytes, len);
}

static void op_datagram(struct tt_cursor *in, bool fix)
{
	size_t len = tt_cursor_u8(in);
	const uint8_t *p = tt_cursor_take(in, TT_MIN(len, tt_cursor_left(in)));
	uint8_t bytes[256];

	if (!p)
		return;
	len = (size_t)(in->p - p);
	memcpy(bytes, p, len);
	if (fix)
		deliver_fixed(bytes, len);
	else
		deliver(p, len);
}

static void op_initiation(struct tt_cursor *in)
{
	const uint8_t *p = tt_cursor_take(in, WG_TIMESTAMP_LEN);
	struct wg_noise_initiator state;
	struct wg_msg_initiation msg;
	uint8_t ephemeral[32];
	struct wg_tai64n stamp;

	if (!p || !wg_peer_static_static(&them.dev, &them.peer))
		return;
	memcpy(stamp.b, p, sizeof(stamp.b));
	tt_rng_fill(&rng, ephemeral, 32);
	require(wg_noise_initiation_create(&state, &msg, &them.dev.self, &them.peer.remote,
					   ephemeral, &stamp, tt_rng_u32(&rng)) == WG_NOISE_OK);
	deliver_fixed((uint8_t *)&msg, sizeof(msg));
}

static void op_handshake(void)
{
	struct wg_msg_initiation msg;
	struct wg_rx_result r;
	bool was = load;

	if (wg_peer_initiate(&us.dev, &us.peer, now, wall, &rng, &msg) != WG_INITIATE_OK)
		return;
	load = false;
	end_receive(&them, (const uint8_t *)&msg, sizeof(msg), &r);
	load = was;
	if (r.outcome == WG_RX_SEND_RESPONSE)
		deliver(r.reply, r.reply_len);
}

static void op_data(struct tt_cursor *in)
{
	const uint8_t *p = tt_cursor_take(in, 9);
	struct wg_session *s = us.peer.next ? us.peer.next : us.peer.current;
	uint8_t packet[256], plain[128] = {0};

	if (!p || !s)
		return;
	uint64_t counter = tt_load_le64(p);
	size_t len = p[8] & 0x7f;
	wg_data_header_write(packet, s->local_index, counter);
	crypto_aead_seal(&s->recv_key, counter, NULL, 0, plain, len, packet + WG_DATA_HEADER);
	deliver(packet, len + WG_DATA_OVERHEAD);
}

static void op_cookie(void)
{
	struct tt_endpoint from = {.ip = tt_ip_v4_host(0x0a000002), .udp_port = 8};
	struct wg_msg_initiation msg;
	struct wg_msg_cookie reply;

	memcpy(msg.macs.mac1, us.peer.cookie.sent_mac1, WG_MAC_LEN);
	wg_cookie_reply_create(&them.dev.cookie, &reply, us.peer.initiator.local_index,
			       (const uint8_t *)&msg, sizeof(msg), &from, now, &rng);
	deliver((const uint8_t *)&reply, sizeof(reply));
}

static void op_change(struct tt_cursor *in)
{
	uint8_t at = tt_cursor_u8(in), flip = tt_cursor_u8(in);

	if (!last_len)
		return;
	last[at % last_len] ^= flip;
	if (last[0] == WG_MSG_INITIATION || last[0] == WG_MSG_RESPONSE)
		deliver_fixed(last, last_len);
	else
		deliver(last, last_len);
}

static void op_time(struct tt_cursor *in)
{
	struct wg_displaced out;

	now.ns += tt_cursor_u8(in) * TT_NS_PER_SEC;
	wg_peer_run_timers(&us.dev, &us.peer, &us.facts, now, &rng, &out);
	release(&us, &out);
	require(wg_timers_next_deadline(&us.peer.timers, &us.facts).ns > now.ns);
}

static void operation(struct tt_cursor *in)
{
	switch (tt_cursor_u8(in) % 9) {
	case 0:
		op_datagram(in, false);
		break;
	case 1:
		op_datagram(in, true);
		break;
	case 2:
		op_initiation(in);
		break;
	case 3:
		op_handshake();
		break;
	case 4:
		op_data(in);
		break;
	case 5:
		op_cookie();
		break;
	case 6:
		op_change(in);
		break;
	case 7:
		op_time(in);
		break;
	default:
		load = !load;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tt_cursor in = tt_cursor_over(data, size);
	struct wg_displaced out;

	now = (struct tt_mono){1000 * TT_NS_PER_SEC};
	rng = tt_rng_seeded_init(&seed, 1);
	load = false;
	last_len = 0;
	end_init(&us, 1, 2);
	end_init(&them, 2, 1);
	for (int i = 0; i < OPS_MAX && tt_cursor_left(&in); i++) {
		operation(&in);
		end_check(&us);
	}
	wg_device_remove_peer(&us.dev, 0, now, &out);
	release(&us, &out);
	wg_device_remove_peer(&them.dev, 0, now, &out);
	release(&them, &out);
	require(us.live == 0 && us.dev.index.used == 0);
	return 0;
}
